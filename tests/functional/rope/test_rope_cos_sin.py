import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

NEAR, FAR = 1.2e-7, 6e-7


@jitted
def of_head(positions, head_dim):
    return F.rope_cos_sin(positions, F.default_inv_freq(head_dim))


def error(positions, head_dim, base):
    cos, sin = F.rope_cos_sin(positions, F.default_inv_freq(head_dim, base))
    assert cos.dtype == sin.dtype == jnp.float32
    expected = oracles.cos_sin(positions, head_dim, base)
    pairs = zip((cos, sin), expected, strict=True)
    return max(np.abs(np.asarray(a, np.float64) - e).max() for a, e in pairs)


@pytest.mark.device
@given(data=st.data(), head_dim=ax.rotary_dims, base=ax.bases)
def test_exact_below_2_to_27(data, head_dim, base):
    assert error(data.draw(ax.positions((5,))), head_dim, base) <= NEAR


@pytest.mark.device
@given(data=st.data(), head_dim=ax.rotary_dims, base=ax.bases)
def test_bounded_at_every_int32(data, head_dim, base):
    assert error(data.draw(ax.positions((5,), far=True)), head_dim, base) <= FAR


@pytest.mark.device
@pytest.mark.parametrize("head_dim", (64, 80, 96, 128, 256))
@pytest.mark.parametrize("base", (1e4, 5e5, 1e6))
def test_exact_at_the_hard_positions_of_real_sizes(head_dim, base):
    signed = ax.hard_positions + tuple(-p for p in ax.hard_positions)
    assert error(np.array(signed, np.int32), head_dim, base) <= NEAR
    assert error(np.array(ax.far_positions, np.int32), head_dim, base) <= FAR


@pytest.mark.device
@given(data=st.data(), batch=ax.batches)
def test_shape_offset_and_compilation_do_not_change_bits(data, batch):
    positions = data.draw(ax.positions((*batch, 5)))
    whole = [np.asarray(t) for t in of_head(positions, 64)]
    assert whole[0].shape == (*batch, 5, 32)
    for one, last in zip(of_head(positions[..., -1], 64), whole, strict=True):
        assert_same_bits(one, last[..., -1, :])
    eager = F.rope_cos_sin(positions, F.default_inv_freq(64))
    for one, all_ in zip(eager, whole, strict=True):
        assert_same_bits(one, all_)


@pytest.mark.parametrize("head_dim", (2, 4, 6))
def test_few_pairs_have_the_same_bits_in_every_shape_too(head_dim):
    """Where vectors run along positions and not along pairs."""
    positions = np.random.default_rng(0).integers(-(2**31), 2**31, 3600)
    positions = positions.astype(np.int32)
    flat = of_head(positions, head_dim)
    for shape in ((720, 5), (36, 100, 1), (9, 80, 5)):
        shaped = of_head(positions.reshape(shape), head_dim)
        for one, all_ in zip(shaped, flat, strict=True):
            assert_same_bits(np.asarray(one).reshape(3600, -1), all_)


def test_batch_equals_vmap():
    positions = np.arange(6, dtype=np.int32).reshape(2, 3) * 100_003
    function = lambda p: F.rope_cos_sin(p, F.default_inv_freq(6))
    for batched, mapped in zip(
        function(positions), jax.vmap(function)(positions), strict=True
    ):
        assert_same_bits(batched, mapped)


@pytest.mark.parametrize("flag", ("bfloat16", "tensorfloat32", "float32"))
def test_matmul_precision_and_promotion_do_not_matter(flag):
    positions = np.array(ax.hard_positions, np.int32)
    expected = F.rope_cos_sin(positions, F.default_inv_freq(64))
    with jax.default_matmul_precision(flag), jax.numpy_dtype_promotion("standard"):
        actual = F.rope_cos_sin(positions, F.default_inv_freq(64))
    for a, e in zip(actual, expected, strict=True):
        assert_same_bits(a, e)


def test_no_dot_makes_the_angles():
    jaxpr = jax.make_jaxpr(lambda p: F.rope_cos_sin(p, F.default_inv_freq(64)))
    text = str(jaxpr(host.arange(5)))
    assert "dot_general" not in text
    assert "f64" not in text


@given(data=st.data())
def test_axis_of_pair_picks_the_coordinate_of_each_pair(data):
    positions = data.draw(ax.positions((4, 3)))
    axes = (0, 2, 1, 1, 0)
    inv_freq = F.default_inv_freq(10)
    cos, sin = F.rope_cos_sin(positions, inv_freq, axis_of_pair=axes)
    for pair, axis in enumerate(axes):
        one = F.rope_cos_sin(positions[:, axis], inv_freq[pair : pair + 1])
        assert_same_bits(cos[:, pair], one[0][:, 0])
        assert_same_bits(sin[:, pair], one[1][:, 0])


