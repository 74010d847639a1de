"""ALiBi as extra channels of queries and keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bias_laws import channel_products
from helpers import jitted

import attnax.functional as F

DTYPES = ("bfloat16", "float16", "float32")
# What two numbers leave of a slope: each has 8 bits in bfloat16 and 11 in float16. In
# float32 the first is one of bfloat16 and the second has 24 bits.
LEFT = {"bfloat16": 2.0**-16, "float16": 2.0**-22, "float32": 2.0**-32}


def channels_of(bias, q_positions, k_positions, **options):
    options = {"scale": 64**-0.5, "dtype": "bfloat16", **options}
    return F.position_bias_channels(bias, None, q_positions, k_positions, **options)


def products(channels, scale=64**-0.5):
    return channel_products(channels, scale)


def relative_to_query(scores, q_positions, k_positions):
    """Scores minus that of the key at the position of the query."""
    own = [list(k_positions).index(i) for i in q_positions]
    return scores - scores[:, np.arange(len(own)), own][..., None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("num_heads", "head_dim"), [(8, 64), (12, 80)])
def test_products_are_slopes_times_distances(dtype, num_heads, head_dim):
    bias, scale = F.AlibiBias(num_heads, form="signed"), head_dim**-0.5
    q_positions, k_positions = range(60_000, 60_007), range(60_007)
    channels = channels_of(bias, q_positions, k_positions, scale=scale, dtype=dtype)
    assert channels.q.dtype == channels.k.dtype == dtype
    scores = relative_to_query(products(channels, scale), q_positions, k_positions)
    slopes = F.alibi_slopes(num_heads).astype(np.float32).astype(np.float64)
    distances = np.subtract.outer(k_positions, q_positions).T
    expected = slopes[:, None, None] * distances
    exact = num_heads == 8  # slopes are powers of two, and so is the scale
    assert channels.q.shape[-1] == (2 if exact else 4)
    left = 0 if exact else LEFT[dtype]
    # float64 rounds four products and their sum, each below 60,007 slopes.
    tolerance = left * np.abs(expected) + 2.0**-50 * slopes.max() * 60_007
    if dtype == "float16":  # its smallest numbers are 2**-24 apart
        tolerance += 2.0**-25 * 255 * scale
    assert (np.abs(scores - expected) <= tolerance).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sixteen_million_keys_have_exact_positions(dtype):
    bias = F.AlibiBias(8, form="key")
    far = [0, 1, 255, 256, 257, 65_535, 65_536, 2**24 - 3, 2**24 - 2, 2**24 - 1]
    step = jitted(channels_of)
    channels = step(bias, np.array([2**24 - 1]), np.array(far), dtype=dtype)
    expected = F.alibi_slopes(8)[:, None, None] * (np.array(far) - far[-1])
    np.testing.assert_array_equal(products(channels), expected)


def test_farther_keys_count_as_sixteen_million():
    # The largest difference of two int32 does not overflow.
    positions = np.array([-(2**31), 0, 2**31 - 1])
    channels = channels_of(F.AlibiBias(1, form="key"), np.array([5]), positions)
    farthest = 2.0**-8 * (2**24 - 1)
    expected = [[[-farthest, -5 * 2.0**-8, farthest]]]
    np.testing.assert_array_equal(products(channels), expected)


def test_near_keys_of_a_step_have_small_terms():
    """A sum in float32 of terms that are as large as the position would round them."""
    bias, near = F.AlibiBias(8, form="signed"), range(999_900, 1_000_001)
    channels = channels_of(bias, [1_000_000], near, dtype="float32", scale=128**-0.5)
    q, k = channels
    scores = jnp.einsum("qhc,kc->hqk", q, k[:, 0], precision="highest")
    scores = np.asarray(scores * np.float32(128**-0.5), np.float64)
    expected = F.alibi_slopes(8)[:, None, None] * (np.array(near) - 1_000_000)
    # Four products and their sum, each below 50, round to float32.
    np.testing.assert_allclose(scores, expected, rtol=0, atol=8 * 2.0**-24 * 50)


def test_the_constant_of_a_row_depends_on_its_queries_alone():
    """Parts of the keys in calls of their own, as in ring attention, fit together."""
    bias, queries = F.AlibiBias(4, form="signed"), range(300, 310)
    whole = products(channels_of(bias, queries, range(600)))
    parts = [channels_of(bias, queries, range(n, n + 200)) for n in (0, 200, 400)]
    parts = np.concatenate([products(part) for part in parts], -1)
    np.testing.assert_array_equal(parts, whole)


def test_forms_have_the_same_channels():
    """Softmax removes what is constant in a row  # llm-foundry#186."""
    queries, keys = range(3, 9), range(9)
    signed = channels_of(F.AlibiBias(6, form="signed"), queries, keys)
    key = channels_of(F.AlibiBias(6, form="key"), queries, keys)
    causal = channels_of(F.AlibiBias(6), queries, keys, causal=True)
    for other in (key, causal):
        jax.tree.map(np.testing.assert_array_equal, signed, other)


