"""One test per transformation, on the whole path from positions to rotated `x`."""

import functools
import itertools

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rope_oracles
from helpers import assert_same_bits, slow
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

import attnax.functional as F

# The first two rotate by cos and sin at hand, the others through a record. The third
# reads pairs in one order and writes them in another; the last has blocks and two axes,
# so that the kernel stands among reshapes, a gather and a concatenation.
ROPES = {
    "half": F.Rope(F.default_inv_freq(6)),
    "interleaved": F.Rope(F.default_inv_freq(6), "interleaved"),
    "to_half": F.Rope(
        F.default_inv_freq(6), "interleaved_to_half", rotary_start="trailing"
    ),
    "blocks": F.Rope(
        F.default_inv_freq(6), axis_of_pair=(0, 1, 0), num_blocks=3, rotary_start=1
    ),
}
every_kernel = pytest.mark.parametrize("layout", ("half", "interleaved", "to_half"))
everything = pytest.mark.parametrize("layout", ROPES)
# How the axes of a mesh are typed makes no difference to a kernel: it does to what
# stands around it.
TYPES = AxisType.Explicit, AxisType.Auto
on_both_meshes = pytest.mark.parametrize(
    "layout, axis_type",
    (
        *itertools.product(("half", "blocks"), TYPES),
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in itertools.product(("interleaved", "to_half"), TYPES)
        ),
    ),
)


@pytest.fixture(autouse=True)
def _no_leaked_tracers():
    with jax.checking_leaks():
        yield


def rotate(x, positions, layout):
    """`(..., seq_len, num_heads, 8)`, of which 6 features rotate."""
    if layout == "blocks":
        return F.rotate(ROPES[layout], x, jnp.stack([positions, -positions], -1))
    if layout == "to_half":
        return F.rotate(ROPES[layout], x, positions)
    cos, sin = F.rope_cos_sin(positions, F.default_inv_freq(6))
    return F.apply_rope(x, cos[..., None, :], sin[..., None, :], layout=layout)


def matrix(position, layout):
    """The rotation at one position as an 8 x 8 matrix, in float64."""
    position = np.array([position, -position]) if layout == "blocks" else position
    return rope_oracles.matrix(ROPES[layout], 8, position)


X = np.random.default_rng(0).normal(size=(2, 5, 3, 8)).astype(np.float32)
X_OF_4_HEADS = np.concatenate([X, X[:, :, :1]], axis=2)
POSITIONS = np.arange(10, dtype=np.int32).reshape(2, 5) * 7 - 20
# Eight features of size at most 4, a few roundings each.
CLOSE = {"rtol": 0, "atol": 4 * 8 * 2.0**-23}


@functools.cache
def plain(layout, heads=3):
    """`X` rotated, under `jit` and without any other transformation."""
    x = X if heads == 3 else X_OF_4_HEADS
    return np.asarray(jax.jit(rotate, static_argnums=2)(x, POSITIONS, layout))


@functools.cache
def expected(layout, transposed=False):
    out = np.empty(X.shape)
    for index in np.ndindex(2, 5):
        turn = matrix(POSITIONS[index], layout)
        out[index] = np.asarray(X[index], np.float64) @ (turn if transposed else turn.T)
    return out


@pytest.mark.device
@everything
def test_jit(layout):
    np.testing.assert_allclose(plain(layout), expected(layout), **CLOSE)
    assert_same_bits(plain(layout), rotate(host.asarray(X), POSITIONS, layout))


@pytest.mark.device
@every_kernel
def test_vjp(layout):
    function = lambda x: rotate(x, POSITIONS, layout)
    (actual,) = jax.jit(lambda x, g: jax.vjp(function, x)[1](g))(X, X)
    np.testing.assert_allclose(actual, expected(layout, transposed=True), **CLOSE)


@pytest.mark.device
@every_kernel
def test_jvp(layout):
    function = lambda x: rotate(x, POSITIONS, layout)
    primal, tangent = jax.jit(lambda x, dx: jax.jvp(function, (x,), (dx,)))(
        X, X[:, :, ::-1]
    )
    np.testing.assert_allclose(primal, expected(layout), **CLOSE)
    assert_same_bits(tangent, plain(layout)[:, :, ::-1])


