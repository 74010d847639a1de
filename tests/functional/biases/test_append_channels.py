"""Queries, keys and values with the channels of a bias, in attention without a bias."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from attention_oracles import attention
from helpers import assert_close
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from programs import array_sizes

import attnax.functional as F

BATCH, LENGTH, HEADS, KV_HEADS, WIDTH = 2, 11, 4, 2, 6
SCALE = WIDTH**-0.5
HOST = jax.devices("cpu")[:4]
CAUSAL = np.tril(np.ones((LENGTH, LENGTH), bool))


def heads(dtype=np.float32):
    rng = np.random.default_rng(0)
    shapes = [(BATCH, LENGTH, n, WIDTH) for n in (HEADS, KV_HEADS, KV_HEADS)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def with_channels(q, k, v, bias, positions, **options):
    """Attention of JAX, which knows nothing of a bias."""
    channels = F.position_bias_channels(
        bias, None, positions, positions, scale=SCALE, dtype=q.dtype, causal=True
    )
    q, k, wide = F.append_channels(channels, q, k, v, **options)
    out = jax.nn.dot_product_attention(q, k, wide, scale=SCALE, is_causal=True)
    return out[..., : v.shape[-1]]


@pytest.mark.parametrize("multiple_of", (1, 8))
def test_attention_with_channels_is_attention_with_the_bias(multiple_of):
    bias, (q, k, v) = F.AlibiBias(HEADS), heads()
    positions = range(2000, 2000 + LENGTH)

    def run(q, k, v):
        return with_channels(q, k, v, bias, positions, multiple_of=multiple_of)

    places = np.arange(LENGTH)
    distances = np.abs(places - places[:, None])
    biases = -F.alibi_slopes(HEADS)[:, None, None] * distances
    expected = attention(q, k, v, biases, scale=SCALE, mask=CAUSAL)
    # Scores below 8 round in float32, with some roundings more of the sum.
    assert_close(jax.jit(run)(q, k, v), expected, magnitude=8 * np.abs(v).max())


def test_packed_documents_and_left_padding():
    """Positions with batch axes have channels with batch axes."""
    bias, (q, k, v) = F.AlibiBias(HEADS, form="signed"), heads()
    positions = np.stack([np.maximum(np.arange(LENGTH) - 4, 0), np.arange(LENGTH) % 6])
    matrix = jax.jit(lambda p: F.apply_position_bias(bias, None, p, p))(positions)
    actual = jax.jit(lambda *x: with_channels(*x[:3], bias, x[3]))(q, k, v, positions)
    expected = attention(q, k, v, matrix, scale=SCALE, mask=CAUSAL)
    assert_close(actual, expected, magnitude=8 * np.abs(v).max())


def test_gradients_pass_through_channels():
    """The gradient of queries, keys and values is that of attention with the bias."""
    bias, (q, k, v) = F.AlibiBias(HEADS, form="key"), heads()
    matrix = F.apply_position_bias(bias, None, range(LENGTH), range(LENGTH))[None]

    def dense(q, k, v):
        return jax.nn.dot_product_attention(
            q, k, v, bias=matrix, scale=SCALE, is_causal=True
        )

    def gradients(attend):
        loss = lambda *qkv: (attend(*qkv) ** 2).sum()
        return jax.jit(jax.grad(loss, (0, 1, 2)))(q, k, v)

    both = [
        gradients(lambda *qkv: with_channels(*qkv, bias, range(LENGTH))),
        gradients(dense),
    ]
    for actual, expected in zip(*both, strict=True):
        # Both are sums in float32 of numbers below 10.
        assert_close(actual, expected, magnitude=10.0, roundings=16)


def test_no_array_of_all_pairs_is_made():  # flash-attention#332, #342
    length = 512
    bias = F.AlibiBias(HEADS, form="signed")
    x = jax.ShapeDtypeStruct((length, HEADS, WIDTH), jnp.bfloat16)

    def function(q, k, v, positions):
        channels = F.position_bias_channels(
            bias, None, positions, positions, scale=SCALE, dtype=q.dtype
        )
        return F.append_channels(channels, q, k, v, multiple_of=8)

    jaxpr = jax.make_jaxpr(function)(x, x, x, jax.ShapeDtypeStruct((length,), "int32"))
    assert max(array_sizes(jaxpr.jaxpr)) == length * HEADS * 16  # queries


def test_values_wider_than_queries_widen_all_three():
    q, k, v = heads()
    v = np.concatenate([v, v], -1)
    channels = F.PositionChannels(*(np.ones((LENGTH, HEADS, 1), q.dtype) for _ in "qk"))
    q2, k2, v2 = F.append_channels(channels, q, k, v)
    assert q2.shape[-1] == k2.shape[-1] == v2.shape[-1] == 2 * WIDTH
    assert not q2[..., WIDTH + HEADS // KV_HEADS :].any()
    np.testing.assert_array_equal(v2, v)


def test_keys_whose_channels_differ_among_a_group_of_queries():
    rng = np.random.default_rng(1)
    q, k, v = heads()
    of_q, of_k = (rng.standard_normal((LENGTH, HEADS, 3)).astype("f") for _ in "qk")
    channels = F.PositionChannels(of_q, of_k)
    q2, k2, v2 = F.append_channels(channels, q, k, v, pad_values=False)
    assert q2.shape[-1] == k2.shape[-1] == WIDTH + 2 * 3
    np.testing.assert_array_equal(v2, v)
    grouped = np.repeat(np.asarray(k2, np.float64), HEADS // KV_HEADS, 2)
    actual = np.einsum("bqhc,bkhc->bhqk", np.asarray(q2, np.float64), grouped)
    k, of_q, of_k = (np.asarray(t, np.float64) for t in (k, of_q, of_k))
    content = np.einsum("bqhc,bkhc->bhqk", q, np.repeat(k, HEADS // KV_HEADS, 2))
    expected = content + np.einsum("qhc,khc->hqk", of_q, of_k)
    # float64 sums of twelve products below 10.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=12 * 10 * 2.0**-52)


@pytest.mark.parametrize(
    "bias",
    [
        F.AlibiBias(HEADS, form="signed"),
        F.TransformerXLBias(HEADS, WIDTH, 6),  # reads queries and keys
    ],
    ids=lambda bias: type(bias).__name__,
)
@pytest.mark.parametrize(
    "spec", [P("a", None, "b"), P(None, "a"), P("a", "b")], ids=str
)
def test_explicit_shardings_are_those_of_queries_and_keys(bias, spec):
    """Heads, batches or tokens are sharded; shardings are part of types there."""
    mesh = jax.make_mesh(
        (2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2, devices=HOST
    )
    params = F.init_position_bias(jax.random.key(0), bias)
    with jax.set_mesh(mesh):
        sharding = NamedSharding(mesh, P(*spec, *(None,) * (4 - len(spec))))
        shape = 4, 8, HEADS, WIDTH
        x = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
        of_positions = NamedSharding(mesh, P(sharding.spec[1]))
        positions = jax.ShapeDtypeStruct((8,), jnp.int32, sharding=of_positions)

        def function(x, positions):
            channels = F.position_bias_channels(
                *(bias, params, positions, positions),
                **dict.fromkeys(bias._reads, x),
                scale=SCALE,
                dtype=x.dtype,
            )
            return F.append_channels(channels, x, x, x)

        made = jax.eval_shape(jax.jit(function), x, positions)
    assert {t.sharding.spec for t in made} == {sharding.spec}


def channels_for(num_heads=HEADS, length=LENGTH, dtype="float32"):
    ones = np.ones((length, num_heads, 1))
    return F.PositionChannels(jnp.asarray(ones, dtype), jnp.asarray(ones[:, :1], dtype))


@pytest.mark.errors
def test_arrays_that_do_not_fit_are_refused():
    q, k, v = heads()
    with pytest.raises(ValueError, match="q has 4 heads and k has 2, but channels are"):
        F.append_channels(channels_for(num_heads=3), q, k, v)
    with pytest.raises(ValueError, match=r"q.shape=.* must have the tokens of the"):
        F.append_channels(channels_for(length=3), q, k, v)
    with pytest.raises(ValueError, match=r"q.dtype=float32 must be that of the"):
        F.append_channels(channels_for(dtype="bfloat16"), q, k, v)
