"""Logits by the table of tokens: products, their dtypes and their gradients."""

import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from lookups import draw_lookup, unembed

import attnax.functional as F


@given(data=st.data(), dtype=ax.dtypes)
def test_unembedding_is_the_product_with_the_same_table(data, dtype):
    params, _ = draw_lookup(data, dtype)
    d_model = params.weight.shape[1]
    x = data.draw(ax.floats((2, 3, d_model), dtype))
    actual = unembed(params, x)
    assert actual.dtype == dtype
    wide = [np.asarray(a, np.float64) for a in (x, params.weight)]
    expected = np.einsum("btd,vd->btv", *wide)
    # Products of size at most 64 each.
    assert_close(actual, expected, magnitude=64.0 * d_model, roundings=2 * d_model)
    unrounded = np.asarray(unembed(params, x, dtype=jnp.float32))
    assert_same_bits(actual, unrounded.astype(dtype))


def test_unembedding_gradient_of_a_narrow_table_adds_up_in_float32():
    x = jnp.full((4096, 2), 1.0, jnp.bfloat16)

    def logits(weight):
        return F.apply_token_unembedding(F.TokenEmbeddingParams(weight=weight), x)

    _, pullback = jax.vjp(logits, host.ones((3, 2), jnp.bfloat16))
    (gradient,) = pullback(jnp.full((4096, 3), 0.01, jnp.bfloat16))
    exact = 4096 * float(jnp.bfloat16(0.01))
    np.testing.assert_allclose(np.asarray(gradient, np.float64), exact, rtol=2.0**-8)


@given(data=st.data())
def test_soft_cap(data):
    params, _ = draw_lookup(data)
    d_model = params.weight.shape[1]
    x = data.draw(ax.floats((3, d_model)))
    plain = np.asarray(unembed(params, x), np.float64)
    capped = np.asarray(unembed(params, x, soft_cap=30.0))
    # The quotient and tanh are rounded, the second to a few units.
    assert_close(capped, 30 * np.tanh(plain / 30), magnitude=30.0, roundings=8)
    assert (np.abs(capped) <= 30.0).all()


def test_accumulation_dtype():
    params = F.TokenEmbeddingParams(weight=host.ones((1, 300), jnp.bfloat16))
    x = host.ones((300,), jnp.bfloat16) * 1.0078125
    exact = 300 * 1.0078125
    wide = F.apply_token_unembedding(params, x, dtype=jnp.float32)
    np.testing.assert_array_equal(wide, exact)
    narrow = F.apply_token_unembedding(
        params, x, dtype=jnp.float32, accumulation_dtype=jnp.bfloat16
    )
    assert_same_bits(narrow, narrow.astype(jnp.bfloat16).astype(jnp.float32))


@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float16))
def test_gradients_pass_a_narrow_accumulation(dtype):
    """Tangents are added up in float32 and put out as the logits are."""
    params, x, _ = head(jnp.float32)
    weight = np.asarray(params.weight)

    def logits(weight, x):
        params = F.TokenEmbeddingParams(weight)
        return F.apply_token_unembedding(params, x, accumulation_dtype=dtype)

    of_x = weight[::-1], np.asarray(x)[::-1]
    both = jax.jit(lambda *args: jax.jvp(logits, args, of_x))
    out, tangent = both(weight, x)
    assert out.dtype == tangent.dtype == jnp.float32
    pairs = [in_float64(*pair) for pair in ((of_x[1], weight), (x, of_x[0]))]
    parts = [a @ b.T for a, b in pairs]
    # Each part is added up in float32 and rounded, and so is their sum.
    adding = 96 * 2.0**-24 * sum(np.abs(a) @ np.abs(b).T for a, b in pairs)
    rounding = 1.01 * float(jnp.finfo(dtype).eps) * sum(map(np.abs, parts))
    assert (np.abs(np.asarray(tangent) - sum(parts)) <= adding + rounding).all()


def test_other_mixed_operands_are_widened():
    x, weight = 1 + 2.0**-20, 1 + 2.0**-7
    params = F.TokenEmbeddingParams(weight=jnp.full((1, 2), weight, jnp.bfloat16))
    actual = F.apply_token_unembedding(params, jnp.full((2,), x, jnp.float32))
    np.testing.assert_array_equal(actual, np.float32(2 * x * weight))
    # Neither of two 16-bit dtypes holds the other.
    x = jnp.full((2,), 1 + 2.0**-10, jnp.float16)
    actual = F.apply_token_unembedding(params, x, dtype=jnp.float32)
    np.testing.assert_array_equal(actual, np.float32(2 * (1 + 2.0**-10) * weight))
    # Hidden states of 8 bits would leave three bits of a table.
    x = jnp.full((2,), 1.25, jnp.float8_e4m3fn)
    params = F.TokenEmbeddingParams(weight=jnp.full((1, 2), 1 + 2.0**-20))
    actual = F.apply_token_unembedding(params, x, dtype=jnp.float32)
    np.testing.assert_array_equal(actual, np.float32(2 * 1.25 * (1 + 2.0**-20)))


