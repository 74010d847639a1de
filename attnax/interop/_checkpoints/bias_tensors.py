"""The tensors of position biases in a file: their prefix, and those that are wrong."""

import re

from .._position_biases.stack import Stack, Tensor
from .names import only_prefix, prefixes_of, whole_prefix


def find_bias_prefix(tensors: list[Tensor], names, prefix):
    """The prefix under which every tensor stands; `None` where there is no tensor."""
    here = set(names)
    if prefix is not None:
        prefix = whole_prefix(prefix)
        missing = _missing(tensors, here, prefix)
        if missing:
            raise ValueError(f"{missing} must be in source, with {prefix=}.")
        return prefix
    if not tensors:
        return None
    anchors = tensors[0].names
    found = prefixes_of(anchors, names, ".")
    whole = [one for one in found if not _missing(tensors, here, one)]
    if found and not whole:
        raise ValueError(f"{_missing(tensors, here, min(found))} must be in source.")
    # Two prefixes of the same tensors are one, of which the longer says more.
    different = {
        tuple(held(tensor, here, one) for tensor in tensors): one
        for one in sorted(whole, key=len)
    }
    return only_prefix(different.values(), anchors, names)


def held(tensor: Tensor, names, prefix):
    """The first name of a tensor that the file holds; `None` if it holds none."""
    return next((prefix + n for n in tensor.names if prefix + n in names), None)


def _missing(tensors: list[Tensor], names, prefix):
    """The names of the first tensor that is not there, in words."""
    for tensor in tensors:
        if held(tensor, names, prefix) is None:
            return " or ".join(repr(prefix + name) for name in tensor.names)
    return None


def check_no_others(stack: Stack, names, prefix):
    """Raises if a tensor is like one of the stack, but of biases that it has not.

    Without a prefix, the stack is the whole model, and has no tensors.
    """
    tensors = [tensor for source in stack.sources for tensor in source.tensors]
    start = "" if prefix is None else prefix
    own = {start + name for tensor in tensors for name in tensor.names}
    kinds = {_kind(name) for name in own}
    off = {_kind(start + name) for name in stack.without}
    for name in names:
        kind = _kind(name)
        if name not in own and kind in kinds:
            raise ValueError(
                f"{name!r} must not be there: the config has no such layer with "
                "parameters of its own."
            )
        after_any = prefix is None and any(kind.endswith(f".{one}") for one in off)
        if kind in off or after_any:
            raise ValueError(
                f"{name!r} must not be there: the config turns off what reads it."
            )


def _kind(tensor):
    """The name of a tensor without the numbers of its layers."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "N", tensor)
