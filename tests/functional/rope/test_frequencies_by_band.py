import frequency_methods
import mpmath
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_frequencies, assert_within_one_ulp
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

SIZES = (2, 4, 64, 96, 128)
factors = st.sampled_from((1.0, 1.5, 8.0, 40.0, 2048.0))
lengths = st.sampled_from((512, 4096, 32_768))


def check_yarn(head_dim, base, factor, original_max_len, **settings):
    actual = F.yarn_inv_freq(
        head_dim,
        base,
        factor=factor,
        original_max_len=original_max_len,
        **{f"beta_{k}" if k != "truncate" else k: v for k, v in settings.items()},
    )
    expected = frequency_methods.yarn(
        head_dim, base, factor, original_max_len, **settings
    )
    # The plain frequency takes 16 roundings, the ramp and what it does 5. A bound that
    # is not truncated is `width * ln(ratio) / (2 ln(base))`, of a ratio below 2**13:
    # 3 absolute roundings of the logarithm and 3 relative ones, over the distance of
    # the bounds, which is that with ln(32): (3 + 3 * 9) / ln(32) < 9 of the ramp. Two
    # bounds, and twice that where the upper one is cut to half the distance.
    assert_frequencies(
        actual, expected, oracles.inv_freq(head_dim, base), roundings=16 + 36 + 5
    )
    return actual


@given(
    # A pair alone may turn too often within 32 768, and is refused: see below.
    head_dim=st.sampled_from(SIZES[1:]),
    base=ax.bases,
    factor=factors,
    original_max_len=lengths,
    truncate=st.booleans(),
)
def test_yarn_is_the_ramp_of_the_paper(
    head_dim, base, factor, original_max_len, truncate
):
    check_yarn(head_dim, base, factor, original_max_len, truncate=truncate)


@pytest.mark.parametrize(
    "head_dim, base, factor, original_max_len, settings",
    (
        pytest.param(64, 150_000.0, 32.0, 4096, {"truncate": False}, id="gpt-oss"),
        pytest.param(64, 150_000.0, 32.0, 4096, {"truncate": True}, id="truncated"),
        pytest.param(128, 1e6, 4.0, 32_768, {}, id="qwen"),
        pytest.param(64, 1e4, 2048.0, 512, {}, id="mistral-large-4"),
        pytest.param(64, 1e4, 40.0, 4096, {"fast": 32.0, "slow": 1.0}, id="deepseek"),
        pytest.param(96, 1e4, 4.0, 4096, {"fast": 8.0, "slow": 2.5}, id="betas"),
        pytest.param(64, 1e4, 4.0, 4096, {"fast": 3.0, "slow": 3.0}, id="equal"),
        pytest.param(
            64, 1e4, 4.0, 4096, {"fast": 3.0, "slow": 3.0, "truncate": False}, id="step"
        ),
    ),
)
def test_yarn_of_released_models(head_dim, base, factor, original_max_len, settings):
    actual = check_yarn(head_dim, base, factor, original_max_len, **settings)
    plain = F.default_inv_freq(head_dim, base)
    assert actual[0] == plain[0]
    np.testing.assert_allclose(actual[-1], plain[-1] / factor, rtol=factor * 2.0**-53)


@pytest.mark.parametrize(
    "truncate, low, high", ((False, 8.093, 17.398), (True, 8.0, 18.0))
)
def test_yarn_bounds_of_gpt_oss(truncate, low, high):
    plain = F.default_inv_freq(64, 150_000.0)
    scaled = F.yarn_inv_freq(
        64, 150_000.0, factor=32.0, original_max_len=4096, truncate=truncate
    )
    ramp = (1 - scaled / plain) / (1 - 1 / 32.0)
    wanted = np.clip((np.arange(32) - low) / (high - low), 0, 1)
    # The bounds are given to three places: two of 5e-4, over a distance of 9.
    np.testing.assert_allclose(ramp, wanted, rtol=0, atol=1e-3 / 9)


@given(base=ax.bases, factor=factors, truncate=st.booleans())
def test_yarn_of_one_pair(base, factor, truncate):
    check_yarn(2, base, factor, 512, truncate=truncate)


def test_yarn_steps_where_the_bounds_fall_together():
    # Both bounds at index 0: the ramp is a thousandth wide, the first pair stays.
    actual = check_yarn(64, 1e4, 4.0, 6)
    plain = F.default_inv_freq(64, 1e4)
    assert actual[0] == plain[0]
    np.testing.assert_array_equal(actual[1:], plain[1:] / 4.0)


# Of Llama 3.1 and 3.2, and with no room for a blend in which a whole number falls.
LLAMAS = (
    pytest.param(128, 5e5, 8.0, 1.0, 4.0, 8192, id="llama-3.1"),
    pytest.param(64, 5e5, 32.0, 1.0, 4.0, 8192, id="llama-3.2"),
    pytest.param(96, 1e4, 32.0, 0.125, 0.5, 512, id="higgs"),
    pytest.param(64, 1e4, 8.0, 1.0, 1.0 + 2.0**-20, 4096, id="step"),
)


