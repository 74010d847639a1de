"""The rotary embedding of a released model from its Hugging Face config."""

from collections.abc import Mapping
from typing import SupportsIndex

from ..._checks import choice, positive_integer
from ..._public import public
from ...functional import Rope
from ...functional._rope.record import LAYOUTS
from .chosen_part import part_names
from .context import find
from .layer_ropes import LayerRopes, chosen_layers
from .values import check_name, shown


@public
def rope_from_hf(
    config: Mapping,
    *,
    part: str | None = None,
    layer_type: str | None = None,
    seq_len: SupportsIndex | None = None,
    layout: str | None = None,
) -> Rope | None:
    """Returns the rotary embedding of a model, from its `config.json` alone.

    A table by `model_type`, made from the source of transformers 5.23, adds what the
    config does not tell: the layout, where in the head the rotating channels stand, the
    axes, and the defaults of missing keys. A key about rotary positions that the model
    does not read is an error.

    Args:
        config: A dict as in `config.json`, of version 4 (`rope_theta`, `rope_scaling`)
            or 5 (`rope_parameters`, nested by layer type where layers differ).
        part: Name of a part of a model of text and pictures, sound or speech, as
            `config_parts` gives it. The default is the language model.
        layer_type: Type of the layers, for a config with parameters by layer type.
        seq_len: Length in tokens that the rope is for, at most 2**53. Dynamic NTK and
            LongRoPE need it, since their frequencies depend on it; other methods
            ignore it.
        layout: Pairing of the channels, in place of the table's layout. A `model_type`
            that is not in the table needs it. See `attnax.functional.Rope`.

    Returns:
        The rope, or `None` for a `layer_type` without one. Without `layer_type`, this
        is the rope that the parameters describe, even if no layer uses it, as in Falcon
        with `alibi`; `ropes_from_hf` says which layers do. A rope of images takes
        positions as (row, column), even if the code of the model takes (column, row).

    Raises:
        ValueError: If a key is missing, unknown, contradicts another or is out of its
            range; if the language model has no rotary positions and another part has
            them; if several parts and no language model, or several layer types with
            parameters of their own, leave a choice; if a length is needed; if the
            model rotates by something else than integer positions.

    Example:
        >>> config = {"model_type": "llama", "head_dim": 128, "rope_theta": 500_000.0}
        >>> rope_from_hf(config)
        Rope(64 pairs from 1 to 2.46e-06, layout='half')

    Reference:
        Hugging Face transformers 5.23, `modeling_rope_utils.py` and the classes of each
        model. https://github.com/huggingface/transformers
    """
    seq_len = _checked(seq_len, layout)
    check_name("layer_type", layer_type)
    context = find(config, part, layout)
    params = context.family.schema(context)
    chosen = chosen_layers(context, params, layer_type)
    if chosen is None:
        return None
    label, indices = chosen
    made = LayerRopes(context, params, seq_len, layout)
    ropes = {made.rope(label, index) for index in indices or (None,)}
    if len(ropes) > 1:
        raise context.error(
            f"layers of model_type={context.model_type!r} have different rotary "
            "embeddings; use ropes_from_hf"
        )
    return ropes.pop()


@public
def ropes_from_hf(
    config: Mapping,
    *,
    part: str | None = None,
    seq_len: SupportsIndex | None = None,
    layout: str | None = None,
) -> list[Rope | None]:
    """Returns the rotary embedding of every layer, from a `config.json` alone.

    Args:
        config: A dict as in `config.json`, see `rope_from_hf`.
        part: Name of a part, see `rope_from_hf`.
        seq_len: Length in tokens that the ropes are for, see `rope_from_hf`.
        layout: Pairing of the channels, see `rope_from_hf`.

    Returns:
        One rope per layer, in order; `None` for a layer that does not rotate queries
        and keys. Layers with equal ropes hold the same object, so that cos and sin are
        made once.

    Raises:
        ValueError: If `rope_from_hf` would raise, or if the number of layers is not
            known.

    Example:
        >>> sizes = {"head_dim": 8, "num_hidden_layers": 3, "sliding_window_pattern": 3}
        >>> [rope is None for rope in ropes_from_hf({"model_type": "cohere2", **sizes})]
        [False, False, True]

    Reference:
        Hugging Face transformers 5.23, the classes of each model.
        https://github.com/huggingface/transformers
    """
    seq_len = _checked(seq_len, layout)
    context = find(config, part, layout)
    if not context.layer_types:
        raise context.error(
            "num_hidden_layers is missing, and no default of "
            f"model_type={context.model_type!r} is known; use rope_from_hf"
        )
    params = context.family.schema(context)
    return LayerRopes(context, params, seq_len, layout).of_all_layers()


@public
def config_parts(config: Mapping) -> tuple[str, ...]:
    """Returns the names of the parts of a config that have rotary positions.

    A name is the key of the part without `_config`, with a dot between levels:
    `"text"`, `"vision"`, `"thinker.text"`. A language model whose keys stand at the
    level of the whole config, as in the first configs of Qwen2-VL, has a name too. A
    part that is known and refused is listed; the error of `rope_from_hf` says why it is
    refused.

    Args:
        config: A dict as in `config.json`, see `rope_from_hf`.

    Returns:
        The names that `rope_from_hf` and `ropes_from_hf` take as `part`: the language
        model first, then the others in the order of the config. Empty for a model
        without parts. Parts that the config lacks, and that the model's code fills in,
        are not listed.

    Raises:
        ValueError: If the config, or a part of a known model, is not a dict.

    Example:
        >>> text, vision = {"model_type": "qwen3"}, {"model_type": "pixtral"}
        >>> config = {"text_config": text, "vision_config": vision}
        >>> config_parts({"model_type": "lighton_ocr", **config})
        ('text', 'vision')
        >>> config_parts({"model_type": "llama"})
        ()

    Reference:
        Hugging Face transformers 5.23, the classes of each model.
        https://github.com/huggingface/transformers
    """
    return part_names(config)


def _checked(seq_len, layout):
    """`seq_len` as an int or `None`; raises on a wrong length or layout."""
    if layout is not None:
        choice("layout", layout, LAYOUTS)
    if seq_len is None:
        return None
    seq_len = positive_integer("seq_len", seq_len)
    if seq_len > 2**53:
        raise ValueError(f"seq_len={shown(seq_len)} must be at most 2**53.")
    return seq_len
