"""What a bias reads of queries and keys beside their positions, checked."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...._checks import (
    INT32_MAX,
    INT32_MIN,
    broadcast_batches,
    float_array,
    int32_in_range,
    number_array,
    type_of,
)
from ...._dtypes import compute_dtype
from .distances import both_valid, of_rank

# Each kind of arrays has a method `checked(argument, x)`, which returns an array and a
# mask of the tokens that have what the bias may read, or `None` where all have.


class PerHead(NamedTuple):
    """Vectors of every head, `(*batch, seq_len, num_heads, width)`."""

    num_heads: int
    width: int

    def checked(self, argument, x):
        """The vectors in float32 or wider, with the heads in front of the tokens."""
        x = float_array(argument, x, "seq_len", "num_heads", "width", nan=False)
        return jnp.moveaxis(jnp.asarray(x, compute_dtype(x.dtype)), -2, -3), None


class PerToken(NamedTuple):
    """Vectors of tokens, `(*batch, seq_len, width)`."""

    width: int

    def checked(self, argument, x):
        """The vectors in float32 or wider."""
        x = float_array(argument, x, "seq_len", "width", nan=False)
        return jnp.asarray(x, compute_dtype(x.dtype)), None


class Numbers(NamedTuple):
    """Integers of tokens in `[low, high)`, `(*batch, seq_len)`, such as segments."""

    low: int = INT32_MIN
    high: int = INT32_MAX + 1

    def checked(self, argument, x):
        """The integers as int32, and a mask of those in bounds, or `None`."""
        return int32_in_range(argument, x, self.low, self.high)


class Boxes(NamedTuple):
    """Left, top, right and bottom of a box for each token, `(*batch, seq_len, 4)`."""

    width: int = 4

    def checked(self, argument, x):
        """The boxes as an array: integers, or floats of 32 bits or more."""
        return number_array(argument, x), None


class Several(NamedTuple):
    """More than one of the kinds above, which the user gives as a tuple of arrays."""

    kinds: tuple


class Content(NamedTuple):
    """What tokens hold, as far as a bias reads it.

    Attributes:
        q: What it reads of queries, or `None`. Vectors of heads are
            `(*batch, num_heads, q_len, width)`. Of `Several` kinds it is a tuple.
        k: The same of keys.
        precision: Precision of matrix products.
    """

    q: Any
    k: Any
    precision: Any


def content_of(bias, pairs, q, k, precision) -> tuple[Content, tuple[Any, Any]]:
    """What `bias` reads of queries and keys, in the shapes that it and `pairs` tell.

    All arrays come back with as many batch axes as the one that has most. Masks of
    valid queries and keys come back too, each `None` where all are valid.
    """
    q_len, k_len = pairs.lengths
    q, q_valid = _read(bias, "q", q, q_len)
    k, k_valid = _read(bias, "k", k, k_len)
    content = Content(q, k, precision)
    batches = {
        name: x.shape[: x.ndim - own_axes(kind)]
        for name, kind, x in arrays_of(bias, content)
    }
    rank = len(broadcast_batches(batches | {"positions": pairs.batch}))
    q, k = (_of_rank(bias, content, name, rank) for name in ("q", "k"))
    return Content(q, k, precision), (q_valid, k_valid)


def float_dtypes(arrays):
    """The dtypes of the floats in a tree of arrays."""
    dtypes = [x.dtype for x in jax.tree.leaves(arrays)]
    return [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]


def in_one_dtype(arrays):
    """A tree of arrays with all floats in one dtype, float32 or wider."""
    dtype = compute_dtype(*float_dtypes(arrays))

    def cast(x):
        is_float = jnp.issubdtype(x.dtype, jnp.floating)
        return jnp.asarray(x).astype(dtype) if is_float else x

    return jax.tree.map(cast, arrays)


def arrays_of(bias, content):
    """The name, the kind and the value of each array that `bias` reads."""
    for name, kind in bias._reads.items():
        x = getattr(content, name)
        if isinstance(kind, Several):
            for n, (one, part) in enumerate(zip(kind.kinds, x, strict=True)):
                yield f"{name}[{n}]", one, part
        else:
            yield name, kind, x


def _of_rank(bias, content, name, rank):
    x, kind = getattr(content, name), bias._reads.get(name)
    if isinstance(kind, Several):
        return tuple(
            of_rank(part, rank + own_axes(one))
            for one, part in zip(kind.kinds, x, strict=True)
        )
    return None if kind is None else of_rank(x, rank + own_axes(kind))


def own_axes(kind) -> int:
    """The number of axes of an array of a kind after its batch axes."""
    return 1 + len(_sizes(kind))


def _sizes(kind):
    return () if isinstance(kind, Numbers) else tuple(kind)


def _read(bias, argument, x, length):
    """What the bias reads as `argument`, and a mask of the tokens that are valid."""
    record, kind = type(bias).__name__, bias._reads.get(argument)
    if kind is None:
        if x is not None:
            raise ValueError(f"{argument} must be None: {record} does not read it.")
        return None, None
    if x is None:
        raise ValueError(f"{argument} must be given: {record} reads it.")
    if not isinstance(kind, Several):
        return _checked(argument, kind, x, length)
    count = len(kind.kinds)
    if not isinstance(x, tuple | list) or len(x) != count:
        raise ValueError(
            f"{argument} is {type_of(x)}, but must be a tuple of the {count} arrays "
            f"that a {record} reads."
        )
    parts = [
        _checked(f"{argument}[{n}]", one, part, length)
        for n, (one, part) in enumerate(zip(kind.kinds, x, strict=True))
    ]
    arrays, masks = zip(*parts, strict=True)
    return arrays, functools.reduce(both_valid, masks)


def _checked(argument, kind, x, length):
    checked = kind.checked(argument, x)
    shape, wanted = np.shape(x), (length, *_sizes(kind))
    if shape[-len(wanted) :] != wanted:
        raise ValueError(
            f"{argument}.shape={shape} must end in {wanted}, one entry for each "
            "position."
        )
    return checked
