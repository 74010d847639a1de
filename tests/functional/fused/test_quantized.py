"""Tables of 8-bit floats: rounding, scales, lookups, and what is never widened."""

import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

FORMATS = st.sampled_from((jnp.float8_e4m3fn, jnp.float8_e5m2))
# A dtype of the table and one of its scales.
PAIRS = st.sampled_from(
    (
        (jnp.float8_e4m3fn, jnp.float8_e8m0fnu),
        (jnp.float8_e4m3fn, jnp.bfloat16),
        (jnp.float8_e5m2, jnp.float32),
    )
)
quantize = jitted(F.quantize_table)
lookup = jitted(F.apply_quantized_embedding)
IDS = np.array([0, 5, 2], np.int32)


def widened(params):
    """The whole table in float64, by NumPy."""
    weight, scale = (np.asarray(a).astype(np.float64) for a in params)
    return weight * np.repeat(scale, weight.shape[1] // scale.shape[1], axis=1)


@given(data=st.data(), pair=PAIRS)
def test_the_error_is_half_a_unit_in_the_last_place(data, pair):
    dtype, scales = pair
    weight = data.draw(ax.floats((6, 8)))
    params = quantize(weight, dtype, block_size=4, scale_dtype=scales)
    assert (params.weight.dtype, params.scale.dtype) == (dtype, scales)
    assert params.scale.shape == (6, 2)
    info, exact = jnp.finfo(dtype), np.asarray(weight, np.float64)
    scale = np.repeat(np.asarray(params.scale).astype(np.float64), 4, axis=1)
    unit = np.maximum(np.abs(exact), float(info.smallest_normal) * scale)
    # Half a unit; a scale rounded to bfloat16 may move the largest number past the end.
    bound = unit * (float(info.eps) / 2 + 2.0**-8 * (scales == jnp.bfloat16) + 2.0**-22)
    assert (np.abs(widened(params) - exact) <= bound).all()


@given(data=st.data(), dtype=FORMATS)
def test_the_largest_number_of_a_block_is_the_largest_of_the_dtype(data, dtype):
    weight = np.asarray(data.draw(ax.floats((6, 8))))
    weight = np.where(np.abs(weight) < 0.25, 0.25, weight)
    params = quantize(weight, dtype, block_size=4)
    largest = np.abs(np.asarray(params.weight).astype(np.float32)).reshape(6, 2, 4)
    np.testing.assert_array_equal(largest.max(-1), float(jnp.finfo(dtype).max))
    params = quantize(weight, dtype, block_size=4, scale_dtype=jnp.float8_e8m0fnu)
    ratio = np.abs(weight).reshape(6, 2, 4).max(-1) / float(jnp.finfo(dtype).max)
    expected = 2.0 ** np.ceil(np.log2(ratio))
    np.testing.assert_array_equal(np.asarray(params.scale, np.float64), expected)


def test_blocks_of_zeros_and_blocks_that_are_not_finite():
    weight = np.ones((3, 4), np.float32)
    weight[0, :2], weight[1, 0], weight[2, 3] = 0.0, np.inf, np.nan
    for scales in (jnp.float32, jnp.float8_e8m0fnu):
        params = quantize(weight, block_size=2, scale_dtype=scales)
        expected = np.array(
            [[0, 0, 1, 1], [np.nan] * 2 + [1] * 2, [1] * 2 + [np.nan] * 2]
        )
        np.testing.assert_allclose(widened(params), expected, rtol=2.0**-22)


@given(data=st.data(), pair=PAIRS)
def test_lookup_is_the_widened_row_rounded_once(data, pair):
    dtype, scales = pair
    params = quantize(
        data.draw(ax.floats((6, 8))), dtype, block_size=4, scale_dtype=scales
    )
    ids = data.draw(ax.integers((2, 3), 0, 5))
    # A product of 4 and 24 bits, rounded to float32 and then to the result.
    expected = widened(params)[ids].astype(np.float32).astype(jnp.bfloat16)
    assert_same_bits(lookup(params, ids, dtype=jnp.bfloat16), expected)


def test_eager_is_compiled():
    params = quantize(np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32))
    ids = np.array([[0, 5, 2], [1, 1, 4]])
    assert_same_bits(F.apply_quantized_embedding(params, ids), lookup(params, ids))


def test_one_scale_of_the_whole_table_and_scales_of_rows():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 8)).astype(jnp.float8_e4m3fn)
    for shape in ((1, 1), (1, 2), (6, 1), (6, 8)):
        scale = rng.uniform(0.5, 2, size=shape).astype(np.float32)
        params = F.QuantizedTableParams(weight=weight, scale=scale)
        expected = (widened(params))[[5, 0, 5]].astype(np.float32)
        np.testing.assert_array_equal(lookup(params, np.array([5, 0, 5])), expected)


def test_ids_out_of_range_give_rows_of_nan():
    params = quantize(np.ones((6, 8), np.float32))
    rows = lookup(params, np.array([5, -1, 6], np.int32))
    np.testing.assert_array_equal(np.isnan(rows).all(-1), [False, True, True])


