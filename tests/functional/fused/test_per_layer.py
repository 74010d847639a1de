"""A vector for each token and layer: of a table, and of the embedded token."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

import attnax.functional as F

VOCAB, D_MODEL, NUM_LAYERS, D_LAYER = 7, 8, 3, 4
apply = jitted(F.apply_per_layer_embedding)


def draw_params(data, dtype=jnp.float32):
    columns = NUM_LAYERS * D_LAYER
    shapes = (VOCAB, columns), (D_MODEL, columns), (D_LAYER,)
    weights = (data.draw(ax.floats(shape, dtype, bound=2.0)) for shape in shapes)
    return F.PerLayerEmbeddingParams(*weights)


def draw_tokens(data, dtype=jnp.float32, batch=(2, 3)):
    x = np.asarray(data.draw(ax.floats((*batch, D_MODEL), dtype, bound=2.0)))
    return data.draw(ax.integers(batch, 0, VOCAB - 1)), x


def oracle(params, ids, x):
    """The two parts in float64, layer by layer."""
    table, projection, norm = (np.asarray(a, np.float64) for a in params)
    x, layers = np.asarray(x, np.float64), []
    for start in range(0, NUM_LAYERS * D_LAYER, D_LAYER):
        own = slice(start, start + D_LAYER)
        projected = (x @ projection[:, own]) / np.sqrt(D_MODEL)
        rms = np.sqrt(np.square(projected).sum(-1, keepdims=True) / D_LAYER + 1e-6)
        layers.append(projected / rms * norm)
    projected = np.stack(layers, -2)
    if ids is None:
        return projected
    rows = table.reshape(VOCAB, NUM_LAYERS, D_LAYER)[ids] * np.sqrt(D_LAYER)
    return (rows + projected) / np.sqrt(2)


def amplified(params, x):
    """The largest ratio of a sum of magnitudes to the root mean square of its layer.

    The norm multiplies the rounding of a projection by it, and by at most 2.
    """
    x, projection = (np.asarray(a, np.float64) for a in (x, params.projection))
    of_layers = lambda a: (a / np.sqrt(D_MODEL)).reshape(*a.shape[:-1], -1, D_LAYER)
    squares = np.square(of_layers(x @ projection)).mean(-1, keepdims=True)
    return (of_layers(np.abs(x) @ np.abs(projection)) / np.sqrt(squares + 1e-6)).max()


@given(data=st.data(), dtype=ax.dtypes, has_ids=st.booleans())
def test_oracle(data, dtype, has_ids):
    params, (ids, x) = draw_params(data, dtype), draw_tokens(data, dtype)
    ids = ids if has_ids else None
    actual = apply(params, ids, x)
    assert actual.dtype == dtype
    # Eight products in a sum, and a few steps more; results are below 8 themselves.
    magnitude = 2 * amplified(params, x) + 8
    expected = oracle(params, ids, x)
    compute = (8 + 12) * 2.0**-23 * magnitude
    bound = compute + float(jnp.finfo(dtype).eps) / 2 * 8
    assert (np.abs(np.asarray(actual, np.float64) - expected) <= bound).all()


@pytest.mark.skipif(not jax.config.jax_enable_x64, reason="needs 64-bit mode")
def test_float64():
    rng = np.random.default_rng(0)
    columns = NUM_LAYERS * D_LAYER
    shapes = (VOCAB, columns), (D_MODEL, columns), (D_LAYER,)
    params = F.PerLayerEmbeddingParams(*(rng.normal(size=shape) for shape in shapes))
    ids, x = np.array([[0, 6]]), rng.normal(size=(1, 2, D_MODEL))
    expected = oracle(params, ids, x)
    np.testing.assert_allclose(apply(params, ids, x), expected, rtol=1e-12)


@given(data=st.data())
def test_bfloat16_is_float32_rounded_once(data):
    params, (ids, x) = draw_params(data, jnp.bfloat16), draw_tokens(data, jnp.bfloat16)
    wide = apply(params, ids, x, dtype=jnp.float32)
    narrow = apply(params, ids, x)
    assert_same_bits(narrow, np.asarray(wide).astype(jnp.bfloat16))


def test_ids_outside_the_table():
    params = F.PerLayerEmbeddingParams(
        weight=np.arange(VOCAB * 12, dtype=np.float32).reshape(VOCAB, 12),
        projection=np.ones((D_MODEL, 12), np.float32),
        norm_scale=np.ones(D_LAYER, np.float32),
    )
    ids, x = np.array([2, VOCAB, -1]), np.ones((3, D_MODEL), np.float32)
    lost = np.isnan(apply(params, ids, x)).all((1, 2))
    np.testing.assert_array_equal(lost, [False, True, True])
    replaced = apply(params, ids, x, outside_id=5)
    expected = apply(params, np.array([2, 5, 5]), x)
    assert_same_bits(replaced, expected)
    # Ids that int32 would wrap into the table, and one too large for their own dtype.
    beyond = F.apply_per_layer_embedding(
        params, np.array([2, 2**32 + 3, -(2**32) + 1]), x, outside_id=5
    )
    np.testing.assert_allclose(beyond, expected, rtol=2.0**-20)
    if jax.config.jax_enable_x64:
        traced = apply(params, np.array([2, 2**32 + 3, 2**63 - 1]), x, outside_id=5)
        assert_same_bits(traced, expected)


def params_of(seed=0):
    rng, columns = np.random.default_rng(seed), NUM_LAYERS * D_LAYER
    shapes = (VOCAB, columns), (D_MODEL, columns), (D_LAYER,)
    weights = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return F.PerLayerEmbeddingParams(*weights)


IDS = np.array([[0, 6, 3], [2, 2, 5]], np.int32)
X = np.random.default_rng(1).normal(size=(2, 3, D_MODEL)).astype(np.float32)


def test_batch_equals_vmap():
    mapped = jax.jit(jax.vmap(F.apply_per_layer_embedding, (None, 0, 0)))
    actual, expected = mapped(params_of(), IDS, X), apply(params_of(), IDS, X)
    assert_close(actual, np.asarray(expected), magnitude=16.0)


def test_gradients():
    of = lambda params, x: F.apply_per_layer_embedding(params, IDS, x)
    check_grads(jax.jit(of), (params_of(), X), order=1, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded(axis_type):
    plain = apply(params_of(), IDS, X)
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    with jax.set_mesh(mesh):
        params = jax.device_put(params_of(), NamedSharding(mesh, P()))
        ids = jax.device_put(IDS, NamedSharding(mesh, P("a", None)))
        x = jax.device_put(X, NamedSharding(mesh, P("a", None, None)))
        actual = apply(params, ids, x)
        assert_close(actual, np.asarray(plain), magnitude=16.0)
        if axis_type is AxisType.Explicit:
            assert jax.typeof(actual).sharding.spec == P("a", None, None, None)


@pytest.mark.errors
def test_parameters_and_options_are_checked():
    params, x = params_of(), host.ones((2, D_MODEL))
    ids = np.array([0, 1])
    for changed, message in (
        ({"projection": host.ones((7, 12))}, r"projection.shape=\(7, 12\) must be \(8"),
        ({"projection": host.ones((8, 11))}, r"projection.shape=\(8, 11\) must be \(8"),
        ({"norm_scale": host.ones((5,))}, r"norm_scale.shape=\(5,\) must be \(d_lay"),
        ({"norm_scale": host.ones((4, 1))}, r"norm_scale.shape=\(4, 1\) must be"),
    ):
        with refused(message):
            F.apply_per_layer_embedding(params._replace(**changed), ids, x)
    with refused(r"token_ids.shape=\(3,\) must be \(2,\), an id for each token"):
        F.apply_per_layer_embedding(params, np.array([0, 1, 2]), x)
    # With `outside_id`, an id that is known to be outside is no error.
    known = jax.eval_shape(
        lambda: F.apply_per_layer_embedding(params, np.array([0, 7]), x, outside_id=0)
    )
    assert known.shape == (2, NUM_LAYERS, D_LAYER)
    with pytest.raises(ValueError, match=r"token_ids\[1\]=7 must lie in \[0, 7\)"):
        F.apply_per_layer_embedding(params, np.array([0, 7]), x)
    with refused(r"outside_id=7 must be an integer in \[0, 6\]"):
        F.apply_per_layer_embedding(params, ids, x, outside_id=7)
    with refused("eps=-1.0 must be a finite number of at least 0"):
        F.apply_per_layer_embedding(params, ids, x, eps=-1.0)
    with refused("scale_dtype=int32 must be a real float"):
        F.apply_per_layer_embedding(params, ids, x, scale_dtype=jnp.int32)
    with refused("x.dtype=float8_e4m3fn must have 16 bits or more"):
        narrow = x.astype(jnp.float8_e4m3fn)
        F.apply_per_layer_embedding(params, ids, narrow, round_steps=True)
    with refused("round_steps=1 must be True or False"):
        F.apply_per_layer_embedding(params, ids, x, round_steps=1)
    key = jax.random.key(0)
    for name in ("vocab_size", "d_model", "num_layers", "d_layer"):
        sizes = dict.fromkeys(("vocab_size", "d_model", "num_layers", "d_layer"), 2)
        with refused(f"{name}=0 must be a positive integer"):
            F.init_per_layer_embedding(key, **sizes | {name: 0})


def test_init():
    params = F.init_per_layer_embedding(jax.random.key(0), 50, 40, 3, 4, init_std=0.5)
    assert (params.weight.shape, params.projection.shape) == ((50, 12), (40, 12))
    np.testing.assert_array_equal(params.norm_scale, 1.0)
    drawn = np.concatenate([params.weight, params.projection])
    assert abs(drawn.std() - 0.5) < 6 * 0.5 / (2 * drawn.size) ** 0.5
    assert not np.array_equal(params.weight[:40], params.projection)
