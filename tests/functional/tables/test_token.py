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
from jax.test_util import check_grads

import attnax.functional as F

# Rows and columns of a table, the dtype of ids and their shape.
LOOKUPS = (
    (1, 1, np.uint8, (7,)),
    (11, 6, np.int16, ()),
    (11, 6, np.int32, (2, 1, 3)),
    (300, 3, np.uint16, (2, 1, 3)),
    (300, 3, np.int32, (7,)),
)

lookup = jitted(F.apply_token_embedding)
unembed = jitted(F.apply_token_unembedding)


def draw_lookup(data, dtype=jnp.float32, shape=None):
    vocab_size, d_model, of_ids, own_shape = data.draw(st.sampled_from(LOOKUPS))
    weight = data.draw(ax.floats((vocab_size, d_model), dtype))
    shape = own_shape if shape is None else shape
    ids = data.draw(ax.integers(shape, 0, vocab_size - 1)).astype(of_ids)
    return F.TokenEmbeddingParams(weight=weight), ids


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


@jitted
def mapped(function, params, arrays, **options):
    return jax.vmap(lambda array: function(params, array, **options))(arrays)


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


AXES = pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))


# Whole pieces of rows and of columns, and copies of either, on three meshes.
SPREADS = [
    (spec, shape)
    for spec in (P("a"), P(None, "b"), P("a", "b"), P(("a", "b")))
    for shape in ((4, 1), (2, 2), (1, 4))
]
QUICK = (
    (P(None, "b"), (1, 4), 64),
    (P("a", "b"), (2, 2), 12),
    (P(("a", "b")), (2, 2), 64),
)


@AXES
@pytest.mark.parametrize(
    "spec, shape, d_model",
    [
        pytest.param(
            *case, marks=() if case in QUICK else pytest.mark.slow, id=str(case)
        )
        for case in ((*spread, width) for spread in SPREADS for width in (12, 64))
    ],
)
def test_sharded_init_has_the_same_values_on_every_mesh(
    axis_type, spec, shape, d_model
):
    draw = lambda **options: F.init_token_embedding(
        jax.random.key(0), 64, d_model, init_std=0.3, padding_id=5, **options
    )
    plain = draw().weight
    mesh = jax.make_mesh(shape, ("a", "b"), axis_types=(axis_type,) * 2)
    sharding = NamedSharding(mesh, spec)
    weight = draw(out_sharding=sharding).weight
    assert weight.sharding.is_equivalent_to(sharding, 2)
    if d_model == 64:
        assert_same_bits(weight, plain)
    else:  # shards too narrow for vectors: the inverse error function rounds anew
        np.testing.assert_allclose(weight, plain, rtol=4 * 2.0**-23, atol=0)


def test_sharded_init_of_a_256k_table_makes_no_full_copy():
    mesh = jax.make_mesh((4,), ("a",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, P("a", None))
    draw = lambda key: (
        F.init_token_embedding(
            key, 256_000, 128, dtype=jnp.float32, out_sharding=sharding
        ).weight
    )
    compiled = jax.jit(draw).lower(jax.random.key(0)).compile()
    memory = compiled.memory_analysis()
    whole = 256_000 * 128 * 4
    assert memory.output_size_in_bytes == whole // 4
    # Per device: random bits, their float form and the shard.
    assert memory.temp_size_in_bytes < whole


WEIGHT = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)


@jitted
def squares_step(weight, ids, **options):
    """Rows, and the gradient of the sum of their squares."""

    def loss(weight):
        params = F.TokenEmbeddingParams(weight=weight)
        rows = F.apply_token_embedding(params, ids, **options)
        return jnp.sum(rows.astype(jnp.float32) ** 2), rows

    (_, rows), gradient = jax.value_and_grad(loss, has_aux=True)(weight)
    return rows, gradient


@AXES
@pytest.mark.parametrize("table_spec", (P(), P("b", None), P(None, "b")))
def test_sharded_lookup_and_gradient(axis_type, table_spec):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    ids = np.array([[3, 3, 0], [11, 5, 3], [1, 2, 4], [4, 4, 11]], np.int32)
    plain, gradient = squares_step(WEIGHT, ids)
    with jax.set_mesh(mesh):
        w = jax.device_put(WEIGHT, NamedSharding(mesh, table_spec))
        i = jax.device_put(ids, NamedSharding(mesh, P("a")))
        rows, actual = squares_step(w, i)
        assert_same_bits(rows, plain)
        assert_close(actual, np.asarray(gradient), magnitude=32.0)
        if axis_type is AxisType.Explicit:
            assert jax.typeof(rows).sharding.spec == P("a", None, None)


def test_explicit_out_sharding_of_rows_and_logits():
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    ids = np.arange(8, dtype=np.int32).reshape(4, 2)
    params = F.TokenEmbeddingParams(weight=jnp.asarray(WEIGHT))
    plain = lookup(params, ids)
    logits = unembed(params, plain)
    with jax.set_mesh(mesh):
        params = jax.device_put(params, NamedSharding(mesh, P()))
        ids = jax.device_put(ids, NamedSharding(mesh, P("a")))
        rows = F.apply_token_embedding(params, ids, out_sharding=P("a", None, "b"))
        assert jax.typeof(rows).sharding.spec == P("a", None, "b")
        assert_same_bits(rows, plain)
        rows = F.apply_token_embedding(params, ids)
        heads = F.apply_token_unembedding(params, rows, out_sharding=P("a", None, "b"))
        assert jax.typeof(heads).sharding.spec == P("a", None, "b")
        assert_close(heads, np.asarray(logits), magnitude=6 * 16.0)


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
@pytest.mark.parametrize(
    "options", ({"padding_id": 3, "mask_padding": True}, *slow({}))
)
@pytest.mark.parametrize(
    ("of_ids", "out"),
    ((P("a"), P()), (P("b"), P("a")), (P("a"), P(None, None, "a"))),
    ids=str,
)
def test_explicit_out_sharding_may_be_another_than_that_of_ids(
    of_ids, out, options, dtype
):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    weight = WEIGHT.astype(dtype)
    ids = np.arange(8, dtype=np.int32).reshape(4, 2)
    plain, gradient = squares_step(weight, ids, **options)
    with jax.set_mesh(mesh):
        weight = jax.device_put(weight, NamedSharding(mesh, P()))
        ids = jax.device_put(ids, NamedSharding(mesh, of_ids))
        rows, actual = squares_step(weight, ids, out_sharding=out, **options)
        assert jax.typeof(rows).sharding.spec == P(*out, *[None] * (3 - len(out)))
        assert_same_bits(rows, plain)
        assert_same_bits(actual, gradient)


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
