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
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

NEAR, FAR = 1.2e-7, 6e-7
widths = st.sampled_from((1, 2, 3, 5, 64, 96))

add = jitted(F.apply_positional_encoding)


def error(positions, d_model):
    actual = F.sinusoids(positions, d_model)
    assert actual.dtype == jnp.float32
    expected = oracles.sinusoids(positions, d_model)
    return np.abs(np.asarray(actual, np.float64) - expected).max()


@given(data=st.data(), d_model=widths)
def test_exact_below_2_to_27(data, d_model):
    assert error(data.draw(ax.positions((5,))), d_model) <= NEAR


@given(data=st.data(), d_model=widths)
def test_bounded_at_every_int32(data, d_model):
    assert error(data.draw(ax.positions((5,), far=True)), d_model) <= FAR


@pytest.mark.parametrize("d_model", (64, 96, 127, 128))
def test_exact_at_the_hard_positions_of_real_sizes(d_model):
    hard = np.array(ax.hard_positions, np.int32)
    for start in (0, 5, len(hard) - 5):
        assert error(hard[start : start + 5], d_model) <= NEAR
    assert error(np.array(ax.far_positions, np.int32), d_model) <= FAR


@given(
    data=st.data(), d_model=st.sampled_from((6, 64)), shift=st.integers(-(10**6), 10**6)
)
def test_a_shift_is_one_fixed_rotation(data, d_model, shift):
    positions = data.draw(ax.positions((5,))) // 2
    before = np.asarray(F.sinusoids(positions, d_model), np.float64)
    after = F.sinusoids(positions + np.int32(shift), d_model)
    turn = oracles.sinusoids(np.array(shift), d_model)
    sin, cos = turn[0::2], turn[1::2]
    expected = np.stack(
        [
            before[:, 0::2] * cos + before[:, 1::2] * sin,
            before[:, 1::2] * cos - before[:, 0::2] * sin,
        ],
        -1,
    )
    # Two values of size at most one, each within the bound, on either side.
    np.testing.assert_allclose(after, expected.reshape(5, -1), rtol=0, atol=3 * NEAR)


@given(data=st.data())
def test_sine_and_cosine_lie_on_the_circle(data):
    encoding = F.sinusoids(data.draw(ax.positions((5,))), 64)
    squares = np.asarray(encoding, np.float64) ** 2
    np.testing.assert_allclose(
        squares[:, 0::2] + squares[:, 1::2], 1.0, rtol=0, atol=4 * NEAR
    )


@given(
    data=st.data(),
    dtype=ax.dtypes,
    sizes=st.sampled_from((((), 7), ((1,), 1), ((2, 3), 6))),
)
def test_adds_the_sinusoids_and_rounds_once(data, dtype, sizes):
    batch, d_model = sizes
    x = data.draw(ax.floats((*batch, 5, d_model), dtype))
    some = data.draw(ax.positions((*batch, 5)))
    consecutive = F.apply_positional_encoding(x)
    explicit = F.apply_positional_encoding(x, some)
    for actual, where in (
        (consecutive, np.arange(5, dtype=np.int32)),
        (explicit, some),
    ):
        rows = np.asarray(F.sinusoids(where, d_model))
        expected = (np.asarray(x, np.float32) + rows).astype(dtype)
        assert_same_bits(actual, expected)


def from_start(x, start):
    return F.apply_positional_encoding(x, start=start)


@given(start=st.sampled_from((0, 7, -3, 10**6, 2**31 - 6, -(2**31))))
def test_every_form_of_the_offset_agrees(start):
    x = np.ones((2, 5, 6), np.float32)
    expected = F.apply_positional_encoding(jnp.asarray(x), np.arange(5) + start)
    array = np.array(start, np.int32)
    for actual in (
        from_start(jnp.asarray(x), start),
        from_start(jnp.asarray(x), array),
        from_start(jnp.asarray(x), jnp.asarray(array)),
        add(x, start=array),
        jax.vmap(from_start, (0, None))(x, array),
    ):
        assert_same_bits(actual, expected)


NOISE = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)


def test_batch_equals_vmap_with_an_offset_for_each():
    x = NOISE[:3, :5, :6]
    starts = np.array([0, 9, 70_000], np.int32)
    batched = add(x, starts[:, None] + np.arange(5, dtype=np.int32))
    assert_same_bits(jax.jit(jax.vmap(from_start))(x, starts), batched)


def test_no_end_and_never_empty():
    x = host.zeros((3, 4))
    far = F.apply_positional_encoding(x, start=2**31 - 3)
    expected = oracles.sinusoids(np.arange(3) + 2**31 - 3, 4)
    np.testing.assert_allclose(far, expected, rtol=0, atol=FAR)