def test_sixteen_bit_slopes_keep_their_ratio():  # flash-attention#845
    """The slopes of 12 heads are no numbers of float16; their channels add up."""
    q = channels_of(F.AlibiBias(12, form="key"), [0], [0], dtype="float16", scale=1.0).q
    slopes = F.alibi_slopes(12)
    assert (np.abs(slopes.astype(np.float16) - slopes) > 1e-4 * slopes).any()
    total = np.asarray(q, np.float64).sum((0, 2))
    np.testing.assert_allclose(total, slopes, rtol=2.0**-22 + 2.0**-24)


def test_traced_positions_give_the_products_of_known_ones():
    bias = F.AlibiBias(6, form="signed")
    known = channels_of(bias, range(500, 507), range(507))
    traced = jitted(channels_of)(bias, np.arange(500, 507), np.arange(507))
    assert (known.q.shape[-1], traced.q.shape[-1]) == (2, 3)
    np.testing.assert_array_equal(products(traced), products(known))


def test_batch_is_vmap():
    bias = F.AlibiBias(3, form="signed")
    rng = np.random.default_rng(0)
    q, k = (rng.integers(0, 10**6, (2, length)) for length in (3, 5))
    batch = jitted(channels_of)(bias, q, k)
    each = jax.jit(jax.vmap(lambda q, k: channels_of(bias, q, k)))(q, k)
    np.testing.assert_array_equal(batch.k, each.k)
    # Channels of queries are slopes, which no position changes.
    np.testing.assert_array_equal(np.broadcast_to(batch.q, each.q.shape), each.q)
    one = channels_of(bias, q[1], k[1])
    np.testing.assert_array_equal(batch.k[1], one.k)


def test_a_position_outside_int32_gives_nan():
    bias, positions = F.AlibiBias(2, form="key"), np.array([1, 2**31 + 5], np.uint32)
    channels = jitted(channels_of)(bias, positions, positions)
    for of_one in channels:
        bad = np.isnan(np.asarray(of_one, np.float32)).all((1, 2))
        np.testing.assert_array_equal(bad, [False, True])
    assert np.isfinite(np.asarray(channels.k[0], np.float32)).all()


def test_more_pieces_are_more_exact():
    slopes = F.alibi_slopes(12)
    errors = []
    for pieces in (1, 2, 3):
        q = channels_of(F.AlibiBias(12, form="key"), [0], [1], pieces=pieces).q
        assert q.shape[-1] == pieces
        total = float(np.float32(64**-0.5)) * np.asarray(q, np.float64).sum((0, 2))
        errors.append(np.abs(total / slopes - 1).max())
    assert errors[0] > 2.0**-14 and errors[1] < 2.0**-16 and errors[2] < 2.0**-23


def test_no_queries_or_no_keys():
    bias = F.AlibiBias(2, form="signed")
    assert jax.eval_shape(lambda: channels_of(bias, [], range(3))).q.shape[0] == 0
    assert jax.eval_shape(lambda: channels_of(bias, range(3), [])).k.shape[0] == 0


@pytest.mark.errors
def test_the_symmetric_form_needs_a_causal_mask():
    with pytest.raises(ValueError, match="form='symmetric' must come with causal=True"):
        channels_of(F.AlibiBias(2), range(3), range(3))


@pytest.mark.errors
def test_a_dtype_that_does_not_hold_digits_is_refused():
    with pytest.raises(ValueError, match="dtype=float8_e5m2 must hold the integers"):
        channels_of(F.AlibiBias(2, form="key"), [0], [0], dtype="float8_e5m2")


@pytest.mark.errors
def test_a_scale_too_small_for_float16_is_refused():
    with pytest.raises(ValueError, match="must be larger: float16 does not hold"):
        channels_of(F.AlibiBias(2, form="key"), [0], [0], dtype="float16", scale=1e-9)


@pytest.mark.errors
@pytest.mark.parametrize("scale", (0.0, 1e-50, 1e39))
def test_a_scale_that_float32_does_not_hold_is_refused(scale):
    with pytest.raises(
        ValueError, match=r"scale=\S+ must be a finite number in \[1.17549e-38"
    ):
        channels_of(F.AlibiBias(2, form="key"), [0], [0], scale=scale)
