"""The kernel of biases by distance: values of distances to a matrix, and back.

A bias that depends on the distance alone has few values: `q + k - 1` for `q` queries
and `k` keys in a row. `spread` reads them along the diagonals of the matrix, and its
transpose adds a matrix up along its diagonals. Both are linear and each is the
transpose of the other, which two JAX primitives express.

Queries and keys stand on grids of equal rank: one axis for a text, two for a window of
an image, three for a video.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import mlir

from .linear_pair import Linear, linear_pair, with_last_axes

# Queries whose rows are added up before their sum joins the others: errors of rounding
# then grow with this number, and not with that of the queries.
_BLOCK = 32


def spread(values, q_grid, k_grid, dtype):
    """The matrix `out[..., i, j] = values[..., q_grid - 1 - i + j]`, in `dtype`.

    `i` runs over `q_grid` and `j` over `k_grid`, which have one axis or more. The last
    axes of `values` have the sizes `q_grid + k_grid - 1`. `values` are in float32 or
    wider, and so are the sums of the transpose.
    """
    grids = {"q_grid": tuple(q_grid), "k_grid": tuple(k_grid)}
    return _spread_p.bind(values, **grids, narrow=jnp.dtype(dtype), wide=values.dtype)


def _spread(values, *, q_grid, k_grid, narrow, wide):
    """Slices of the values, one for each query."""
    del wide
    rank, lead = len(q_grid), values.ndim - len(q_grid)
    values = values.astype(narrow)  # while they are few
    for axis, (q, k) in enumerate(zip(q_grid, k_grid, strict=True)):
        values = _slices(values, lead + 2 * axis, q, k)
    first = range(lead, lead + 2 * rank, 2)
    second = range(lead + 1, lead + 2 * rank, 2)
    return values.transpose((*range(lead), *first, *second))


def _slices(values, axis, q, k):
    """An axis of `q + k - 1` values as two axes, `q` slices of `k` values each."""

    def slice_from(start):
        return lax.dynamic_slice_in_dim(values, start, k, axis)

    return jax.vmap(slice_from, out_axes=axis)(jnp.arange(q - 1, -1, -1))


def _sums_by_axis(matrix, *, q_grid, k_grid, narrow, wide):
    """Sums along diagonals, one axis of the grids after another."""
    del narrow
    rank, lead = len(q_grid), matrix.ndim - 2 * len(q_grid)
    pairs = [a for axis in range(lead, lead + rank) for a in (axis, axis + rank)]
    sums = matrix.astype(wide).transpose((*range(lead), *pairs))
    for axis in range(lead, lead + rank):
        sums = jnp.moveaxis(sums, (axis, axis + 1), (-2, -1))
        sums = jnp.moveaxis(_skewed(sums).sum(-2), -1, axis)
    return sums


def _skewed(matrix):
    """Row `i` of `q` rows moved to the right by `q - 1 - i` places."""
    *lead, q, k = matrix.shape
    zero = jnp.zeros((), matrix.dtype)
    config = [(0, 0, 0)] * (len(lead) + 1) + [(0, q, 0)]
    flat = lax.pad(jnp.flip(matrix, -2), zero, config).reshape(*lead, q * (q + k))
    return flat[..., : q * (q + k - 1)].reshape(*lead, q, q + k - 1)


def _sums_by_row(matrix, *, q_grid, k_grid, narrow, wide):
    """Sums along diagonals, one query after another, which reads the matrix once."""
    del narrow
    lead, count = matrix.shape[: -2 * len(q_grid)], math.prod(q_grid)
    sizes = tuple(q + k - 1 for q, k in zip(q_grid, k_grid, strict=True))
    matrix = matrix.reshape(math.prod(lead), count, *k_grid)
    origin = (0,) * len(q_grid)
    zeros = functools.partial(_zeros, wide, jax.typeof(matrix))
    # XLA's CPU backend would cast a whole matrix of bfloat16 in front of the loop.
    as_bits = matrix.dtype == jnp.bfloat16 and wide == jnp.float32
    if as_bits:
        matrix = lax.bitcast_convert_type(matrix, jnp.uint16)

    def add_row(n, query, part):
        row = lax.dynamic_slice(matrix, (n, query, *origin), (1, 1, *k_grid))
        at, rest = [], query
        for q in reversed(q_grid):
            at.insert(0, q - 1 - rest % q)
            rest = rest // q
        there = lax.dynamic_slice(part, at, k_grid)
        row = _float32_of_bits(row) if as_bits else row.astype(wide)
        there += row.reshape(k_grid)
        return lax.dynamic_update_slice(part, there, at)

    def add_block(n, block, carry):
        stop = jnp.minimum((block + 1) * _BLOCK, count)
        add = functools.partial(add_row, n)
        part = lax.fori_loop(block * _BLOCK, stop, add, zeros(sizes))
        # Kahan's sum, which costs little once for each block.
        total, lost = carry
        part -= lost
        new = total + part
        # An infinite sum has lost nothing that is still to be added.
        return new, jnp.where(jnp.isfinite(new), (new - total) - part, 0)

    def add_head(n, out):
        add = functools.partial(add_block, n)
        start = (zeros(sizes),) * 2
        total, _ = lax.fori_loop(0, -(-count // _BLOCK), add, start)
        return lax.dynamic_update_slice(out, total[None], (n, *origin))

    out = lax.fori_loop(0, math.prod(lead), add_head, zeros((math.prod(lead), *sizes)))
    return out.reshape(*lead, *sizes)


def _zeros(dtype, like, shape):
    """Zeros that vary along the manual axes of `like`, as carries of a loop must."""
    axes = tuple(like.manual_axis_type.varying)
    zeros = jnp.zeros(shape, dtype)
    return lax.pcast(zeros, axes, to="varying") if axes else zeros


def _float32_of_bits(bits):
    """The numbers of bfloat16 that `bits` are, in float32."""
    bits = lax.shift_left(bits.astype(jnp.uint32), jnp.uint32(16))
    return lax.bitcast_convert_type(bits, jnp.float32)


def _matrix_of(values, *, q_grid, k_grid, narrow, wide):
    return with_last_axes(values, len(q_grid), (*q_grid, *k_grid), narrow)


def _sums_of(matrix, *, q_grid, k_grid, narrow, wide):
    sizes = [q + k - 1 for q, k in zip(q_grid, k_grid, strict=True)]
    return with_last_axes(matrix, 2 * len(q_grid), sizes, wide)


_spread_p, _sums_p = linear_pair(
    Linear("attnax_spread", _spread, _matrix_of),
    Linear("attnax_diagonal_sums", _sums_by_axis, _sums_of),
    settings=("q_grid", "k_grid", "narrow", "wide"),
)
mlir.register_lowering(
    _sums_p, mlir.lower_fun(_sums_by_row, multiple_results=False), platform="cpu"
)