def test_traced_offset_past_a_bound_is_nan_rows():
    x = np.zeros((4, 3), np.float32)
    cases = (
        (6, {"max_len": 8}, [False, False, True, True]),
        (-2, {"max_len": 8}, [True, True, False, False]),
        (8, {"max_len": 8}, [True] * 4),
        (2**31 - 3, {}, [False, False, False, True]),
        (2**31 - 3, {"max_len": 8}, [True] * 4),
    )
    for start, options, nan in cases:
        rows = add(x, start=np.array(start, np.int32), **options)
        np.testing.assert_array_equal(np.isnan(rows).all(-1), nan)
        np.testing.assert_array_equal(np.isnan(rows).any(-1), nan)


def test_gradient_is_that_of_a_sum():
    x = NOISE[:2].astype(jnp.bfloat16)
    apply = F.apply_positional_encoding
    pull = jax.jit(lambda x, cotangent: jax.vjp(apply, x)[1](cotangent)[0])
    assert_same_bits(pull(x, x), x)
    push = jax.jit(lambda x, tangent: jax.jvp(apply, (x,), (tangent,))[1])
    assert_same_bits(push(x, x), x)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded_batch(axis_type):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    positions = np.arange(24, dtype=np.int32).reshape(4, 6)
    plain = add(NOISE), add(NOISE, positions)
    with jax.set_mesh(mesh):
        x = jax.device_put(NOISE, NamedSharding(mesh, P("a", "b")))
        positions = jax.device_put(positions, NamedSharding(mesh, P("a", "b")))
        for actual, expected in zip((add(x), add(x, positions)), plain, strict=True):
            assert_same_bits(actual, expected)
            assert actual.sharding.is_equivalent_to(x.sharding, 3)


def test_no_tokens_are_no_rows():
    assert F.sinusoids(np.zeros((2, 0), np.int32), 8).shape == (2, 0, 8)
    for shape in ((2, 0, 8), (0, 3, 8)):
        assert F.apply_positional_encoding(host.zeros(shape)).shape == shape


def test_float64_x():
    with jax.enable_x64(True):
        x = host.zeros((3, 4), jnp.float64)
        actual = F.apply_positional_encoding(x, start=5)
        assert actual.dtype == jnp.float64
        expected = oracles.sinusoids(np.arange(5, 8), 4)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=NEAR)


@pytest.mark.errors
@pytest.mark.parametrize("d_model", (0, -1))
def test_width_must_be_positive(d_model):
    with pytest.raises(
        ValueError, match=f"d_model={d_model} must be a positive integer"
    ):
        F.sinusoids(np.arange(3), d_model)


@pytest.mark.errors
@pytest.mark.parametrize("max_len", (0, -4))
def test_bound_must_be_positive(max_len):
    with pytest.raises(
        ValueError, match=f"max_len={max_len} must be a positive integer"
    ):
        F.apply_positional_encoding(host.ones((2, 3)), max_len=max_len)


@pytest.mark.errors
@pytest.mark.parametrize("jit", (False, True))
def test_known_offsets_past_a_bound_are_refused(jit):
    apply = lambda x, **o: F.apply_positional_encoding(x, **o)
    for options, message in (
        (
            {"start": 4, "max_len": 8},
            r"start=4 and seq_len=5 must keep positions in \[0, 8\) for "
            r"max_len=8\.",
        ),
        ({"start": -1, "max_len": 8}, "start=-1 and seq_len=5 must keep"),
        ({"max_len": 4}, "start=0 and seq_len=5 must keep"),
        ({"start": 2**31 - 4}, rf"start={2**31 - 4} and seq_len=5 must keep"),
        ({"start": -(2**31) - 1}, rf"start={-(2**31) - 1} and seq_len=5 must keep"),
    ):
        function = jax.jit(lambda x, o=options: apply(x, **o)) if jit else apply
        with pytest.raises(ValueError, match=message):
            function(host.ones((5, 3)), **({} if jit else options))


@pytest.mark.errors
def test_arguments_are_checked():
    x = host.ones((2, 3))
    apply = F.apply_positional_encoding
    for start in (2.7, jnp.asarray(2.7, jnp.float32), np.array([[0], [1]])):
        with refused("(?s)start=.* must be one integer; pass positions for several"):
            apply(x, start=start)
        with refused("(?s)start=.* must be one integer; pass positions for several"):
            jax.jit(lambda x, start: apply(x, start=start))(x, start)
    for dtype in (jnp.int32, jnp.complex64):
        with refused(f"x.dtype={jnp.dtype(dtype)} must be a real float dtype"):
            apply(x.astype(dtype))
    with refused(r"x.shape=\(3,\) must be \(..., seq_len, d_model\)"):
        apply(host.ones((3,)))
    with pytest.raises(ValueError, match="start=5 must not come with positions"):
        apply(x, np.array([0, 1]), start=5)
    with pytest.raises(ValueError, match="must not come with positions; add them"):
        apply(x, np.array([0, 1]), start=jnp.asarray(0))
    with refused(r"positions.shape=\(3,\) must broadcast to \(2,\)"):
        apply(x, np.array([0, 1, 2]))
