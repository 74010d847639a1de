"""The position biases of a released model from its Hugging Face config."""

from collections.abc import Mapping

from ..._public import public
from .found import find, model_biases, names_of_parts
from .record import ModelBiases


@public
def position_bias_from_hf(
    config: Mapping, *, part: str | None = None
) -> ModelBiases | None:
    """Returns the position biases of every layer of a model, from its `config.json`.

    A table by `model_type`, made from the source of transformers 5.23, adds what the
    config does not tell: which layers have a bias, which of them share its parameters,
    and the defaults of missing keys. Where the code of transformers is at fault, the
    biases are those of the publication; `docs/interop/biases.md` lists these places. A
    key about position biases that the model does not read is an error.

    Args:
        config: A dict as in `config.json`.
        part: Name of a part: `"encoder"` or `"decoder"` in a model with two stacks, and
            otherwise its key in the config without `_config`, such as `"vision"`, with
            a dot between levels. `None` for a model of which one part has biases.

    Returns:
        The biases, as a record without parameters;
        `position_bias_params_from_checkpoint` reads them. `None` for a model that has
        no position biases, or whose config turns them off.

    Raises:
        ValueError: If a key is missing, unknown or out of its range; if several parts
            have biases and `part` does not choose one; if the model type, or that of a
            part of a model without biases, is unknown or refused.

    Example:
        >>> config = {"model_type": "t5", "num_layers": 6, "num_heads": 8, "d_kv": 64}
        >>> biases = position_bias_from_hf(config, part="decoder")
        >>> layer = biases.layers[5]
        >>> bias = layer.terms[0].bias
        >>> bias.num_buckets, bias.max_distance, bias.bidirectional
        (32, 128, False)
        >>> layer.terms[0].params_index, layer.scale  # the first table; no scale
        (0, 1.0)

    Reference:
        Hugging Face transformers 5.23, the classes of each model.
        https://github.com/huggingface/transformers
    """
    found = find(config, part)
    return model_biases(*found) if found and found[1].layers else None


@public
def position_bias_parts(config: Mapping) -> tuple[str, ...]:
    """Returns the names of the parts of a config that have position biases.

    A name is that of a stack, such as `"encoder"`, or the key of a part without
    `_config`, such as `"vision"`, with a dot between levels: `"text_encoder.encoder"`.
    A part whose config turns the biases off is listed.

    Args:
        config: A dict as in `config.json`, see `position_bias_from_hf`.

    Returns:
        The names that `position_bias_from_hf` takes as `part`, in the order of the
        config. Empty for a model without position biases. Parts that the config lacks,
        and that the model's code fills in, are listed only if it holds no other.

    Raises:
        ValueError: If a part of a known model is not a dict; if no part has position
            biases and `position_bias_from_hf` would raise.

    Example:
        >>> position_bias_parts({"model_type": "t5"})
        ('encoder', 'decoder')
        >>> swin = {"model_type": "swin"}
        >>> position_bias_parts({"model_type": "mask2former", "backbone_config": swin})
        ('backbone',)
        >>> position_bias_parts({"model_type": "llama"})
        ()

    Reference:
        Hugging Face transformers 5.23, the classes of each model.
        https://github.com/huggingface/transformers
    """
    return names_of_parts(config)
