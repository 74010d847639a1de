import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_same_bits, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

PAIRS, SCALE_BASE = 8, 512.0
INV_FREQ = F.default_inv_freq(2 * PAIRS)
near = ax.integers((5,), -4096, 4096)
centers = st.sampled_from((0, 1, -700, 2049))
scale_bases = st.sampled_from((512.0, 300.0))


def zetas(pairs):
    """Sun et al. 2022, section 3.2, for the width `d = 2 pairs` and `gamma = 0.4`."""
    d = 2 * pairs
    return np.array([(2 * i + 0.4 * d) / (1.4 * d) for i in range(pairs)])


def scales(positions, scale_base, center, pairs=PAIRS):
    """`zeta ** ((position - center) / scale_base)`, the difference as an integer."""
    distance = np.array([int(p) - center for p in positions])[:, None]
    return zetas(pairs) ** (distance / scale_base)


def relative_error(distance, scale_base, pairs=PAIRS):
    """A bound for cos and sin, over the scale.

    The exponent in base e is `log(zeta) distance / scale_base`; it is rounded four
    times (distance, logarithm, their product, and another base). The exponential has
    two units, the product with cos one half, and cos itself is wrong by 1.2e-7, one.
    """
    exponent = np.log(zetas(pairs)) * distance / scale_base
    return (4 / 2 * np.abs(exponent) + 2 + 0.5 + 1) * 2.0**-23


def assert_scaled(actual, angle, factor, bound):
    """Cos and sin of the angle, times the factor; `bound` is relative to it."""
    for one, function in zip(actual, (np.cos, np.sin), strict=False):
        error = np.abs(np.asarray(one, np.float64) - factor * function(angle))
        assert (error <= bound * factor).all()


@given(positions=near, center=centers, scale_base=scale_bases)
def test_queries_and_keys_against_the_formula(positions, center, scale_base):
    actual = F.xpos_cos_sin(positions, INV_FREQ, scale_base=scale_base, center=center)
    angle = oracles.angles(positions, oracles.inv_freq(2 * PAIRS, 10_000))
    scale = scales(positions, scale_base, center)
    bound = relative_error(positions[:, None] - center, scale_base)
    for (cos, sin), factor in zip(actual, (scale, 1 / scale), strict=True):
        assert cos.dtype == sin.dtype == jnp.float32
        assert cos.shape == sin.shape == (5, PAIRS)
        assert_scaled((cos, sin), angle, factor, bound)


@pytest.mark.parametrize("pairs", (1, 32, 48, 64))
@pytest.mark.parametrize("center", (0, 1024))
def test_real_sizes(pairs, center):
    positions = np.array([0, 1, 255, 257, 1023, 2047, 2049, 4095], np.int32)
    inv_freq = F.default_inv_freq(2 * pairs, 500_000.0)
    query, key = F.xpos_cos_sin(jnp.asarray(positions), inv_freq, center=center)
    angle = oracles.angles(positions, oracles.inv_freq(2 * pairs, 500_000))
    scale = scales(positions, 512.0, center, pairs)
    bound = relative_error(positions[:, None] - center, 512.0, pairs)
    assert_scaled(query, angle, scale, bound)
    assert_scaled(key, angle, 1 / scale, bound)


@pytest.mark.parametrize("center", (2**25 + 1, -(2**27) - 1, 2**31 - 1, -(2**31)))
def test_far_positions_have_the_scales_of_the_distance(center):
    """Float32 holds no odd number past 2**24, so the difference is taken before it."""
    inside = 1 if center < 0 else -1
    positions = np.array([center + inside * k for k in (0, 1, 2, 255, 257, 1001)])
    positions = positions.astype(np.int32)
    (cos, _), (key_cos, _) = F.xpos_cos_sin(positions, np.zeros(PAIRS), center=center)
    scale = scales(positions, 512.0, center)
    assert_scaled([cos], 0.0, scale, relative_error(1001, 512.0))
    assert_scaled([key_cos], 0.0, 1 / scale, relative_error(1001, 512.0))