@pytest.mark.device
@pytest.mark.parametrize("layout", ("to_half", *slow("half", "interleaved")))
def test_outside_jit(layout):
    """The primitive is then called by itself, with what it is transformed to."""
    function = lambda x: rotate(x, POSITIONS, layout)
    out, pullback = jax.vjp(function, X)
    assert_same_bits(out, plain(layout))
    np.testing.assert_allclose(pullback(X)[0], expected(layout, True), **CLOSE)
    transposed = jax.linear_transpose(function, X)(X)[0]
    np.testing.assert_allclose(transposed, expected(layout, True), **CLOSE)
    _, tangent = jax.jvp(function, (X,), (X,))
    assert_same_bits(tangent, plain(layout))
    mapped = jax.vmap(lambda x, p: rotate(x, p, layout))(X, POSITIONS)
    assert_same_bits(mapped, plain(layout))
    gradient = jax.grad(lambda x: jnp.sum(function(x) ** 2))(X)
    np.testing.assert_allclose(gradient, 2 * X, rtol=0, atol=16 * 8 * 2.0**-23)


@pytest.mark.device
@every_kernel
def test_vmap(layout):
    function = lambda x, p: rotate(x, p, layout)
    axes = (0, 1, 2, 3)

    @jax.jit
    def mapped(xs, p):
        pairs = zip(xs, axes, strict=True)
        return [jax.vmap(function, (axis, 0), axis)(x, p) for x, axis in pairs]

    moved = mapped([np.moveaxis(X, 0, axis) for axis in axes], POSITIONS)
    for actual, axis in zip(moved, axes, strict=True):
        assert_same_bits(np.moveaxis(np.asarray(actual), axis, 0), plain(layout))


@every_kernel
def test_vmap_with_one_side_unbatched(layout):
    cos, sin = map(np.asarray, F.rotary_cos_sin(ROPES[layout], POSITIONS))
    function = lambda x, c, s: F.apply_rotary(ROPES[layout], x, c, s)
    many_x = jax.jit(jax.vmap(function, (0, None, None)))(X, cos[0], sin[0])
    many_cos = jax.jit(jax.vmap(function, (None, 0, 0)))(X[0], cos, sin)
    function = jax.jit(function)
    for i in range(2):
        assert_same_bits(np.asarray(many_x)[i], function(X[i], cos[0], sin[0]))
        assert_same_bits(np.asarray(many_cos)[i], function(X[0], cos[i], sin[i]))


@pytest.mark.device
@every_kernel
def test_vmap_of_grad(layout):
    loss = lambda x, p: jnp.sum(rotate(x, p, layout) * jnp.cos(x))
    actual = np.asarray(jax.jit(jax.vmap(jax.grad(loss)))(X, POSITIONS))
    gradient = jax.jit(jax.grad(loss))
    for i in range(2):
        assert_same_bits(actual[i], gradient(X[i], POSITIONS[i]))


@pytest.mark.device
@every_kernel
def test_scan(layout):
    def step(carry, inputs):
        x, p = inputs
        return carry, rotate(x, p, layout)

    _, stacked = lax.scan(step, 0.0, (X, POSITIONS))
    assert_same_bits(stacked, plain(layout))


@pytest.mark.device
@every_kernel
def test_remat(layout):
    loss = lambda x: jnp.sum(jnp.sin(rotate(x, POSITIONS, layout)))
    plain, again = (jax.jit(jax.grad(f))(X) for f in (loss, jax.checkpoint(loss)))
    assert_same_bits(again, plain)


@pytest.mark.device
@every_kernel
def test_hessian(layout):
    function = lambda x: jnp.sum(rotate(x[None], POSITIONS[0, :1], layout) ** 4)
    actual = np.asarray(jax.jit(jax.hessian(function))(X[0, 0, :1]))
    turn = matrix(POSITIONS[0, 0], layout)
    diagonal = np.diag(12 * (turn @ np.asarray(X[0, 0, 0], np.float64)) ** 2)
    # Second derivatives of a fourth power: 12 * 4**2 * 8 terms.
    np.testing.assert_allclose(
        actual[0, :, 0], turn.T @ diagonal @ turn, rtol=0, atol=12 * 16 * 8 * 2.0**-23
    )