narrow = pytest.mark.parametrize("dtype", (jnp.bfloat16, *slow(jnp.float16)))


def head(dtype, seed=0):
    """A float32 table, and 16-bit hidden states and logits' cotangents."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(37, 96)).astype(np.float32)
    x, cotangent = rng.normal(size=(2, 3, 96)), rng.normal(size=(2, 3, 37))
    params = F.TokenEmbeddingParams(weight=jax.device_put(weight))
    return params, *(jax.device_put(t.astype(dtype)) for t in (x, cotangent))


def in_float64(*arrays):
    return [np.asarray(array, np.float64) for array in arrays]


@pytest.mark.device
@narrow
def test_a_float32_table_is_rounded_to_16_bit_hidden_states(dtype):
    params, x, _ = head(dtype)
    wide_x, weight = in_float64(x, params.weight)
    (rounded,) = in_float64(np.asarray(params.weight).astype(dtype))
    actual = np.asarray(unembed(params, x, dtype=jnp.float32))
    assert actual.dtype == np.float32
    # Products of 16-bit numbers are exact in float32, and 96 of them are added up.
    sums = np.abs(wide_x) @ np.abs(rounded).T
    adding = 96 * 2.0**-24 * sums
    assert (np.abs(actual - wide_x @ rounded.T) <= adding).all()
    # And each number of the table is off by half a unit in its last place.
    half = float(jnp.finfo(dtype).eps) / 2
    assert half == {jnp.bfloat16: 2.0**-8, jnp.float16: 2.0**-11}[dtype]
    errors = np.abs(actual - wide_x @ weight.T)
    assert (errors <= half * (np.abs(wide_x) @ np.abs(weight).T) + adding).all()
    assert errors.max() > 4 * adding.max()  # no sum explains that: the table is rounded
    assert_same_bits(unembed(params, x), actual.astype(dtype))
    narrow_params = F.TokenEmbeddingParams(weight=params.weight.astype(dtype))
    assert_same_bits(unembed(narrow_params, x, dtype=jnp.float32), actual)


@pytest.mark.device
@narrow
def test_compute_dtype_multiplies_the_table_as_it_is(dtype):
    params, x, _ = head(dtype)
    wide_x, weight = in_float64(x, params.weight)
    options = {"compute_dtype": jnp.float32, "precision": "highest"}
    actual = np.asarray(unembed(params, x, dtype=jnp.float32, **options))
    # A rounding of each product, and 96 sums.
    bound = 97 * 2.0**-24 * (np.abs(wide_x) @ np.abs(weight).T)
    assert (np.abs(actual - wide_x @ weight.T) <= bound).all()
    assert_same_bits(unembed(params, x, **options), actual.astype(dtype))
    assert_same_bits(
        unembed(params, x.astype(jnp.float32), precision="highest"), actual
    )
    # The other way round: float32 hidden states in a 16-bit product.
    wide = x.astype(jnp.float32)
    narrowed = unembed(params, wide + 2.0**-20, compute_dtype=dtype)
    assert narrowed.dtype == jnp.float32
    again = unembed(params, (wide + 2.0**-20).astype(dtype), dtype=jnp.float32)
    assert_same_bits(narrowed, np.asarray(again))


@pytest.mark.device
@narrow
@pytest.mark.parametrize("unrounded", (False, *slow(True)))
def test_gradients_pass_a_rounded_table_unrounded(dtype, unrounded):
    """Of the table in float32; of hidden states by the table as it was multiplied."""
    params, x, cotangent = head(dtype)
    of_logits = jnp.float32 if unrounded else dtype
    cotangent = cotangent.astype(of_logits)

    def logits(params, x):
        # An accelerator's default would round float32 operands of its products.
        return F.apply_token_unembedding(
            params, x, dtype=of_logits, precision="highest"
        )

    pullback = jax.jit(lambda params, x, g: jax.vjp(logits, params, x)[1](g))
    of_params, of_x = pullback(params, x, cotangent)
    wide_x, weight, g = in_float64(
        x, np.asarray(params.weight).astype(dtype), cotangent
    )
    assert of_params.weight.dtype == jnp.float32
    expected = np.einsum("btv,btd->vd", g, wide_x)
    # Six exact products are added up; nothing is as coarse as one 16-bit rounding.
    bound = 6 * 2.0**-24 * np.einsum("btv,btd->vd", np.abs(g), np.abs(wide_x))
    assert (np.abs(np.asarray(of_params.weight) - expected) <= bound).all()
    magnitude = float((np.abs(g) @ np.abs(weight)).max())
    assert of_x.dtype == dtype
    assert_close(of_x, g @ weight, magnitude=magnitude, roundings=37)
    tangent = F.TokenEmbeddingParams(weight=params.weight[::-1])
    _, moved = jax.jit(lambda *args: jax.jvp(logits, *args))((params, x), (tangent, x))
    moved_by = wide_x @ np.asarray(tangent.weight, np.float64).T + wide_x @ weight.T
    magnitude = float((np.abs(wide_x) @ np.abs(weight).T).max() * 2)
    assert_close(moved, moved_by, magnitude=magnitude, roundings=97)


@jitted
def cosines_of_logits(params, x, **options):
    """Their sum, and its gradient."""

    def loss(params):
        logits = F.apply_token_unembedding(params, x, dtype=jnp.float32, **options)
        return jnp.sum(jnp.cos(logits))

    return jax.value_and_grad(loss)(params)


def test_a_rounded_table_is_mapped_and_sharded():
    params, x, _ = head(jnp.bfloat16)
    params = F.TokenEmbeddingParams(weight=params.weight[:36])
    expected = np.asarray(unembed(params, x))
    mapped = jax.jit(jax.vmap(F.apply_token_unembedding, (None, 0)))(params, x)
    assert_same_bits(mapped, expected)
    assert_same_bits(F.apply_token_unembedding(params, x), expected)
    value, gradient = cosines_of_logits(params, x)
    mesh = jax.make_mesh((2,), ("a",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        params = jax.device_put(params, NamedSharding(mesh, P("a", None)))
        x = jax.device_put(x, NamedSharding(mesh, P()))
        options = {"out_sharding": P(None, None, "a")}
        logits = F.apply_token_unembedding(params, x, **options)
        assert jax.typeof(logits).sharding.spec == P(None, None, "a")
        assert_same_bits(logits, expected)
        of_shards, actual = cosines_of_logits(params, x, **options)
        assert jax.typeof(actual.weight).sharding.spec == P("a", None)
    # 216 cosines, and for the gradient six sines times numbers below 8.
    assert_close(of_shards, np.asarray(value), magnitude=1.0, roundings=216)
    close = {"rtol": 0, "atol": 6 * 8 * 97 * 2.0**-23}
    np.testing.assert_allclose(actual.weight, gradient.weight, **close)


def test_16_bit_operands_are_what_is_multiplied():
    """No float32 copy of a table, and none of its gradient in 16 bits."""
    params, x, cotangent = head(jnp.bfloat16)

    def backward(params, x, cotangent):
        return jax.vjp(F.apply_token_unembedding, params, x)[1](cotangent)

    forward = jax.jit(F.apply_token_unembedding).lower(params, x).as_text()
    (product,) = re.findall(r"dot_general.* : (.*)", forward)
    shapes = "(tensor<2x3x96xbf16>, tensor<37x96xbf16>) -> tensor<2x3x37xf32>"
    assert product == shapes
    program = jax.jit(backward).lower(params, x, cotangent).as_text()
    narrowed = [
        line for line in program.splitlines() if "-> tensor<37x96xbf16>" in line
    ]
    assert len(narrowed) == 1  # for the product, and not the gradient
    products = re.findall(r"dot_general.* -> (tensor<37x96.*>)", program)
    assert products == ["tensor<37x96xf32>"]


@pytest.mark.errors
def test_options_of_unembedding_are_checked():
    params = F.TokenEmbeddingParams(weight=host.ones((4, 2)))
    with pytest.raises(ValueError, match=r"x.shape=\(3,\) must end in the width of"):
        F.apply_token_unembedding(params, host.ones((3,)))
    for dtype in (jnp.int32, jnp.complex64):
        with refused(f"x.dtype={jnp.dtype(dtype)} must be a real float dtype"):
            F.apply_token_unembedding(params, host.ones((2,), dtype), dtype=jnp.float32)
    for soft_cap in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"soft_cap={soft_cap} must be finite"):
            F.apply_token_unembedding(params, host.ones((2,)), soft_cap=soft_cap)
    for name in ("accumulation_dtype", "compute_dtype"):
        with pytest.raises(ValueError, match=f"{name}=int32 must be a real float"):
            F.apply_token_unembedding(params, host.ones((2,)), **{name: jnp.int32})