def check_llama3(head_dim, base, factor, low, high, original_max_len):
    actual = F.llama3_inv_freq(
        head_dim,
        base,
        factor=factor,
        low_freq_factor=low,
        high_freq_factor=high,
        original_max_len=original_max_len,
    )
    expected = frequency_methods.llama3(
        head_dim, base, factor, low, high, original_max_len
    )
    # The plain frequency, 16. Within the blend the turns, at most `high`, have 19
    # roundings in all; over the distance of the bounds they are the share. Then 5.
    roundings = 16 + 19 * high / (high - low) + 5
    plain = oracles.inv_freq(head_dim, base)
    assert_frequencies(actual, expected, plain, roundings=roundings)
    return actual


@pytest.mark.parametrize("head_dim, base, factor, low, high, original_max_len", LLAMAS)
def test_llama3_of_released_models(head_dim, base, factor, low, high, original_max_len):
    actual = check_llama3(head_dim, base, factor, low, high, original_max_len)
    plain = F.default_inv_freq(head_dim, base)
    assert (actual == plain).any()
    apart = np.abs(actual * factor - plain) / plain
    assert (apart <= factor * 2.0**-52).any()


@given(
    head_dim=st.sampled_from(SIZES),
    base=ax.bases,
    factor=factors,
    original_max_len=lengths,
)
def test_llama3_is_metas_three_cases(head_dim, base, factor, original_max_len):
    check_llama3(head_dim, base, factor, 1.0, 4.0, original_max_len)


@pytest.mark.parametrize("bound", ("low", "high"))
@pytest.mark.parametrize("beside", (0.0, 1e-9, -1e-9))
def test_llama3_is_continuous_at_its_bounds(bound, beside):
    """A wavelength that is exactly a bound, or just off it, on either side."""
    # Turns of the second pair, 1e-2 radians per position, over the trained length.
    turns = 4096 * 0.01 / (2 * np.pi) * (1 + beside)
    low, high = (turns, 4 * turns) if bound == "low" else (turns / 4, turns)
    actual = check_llama3(4, 1e4, 8.0, low, high, 4096)
    wanted = 0.01 / 8.0 if bound == "low" else 0.01
    # A share of 4 / 3 * 1e-9 of the blend, at most, times what it blends.
    np.testing.assert_allclose(actual[1], wanted, rtol=0, atol=0.01 * 1.5e-9)


@given(
    head_dim=st.sampled_from(SIZES),
    base=ax.bases,
    factor=factors,
    original_max_len=lengths,
    bound=st.floats(0.125, 8.0),
)
def test_llama3_with_one_bound_is_a_step(
    head_dim, base, factor, original_max_len, bound
):
    """As Llama 4 Scout has it: the limit of bounds that come together."""
    actual = F.llama3_inv_freq(
        head_dim,
        base,
        factor=factor,
        low_freq_factor=bound,
        high_freq_factor=bound,
        original_max_len=original_max_len,
    )
    plain = F.default_inv_freq(head_dim, base)
    turns = original_max_len * plain / (2 * np.pi)
    expected = np.where(turns < bound, plain / factor, plain)
    clear = np.abs(turns - bound) > 2.0**-48 * bound
    assert_within_one_ulp(actual[clear], expected[clear])


def test_llama3_keeps_a_pair_at_the_one_bound():
    plain = F.default_inv_freq(8)
    bound = float(4096 * plain[1] / (2 * np.pi))
    actual = F.llama3_inv_freq(
        8,
        factor=8.0,
        low_freq_factor=bound,
        high_freq_factor=bound,
        original_max_len=4096,
    )
    np.testing.assert_array_equal(actual, plain / [1.0, 1.0, 8.0, 8.0])


@given(data=st.data(), head_dim=st.sampled_from(SIZES), base=ax.bases)
def test_longrope_divides_each_by_its_own(data, head_dim, base):
    element = st.floats(0.5, 64.0)
    pairs = head_dim // 2
    numbers = data.draw(st.lists(element, min_size=pairs, max_size=pairs))
    expected = frequency_methods.longrope(head_dim, base, numbers)
    plain = oracles.inv_freq(head_dim, base)
    wanted = [f / n for f, n in zip(plain, numbers, strict=True)]
    for given_ in (numbers, tuple(numbers), np.array(numbers)):
        actual = F.longrope_inv_freq(head_dim, base, factors=given_)
        assert_frequencies(actual, expected, wanted, roundings=16 + 1)


