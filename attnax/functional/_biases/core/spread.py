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

from .diagonals import band_of_matrix
from .held import held
from .linear_pair import Linear, linear_pair, with_last_axes

# Queries whose rows are added up before their sum joins the others: errors of rounding
# then grow with this number, and not with that of the queries.
_BLOCK = 32
# The least number of queries for which values are worth an array of their own.
_MANY = 8


def spread(values, q_grid, k_grid, dtype):
    """The matrix `out[..., i, j] = values[..., q_grid - 1 - i + j]`, in `dtype`.

    `i` runs over `q_grid` and `j` over `k_grid`, which have one axis or more. The last
    axes of `values` have the sizes `q_grid + k_grid - 1`. `values` are in float32 or
    wider, and so are the sums of the transpose. Integers have no transpose.
    """
    grids = {"q_grid": tuple(q_grid), "k_grid": tuple(k_grid)}
    return _spread_p.bind(values, **grids, narrow=jnp.dtype(dtype), wide=values.dtype)


def _spread(values, *, q_grid, k_grid, narrow, wide):
    """Slices of the values, one for each query and one axis after another.

    The last axis comes first, so that slices grow to all keys, which lie in a row.
    """
    del wide
    lead, sizes = values.shape[: -len(q_grid)], values.shape[-len(q_grid) :]
    values = values.astype(narrow)  # while they are few
    for axis in reversed(range(len(q_grid))):
        line, step = math.prod(k_grid[axis:]), math.prod(k_grid[axis + 1 :])
        done, others = math.prod(q_grid[axis + 1 :]), math.prod(sizes[:axis])
        values = values.reshape(math.prod(lead), done, others, sizes[axis] * step)
        if axis == 0 and math.prod(q_grid) >= _MANY:
            values = held(values)
        values = _slices(values, q_grid[axis], step, line)
    return values.reshape(*lead, *q_grid, *k_grid)


def _slices(lines, count, step, length):
    """Slices of lines, each `step` places to the left of the one in front of it."""

    def slice_from(start):
        return lax.dynamic_slice_in_dim(lines, start, length, -1)

    return jax.vmap(slice_from, out_axes=1)(step * jnp.arange(count - 1, -1, -1))


def _sums_by_axis(matrix, *, q_grid, k_grid, narrow, wide):
    """Sums along diagonals, one axis of the grids after another."""
    del narrow
    rank, lead = len(q_grid), matrix.ndim - 2 * len(q_grid)
    pairs = [a for axis in range(lead, lead + rank) for a in (axis, axis + rank)]
    sums = matrix.astype(wide).transpose((*range(lead), *pairs))
    for axis in range(lead, lead + rank):
        sums = jnp.moveaxis(sums, (axis, axis + 1), (-2, -1))
        sums = jnp.moveaxis(band_of_matrix(sums).sum(-2), -1, axis)
    return sums


def _sums_by_row(matrix, *, q_grid, k_grid, narrow, wide):
    """Sums along diagonals, one query after another, which reads the matrix once.

    Axes of the grids follow each other. `rest` is the number of lines of a query: the
    product of the later axes of queries and of the diagonals made so far. A line is
    all keys of this axis and the later ones.
    """
    del narrow
    lead = matrix.shape[: -2 * len(q_grid)]
    sizes = tuple(q + k - 1 for q, k in zip(q_grid, k_grid, strict=True))
    for axis, count in enumerate(q_grid):
        rest = math.prod(q_grid[axis + 1 :]) * math.prod(sizes[:axis])
        line, step = math.prod(k_grid[axis:]), math.prod(k_grid[axis + 1 :])
        lines = matrix.reshape(math.prod(lead), count * rest, line)
        sums = _sums_of_lines(lines, rest, step, wide)
        others = (*q_grid[axis + 1 :], *sizes[: axis + 1], *k_grid[axis + 1 :])
        matrix = sums.reshape(*lead, *others)
    return matrix


def _sums_of_lines(lines, rest, step, wide):
    """Sums of the lines of queries, each `step` places to the left of the one before.

    `lines` are `(lead, count * rest, line)` for `count` queries of `rest` lines each,
    and the sums `(lead, rest, line + (count - 1) * step)`.
    """
    lead, count, line = lines.shape[0], lines.shape[1] // rest, lines.shape[2]
    shape = rest, line + (count - 1) * step
    zeros = functools.partial(_varying_zeros, wide, jax.typeof(lines))
    # XLA's CPU backend would cast a whole array of bfloat16 in front of the loop.
    as_bits = lines.dtype == jnp.bfloat16 and wide == jnp.float32
    if as_bits:
        lines = lax.bitcast_convert_type(lines, jnp.uint16)

    def add_lines(n, query, part):
        here = lax.dynamic_slice(lines, (n, query * rest, 0), (1, rest, line))[0]
        here = _float32_of_bits(here) if as_bits else here.astype(wide)
        at = 0, (count - 1 - query) * step
        there = lax.dynamic_slice(part, at, (rest, line))
        return lax.dynamic_update_slice(part, there + here, at)

    def add_block(n, block, carry):
        stop = jnp.minimum((block + 1) * _BLOCK, count)
        add = functools.partial(add_lines, n)
        part = lax.fori_loop(block * _BLOCK, stop, add, zeros(shape))
        # Kahan's sum, which costs little once for each block.
        total, lost = carry
        part -= lost
        new = total + part
        # An infinite sum has lost nothing that is still to be added.
        return new, jnp.where(jnp.isfinite(new), (new - total) - part, 0)

    def add_lead(n, out):
        add = functools.partial(add_block, n)
        start = (zeros(shape),) * 2
        total, _ = lax.fori_loop(0, -(-count // _BLOCK), add, start)
        return lax.dynamic_update_slice(out, total[None], (n, 0, 0))

    return lax.fori_loop(0, lead, add_lead, zeros((lead, *shape)))


def _varying_zeros(dtype, like, shape):
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
    Linear("attnax_diagonal_sums", _sums_by_axis, _sums_of, on_cpu=_sums_by_row),
    settings=("q_grid", "k_grid", "narrow", "wide"),
)
