"""The bias of Transformer-XL as extra channels, and their error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformer_xl_bias_oracles as oracle
from bias_laws import channel_products
from helpers import jitted, refused, slow
from query_biases import normal

import attnax.functional as F

HEADS, WIDTH, FEATURES, LENGTH = 3, 16, 64, 9
SCALE = WIDTH**-0.5
PARAMS = F.TransformerXLBiasParams(
    weight=normal(0, HEADS, WIDTH, FEATURES),
    v=normal(1, HEADS, WIDTH),
    u=normal(2, HEADS, WIDTH),
)
Q, K = normal(3, 2, LENGTH, HEADS, WIDTH), normal(4, 2, LENGTH, HEADS, WIDTH)
PLAIN = F.TransformerXLBias(HEADS, WIDTH, FEATURES, key_term=False)
WITH_KEYS = F.TransformerXLBias(HEADS, WIDTH, FEATURES)
HALVES = F.TransformerXLBias(HEADS, WIDTH, FEATURES, layout="sin_cos", key_term=False)
CASES = {"plain": (PLAIN, 0), "halves": (HALVES, 0), "with keys": (WITH_KEYS, 0)}
CASES["far"] = PLAIN, 10**9
channels_of = jitted(F.position_bias_channels)
# What the page says of the error, as a part of the sum of magnitudes.
ERROR = {("float32", 1): 1e-6, ("bfloat16", 1): 2.0**-7, ("bfloat16", 2): 2.0**-14}


def expected(bias, q_positions, k_positions, q):
    """The bias in float64, and the sum of magnitudes of its products."""
    pairs = oracle.distances(q_positions, k_positions)
    in_turn = bias.layout == "interleaved"
    both = []
    for absolute in (False, True):
        arrays = q, PARAMS.v, PARAMS.weight, PARAMS.u, K
        q_, v, weight, u, k = (np.abs(t) if absolute else t for t in arrays)

        def encode(distance, absolute=absolute):
            r = oracle.sinusoids(distance, FEATURES, interleaved=in_turn)
            return np.ones_like(r) if absolute else r

        out = oracle.position_bias(q_, v, weight, encode, pairs)
        both.append(out + oracle.content_bias(u, k) if bias.key_term else out)
    return both


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("name", ("plain", *slow("halves", "with keys", "far")))
def test_products_are_the_bias(name, dtype):
    bias, first = CASES[name]
    positions = range(first + 2, first + 9), range(first, first + LENGTH)
    q = Q[:, 2:9]
    given = {"q": q, "k": K} if bias.key_term else {"q": q}
    wanted, sizes = expected(bias, *positions, q)
    for pieces in (1, 2) if dtype == "bfloat16" else (1,):
        settings = {"scale": SCALE, "dtype": dtype, "pieces": pieces}
        channels = channels_of(bias, PARAMS, *positions, **given, **settings)
        assert channels.q.dtype == channels.k.dtype == dtype
        count = FEATURES + bias.key_term
        assert (
            channels.q.shape[-1] == channels.k.shape[-1] == (1, 3)[pieces - 1] * count
        )
        assert channels.k.shape[-2] == (HEADS if bias.key_term else 1)
        error = np.abs(channel_products(channels, SCALE) - wanted)
        assert (error <= ERROR[dtype, pieces] * sizes.max()).all()


def test_heads_share_the_channels_of_keys():
    settings = {"scale": SCALE, "dtype": np.float32}
    channels = channels_of(PLAIN, PARAMS, range(3), range(5), q=Q[0, :3], **settings)
    sin_cos = np.asarray(channels.k)
    assert sin_cos.shape == (5, 1, FEATURES)
    ones = sin_cos[..., : FEATURES // 2] ** 2 + sin_cos[..., FEATURES // 2 :] ** 2
    np.testing.assert_allclose(ones, 1, rtol=0, atol=2.0**-21)


def test_attention_through_channels_is_attention_with_the_bias():
    v = normal(5, 2, LENGTH, HEADS, WIDTH)

    @jax.jit
    def both(q, k, v):
        positions = range(LENGTH), range(LENGTH)
        dense = F.apply_position_bias(WITH_KEYS, PARAMS, *positions, q=q, k=k)
        with_bias = jax.nn.dot_product_attention(q, k, v, bias=dense)
        channels = F.position_bias_channels(
            WITH_KEYS, PARAMS, *positions, q=q, k=k, scale=SCALE, dtype=q.dtype
        )
        wide = F.append_channels(channels, q, k, v)
        out = jax.nn.dot_product_attention(*wide, scale=SCALE)
        return with_bias, out[..., :WIDTH]

    with_bias, through_channels = both(Q, K, v)
    # Scores of a size of 100 are off by 1e-6 of that, and so are their exponentials.
    np.testing.assert_allclose(through_channels, with_bias, rtol=0, atol=1e-4)


def test_a_traced_position_outside_int32_gives_nan():
    positions = np.array([0, 2**31, 1], np.uint32)
    settings = {"scale": SCALE, "dtype": np.float32}
    q, k = channels_of(PLAIN, PARAMS, positions, positions, q=Q[0, :3], **settings)
    assert np.isnan(np.asarray(q)[1]).all() and np.isnan(np.asarray(k)[1]).all()
    assert np.isfinite(np.asarray(q)[::2]).all()


@pytest.mark.errors
@pytest.mark.parametrize(
    "settings", ({"max_distance": 4}, {"segments": True}, {"class_token": True})
)
def test_settings_that_have_no_channels(settings):
    bias = F.TransformerXLBias(HEADS, WIDTH, FEATURES, key_term=False, **settings)
    keys = normal(6, 2, HEADS, WIDTH)
    params = PARAMS._replace(s=PARAMS.v, segment_keys=keys)
    zeros = np.zeros(LENGTH, np.int32)
    given = {"q": (Q, zeros), "k": zeros} if bias.segments else {"q": Q}
    (name, value), *_ = settings.items()
    with refused(
        f"position_bias_channels: bias must not have {name}={value}: it is no"
    ):
        F.position_bias_channels(
            bias,
            params,
            range(LENGTH),
            range(LENGTH),
            **given,
            scale=SCALE,
            dtype=jnp.float32,
        )