def test_attention_factor_multiplies_both():
    plain = F.rope_cos_sin(host.arange(4), F.default_inv_freq(6))
    scaled = F.rope_cos_sin(
        host.arange(4), F.default_inv_freq(6), attention_factor=1.25
    )
    for p, s in zip(plain, scaled, strict=True):
        assert_same_bits(s, p * np.float32(1.25))


def test_float32_numerics_takes_fractions_and_differentiates():
    positions = jnp.array([0.0, 0.5, 7.25])
    inv_freq = jnp.array([1.0, 0.1])

    def cos_and_sin(positions, inv_freq):
        return jnp.stack(F.rope_cos_sin(positions, inv_freq, numerics="float32"))

    angle = np.asarray(positions, np.float64)[:, None] * [1.0, 0.1]
    actual = jax.jit(cos_and_sin)(positions, inv_freq)
    # The product is rounded, and `inv_freq` itself: 2**-23 of an angle below 8.
    expected = np.stack([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(actual, expected, rtol=0, atol=8 * 2.0**-23 + 2.0**-23)
    jacobian = jax.jit(jax.jacobian(cos_and_sin, argnums=1))
    by_frequency = np.asarray(jacobian(positions, inv_freq))
    column = np.asarray(positions)[:, None] * np.stack([-np.sin(angle), np.cos(angle)])
    for pair in range(2):
        np.testing.assert_allclose(
            by_frequency[..., pair, pair], column[..., pair], atol=1e-5
        )


def test_table_and_from_positions_agree_with_the_one_function():
    expected = F.rope_cos_sin(np.arange(9), F.default_inv_freq(6, 500.0))
    table = F.rope_cos_sin_table(9, 6, 500.0, jnp.float32)
    explicit = F.rope_cos_sin_from_positions(host.arange(9), 6, 500.0, 9, jnp.float32)
    unbounded = F.rope_cos_sin_from_positions(host.arange(9), 6, 500.0)
    for other in (table, explicit, unbounded):
        for a, e in zip(other, expected, strict=True):
            assert_same_bits(a, e)


@given(dtype=ax.narrow_dtypes)
def test_narrow_tables_are_float32_rounded_once(dtype):
    wide, narrow = (F.rope_cos_sin_table(300, 6, 1e4, d) for d in (jnp.float32, dtype))
    for w, n in zip(wide, narrow, strict=True):
        assert_same_bits(n, w.astype(dtype))


@pytest.mark.parametrize("shape", ((), (3,), (2, 3), (2, 1, 4)))
def test_leading_axes_are_free(shape):
    cos, sin = F.rope_cos_sin_from_positions(host.zeros(shape, jnp.int32), 6, 1e4, 9)
    assert cos.shape == sin.shape == (*shape, 3)


def test_traced_positions_out_of_the_table_are_nan_rows():
    function = jax.jit(lambda p: F.rope_cos_sin_from_positions(p, 6, 1e4, 9))
    cos, sin = function(jnp.array([-1, 0, 8, 9]))
    for t in (cos, sin):
        np.testing.assert_array_equal(np.isnan(t).all(-1), [True, False, False, True])
        np.testing.assert_array_equal(np.isnan(t).any(-1), [True, False, False, True])


def test_traced_unsigned_positions_past_int32_are_nan():
    function = jax.jit(lambda p: F.rope_cos_sin(p, F.default_inv_freq(6))[0])
    cos = function(jnp.array([2**31 - 1, 2**31, 5], jnp.uint32))
    np.testing.assert_array_equal(np.isnan(cos).all(-1), [False, True, False])
    assert error(np.array([5], np.uint32), 6, 1e4) <= NEAR


def test_a_coordinate_past_int32_takes_its_own_pairs_along():
    axes = (0, 1, 0, 0, 1, 2)
    positions = np.array([[2**31, 300, 7], [300, 2**31, 7], [9, 300, 7]], np.uint32)
    function = lambda p: F.rope_cos_sin(p, F.default_inv_freq(12), axis_of_pair=axes)
    for found in jax.jit(function)(positions):
        lost = (positions > 2**31 - 1)[:, np.array(axes)]
        np.testing.assert_array_equal(np.isnan(found), lost)


@pytest.mark.errors
@pytest.mark.parametrize("bad", (-1, 9, 2**40))
def test_known_positions_out_of_the_table_are_refused(bad):
    message = rf"position_ids\[1, 0\]={bad} must lie in \[0, 9\) for table_len=9\.$"
    with pytest.raises(ValueError, match=message):
        F.rope_cos_sin_from_positions(np.array([[0, 1], [bad, 2]]), 6, 1e4, 9)


@pytest.mark.errors
def test_known_positions_outside_int32_are_refused():
    with pytest.raises(ValueError, match=rf"positions\[1\]={2**31} must lie in"):
        F.rope_cos_sin(np.array([0, 2**31]), F.default_inv_freq(6))


@pytest.mark.errors
def test_exact_numerics_wants_frequencies_of_the_host():
    for inv_freq in (F.rope_inv_freq(6), np.ones(3, np.float32)):
        with pytest.raises(ValueError, match="float32, but must be a float64 NumPy"):
            F.rope_cos_sin(host.arange(3), inv_freq)
    with pytest.raises(ValueError, match="pass numerics='float32' for learned"):
        jax.jit(lambda f: F.rope_cos_sin(host.arange(3), f))(host.ones(3))


@pytest.mark.errors
def test_exact_numerics_wants_integer_positions():
    with pytest.raises(ValueError, match=r"float32'?.* must be integer.*fractional"):
        F.rope_cos_sin(jnp.array([0.5], jnp.float32), F.default_inv_freq(6))


@pytest.mark.errors
@pytest.mark.parametrize("value", (np.inf, np.nan, 2.0**64))
def test_frequencies_must_be_finite(value):
    with pytest.raises(ValueError, match=r"finite and below 2\*\*64"):
        F.rope_cos_sin(host.arange(3), np.array([value]))


@pytest.mark.errors
@pytest.mark.parametrize("value", (-np.inf, np.nan, 3.5e38))
def test_frequencies_must_be_finite_in_float32_too(value):
    inv_freq = np.array([1.0, value])
    with refused(r"^rope_cos_sin: inv_freq\[1\]=.* must be finite in float32"):
        F.rope_cos_sin(host.arange(3), inv_freq, numerics="float32")


@pytest.mark.errors
def test_a_base_of_frequencies_that_are_too_high_is_named():
    message = r"base=1e-40 must give frequencies below 2\*\*64"
    with refused(f"^rope_cos_sin_table: {message}"):
        F.rope_cos_sin_table(3, 4, 1e-40)
    with refused(f"^rope_cos_sin_from_positions: {message}"):
        F.rope_cos_sin_from_positions(host.arange(3), 4, 1e-40)
    # 1e-38 ** (-1 / 2) is 1e19, which is below 2**64.
    assert F.rope_cos_sin_table(3, 4, 1e-38)[0].shape == (3, 2)


@pytest.mark.errors
def test_there_must_be_a_frequency():
    with pytest.raises(ValueError, match=r"inv_freq.shape=\(0,\) must be one axis"):
        F.rope_cos_sin(host.arange(3), np.array([]))


@pytest.mark.errors
@pytest.mark.parametrize("factor", (0.0, -1.0, float("nan"), float("inf"), 1e300))
def test_attention_factor_is_that_of_a_rope(factor):
    with pytest.raises(ValueError, match=r"attention_factor=.* in \[1e-15, 1e\+15\]"):
        F.rope_cos_sin(host.arange(3), F.default_inv_freq(6), attention_factor=factor)


@pytest.mark.errors
def test_coordinates_are_as_many_as_axes():
    """A sequence is never taken for the coordinates of one position."""
    inv_freq, axes = F.default_inv_freq(8), (0, 0, 1, 1)
    for shape in ((10,), (5, 4), (5, 3), ()):
        positions = host.ones(shape, jnp.int32)
        with pytest.raises(ValueError, match="must end in the 2 coordinates"):
            F.rope_cos_sin(positions, inv_freq, axis_of_pair=axes)
    positions = host.arange(15).reshape(5, 3)
    expected = F.rope_cos_sin(positions[:, :2], inv_freq, axis_of_pair=axes)
    actual = F.rope_cos_sin(positions, inv_freq, axis_of_pair=axes, num_axes=3)
    np.testing.assert_array_equal(actual, expected)
    with pytest.raises(ValueError, match="num_axes=2 must come with axis_of_pair"):
        F.rope_cos_sin(positions, inv_freq, num_axes=2)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\)"):
        F.rope_cos_sin(positions, inv_freq, axis_of_pair=axes, num_axes=1)


@pytest.mark.errors
def test_numerics_must_be_known():
    with pytest.raises(ValueError, match="numerics='fast' must be 'exact' or"):
        F.rope_cos_sin(host.arange(3), F.default_inv_freq(6), numerics="fast")


@pytest.mark.errors
def test_axis_of_pair_must_fit():
    positions, inv_freq = host.zeros((4, 2), jnp.int32), F.default_inv_freq(6)
    with pytest.raises(ValueError, match=r"len\(axis_of_pair\)=2 must equal the 3"):
        F.rope_cos_sin(positions, inv_freq, axis_of_pair=(0, 1))
    for axes in ((0, 1, 2), (0, -1, 0)):
        with pytest.raises(ValueError, match=r"must (lie in \[0, |end in the)"):
            F.rope_cos_sin(positions, inv_freq, axis_of_pair=axes)


@pytest.mark.errors
@pytest.mark.parametrize("size", (0, -3))
def test_table_sizes_must_be_positive(size):
    with pytest.raises(
        ValueError, match=f"max_seq_len={size} must be a positive integer"
    ):
        F.rope_cos_sin_table(size, 6)
    with pytest.raises(
        ValueError, match=f"table_len={size} must be a positive integer"
    ):
        F.rope_cos_sin_from_positions(host.arange(3), 6, 1e4, size)
