"""Biases on meshes: heads on devices, the sequence on devices, and shard_map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

KEY = jax.random.key(0)
LENGTH, HEADS = 8, 4
T5 = F.T5Bias(HEADS, bidirectional=True)
OTHERS = (
    F.AlibiBias(HEADS),
    F.AlibiBias(HEADS, form="key"),
    F.WindowBias(HEADS, (1, 7), num_prefix_tokens=1),
)
biases = pytest.mark.parametrize("bias", (T5, *slow(*OTHERS)), ids=str)
axis_types = pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
TOKENS = range(LENGTH)
COTANGENT = np.random.default_rng(0).normal(size=(HEADS, LENGTH, LENGTH))
COTANGENT = COTANGENT.astype(np.float32)


def mesh_of(axis_type):
    return jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)


def put(mesh, tree, *spec):
    sharding = NamedSharding(mesh, P(*spec))
    return jax.tree.map(lambda x: jax.device_put(x, sharding), tree)


def loss(bias, params, cotangent, q=TOKENS, k=TOKENS):
    return jnp.sum(F.apply_position_bias(bias, params, q, k) * cotangent)


def whole(bias):
    """The bias on one device, and the gradient of its parameters."""
    params = F.init_position_bias(KEY, bias, init_std=1.0, dtype=jnp.float32)
    made = jax.jit(lambda p: F.apply_position_bias(bias, p, TOKENS, TOKENS))(params)
    gradient = jax.jit(jax.grad(lambda p: loss(bias, p, COTANGENT)))(params)
    return params, np.asarray(made), gradient


def close(actual, expected):
    """Sums of at most 64 numbers of size 4, in another order."""
    for a, b in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


@axis_types
@biases
def test_heads_on_devices(bias, axis_type):
    """The table is sharded by heads, and so is the bias."""
    params, made, gradient = whole(bias)
    mesh = mesh_of(axis_type)
    with jax.set_mesh(mesh):
        params = put(mesh, params, None, "a")
        of = jax.jit(lambda p: F.apply_position_bias(bias, p, TOKENS, TOKENS))
        sharded = of(params)
        if axis_type == AxisType.Explicit and params is not None:
            assert jax.typeof(sharded).sharding.spec[0] == "a"
        assert_same_bits(sharded, made)
        back = jax.jit(jax.grad(lambda p, g: loss(bias, p, g)))
        close(back(params, put(mesh, COTANGENT, "a")), gradient)


@axis_types
@biases
def test_the_sequence_on_devices(bias, axis_type):
    """Each device has some of the queries and all keys, or some of both."""
    params, made, gradient = whole(bias)
    mesh, positions = mesh_of(axis_type), np.arange(LENGTH, dtype=np.int32)
    with jax.set_mesh(mesh):
        of = jax.jit(lambda p, q, k: F.apply_position_bias(bias, p, q, k))
        for k_axis in (None, "a"):
            q, k = put(mesh, positions, "b"), put(mesh, positions, k_axis)
            sharded = of(params, q, k)
            if axis_type == AxisType.Explicit:
                assert jax.typeof(sharded).sharding.spec[1:] == ("b", k_axis)
            assert_same_bits(sharded, made)
        back = jax.jit(jax.grad(lambda p, g, q, k: loss(bias, p, g, q, k)))
        close(back(params, put(mesh, COTANGENT, None, "b", "a"), q, k), gradient)


@axis_types
@biases
def test_a_part_of_the_queries_in_shard_map(bias, axis_type):
    """Context parallelism: a device passes the positions of its own queries."""
    params, made, gradient = whole(bias)
    mesh = mesh_of(axis_type)
    own = LENGTH // 2

    def of_part(params, cotangent):
        q = jnp.arange(own, dtype=jnp.int32) + jax.lax.axis_index("b") * own
        k = jnp.arange(LENGTH)
        part = F.apply_position_bias(bias, params, q, k)
        return part, jax.grad(lambda p: loss(bias, p, cotangent, q, k))(params)

    sharded = P(None, "b")
    mapped = jax.jit(
        jax.shard_map(
            of_part, mesh=mesh, in_specs=(P(), sharded), out_specs=(sharded, P())
        )
    )
    with jax.set_mesh(mesh):
        part, back = mapped(put(mesh, params), put(mesh, COTANGENT, None, "b"))
    assert_same_bits(part, made)
    close(back, gradient)


@axis_types
@biases
def test_known_positions_in_shard_map(bias, axis_type):
    """Each device has some of the heads, and their columns of the table."""
    params, made, gradient = whole(bias)
    if params is None:
        pytest.skip("slopes are those of all heads")
    mesh = mesh_of(axis_type)
    few = type(bias)(**{**_settings(bias), "num_heads": HEADS // 2})

    def of_heads(params, cotangent):
        part = F.apply_position_bias(few, params, TOKENS, TOKENS)
        return part, jax.grad(lambda p: loss(few, p, cotangent))(params)

    columns, heads = P(None, "a"), P("a")
    mapped = jax.jit(
        jax.shard_map(
            of_heads, mesh=mesh, in_specs=(columns, heads), out_specs=(heads, columns)
        )
    )
    with jax.set_mesh(mesh):
        part, back = mapped(put(mesh, params, None, "a"), put(mesh, COTANGENT, "a"))
    assert_same_bits(part, made)
    close(back, gradient)


def _settings(bias):
    return {name: getattr(bias, name) for name in type(bias).__dataclass_fields__}


def explicit(bias, table_axes, positions_axes):
    """A mesh, and a bias, parameters and positions of a batch on it."""
    mesh = mesh_of(AxisType.Explicit)
    params = F.init_position_bias(KEY, bias, init_std=1.0, dtype=jnp.float32)
    positions = np.tile(np.arange(LENGTH, dtype=np.int32), (4, 1))
    return mesh, put(mesh, params, *table_axes), put(mesh, positions, *positions_axes)


@pytest.mark.parametrize(
    ("table", "positions", "expected"),
    (
        ((), (None, "a"), (None, None, "a", None)),
        ((None, "a"), ("a",), ("a", None, None, None)),
        ((None, "a"), (None, "a"), (None, "a", None, None)),
    ),
)
def test_an_axis_of_the_mesh_shards_the_first_of_two(table, positions, expected):
    """Self-attention with its sequence on devices, and heads on the batch's devices."""
    mesh, params, tokens = explicit(T5, table, positions)
    with jax.set_mesh(mesh):
        made = jax.eval_shape(
            lambda p, t: F.apply_position_bias(T5, p, t, t), params, tokens
        )
        assert made.sharding.spec == P(*expected)


def test_a_function_of_scores_holds_whole_arrays():
    mesh, params, tokens = explicit(T5, (None, "b"), ("a", "b"))

    def scored(params, tokens, scores):
        score_mod = F.position_bias_score_mod(T5, params, tokens, tokens)
        return F.lift_score_mod(score_mod, scale=1.0)(scores)

    with jax.set_mesh(mesh):
        scores = put(mesh, np.zeros((4, HEADS, LENGTH, LENGTH), np.float32), "a", "b")
        made = jax.jit(scored)(params, tokens, scores)
        assert jax.typeof(made).sharding.spec == P("a", "b", None, None)
    _, expected, _ = whole(T5)
    assert_same_bits(made, np.broadcast_to(expected, made.shape))


@axis_types
def test_traced_positions_stay_on_their_devices(axis_type):
    mesh, params = mesh_of(axis_type), F.init_position_bias(KEY, T5)
    positions = put(mesh, np.tile(np.arange(16, dtype=np.int32), (2, 1)), "a")
    with jax.set_mesh(mesh):
        made = jax.jit(lambda p, at: F.apply_position_bias(T5, p, at, at))
        program = made.lower(params, positions).compile()
    assert "all-gather" not in program.as_text()
