import frequency_methods
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from frequency_methods import BASE, FURTHER, METHODS, WIDTH
from helpers import assert_frequencies, assert_same_bits, assert_within_one_ulp
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

SIZES = (64, 96, 128)
factors = st.sampled_from((1.0, 1.5, 8.0, 40.0, 2048.0))
# The plain frequency, see the first test, and what the methods do to it.
PLAIN = 16


@given(head_dim=ax.rotary_dims, base=ax.bases)
def test_default_is_within_two_units_of_the_last_place(head_dim, base):
    actual = F.default_inv_freq(head_dim, base)
    expected = np.array([float(f) for f in oracles.inv_freq(head_dim, base)])
    assert actual.dtype == np.float64
    # One rounding of the exponent, at most ln(base) < 14 times as large in the power
    # where the power is small, and one of the power itself.
    np.testing.assert_allclose(actual, expected, rtol=16 * 2.0**-53, atol=0)


@given(head_dim=ax.rotary_dims, base=ax.bases, dtype=ax.dtypes)
def test_rope_inv_freq_is_rounded_once(head_dim, base, dtype):
    actual = F.rope_inv_freq(head_dim, base, dtype)
    expected = F.default_inv_freq(head_dim, base).astype(dtype)
    assert actual.dtype == dtype
    np.testing.assert_array_equal(actual, expected)


def test_float16_is_not_rounded_by_way_of_float32():
    """Bases for which float32 rounds a frequency to the middle of two of float16."""
    for base, pair in ((48.0, 5), (1011.0, 31)):
        plain = F.default_inv_freq(64, base)
        once = plain.astype(np.float16)
        assert plain.astype(np.float32).astype(np.float16)[pair] != once[pair]
        assert_same_bits(F.rope_inv_freq(64, base, jnp.float16), once)


@given(head_dim=ax.rotary_dims, base=ax.bases, factor=factors)
def test_linear_divides_every_frequency(head_dim, base, factor):
    actual = F.linear_inv_freq(head_dim, base, factor=factor)
    expected = frequency_methods.linear(head_dim, base, factor)
    plain = oracles.inv_freq(head_dim, base)
    assert_frequencies(actual, expected, plain, roundings=PLAIN + 1)


@given(head_dim=st.sampled_from((4, 6, *SIZES)), base=ax.bases, factor=factors)
def test_ntk_is_the_plain_progression_of_another_base(head_dim, base, factor):
    actual = F.ntk_inv_freq(head_dim, base, factor=factor)
    expected = frequency_methods.ntk(head_dim, base, factor)
    plain = oracles.inv_freq(head_dim, base)
    # A power with an exponent rounded once, ln(2048) < 8, and a product.
    assert_frequencies(actual, expected, plain, roundings=PLAIN + 8 + 2)


def test_ntk_keeps_the_first_frequency_and_divides_the_last():
    for head_dim in (4, *SIZES):
        actual = F.ntk_inv_freq(head_dim, factor=40.0)
        plain = F.default_inv_freq(head_dim)
        assert actual[0] == 1.0
        np.testing.assert_allclose(actual[-1], plain[-1] / 40.0, rtol=4 * 2.0**-53)


@pytest.mark.parametrize("seq_len", (1, 4095, 4096, 4097, 6144, 131_072))
@given(head_dim=st.sampled_from((4, 6, *SIZES)), base=ax.bases, factor=factors)
def test_dynamic_ntk_grows_with_the_length(seq_len, head_dim, base, factor):
    actual = F.dynamic_ntk_inv_freq(
        head_dim, base, factor=factor, original_max_len=4096, seq_len=seq_len
    )
    expected = frequency_methods.dynamic_ntk(head_dim, base, factor, 4096, seq_len)
    plain = oracles.inv_freq(head_dim, base)
    # As `ntk`, of a factor up to 2**16 (ln < 12) that itself is rounded: its three
    # roundings in units of `factor * ratio`, at most `factor` times those of the
    # difference (3 * 2048 where the length is one past the original).
    room = 3 * factor if seq_len > 4096 else 0
    assert_frequencies(actual, expected, plain, roundings=PLAIN + 12 + 2 + room)


@given(
    case=st.sampled_from(((8, 0.5), (8, 1.0), (64, 0.25), (96, 0.5), (512, 0.25))),
    base=ax.bases,
    factor=factors,
)
def test_proportional_keeps_the_exponents_of_the_whole_head(case, base, factor):
    head_dim, fraction = case
    actual = F.proportional_inv_freq(head_dim, base, fraction=fraction, factor=factor)
    expected = frequency_methods.proportional(head_dim, base, fraction, factor)
    plain = oracles.inv_freq(head_dim, base)
    assert_frequencies(actual, expected, plain, roundings=PLAIN + 1)


