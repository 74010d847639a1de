import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rope_oracles
import strategies as ax
from helpers import assert_same_bits, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

GIVEN = (None, 0.0, 0.707, 1.0)
# A logarithm, two products, two sums and a quotient in float64.
CLOSE = {"rtol": 8 * 2.0**-53, "atol": 0}


@pytest.mark.parametrize("factor", (1.0, 1.5, 40.0, 2048.0))
@pytest.mark.parametrize("mscale", GIVEN)
@pytest.mark.parametrize("all_dim", GIVEN)
def test_yarn_rules(factor, mscale, all_dim):
    growth = lambda weight: rope_oracles.growth(factor, weight)
    wanted = {
        # Both given and neither 0, or the paper's factor.
        "huggingface": (
            growth(mscale) / growth(all_dim) if mscale and all_dim else growth(1)
        ),
        # Always a quotient, of 1 over nothing by default.
        "deepseek": (
            growth(1 if mscale is None else mscale)
            / growth(0 if all_dim is None else all_dim)
        ),
    }
    for rule, expected in wanted.items():
        actual = F.yarn_attention_factor(
            factor, mscale=mscale, mscale_all_dim=all_dim, rule=rule
        )
        np.testing.assert_allclose(actual, float(expected), **CLOSE)


@pytest.mark.parametrize(
    "rule, mscale, all_dim, expected",
    (
        ("huggingface", 0.707, 0.0, 1.3688879454113936),
        ("huggingface", 0.707, 0.707, 1.0),
        ("huggingface", 1.0, 0.5, 1.1557219901962608),
        ("huggingface", 0.0, 1.0, 1.3688879454113936),
        ("deepseek", 0.707, 0.0, 1.2608037774058553),
        ("deepseek", 0.707, 0.707, 1.0),
    ),
)
def test_yarn_golden_values_at_40(rule, mscale, all_dim, expected):
    """Of transformers 5.23.0, `ROPE_INIT_FUNCTIONS["yarn"]`; DeepSeek's by hand."""
    actual = F.yarn_attention_factor(
        40.0, mscale=mscale, mscale_all_dim=all_dim, rule=rule
    )
    np.testing.assert_allclose(actual, expected, **CLOSE)


@pytest.mark.parametrize("factor", (1.0, 4.0, 40.0))
@pytest.mark.parametrize("all_dim", (0.0, 0.707, 1.0))
def test_yarn_softmax_factor_is_the_square_of_the_growth(factor, all_dim):
    actual = F.yarn_softmax_factor(factor, mscale_all_dim=all_dim)
    expected = float(rope_oracles.growth(factor, all_dim) ** 2)
    np.testing.assert_allclose(actual, expected, **CLOSE)
    # What cos and sin and the softmax scale do together is the factor of the paper.
    whole = F.yarn_attention_factor(
        factor, mscale=1.0, mscale_all_dim=all_dim, rule="deepseek"
    )
    paper = F.yarn_attention_factor(factor)
    np.testing.assert_allclose(whole**2 * actual, paper**2, rtol=24 * 2.0**-53)


@pytest.mark.parametrize("factor", (1.0, 32.0, 40.0))
@pytest.mark.parametrize("original_max_len", (2, 4096, 131_072))
def test_longrope_is_the_root_of_a_quotient_of_logarithms(factor, original_max_len):
    actual = F.longrope_attention_factor(factor, original_max_len)
    squared = 1 + float(rope_oracles.growth(factor, 10) - 1) / np.log(original_max_len)
    np.testing.assert_allclose(actual**2, squared, **CLOSE)
    assert F.longrope_attention_factor(1.0, original_max_len) == 1.0


def test_longrope_golden_value_of_phi_3():
    actual = F.longrope_attention_factor(32.0, 4096)
    np.testing.assert_allclose(actual, 1.1902380714238083, **CLOSE)


def check_temperature(positions, beta, original_max_len, offset):
    positions = np.array(positions, np.int32)
    actual = F.query_temperature(
        positions, beta=beta, original_max_len=original_max_len, offset=offset
    )
    assert actual.dtype == jnp.float32
    expected = [
        rope_oracles.temperature(p, beta, original_max_len, offset)
        for p in positions.tolist()
    ]
    # The steps are rounded (which moves their logarithm by as much), the logarithm by
    # two units, beta, the product and the sum: in units of a result of at least 1.
    np.testing.assert_allclose(actual, expected, rtol=(1 + 2 + 3) * 2.0**-24 * 1.5)
    return actual