def test_differences_past_int32_do_not_wrap():
    ends = np.array([-(2**31), 2**31 - 1])
    for dtype, center in ((np.int32, 2**31 - 1), (np.int32, -(2**31)), (np.int64, 7)):
        (cos, _), _ = F.xpos_cos_sin(
            ends.astype(dtype), np.zeros(PAIRS), scale_base=2.0**31, center=center
        )
        expected = scales(ends, 2.0**31, center)
        assert_scaled([cos], 0.0, expected, relative_error(2.0, 1.0))


def test_the_slowest_pair_far_away():
    """A logarithm near 0 is as accurate as the others, relative to itself."""
    positions = np.array([-28_001, 26_001, 28_300], np.int32)
    (cos, _), _ = F.xpos_cos_sin(positions, np.zeros(64))
    scale = zetas(64)[-1] ** (positions / 512.0)
    bound = relative_error(positions[:, None], 512.0, 64)[:, -1]
    assert_scaled([cos[:, -1]], 0.0, scale, bound)


def pair_scores(m, n, q, k, **options):
    """What each pair adds to the score of `q` at `m` and `k` at `n`, in float64."""
    (cos, sin), _ = F.xpos_cos_sin(m, INV_FREQ, **options)
    _, (key_cos, key_sin) = F.xpos_cos_sin(n, INV_FREQ, **options)
    q, k = F.apply_rope(q, cos, sin), F.apply_rope(k, key_cos, key_sin)
    products = np.asarray(q, np.float64) * np.asarray(k, np.float64)
    return products.reshape(-1, 2, PAIRS).sum(axis=1)


def error_of_pair_scores(m, n, centers=(0,)):
    """Two numbers of at most 8, times 2 for pairs, rotated by cos and sin as above.

    The rotation rounds each a further 1.5 units, and both have two terms; what results
    scales with `zeta ** ((m - n) / scale_base)`.
    """
    units = sum(
        2 * (relative_error((p - center)[:, None], SCALE_BASE) + 1.5 * 2.0**-23)
        for center in centers
        for p in (m, n)
    )
    size = 2 * 8 * 2 * 8 * zetas(PAIRS) ** ((m - n)[:, None] / SCALE_BASE)
    return units * size


@given(data=st.data(), m=near, n=near)
def test_a_pair_scores_as_plainly_rotated_times_its_decay(data, m, n):
    q, k = (data.draw(ax.floats((5, 2 * PAIRS))) for _ in range(2))
    angle = oracles.angles(m - n, oracles.inv_freq(2 * PAIRS, 10_000))
    a, b = (
        t[:, :PAIRS] + 1j * t[:, PAIRS:]
        for t in (np.asarray(t, np.float64) for t in (q, k))
    )
    plain = (a * np.conj(b) * np.exp(1j * angle)).real
    decay = zetas(PAIRS) ** ((m - n)[:, None] / SCALE_BASE)
    actual = pair_scores(m, n, q, k)
    assert (np.abs(actual - plain * decay) <= error_of_pair_scores(m, n)).all()


@given(data=st.data(), m=near, n=near, shift=st.integers(-9999, 9999), center=centers)
def test_scores_depend_only_on_the_difference_and_on_no_center(
    data, m, n, shift, center
):
    q, k = (data.draw(ax.floats((5, 2 * PAIRS))) for _ in range(2))
    expected = pair_scores(m, n, q, k)
    shifted = pair_scores(m + np.int32(shift), n + np.int32(shift), q, k)
    bound = error_of_pair_scores(m, n, (0, -shift))
    assert (np.abs(shifted - expected) <= bound).all()
    centered = pair_scores(m, n, q, k, center=center)
    bound = error_of_pair_scores(m, n, (0, center))
    assert (np.abs(centered - expected) <= bound).all()


def test_at_the_center_nothing_is_scaled():
    positions = np.array([7, 8, 9], np.int32)
    cos, sin = F.rope_cos_sin(positions, INV_FREQ)
    query, key = F.xpos_cos_sin(positions, INV_FREQ, center=8)
    for actual in (query, key):
        assert_same_bits(actual[0][1], cos[1])
        assert_same_bits(actual[1][1], sin[1])
    assert (np.abs(query[0][0]) > np.abs(cos[0])).all()
    assert (np.abs(key[0][0]) < np.abs(cos[0])).all()
    query, key = F.xpos_cos_sin(positions, INV_FREQ, scale_base=np.inf)
    assert_same_bits(query[0], cos)
    assert_same_bits(key[1], sin)