@given(
    head_dim=st.sampled_from(SIZES),
    base=ax.bases,
    original_max_len=st.sampled_from((512, 4096)),
)
def test_what_changes_nothing_changes_no_bit(head_dim, base, original_max_len):
    plain = F.default_inv_freq(head_dim, base)
    kwargs = {"factor": 1.0, "original_max_len": original_max_len}
    bounds = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    for actual in (
        F.yarn_inv_freq(head_dim, base, **kwargs),
        F.yarn_inv_freq(head_dim, base, **kwargs, truncate=False),
        F.llama3_inv_freq(head_dim, base, **kwargs, **bounds),
        F.longrope_inv_freq(head_dim, base, factors=[1.0] * (head_dim // 2)),
    ):
        assert_within_one_ulp(actual, plain)


def test_the_words_hold_the_scaled_frequencies():
    """Cos and sin of scaled frequencies are exact too, at a million."""
    positions = np.array([1_000_003, -131_071], np.int32)
    inv_freq = F.yarn_inv_freq(64, 150_000.0, factor=32.0, original_max_len=4096)
    cos, sin = F.rope_cos_sin(positions, inv_freq)
    with mpmath.workdps(60):
        wanted = frequency_methods.yarn(64, 150_000.0, 32.0, 4096)
        angle = oracles.angles(positions, wanted)
    for actual, expected in ((cos, np.cos(angle)), (sin, np.sin(angle))):
        assert np.abs(np.asarray(actual, np.float64) - expected).max() <= 1.2e-7


@pytest.mark.errors
@pytest.mark.parametrize("beta_slow", (0.0, -1.0, float("inf")))
def test_beta_slow_must_be_positive(beta_slow):
    message = f"yarn_inv_freq: beta_slow={beta_slow} must be finite and positive"
    with pytest.raises(ValueError, match=message):
        F.yarn_inv_freq(8, factor=2.0, original_max_len=4096, beta_slow=beta_slow)


@pytest.mark.errors
@pytest.mark.parametrize("beta_fast", (0.5, float("inf"), float("nan")))
def test_beta_fast_must_be_at_least_beta_slow(beta_fast):
    message = f"beta_fast={beta_fast} must be (at least beta_slow=1.0|a finite)"
    with pytest.raises(ValueError, match=message):
        F.yarn_inv_freq(8, factor=2.0, original_max_len=4096, beta_fast=beta_fast)


@pytest.mark.errors
@pytest.mark.parametrize("base", (1.0, 0.5))
def test_yarn_wants_a_base_above_1(base):
    with pytest.raises(ValueError, match=f"yarn_inv_freq: base={base} must be above 1"):
        F.yarn_inv_freq(8, base, factor=2.0, original_max_len=4096)


@pytest.mark.errors
@pytest.mark.parametrize(
    "head_dim, base, original_max_len",
    ((64, 1e4, 1), (4, 1e4, 10**12), (2, 1e2, 2**15)),
)
def test_yarn_wants_a_pair_between_the_bounds(head_dim, base, original_max_len):
    message = f"original_max_len={float(original_max_len)} must be such that some pair"
    kwargs = {"factor": 2.0, "original_max_len": original_max_len, "truncate": False}
    with pytest.raises(ValueError, match=message):
        F.yarn_inv_freq(head_dim, base, **kwargs)
    plain = F.yarn_inv_freq(head_dim, base, **kwargs | {"factor": 1.0})
    np.testing.assert_array_equal(plain, F.default_inv_freq(head_dim, base))


@pytest.mark.errors
@pytest.mark.parametrize("low", (0.0, -1.0, float("nan")))
def test_low_freq_factor_must_be_positive(low):
    message = f"llama3_inv_freq: low_freq_factor={low} must be finite and positive"
    with pytest.raises(ValueError, match=message):
        F.llama3_inv_freq(
            8,
            factor=2.0,
            low_freq_factor=low,
            high_freq_factor=4.0,
            original_max_len=64,
        )


@pytest.mark.errors
@pytest.mark.parametrize("high", (0.5, float("inf"), float("nan")))
def test_high_freq_factor_must_not_be_below_low(high):
    message = f"high_freq_factor={high} must be (a finite|at least low_freq_factor=1.0)"
    with pytest.raises(ValueError, match=message):
        F.llama3_inv_freq(
            8,
            factor=2.0,
            low_freq_factor=1.0,
            high_freq_factor=high,
            original_max_len=64,
        )


@pytest.mark.errors
@pytest.mark.parametrize("count", (0, 1, 3))
def test_longrope_wants_one_factor_for_each_pair(count):
    message = rf"factors of shape \({count},\) must hold one number for each of the 2"
    with pytest.raises(ValueError, match=message):
        F.longrope_inv_freq(4, factors=[1.0] * count)


@pytest.mark.errors
@pytest.mark.parametrize("bad", (0.0, -1.0, float("inf"), float("nan")))
def test_longrope_factors_must_be_positive(bad):
    with pytest.raises(ValueError, match=rf"factors=\[1.0, {bad}\] must be positive"):
        F.longrope_inv_freq(4, factors=[1.0, bad])
