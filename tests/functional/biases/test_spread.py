"""Values by distance to a matrix, and a matrix added up along its diagonals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits

from attnax.functional._biases.core import spread as kernel

# Leading axes, the grid of the queries and that of the keys; more queries than a block.
SHAPES = (
    ((2,), (5,), (7,)),
    ((2, 3), (4,), (1,)),
    ((1,), (70,), (3,)),
    ((3,), (3, 4), (2, 5)),
    ((), (2, 3, 2), (3, 2, 2)),
)
settings = pytest.mark.parametrize("lead, q_grid, k_grid", SHAPES, ids=str)


def shapes(lead, q_grid, k_grid):
    sizes = tuple(q + k - 1 for q, k in zip(q_grid, k_grid, strict=True))
    return (*lead, *sizes), (*lead, *q_grid, *k_grid)


def places(q_grid, k_grid):
    """Every query and key, and where the value of their distance stands."""
    for i in np.ndindex(*q_grid):
        for j in np.ndindex(*k_grid):
            at = tuple(q - 1 - a + b for q, a, b in zip(q_grid, i, j, strict=True))
            yield (..., *i, *j), (..., *at)


def matrix_of(values, q_grid, k_grid, shape):
    out = np.zeros(shape, values.dtype)
    for pair, at in places(q_grid, k_grid):
        out[pair] = values[at]
    return out


def sums_of(matrix, q_grid, k_grid, shape):
    out = np.zeros(shape)
    for pair, at in places(q_grid, k_grid):
        out[at] += matrix[pair]
    return out


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def spread(q_grid, k_grid, dtype=np.float32):
    return functools.partial(
        kernel.spread, q_grid=q_grid, k_grid=k_grid, dtype=jnp.dtype(dtype)
    )


@settings
def test_values_and_sums_of_every_grid(lead, q_grid, k_grid):
    few, many = shapes(lead, q_grid, k_grid)
    values, cotangent = drawn(few), drawn(many, 1)
    both = jax.jit(
        lambda v, g: (lambda out, back: (out, *back(g)))(
            *jax.vjp(spread(q_grid, k_grid), v)
        )
    )
    out, sums = both(values, cotangent)
    assert_same_bits(out, matrix_of(values, q_grid, k_grid, many))
    # At most 70 numbers in a sum, of which no more than 32 one after another.
    size = sums_of(np.abs(cotangent), q_grid, k_grid, few)
    error = np.abs(
        np.asarray(sums, np.float64) - sums_of(cotangent, q_grid, k_grid, few)
    )
    assert (error <= 2.0**-19 * size).all()


@settings
def test_accelerators_add_up_the_same(lead, q_grid, k_grid):
    """The lowering of other devices, which sums whole axes."""
    few, many = shapes(lead, q_grid, k_grid)
    cotangent = drawn(many, 1)
    sums = jax.jit(
        lambda g: kernel._sums_by_axis(
            g, q_grid=q_grid, k_grid=k_grid, narrow=None, wide=jnp.dtype("float32")
        )
    )(cotangent)
    size = sums_of(np.abs(cotangent), q_grid, k_grid, few)
    error = np.abs(
        np.asarray(sums, np.float64) - sums_of(cotangent, q_grid, k_grid, few)
    )
    assert (error <= 2.0**-19 * size).all()


def test_a_narrow_matrix_is_rounded_once_and_added_up_in_float32():
    values, cotangent = drawn((2, 11)), drawn((2, 5, 7), 1).astype(jnp.bfloat16)
    to_narrow = spread((5,), (7,), jnp.bfloat16)
    out, back = jax.vjp(to_narrow, values)
    wide = matrix_of(values, (5,), (7,), (2, 5, 7))
    assert_same_bits(out, wide.astype(jnp.bfloat16))
    (sums,) = back(jnp.asarray(cotangent))
    assert sums.dtype == jnp.float32
    of_wide = jax.vjp(spread((5,), (7,)), values)[1](cotangent.astype(np.float32))[0]
    assert_same_bits(sums, of_wide)


def test_it_is_linear_in_every_transformation():
    """Tangents, the transpose of the transpose, and an axis in front or behind."""
    values, other = drawn((2, 11)), drawn((2, 11), 1)
    to_matrix = spread((5,), (7,))
    out, tangent = jax.jit(lambda v, t: jax.jvp(to_matrix, (v,), (t,)))(values, other)
    assert_same_bits(out, matrix_of(values, (5,), (7,), (2, 5, 7)))
    assert_same_bits(tangent, matrix_of(other, (5,), (7,), (2, 5, 7)))
    sums = lambda g: jax.linear_transpose(to_matrix, values)(g)[0]
    cotangent = drawn((2, 5, 7), 2)
    again = jax.linear_transpose(sums, cotangent)(other)[0]
    assert_same_bits(again, tangent)
    heads_last = jax.vmap(to_matrix, in_axes=1, out_axes=2)(values.T)
    assert_same_bits(np.moveaxis(np.asarray(heads_last), 2, 0), out)
    mapped = jax.vmap(sums, in_axes=1)(np.stack([cotangent, 2 * cotangent], 1))
    assert_same_bits(mapped[1], 2 * np.asarray(mapped[0]))


@pytest.mark.parametrize("constant", (0.01, 0.7, 1.3, 3.9))
def test_equal_numbers_add_up_with_small_errors(constant):
    """Roundings of equal numbers go one way, so that they add up themselves.

    A sum of 32 equal numbers errs by 16 half units in the last place at most, which is
    9.5e-7 of it where all are rounded by as much as can be; sums of such sums err by
    a rounding or two.
    """
    count = 2048
    matrix = np.full((1, count, count), constant, np.float32)
    back = jax.jit(
        lambda g: jax.linear_transpose(spread((count,), (count,)), VALUES)(g)
    )
    (sums,) = back(matrix)
    lengths = count - np.abs(np.arange(1 - count, count))
    want = lengths * np.float64(np.float32(constant))
    assert (np.abs(np.asarray(sums, np.float64)[0] - want) <= 7e-7 * want).all()


def test_an_infinite_number_is_an_infinite_sum():
    matrix = np.ones((1, 70, 3), np.float32)  # more queries than a block
    matrix[0, 1, 1], matrix[0, 2, 1] = np.inf, -np.inf
    values = jax.ShapeDtypeStruct((1, 72), jnp.float32)
    (sums,) = jax.linear_transpose(spread((70,), (3,)), values)(matrix)
    assert sums[0, 69] == np.inf and sums[0, 68] == -np.inf
    assert np.isfinite(np.delete(sums[0], (68, 69))).all()


VALUES = jax.ShapeDtypeStruct((1, 4095), jnp.float32)


def test_no_array_is_larger_than_the_sums():
    """On the CPU: what the transpose needs beside its argument and its result."""
    shape = jax.ShapeDtypeStruct((12, 256, 256), jnp.float32)
    values = jax.ShapeDtypeStruct((12, 511), jnp.float32)
    back = jax.jit(lambda g: jax.linear_transpose(spread((256,), (256,)), values)(g))
    compiled = back.lower(shape).compile()
    assert compiled.memory_analysis().temp_size_in_bytes <= 4 * 12 * 511 * 4
