"""The parameters of position biases from the checkpoints of released models."""

import os
import re
from collections.abc import Mapping
from typing import Any

from ..._checks import check_flags
from ..._public import public
from .._position_biases.found import find
from .._position_biases.stack import Source, Tensor
from .arrays import check_float, check_held, to_jax
from .files.open import open_source


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
            that JAX holds, or if the file holds one more of its kind than the config
            has layers; if a file cannot be read, see `params_from_checkpoint`.

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
    sources = () if found is None else found[1].sources
    with open_source(source, follow_links) as file:
        if not sources:
            return ()
        tensors = [tensor for one in sources for tensor in one.tensors]
        prefix = _prefix(tensors, set(file.names), prefix)
        _check_no_others(tensors, file.names, prefix)
        read: dict[str, Any] = {}
        return tuple(_params(one, file, prefix, read) for one in sources)


def _prefix(tensors: list[Tensor], names, prefix):
    """The prefix under which every tensor stands."""
    if prefix is not None:
        prefix = prefix if prefix.endswith(".") or not prefix else f"{prefix}."
        missing = _missing(tensors, names, prefix)
        if missing:
            raise ValueError(f"{missing} must be in source, with {prefix=}.")
        return prefix
    first = tensors[0]
    found = {
        name.removesuffix(own)
        for name in names
        for own in first.names
        if name == own or name.endswith(f".{own}")
    }
    whole = sorted(one for one in found if not _missing(tensors, names, one))
    if len(whole) == 1:
        return whole[0]
    if whole:
        raise ValueError(
            f"{first.names[0]!r} must be in source once, but stands after each of "
            f"prefix={whole}; pass one of them."
        )
    if found:
        raise ValueError(f"{_missing(tensors, names, min(found))} must be in source.")
    looked_for = " or ".join(map(repr, first.names))
    raise ValueError(f"{looked_for} must be in source, alone or after a prefix.")


def _missing(tensors: list[Tensor], names, prefix):
    """The names of the first tensor that is not there, in words."""
    for tensor in tensors:
        own = [prefix + name for name in tensor.names]
        if names.isdisjoint(own):
            return " or ".join(map(repr, own))
    return None


def _check_no_others(tensors: list[Tensor], names, prefix):
    """Raises if a tensor is like one of `tensors`, but of a layer that has none."""
    own = {prefix + name for tensor in tensors for name in tensor.names}
    kinds = {_kind(name) for name in own}
    for name in names:
        if name.startswith(prefix) and name not in own and _kind(name) in kinds:
            raise ValueError(
                f"{name!r} must not be there: the config has no such layer with "
                "parameters of its own."
            )


def _kind(tensor):
    """The name of a tensor without the numbers of its layers."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "N", tensor)


def _params(source: Source, file, prefix, read):
    """The parameters of one source; `read` holds arrays that several sources share."""
    arrays = {}
    for tensor in source.tensors:
        name = next(n for n in tensor.names if prefix + n in file.names)
        name = prefix + name
        shape, dtype = file.describe(name)
        check_float(name, dtype)
        check_held(name, dtype)
        _check_shape(name, shape, tensor.shape)
        if (name, tensor.form) not in read:
            array = tensor.form(file.read(name))
            read[name, tensor.form] = to_jax(file, array)
        arrays[tensor.field] = read[name, tensor.form]
    return source.make(**arrays)


def _check_shape(tensor, shape, wanted):
    fits = len(shape) == len(wanted) and all(
        length in (None, size) for size, length in zip(shape, wanted, strict=True)
    )
    if not fits:
        words = ", ".join("any" if length is None else str(length) for length in wanted)
        raise ValueError(
            f"{tensor!r} of shape {tuple(shape)} must have shape "
            f"({words}{',' * (len(wanted) == 1)})."
        )