@pytest.mark.parametrize("offset", (0, 1))
@pytest.mark.parametrize(
    "original_max_len", (1, 3, 4096, 8192, 2**24 + 1, 2**31 - 1, 2**31, 2**40)
)
def test_temperature_steps_at_the_exact_multiples(original_max_len, offset):
    last = (2**31 - 1) // original_max_len
    multiples = {1, 2, 3, 255, 1000, 2**11 + 1, last // 2, last}
    multiples = sorted(k for k in multiples if 1 <= k <= last)
    around = [k * original_max_len + d for k in multiples for d in (-2, -1, 0, 1)]
    hard = [0, 1, 2**24, 2**24 + 1, 2**31 - 2, 2**31 - 1]
    positions = [p for p in (*around, *hard) if 0 <= p < 2**31]
    positions = np.resize(positions, 38)  # as many for every length
    check_temperature(positions, 0.1, original_max_len, offset)


def test_a_float32_quotient_would_step_too_early():
    # 2**24 / (2**24 + 1) is 1 in float32; 2**31 - 1 + 1 does not fit into int32.
    early = check_temperature([2**24, 2**24 + 1], 1.0, 2**24 + 1, 0)
    assert_same_bits(early[0], np.float32(1.0))
    assert early[1] > 1.6
    full = check_temperature(
        [2**30 - 2, 2**30 - 1, 2**31 - 2, 2**31 - 1], 1.0, 2**30, 1
    )
    np.testing.assert_allclose(full, 1 + np.log([1, 2, 2, 3]), rtol=2.0**-22)


@given(
    position=st.integers(0, 2**31 - 1),
    original_max_len=st.integers(1, 2**31 - 1),
    offset=st.sampled_from((0, 1)),
    beta=st.floats(0.0, 2.0),
)
def test_temperature_of_any_position(position, original_max_len, offset, beta):
    check_temperature([position], beta, original_max_len, offset)


@given(dtype=ax.integer_dtypes)
def test_temperature_of_every_integer_dtype_and_shape(dtype):
    positions = np.arange(12, dtype=dtype).reshape(2, 3, 2)
    function = lambda p: F.query_temperature(p, beta=0.1, original_max_len=4)
    expected = check_temperature(np.arange(12), 0.1, 4, 0).reshape(2, 3, 2)
    assert_same_bits(function(positions), expected)
    assert_same_bits(jax.vmap(function)(jnp.asarray(positions)), expected)


def test_traced_positions_out_of_range_give_nan():
    function = lambda p: F.query_temperature(p, beta=0.1, original_max_len=4)
    signed = jax.jit(function)(jnp.array([-1, 0, -(2**31)]))
    np.testing.assert_array_equal(np.isnan(signed), [True, False, True])
    unsigned = jax.jit(function)(jnp.array([2**31, 5, 2**32 - 1], jnp.uint32))
    np.testing.assert_array_equal(np.isnan(unsigned), [True, False, True])


@pytest.mark.errors
@pytest.mark.parametrize("factor", (0.0, 0.99, float("inf"), float("nan")))
def test_factor_must_be_at_least_1(factor):
    for name, call in {
        "yarn_attention_factor": lambda: F.yarn_attention_factor(factor),
        "yarn_softmax_factor": lambda: F.yarn_softmax_factor(
            factor, mscale_all_dim=1.0
        ),
        "longrope_attention_factor": lambda: F.longrope_attention_factor(factor, 4096),
    }.items():
        with pytest.raises(ValueError, match=f"{name}: factor={factor} must be a fin"):
            call()


@pytest.mark.errors
def test_rule_must_be_known():
    with pytest.raises(ValueError, match="rule='paper' must be 'huggingface' or"):
        F.yarn_attention_factor(4.0, rule="paper")


@pytest.mark.errors
@pytest.mark.parametrize("original_max_len", (1, 0, -4096))
def test_longrope_wants_a_length_of_2(original_max_len):
    with pytest.raises(ValueError, match=f"={original_max_len} must be .* at least 2"):
        F.longrope_attention_factor(32.0, original_max_len)


@pytest.mark.errors
def test_temperature_is_checked():
    kwargs = {"beta": 0.1, "original_max_len": 4}
    with pytest.raises(ValueError, match="offset=2 must be an integer"):
        F.query_temperature(host.arange(3), **kwargs, offset=2)
    for length in (0, -3, 0.5, 2.9):
        with refused(f"original_max_len={length} must be a positive integer"):
            F.query_temperature(host.arange(3), beta=0.1, original_max_len=length)
    with pytest.raises(ValueError, match="beta=nan must be a finite"):
        F.query_temperature(host.arange(3), beta=float("nan"), original_max_len=9)
    with pytest.raises(ValueError, match=r"positions\[1\]=-3 must lie in \[0, "):
        F.query_temperature(jnp.array([0, -3, -1]), **kwargs)
    with pytest.raises(ValueError, match=rf"positions\[0\]={2**31} must lie in \[0, "):
        F.query_temperature(np.array([2**31]), **kwargs)
    with refused("positions.dtype=float32 must be integer"):
        F.query_temperature(jnp.array([0.5], jnp.float32), **kwargs)


@pytest.mark.errors
@pytest.mark.parametrize("weight", (-10.0, float("nan"), float("inf")))
def test_weights_are_not_negative(weight):
    """With a weight of -10 / ln(factor) the denominator would be 0."""
    for name in ("mscale", "mscale_all_dim"):
        for rule in ("huggingface", "deepseek"):
            weights = {"mscale": 1.0, "mscale_all_dim": 1.0} | {name: weight}
            with pytest.raises(ValueError, match=f"{name}={weight} must be a finite"):
                F.yarn_attention_factor(40.0, **weights, rule=rule)
    for softmax_weight in (weight, None):
        with refused(f"mscale_all_dim={softmax_weight} must be a finite number of"):
            F.yarn_softmax_factor(40.0, mscale_all_dim=softmax_weight)
