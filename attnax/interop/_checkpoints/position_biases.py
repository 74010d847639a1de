"""The parameters of position biases from the checkpoints of released models."""

import os
from collections.abc import Mapping
from typing import Any

from ..._checks import check_flags
from ..._public import public
from ...functional import WindowBias
from .._config.values import shortened
from .._position_biases.found import find
from .._position_biases.stack import Source
from .arrays import check_float, check_held, to_jax
from .bias_tensors import check_no_others, find_bias_prefix, held
from .files.open import open_source
from .names import check_shape


@public
def position_bias_params_from_checkpoint(
    source: Mapping[str, Any] | str | os.PathLike,
    config: Mapping,
    *,
    part: str | None = None,
    prefix: str | None = None,
    follow_links: bool = False,
) -> tuple[Any, ...]:
    """Reads the parameters of the position biases of a model from its checkpoint.

    Names are those of the files of the model, or those that its code in transformers
    5.23 gives to the parameters in memory. Nothing is cast. Buffers that some files
    hold beside the parameters, such as `relative_position_index`, are not read.

    Args:
        source: A mapping of names to arrays or the path of a file or of a folder, see
            `params_from_checkpoint`.
        config: A dict as in the `config.json` of the model.
        part: Name of the part, see `position_bias_from_hf`.
        prefix: The part of the names in front of those of the stack, such as `"swin."`.
            `None` finds it from the names.
        follow_links: Whether symbolic links may lead out of the folder of a checkpoint,
            see `params_from_checkpoint`.

    Returns:
        The parameters, in the order of `params_index` in the record that
        `position_bias_from_hf` returns for the same config and part; empty for biases
        without parameters.

    Raises:
        ValueError: If `position_bias_from_hf` would raise; if the prefix is not found,
            or found twice; if a tensor is missing, has another shape or no float dtype
            that JAX holds; if the file holds one more of its kind than the config has
            layers, or one of a bias that the config turns off; if a file cannot be
            read, see `params_from_checkpoint`.

    Example:
        >>> config = {"model_type": "t5", "num_layers": 2, "num_heads": 8}
        >>> name = "block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        >>> weights = {f"encoder.{name}": jnp.ones((32, 8))}
        >>> params = position_bias_params_from_checkpoint(
        ...     weights, config, part="encoder"
        ... )
        >>> [one.table.shape for one in params]
        [(32, 8)]

    Reference:
        Hugging Face transformers 5.23, the classes of each model and
        `conversion_mapping.py`. https://github.com/huggingface/transformers
    """
    if prefix is not None and not isinstance(prefix, str):
        raise ValueError(f"{prefix=} must be a string, or None.")
    check_flags(follow_links=follow_links)
    found = find(config, part)
    with open_source(source, follow_links) as file:
        if found is None:
            return ()
        chosen, stack = found
        tensors = [tensor for one in stack.sources for tensor in one.tensors]
        prefix = find_bias_prefix(tensors, file.names, prefix)
        if prefix is not None or not chosen.path:
            check_no_others(stack, file.names, prefix)
        read: dict[str, Any] = {}
        return tuple(
            _params(one, bias, file, prefix, read)
            for one, bias in stack.sources.items()
        )


def _params(source: Source, bias, file, prefix, read):
    """The parameters of one source; `read` holds arrays that several sources share."""
    arrays = {}
    for tensor in source.tensors:
        name = held(tensor, file.names, prefix)
        shape, dtype = file.describe(name)
        check_float(name, dtype)
        check_held(name, dtype)
        check_shape(name, shape, tensor.shape, hint=_of_another_size(bias))
        if (name, tensor.form) not in read:
            array = tensor.form(file.read(name))
            read[name, tensor.form] = to_jax(file, array)
        arrays[tensor.field] = read[name, tensor.form]
    return source.make(**arrays)


def _of_another_size(bias):
    """What to do with a tensor of another size, as the end of a message."""
    advice = "read a checkpoint of another size with its own config"
    if isinstance(bias, WindowBias):
        advice += ", and resize its table with resize_relative_table"
    return f" for {shortened(repr(bias), 200)}; {advice}"