centered = lambda positions: F.xpos_cos_sin(positions, INV_FREQ, center=300)
compiled = jax.jit(centered)
mapped = jax.jit(jax.vmap(centered))


@given(positions=ax.integers((2, 5), -4096, 4096))
def test_batch_jit_and_dtype_of_positions(positions):
    leaves = jax.tree.leaves(centered(positions))
    others = (
        compiled(positions),
        mapped(positions),
        centered(positions.astype(np.int16)),
    )
    for other in others:
        for actual, expected in zip(jax.tree.leaves(other), leaves, strict=True):
            assert_same_bits(actual, expected)


def exponentials(function, *args):
    text = jax.jit(function).lower(*args).compile().as_text()
    return len(re.findall(r" exponential\(", text))


def test_scales_are_made_once_for_all_layers_and_heads():
    def layers(count):
        def function(x, positions):
            query, key = (
                [t[:, None, :] for t in pair]
                for pair in F.xpos_cos_sin(positions, F.default_inv_freq(64))
            )
            for _ in range(count):
                q, k = F.apply_rope(x, *query), F.apply_rope(2 * x, *key)
                x = (q + k) @ jnp.eye(64)
            return x

        return function

    for count, heads in ((1, 1), (4, 8)):
        args = host.ones((32, heads, 64)), host.arange(32)
        assert exponentials(layers(count), *args) == 2  # of queries, and of keys


@pytest.mark.errors
@pytest.mark.parametrize("scale_base", (0.0, -512.0, float("nan")))
def test_scale_base_must_be_positive(scale_base):
    with pytest.raises(ValueError, match=f"scale_base={scale_base} must be finite and"):
        F.xpos_cos_sin(np.arange(3), INV_FREQ, scale_base=scale_base)


@pytest.mark.errors
def test_positions_and_frequencies_are_those_of_exact_numerics():
    with pytest.raises(ValueError, match="must be a float64 NumPy vector"):
        F.xpos_cos_sin(np.arange(3), INV_FREQ.astype(np.float32))
    with pytest.raises(ValueError, match=r"positions\[1\]=2147483648 must lie in"):
        F.xpos_cos_sin(np.array([0, 2**31]), INV_FREQ)


@pytest.mark.parametrize("center", (0, -700))
def test_as_far_as_float32_holds_the_scales(center):
    """At the end of the reach a score is still as exact as at the center."""
    reach = 28_328  # 100 octaves at log2(1.4 / 0.4) / 512 each
    positions = np.array([center - reach, center, center + reach], np.int32)
    query, key = F.xpos_cos_sin(positions, INV_FREQ, center=center)
    x = host.ones((3, 2 * PAIRS))
    q, k = F.apply_rope(x, *query), F.apply_rope(x, *key)
    same = np.asarray((np.asarray(q, np.float64) * np.asarray(k)).sum(-1))
    bound = 2 * PAIRS * 2 * relative_error(reach, SCALE_BASE).max() + 1e-5
    assert (np.abs(same - 2 * PAIRS) <= bound).all()
    beyond = np.array([center + reach + 1])
    with pytest.raises(ValueError, match=r"must lie in .* raise scale_base=512.0, or"):
        F.xpos_cos_sin(beyond, INV_FREQ, center=center)
    traced = jax.jit(lambda p: F.xpos_cos_sin(p, INV_FREQ, center=center))
    for leaf in jax.tree.leaves(traced(np.append(positions, beyond))):
        assert np.isnan(leaf).all(axis=-1).tolist() == [False, False, False, True]


@pytest.mark.errors
@pytest.mark.parametrize("center", (1.5, 2**31, True))
def test_center_is_a_position(center):
    with refused(f"center={center} must be an integer in "):
        F.xpos_cos_sin(np.arange(3), INV_FREQ, center=center)
