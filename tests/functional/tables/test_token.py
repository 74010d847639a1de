"""Lookups in a table of tokens: rows, scales, gradients and draws."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from lookups import draw_lookup, mapped, unembed

import attnax.functional as F

lookup = jitted(F.apply_token_embedding)


@given(data=st.data(), dtype=ax.dtypes)
def test_lookup_is_the_one_hot_product(data, dtype):
    params, ids = draw_lookup(data, dtype)
    weight = np.asarray(params.weight, np.float64)
    expected = np.eye(len(weight))[ids] @ weight
    actual = lookup(params, ids)
    assert actual.dtype == dtype
    np.testing.assert_array_equal(np.asarray(actual, np.float64), expected)


@pytest.mark.device
@given(data=st.data(), dtype=st.sampled_from((jnp.float32, jnp.bfloat16)))
def test_eager_is_compiled(data, dtype):
    params, ids = draw_lookup(data, dtype, shape=(7,))
    eager = F.apply_token_embedding(params, ids)
    assert_same_bits(lookup(params, ids), eager)


@given(data=st.data(), dtype=ax.dtypes)
def test_gathered_then_scaled_in_float32_then_rounded_once(data, dtype):
    params, ids = draw_lookup(data)
    options = {"scale": 1.7, "scale_dtype": jnp.bfloat16}
    wide = lookup(params, ids, **options)
    narrow = lookup(params, ids, dtype=dtype, **options)
    assert_same_bits(narrow, np.asarray(wide).astype(dtype))
    rounded = float(np.asarray(1.7, jnp.bfloat16))
    expected = np.asarray(params.weight)[ids] * np.float32(rounded)
    np.testing.assert_array_equal(wide, expected)


def test_scale_of_gemma():
    params = F.TokenEmbeddingParams(weight=host.ones((2, 3072), jnp.float32))
    scale = 3072**0.5
    plain = F.apply_token_embedding(params, np.array(1), scale=scale)
    gemma = F.apply_token_embedding(
        params, np.array(1), scale=scale, scale_dtype=jnp.bfloat16
    )
    np.testing.assert_array_equal(plain, np.float32(scale))
    np.testing.assert_array_equal(gemma, 55.5)


@given(data=st.data())
def test_batch_equals_vmap(data):
    params, ids = draw_lookup(data, shape=(2, 5))
    actual = mapped(F.apply_token_embedding, params, ids, scale=3.0)
    assert_same_bits(actual, lookup(params, ids, scale=3.0))
    x = data.draw(ax.floats((2, 5, params.weight.shape[1])))
    magnitude = 1.0 + 64.0 * params.weight.shape[1]
    actual = mapped(F.apply_token_unembedding, params, x)
    assert_close(actual, unembed(params, x), magnitude=magnitude)


@jitted
def pulled_back(params, ids, cotangent):
    rows = lambda params: F.apply_token_embedding(params, ids, dtype=jnp.float32)
    return jax.vjp(rows, params)[1](cotangent)[0].weight


@pytest.mark.device
@given(data=st.data(), dtype=ax.dtypes)
def test_gradient_is_a_scatter_of_sums(data, dtype):
    params, ids = draw_lookup(data, dtype)
    cotangent = data.draw(ax.floats((*ids.shape, params.weight.shape[1])))
    actual = pulled_back(params, ids, cotangent)
    expected = np.zeros(params.weight.shape)
    np.add.at(expected, ids, np.asarray(cotangent, np.float64))
    assert actual.dtype == dtype
    # At most ten rows of size at most 8 meet.
    assert_close(actual, expected, magnitude=80.0, roundings=10)
    untouched = np.setdiff1d(np.arange(len(expected)), ids)
    np.testing.assert_array_equal(np.asarray(actual, np.float32)[untouched], 0.0)


@pytest.mark.device
@pytest.mark.parametrize("table", (jnp.float32, jnp.bfloat16))
@pytest.mark.parametrize("compute", (jnp.float32, jnp.bfloat16))
@pytest.mark.parametrize("jit", (False, True))
def test_4096_repeats_add_up_in_float32(table, compute, jit):
    def rows(weight):
        params = F.TokenEmbeddingParams(weight=weight)
        ids = np.full((4096,), 1, np.int32)
        return F.apply_token_embedding(params, ids, dtype=compute)

    def gradient(weight, cotangent):
        return jax.vjp(rows, weight)[1](cotangent)[0]

    cotangent = np.full((4096, 2), 0.01, compute)
    function = jax.jit(gradient) if jit else gradient
    actual = np.asarray(function(np.zeros((3, 2), table), cotangent))
    assert actual.dtype == table
    exact = 4096 * float(cotangent[0, 0])
    eps = float(jnp.finfo(table).eps)
    # Sums in float32 drift by less than half a bfloat16 unit.
    np.testing.assert_allclose(
        np.asarray(actual[1], np.float64), exact, rtol=max(eps / 2, 4096 * 2.0**-24)
    )
    np.testing.assert_array_equal(np.asarray(actual[0], np.float32), 0.0)


IDS = np.array([[2, 0, 2], [1, 1, 4]])


def doubled(weight, **options):
    params = F.TokenEmbeddingParams(weight=weight)
    return F.apply_token_embedding(params, IDS, scale=2.0, **options)


@jitted
def pushed_forward(weight, tangent, **options):
    return jax.jvp(lambda w: doubled(w, **options), (weight,), (tangent,))


@jax.jit
def hessian_product(weight, tangent):
    gradient = jax.grad(lambda w: jnp.sum(doubled(w) ** 4))
    return jax.jvp(gradient, (weight,), (tangent,))[1]


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
def test_forward_mode_and_second_derivatives(dtype):
    rng = np.random.default_rng(0)
    weight, tangent = rng.normal(size=(2, 5, 3)).astype(np.float32).astype(dtype)
    primal, moved = pushed_forward(weight, tangent)
    assert_same_bits(primal, jitted(doubled)(weight))
    assert_same_bits(moved, jitted(doubled)(tangent))
    frozen = pushed_forward(weight, tangent, padding_id=1)[1]
    assert not np.any(np.asarray(frozen, np.float32)[1, :2])
    if dtype == jnp.float32:
        squares = jax.jit(lambda w: doubled(w) ** 2)
        check_grads(squares, (weight,), order=2, atol=0.1, rtol=0.05)
        product = hessian_product(weight, tangent)
        counts = np.bincount(IDS.ravel(), minlength=5)[:, None]
        w, t = (np.asarray(a, np.float64) for a in (weight, tangent))
        expected = counts * 16.0 * 12.0 * w**2 * t
        magnitude = float(np.abs(expected).max())
        assert_close(product, expected, magnitude=magnitude)


@jitted
def rows_and_gradient(params, ids, **options):
    def loss(params):
        rows = F.apply_token_embedding(params, ids, **options)
        return jnp.sum(jnp.cos(rows)), rows

    (_, rows), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return rows, gradient.weight


@given(data=st.data())
def test_padding_row_gets_no_gradient_and_is_read_as_it_is(data):
    params, ids = draw_lookup(data)
    padding_id = len(params.weight) // 2
    is_padding = data.draw(ax.integers(ids.shape, 0, 1)) == 1
    ids = np.where(is_padding, padding_id, ids).astype(ids.dtype)
    rows, plain = rows_and_gradient(params, ids)
    read, actual = rows_and_gradient(params, ids, padding_id=padding_id)
    assert_same_bits(read, rows)
    plain = np.array(plain)
    plain[padding_id] = 0.0
    np.testing.assert_array_equal(actual, plain)
    masked = lookup(params, ids, padding_id=padding_id, mask_padding=True)
    expected = np.array(rows)
    expected[ids == padding_id] = 0.0
    np.testing.assert_array_equal(masked, expected)


@pytest.mark.parametrize("dtype", (None, jnp.float32, jnp.bfloat16))
def test_init_draws_the_stated_normal(dtype):
    params = F.init_token_embedding(
        jax.random.key(3), 1000, 64, init_std=0.5, dtype=dtype, padding_id=7
    )
    expected = jnp.result_type(float) if dtype is None else dtype
    assert params.weight.dtype == expected
    weight = np.asarray(params.weight, np.float64)
    np.testing.assert_array_equal(weight[7], 0.0)
    rest = np.delete(weight, 7, axis=0)
    # Six standard errors of the mean and the deviation of 63 936 draws.
    assert abs(rest.mean()) < 6 * 0.5 / rest.size**0.5
    assert abs(rest.std() - 0.5) < 6 * 0.5 / (2 * rest.size) ** 0.5
    other = F.init_token_embedding(jax.random.key(4), 1000, 64, init_std=0.5)
    assert not np.array_equal(other.weight, params.weight)


def test_narrow_init_is_float32_rounded_once():
    wide, narrow = (
        F.init_token_embedding(jax.random.key(0), 9, 4, dtype=d).weight
        for d in (jnp.float32, jnp.bfloat16)
    )
    assert_same_bits(narrow, wide.astype(jnp.bfloat16))


@pytest.mark.errors
@pytest.mark.parametrize("size", (0, -2))
def test_sizes_must_be_positive(size):
    key = jax.random.key(0)
    with pytest.raises(
        ValueError, match=f"vocab_size={size} must be a positive integer"
    ):
        F.init_token_embedding(key, size, 4)
    with pytest.raises(ValueError, match=f"d_model={size} must be a positive integer"):
        F.init_token_embedding(key, 4, size)


@pytest.mark.errors
def test_options_of_init_are_checked():
    key = jax.random.key(0)
    with pytest.raises(
        ValueError, match=r"init_std=-0.1 must be a finite number of at least 0"
    ):
        F.init_token_embedding(key, 4, 4, init_std=-0.1)
    with pytest.raises(
        ValueError, match="init_std=nan must be a finite number of at least 0"
    ):
        F.init_token_embedding(key, 4, 4, init_std=float("nan"))
    with pytest.raises(ValueError, match="dtype=int32 must be a real float"):
        F.init_token_embedding(key, 4, 4, dtype=jnp.int32)
    for padding_id in (-1, 4):
        message = rf"padding_id={padding_id} must be an integer in \[0, 3\]"
        with pytest.raises(ValueError, match=message):
            F.init_token_embedding(key, 4, 4, padding_id=padding_id)


@pytest.mark.errors
def test_options_of_lookup_are_checked():
    params, ids = F.TokenEmbeddingParams(weight=host.ones((4, 2))), np.array([1])
    message = r"padding_id=4 must be an integer in \[0, 3\]"
    with pytest.raises(ValueError, match=message):
        F.apply_token_embedding(params, ids, padding_id=4)
    with pytest.raises(ValueError, match="mask_padding=True must come with a padding"):
        F.apply_token_embedding(params, ids, mask_padding=True)
    with pytest.raises(ValueError, match="must come with a scale"):
        F.apply_token_embedding(params, ids, scale_dtype=jnp.float32)
    with pytest.raises(ValueError, match="scale_dtype=int32 must be a real float"):
        F.apply_token_embedding(params, ids, scale=0.5, scale_dtype=jnp.int32)
    with pytest.raises(ValueError, match="dtype=int8 must be a real float"):
        F.apply_token_embedding(params, ids, dtype=jnp.int8)