@pytest.mark.parametrize(
    "head_dim, fraction, turning",
    # Not whole: 0.3 * 10 = 3 channels, one pair; 5.4, two. In floats: 0.7 * 20 is 14,
    # but 0.58 * 100 is 57.99..., as in transformers.
    (
        (10, 0.3, 1),
        (18, 0.3, 2),
        (20, 0.7, 7),
        (100, 0.58, 28),
        (8, 0.25, 1),
        (2, 1.0, 1),
    ),
)
def test_proportional_counts_as_transformers_does(head_dim, fraction, turning):
    actual = F.proportional_inv_freq(head_dim, fraction=fraction)
    np.testing.assert_array_equal(actual != 0, np.arange(head_dim // 2) < turning)


ALL = METHODS | FURTHER
every = pytest.mark.parametrize("method", ALL.values(), ids=ALL)


@every
@given(base=ax.bases)
def test_every_method_is_its_oracle(method, base):
    actual = method.function(WIDTH, base, **method.settings)
    expected = method.oracle(WIDTH, base, *method.settings.values())
    plain = oracles.inv_freq(WIDTH, base)
    assert_frequencies(actual, expected, plain, roundings=PLAIN + method.roundings)


@every
def test_laws_of_every_method(method):
    for settings, expected in method.laws:
        actual = method.function(WIDTH, BASE, **settings)
        assert_within_one_ulp(actual, expected)


def test_every_method_has_a_row():
    functions = {method.function.__name__ for method in ALL.values()}
    names = {name for name in dir(F) if name.endswith("_inv_freq")}
    assert functions == names - {"rope_inv_freq"} and len(functions) == len(ALL)


FUNCTIONS = {method.function: method.settings for method in ALL.values()}
FUNCTIONS |= {F.rope_inv_freq: {}}
everywhere = pytest.mark.parametrize("function", FUNCTIONS)


@pytest.mark.errors
@pytest.mark.parametrize("head_dim", (-2, 0, 3))
@everywhere
def test_head_dim_must_be_positive_and_even(function, head_dim):
    message = f"{function.__name__}: head_dim={head_dim} must be positive and even"
    with pytest.raises(ValueError, match=message):
        function(head_dim, **FUNCTIONS[function])


@pytest.mark.errors
@pytest.mark.parametrize("base", (-1.0, 0.0, float("inf"), float("nan")))
@everywhere
def test_base_must_be_positive_and_finite(function, base):
    message = f"{function.__name__}: base={base} must be finite and positive"
    with pytest.raises(ValueError, match=message):
        function(WIDTH, base, **FUNCTIONS[function])


@pytest.mark.errors
@pytest.mark.parametrize("factor", (0.0, 0.5, -2.0, float("inf"), float("nan")))
@pytest.mark.parametrize("function", [f for f in FUNCTIONS if "factor" in FUNCTIONS[f]])
def test_factor_must_be_at_least_1_and_finite(function, factor):
    kwargs = {**FUNCTIONS[function], "factor": factor}
    message = f"{function.__name__}: factor={factor} must be a finite number of at"
    with pytest.raises(ValueError, match=message):
        function(WIDTH, **kwargs)


@pytest.mark.errors
@pytest.mark.parametrize("name", ("original_max_len", "seq_len"))
@pytest.mark.parametrize("value", (0, -1))
def test_lengths_must_be_positive(name, value):
    for function, kwargs in FUNCTIONS.items():
        if name in kwargs:
            message = f"{function.__name__}: {name}={value} must be finite and posi"
            with pytest.raises(ValueError, match=message):
                function(WIDTH, **{**kwargs, name: value})


@pytest.mark.errors
@pytest.mark.parametrize("function", (F.ntk_inv_freq, F.dynamic_ntk_inv_freq))
def test_ntk_of_one_pair_is_refused(function):
    message = f"{function.__name__}: head_dim=2 must be at least 4"
    with pytest.raises(ValueError, match=message):
        function(2, **FUNCTIONS[function])


@pytest.mark.errors
@pytest.mark.parametrize("fraction", (0.0, -0.5, 1.01, float("nan")))
def test_fraction_must_lie_within_0_and_1(fraction):
    message = f"proportional_inv_freq: fraction={fraction} must (be a finite|leave)"
    with pytest.raises(ValueError, match=message):
        F.proportional_inv_freq(4, fraction=fraction)


@pytest.mark.errors
def test_fraction_must_leave_a_pair():
    message = "proportional_inv_freq: fraction=0.2 must leave a pair of head_dim=8"
    with pytest.raises(ValueError, match=message):
        F.proportional_inv_freq(8, fraction=0.2)


@pytest.mark.errors
def test_dtype_must_be_a_float():
    with pytest.raises(ValueError, match="dtype=int32 must be a real float dtype"):
        F.rope_inv_freq(4, dtype=jnp.int32)


@pytest.mark.errors
def test_a_base_whose_powers_overflow():
    with pytest.raises(ValueError, match="default_inv_freq: base=1e-320 must be larg"):
        F.default_inv_freq(64, 1e-320)