def test_fused_tables_of_8_bits():
    weight = np.random.default_rng(0).normal(size=(15, 8)).astype(np.float32)
    params = quantize(weight, block_size=4, scale_dtype=jnp.float8_e8m0fnu)
    ids = np.array([[4, 2, 6], [0, 0, 0]], np.int32)
    fused = jitted(F.apply_fused_embedding)
    actual = fused(params, ids, row_counts=(5, 3, 7))
    rows = widened(params)[ids + F.fused_row_offsets((5, 3, 7))]
    np.testing.assert_allclose(actual, rows.sum(-2), rtol=0, atol=3 * 8 * 2.0**-23)
    assert fused(params, ids).dtype == jnp.float32


def test_the_table_has_no_gradient():
    params = quantize(np.ones((6, 8), np.float32))
    loss = lambda scale: lookup(params._replace(scale=scale), np.array([5])).sum()
    np.testing.assert_array_equal(jax.grad(loss)(params.scale), 0.0)


def test_powers_of_two_stay_out_of_what_is_differentiated():
    """Zeros of their dtype are NaN, and so would be the norm of all gradients."""
    params = quantize(np.ones((6, 8), np.float32), scale_dtype=jnp.float8_e8m0fnu)
    loss = lambda factor, p: (F.apply_quantized_embedding(p, IDS) * factor).sum()
    factor = np.ones((1, 8), np.float32)
    np.testing.assert_array_equal(jax.jit(jax.grad(loss))(factor, params), 3.0)
    for grad in (jax.grad(loss, 1), jax.jit(jax.grad(loss, 1))):
        with pytest.raises(ValueError, match="leave the quantized table out of the"):
            grad(factor, params)


def test_only_rows_are_widened():
    """The table is read in bytes; no array of its size is of another dtype."""
    params = F.QuantizedTableParams(
        weight=jax.ShapeDtypeStruct((4096, 256), jnp.float8_e4m3fn),
        scale=jax.ShapeDtypeStruct((4096, 8), jnp.float8_e8m0fnu),
    )
    ids = jax.ShapeDtypeStruct((16,), jnp.int32)
    look = lambda p, i: F.apply_quantized_embedding(p, i, dtype=jnp.bfloat16)
    compiled = jax.jit(look).lower(params, ids).compile()
    dtypes = set(re.findall(r"(\w+)\[4096,256\]", compiled.as_text()))
    assert dtypes <= {"f8e4m3fn", "u8"}
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * 16 * 256 * 4


def test_batch_equals_vmap():
    params = quantize(np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32))
    ids = np.array([[0, 5, 2], [1, 1, 4]])
    mapped = jax.jit(jax.vmap(F.apply_quantized_embedding, (None, 0)))(params, ids)
    assert_same_bits(mapped, lookup(params, ids))


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded(axis_type):
    weight = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    params, ids = quantize(weight, block_size=4), np.array([[3, 0], [7, 7]], np.int32)
    plain = lookup(params, ids)
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    with jax.set_mesh(mesh):
        params = jax.device_put(params, NamedSharding(mesh, P("b", None)))
        ids = jax.device_put(ids, NamedSharding(mesh, P("a", None)))
        assert_same_bits(lookup(params, ids), plain)
        if axis_type is AxisType.Explicit:
            rows = lookup(params, ids, out_sharding=P("a", None, "b"))
            assert jax.typeof(rows).sharding.spec == P("a", None, "b")
            assert_same_bits(rows, plain)


TABLE = host.ones((6, 8))


@pytest.mark.errors
def test_options_of_quantize_are_checked():
    with refused("block_size=3 must divide d_model=8"):
        F.quantize_table(TABLE, block_size=3)
    with refused("block_size=0 must be a positive integer"):
        F.quantize_table(TABLE, block_size=0)
    with refused("dtype=bfloat16 must be a real float of 8 bits"):
        F.quantize_table(TABLE, jnp.bfloat16)
    for dtype in (jnp.float16, "float16", None, "half a float"):
        with refused("scale_dtype=.* must be float32, bfloat16 or"):
            F.quantize_table(TABLE, scale_dtype=dtype)
    with refused("scale_dtype is a jax.Array, but must be float32, bfloat16 or"):
        F.quantize_table(TABLE, scale_dtype=jax.random.key(0))
    assert F.quantize_table(TABLE, scale_dtype="bfloat16").scale.dtype == jnp.bfloat16


@pytest.mark.errors
def test_tables_and_scales_are_checked():
    weight = host.ones((6, 8), jnp.float8_e4m3fn)

    def look(weight, scale):
        params = F.QuantizedTableParams(weight=weight, scale=scale)
        return F.apply_quantized_embedding(params, np.array([0]))

    with refused("params.weight.dtype=float32 must be a float of 8 bits"):
        look(TABLE.astype(np.float32), host.ones((6, 1)))
    with refused("read exponents in bytes as powers of two"):
        look(weight, np.full((6, 1), 127, np.uint8))
    for shape in ((6, 3), (5, 1), (6,), (6, 0)):
        message = re.escape(f"params.scale.shape={shape} must be (rows, blocks)")
        with refused(message):
            look(weight, host.ones(shape))