@pytest.mark.device
@every_kernel
def test_linear_transpose(layout):
    function = lambda x: rotate(x, POSITIONS, layout)
    (actual,) = jax.jit(jax.linear_transpose(function, X))(X)
    np.testing.assert_allclose(actual, expected(layout, transposed=True), **CLOSE)


@pytest.mark.device
@pytest.mark.parametrize(
    "layout",
    ("half", *slow("interleaved", "to_half")),
)
def test_gradients_of_traced_cos_and_sin_in_every_mode(layout):
    cos, sin = F.rotary_cos_sin(ROPES[layout], POSITIONS[0])
    x = host.asarray(X[0])

    @jax.jit  # thirty evaluations: outside, each would dispatch step by step
    def function(x, c, s):
        return F.apply_rotary(ROPES[layout], x, c, s)

    check_grads(function, (x, cos, sin), order=2, atol=2e-2, rtol=2e-2)


@on_both_meshes
def test_shard_map(layout, axis_type):
    mesh = jax.make_mesh((2, 1), ("data", "model"), axis_types=(axis_type,) * 2)
    specs = (P("data", None, "model"), P("data"))
    function = lambda x, p: rotate(x, p, layout)
    unsharded = plain(layout)
    with jax.set_mesh(mesh):
        x, p = (
            jax.device_put(a, NamedSharding(mesh, s))
            for a, s in zip((X, POSITIONS), specs, strict=True)
        )
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=specs[0])
        assert_same_bits(jax.jit(mapped)(x, p), unsharded)
        # Cos and sin of replicated positions meet an `x` that varies.
        one = jax.shard_map(
            lambda x: function(x, POSITIONS[:1]),
            mesh=mesh,
            in_specs=specs[:1],
            out_specs=specs[0],
        )
        loss = jax.jit(jax.grad(lambda x: jnp.sum(one(x) ** 2)))
        np.testing.assert_allclose(loss(x), 2 * X, rtol=0, atol=16 * 8 * 2.0**-23)


@on_both_meshes
def test_sharding(layout, axis_type):
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(axis_type,) * 2)
    spec = P("data", None, "model", None)
    unsharded = plain(layout, heads=4)
    with jax.set_mesh(mesh):
        sharded = jax.device_put(X_OF_4_HEADS, NamedSharding(mesh, spec))
        p = jax.device_put(POSITIONS, NamedSharding(mesh, P("data")))
        function = jax.jit(rotate, static_argnums=2)
        compiled = function.lower(sharded, p, layout).compile()
        actual = compiled(sharded, p)
        assert actual.sharding.is_equivalent_to(NamedSharding(mesh, spec), 4)
        assert_same_bits(actual, unsharded)
        assert "all-" not in compiled.as_text()
        loss = lambda x: jnp.sum(rotate(x, p, layout) ** 2)
        gradient = jax.jit(jax.grad(loss))(sharded)
        assert gradient.sharding.is_equivalent_to(NamedSharding(mesh, spec), 4)


@everything
@pytest.mark.errors
def test_sharded_features_are_refused(layout):
    mesh = jax.make_mesh((2,), ("model",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(X, NamedSharding(mesh, P(None, None, None, "model")))
        with pytest.raises(ValueError, match=r"'model'.* must not be sharded"):
            rotate(x, POSITIONS, layout)


@pytest.mark.device
@everything
def test_export(layout):
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (X, POSITIONS)]
    function = jax.jit(lambda x, p: rotate(x, p, layout))
    exported = jax.export.export(function, platforms=("cpu", "cuda", "tpu"))(*shapes)
    loaded = jax.export.deserialize(exported.serialize())
    assert_same_bits(loaded.call(X, POSITIONS), function(X, POSITIONS))
