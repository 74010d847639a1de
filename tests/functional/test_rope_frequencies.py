import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from hypothesis import given

import attnax.functional as F


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


@pytest.mark.errors
@pytest.mark.parametrize("head_dim", (-2, 0, 3))
@pytest.mark.parametrize("function", (F.default_inv_freq, F.rope_inv_freq))
def test_head_dim_must_be_positive_and_even(function, head_dim):
    message = f"{function.__name__}: head_dim={head_dim} must be positive and even"
    with pytest.raises(ValueError, match=message):
        function(head_dim)


@pytest.mark.errors
@pytest.mark.parametrize("base", (-1.0, 0.0, float("inf"), float("nan")))
def test_base_must_be_positive_and_finite(base):
    with pytest.raises(ValueError, match=f"base={base} must be positive and finite"):
        F.default_inv_freq(4, base)


@pytest.mark.errors
def test_dtype_must_be_a_float():
    with pytest.raises(ValueError, match="dtype=int32 must be a real float dtype"):
        F.rope_inv_freq(4, dtype=jnp.int32)
