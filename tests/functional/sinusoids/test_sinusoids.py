import math

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sinusoid_oracles as so
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F
from attnax.interop import sinusoid_options

NEAR, FAR = 1.2e-7, 6e-7
layouts = st.sampled_from(("interleaved", "sin_cos", "cos_sin"))
odd_widths = st.sampled_from(("sine", "zero", "drop"))

sinusoids = jitted(F.sinusoids)

# Name, settings, columns of the oracle, widths: the smallest, odd ones, a real one.
FAMILIES = (
    ("paper", {}, so.paper, (1, 2, 5, 6, 64)),
    ("videomae", {}, so.paper, (1, 2, 5, 6, 64)),
    ("tensor2tensor", {}, so.tensor2tensor, (2, 3, 5, 6, 64)),
    ("musicgen", {}, so.musicgen, (2, 3, 5, 6, 64)),
    ("whisper", {}, so.tensor2tensor, (2, 6, 64)),
    ("axlearn", {}, so.tensor2tensor, (2, 6, 64)),
    ("maxtext", {}, so.maxtext, (2, 3, 5, 6, 64)),
    ("gemma4_audio", {}, so.maxtext, (2, 3, 5, 6, 64)),
    ("roformer", {}, so.roformer, (1, 2, 5, 6, 64)),
    ("x_transformers", {}, so.x_transformers, (2, 6, 64)),
    ("diffusers", {}, so.diffusers, (2, 3, 5, 6, 64)),
    (
        "diffusers",
        {"flip_sin_to_cos": True, "downscale_freq_shift": 0.0},
        lambda width: so.diffusers(width, flip=True, shift=0),
        (2, 3, 5, 6, 64),
    ),
    (
        "diffusers",
        {"downscale_freq_shift": 0.5, "max_period": 100.0, "scale": 3.0},
        lambda width: so.diffusers(width, shift=0.5, period=100, scale=3),
        (2, 3, 5, 6, 64),
    ),
)
MLX = (
    ({}, {}),
    (
        {"cos_first": True, "full_turns": True},
        {"cos_first": True, "full_turns": True},
    ),
    ({"min_freq": 0.002, "max_freq": 0.5}, {"low": 0.002, "high": 0.5}),
)


def error(actual, expected):
    assert actual.dtype == jnp.float32
    assert actual.shape == expected.shape
    return np.abs(np.asarray(actual, np.float64) - expected).max()


@given(data=st.data())
@pytest.mark.parametrize("family, settings, columns, widths", FAMILIES)
def test_families_at_every_position(family, settings, columns, widths, data):
    positions = data.draw(ax.positions((5,))) // 3  # so that 3 * position is near
    width = data.draw(st.sampled_from(widths))
    actual = F.sinusoids(positions, width, **sinusoid_options(family, **settings))
    assert error(actual, so.along(positions, columns(width))) <= NEAR
    if settings.get("scale", 1.0) == 1.0:
        far = data.draw(ax.positions((5,), far=True))
        actual = F.sinusoids(far, width, **sinusoid_options(family, **settings))
        assert error(actual, so.along(far, columns(width))) <= FAR


@given(data=st.data(), width=st.sampled_from((2, 6, 64)))
@pytest.mark.parametrize("settings, oracle", MLX)
def test_mlx_is_scaled_to_unit_rows(settings, oracle, data, width):
    positions = data.draw(ax.positions((5,))) // 7
    actual = F.sinusoids(positions, width, **sinusoid_options("mlx", **settings))
    expected = so.along(positions, so.mlx(width, **oracle))
    scale = math.sqrt(2 / width)
    # Each value once more rounded, and the scale itself.
    assert error(actual, scale * expected) <= scale * (NEAR + 2 * 2.0**-24)
    norms = np.linalg.norm(np.asarray(actual, np.float64), axis=-1)
    np.testing.assert_allclose(norms, 1.0, rtol=0, atol=NEAR * math.sqrt(width))


@given(width=st.sampled_from((2, 6, 64)))
def test_kimi_k25_adds_nothing_to_single_images(width):
    rows = np.array([0, 1, 2, 7, 300], np.int32)
    actual = np.asarray(F.sinusoids(rows, width, **sinusoid_options("kimi_k25")))
    assert error(actual, so.kimi(rows, width)) <= NEAR
    assert not actual[0].any()


@pytest.mark.parametrize("width", (6, 7))
def test_fairseq_rows_start_past_the_padding(width):
    rows = np.array([[1, 1, 2, 3], [2, 3, 4, 1]])  # of tokens; padding is row 1
    options = sinusoid_options("fairseq", padding_idx=1)
    actual = np.asarray(F.sinusoids(rows, width, **options))
    expected = so.along(rows, so.tensor2tensor(width))
    expected[rows == 1] = 0
    assert error(actual, expected) <= NEAR
    # The same rows of positions counted from 0, of a sequence without padding.
    options = sinusoid_options("tensor2tensor")
    consecutive = F.sinusoids(np.arange(5), width, **options, position_offset=2)
    assert_same_bits(np.asarray(consecutive)[:3], actual[1, :3])


@given(data=st.data(), width=st.sampled_from((2, 5, 64)))
@pytest.mark.parametrize("shift, flip, scale", ((1.0, False, 1.0), (0.0, True, 1000.0)))
def test_fractional_timesteps(shift, flip, scale, data, width):
    times = np.asarray(data.draw(ax.floats((5,), bound=1000.0))) / np.float32(scale)
    options = sinusoid_options(
        "diffusers", flip_sin_to_cos=flip, downscale_freq_shift=shift, scale=scale
    )
    actual = F.sinusoids(times, width, **options, numerics="float32")
    columns = so.diffusers(width, flip=flip, shift=shift, scale=int(scale))
    # The frequency and the product are each rounded once, of angles up to 1000.
    assert error(actual, so.along(times, columns)) <= 1000 * 2 * 2.0**-24 + 2 * NEAR


def test_a_whole_time_may_be_scaled_exactly():
    positions = np.array([0, 1, 7, 999, 100_001], np.int32)
    actual = F.sinusoids(positions, 64, position_scale=1000.0)
    columns = [(name, 1000 * frequency) for name, frequency in so.paper(64)]
    assert error(actual, so.along(positions, columns)) <= NEAR


@given(data=st.data(), d_model=st.sampled_from((1, 2, 5, 64)))
def test_the_defaults_are_the_paper_bit_for_bit(data, d_model):
    positions = data.draw(ax.positions((5,), far=data.draw(st.booleans())))
    inv_freq = np.array([10_000.0 ** (-i / d_model) for i in range(0, d_model, 2)])
    cos, sin = F.rope_cos_sin(positions, inv_freq)
    pairs = np.stack([sin, cos], -1).reshape(5, -1)[:, :d_model]
    assert_same_bits(F.sinusoids(positions, d_model), pairs)


@given(data=st.data(), d_model=st.sampled_from((2, 5, 6, 9)), odd_width=odd_widths)
def test_layouts_are_permutations_of_each_other(data, d_model, odd_width):
    positions = data.draw(ax.positions((5,)))
    by_layout = {
        layout: np.asarray(
            F.sinusoids(positions, d_model, layout=layout, odd_width=odd_width)
        )
        for layout in ("interleaved", "sin_cos", "cos_sin")
    }
    half = d_model // 2
    # "drop" is one feature narrower, and zeros stay last.
    sines = half + (d_model % 2 if odd_width == "sine" else 0)
    pairs = by_layout["interleaved"][:, : half + sines]
    sin, cos = pairs[:, 0::2], pairs[:, 1::2]
    rest = by_layout["interleaved"][:, half + sines :]
    expected = 1 if odd_width == "zero" and d_model % 2 else 0
    assert rest.shape == (5, expected) and not rest.any()
    assert_same_bits(by_layout["sin_cos"], np.concatenate([sin, cos, rest], -1))
    assert_same_bits(by_layout["cos_sin"], np.concatenate([cos, sin, rest], -1))


@given(data=st.data(), offset=st.integers(-(10**6), 10**6), layout=layouts)
def test_an_offset_moves_positions(data, offset, layout):
    positions = data.draw(ax.positions((5,)))
    actual = F.sinusoids(positions, 6, position_offset=offset, layout=layout)
    expected = F.sinusoids(positions + np.int32(offset), 6, layout=layout)
    assert_same_bits(actual, expected)


@given(data=st.data(), d_model=st.sampled_from((4, 5)), odd_width=odd_widths)
def test_padding_is_zero_and_nothing_else_changes(data, d_model, odd_width):
    positions = data.draw(ax.integers((5,), -2, 2))
    options = {"odd_width": odd_width, "position_offset": 3, "scale": 2.0}
    padded = F.sinusoids(positions, d_model, padding_position=-1, **options)
    plain = np.array(F.sinusoids(positions, d_model, **options))
    plain[positions == -1] = 0
    assert_same_bits(padded, plain)


@given(data=st.data(), scale=st.sampled_from((0.0, -0.75, 3.0, 1e-3)))
def test_scale_multiplies_once(data, scale):
    positions = data.draw(ax.positions((5,)))
    plain = np.asarray(F.sinusoids(positions, 5))
    actual = F.sinusoids(positions, 5, scale=scale)
    assert_same_bits(actual, np.float32(scale) * plain)


@pytest.mark.parametrize(
    "frequency_shift, last", ((0.0, 10_000.0 ** (-2 / 3)), (1, 1e-4))
)
def test_the_shift_places_the_last_frequency(frequency_shift, last):
    rows = F.sinusoids(np.ones(5, np.int32), 6, frequency_shift=float(frequency_shift))
    np.testing.assert_allclose(np.asarray(rows)[0, 4], math.sin(last), rtol=2.0**-21)


@pytest.mark.parametrize(
    "option",
    (
        {"base": 100.0},
        {"frequency_shift": 1.0},
        {"position_scale": 2.0},
        {"position_offset": 1},
        {"padding_position": 3},
        {"layout": "sin_cos"},
        {"layout": "cos_sin"},
        {"odd_width": "zero"},
        {"odd_width": "drop"},
        {"scale": 2.0},
        {"scale": "unit"},
    ),
    ids=str,
)
def test_each_option_alone_changes_the_result(option):
    positions = np.arange(5, dtype=np.int32)
    plain, changed = F.sinusoids(positions, 7), F.sinusoids(positions, 7, **option)
    width = changed.shape[-1]
    assert np.abs(np.asarray(changed) - np.asarray(plain)[:, :width]).max() > 1e-3


@given(data=st.data(), layout=layouts, odd_width=odd_widths)
def test_batch_equals_vmap_and_jit_equals_eager(data, layout, odd_width):
    positions = jnp.asarray(data.draw(ax.positions((2, 3, 5))))
    options = {"d_model": 7, "layout": layout, "odd_width": odd_width}
    options |= {"padding_position": 1, "scale": 0.3}
    eager = F.sinusoids(positions, **options)
    mapped = jax.vmap(jax.vmap(lambda p: F.sinusoids(p, **options)))
    assert_same_bits(mapped(positions), eager)
    assert_same_bits(sinusoids(positions, **options), eager)


def test_a_scalar_position():
    options = {"odd_width": "zero", "padding_position": 4}
    rows = np.asarray(sinusoids(np.array([3, 4]), 5, **options))
    for position, row in zip((3, 4), rows, strict=True):
        position = np.array(position, np.int32)
        assert_same_bits(sinusoids(position, 5, **options), row)
    assert_same_bits(F.sinusoids(jnp.asarray(position), 5, **options), row)


def test_gradient_of_fractional_positions():
    times = np.array([0.25, 3.5, 7.0], np.float32)
    rows = lambda t: F.sinusoids(
        t, 4, numerics="float32", layout="sin_cos", padding_position=7
    )
    push = jax.jit(lambda t, along: jax.jvp(rows, (t,), (along,))[1])
    tangent = push(times, np.ones(3, np.float32))
    omega = np.array([1.0, 0.01])
    angle = np.asarray(times, np.float64)[:, None] * omega
    expected = np.concatenate([omega * np.cos(angle), -omega * np.sin(angle)], -1)
    expected[2] = 0  # padding does not move
    np.testing.assert_allclose(tangent, expected, rtol=0, atol=4 * 2.0**-22)
    gradient = jax.jit(jax.grad(lambda t: rows(t).sum()))(times)
    np.testing.assert_allclose(gradient, expected.sum(-1), rtol=0, atol=2.0**-19)


def test_a_learned_scale_is_the_callers_product():
    positions = np.arange(5, dtype=np.int32)
    options = sinusoid_options("x_transformers")
    rows = F.sinusoids(positions, 6, **options)
    gradient = jax.jit(jax.grad(lambda scale: (scale * rows).sum()))(np.float32(0.5))
    np.testing.assert_allclose(gradient, np.asarray(rows).sum(), rtol=2.0**-20)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("layout", ("interleaved", "sin_cos", "cos_sin"))
def test_sharded_positions(axis_type, layout):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    positions = np.arange(24, dtype=np.int32).reshape(4, 6)
    make = lambda p: F.sinusoids(
        p, 7, layout=layout, odd_width="zero", padding_position=2, position_offset=1
    )
    expected = make(positions)
    with jax.set_mesh(mesh):
        placed = jax.device_put(positions, NamedSharding(mesh, P("a", "b")))
        actual = jax.jit(make)(placed)
        assert_same_bits(actual, expected)
        wanted = NamedSharding(mesh, P("a", "b"))
        assert actual.sharding.is_equivalent_to(wanted, 3)


@pytest.mark.parametrize("shape", ((0,), (2, 0), (0, 3)))
def test_no_positions_are_no_rows(shape):
    ways = "exact", "float32", "float32"

    @jax.jit
    def in_every_way(*positions):
        return [
            F.sinusoids(
                p,
                7,
                layout=layout,
                odd_width=odd_width,
                padding_position=1,
                numerics=numerics,
            )
            for p, numerics in zip(positions, ways, strict=True)
            for layout in ("interleaved", "sin_cos", "cos_sin")
            for odd_width in ("sine", "zero")
        ]

    whole, fractional = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    for rows in in_every_way(whole, whole, fractional):
        assert rows.shape == (*shape, 7)
    options = {"odd_width": "zero", "padding_position": 1}
    for numerics in ("exact", "float32"):
        assert F.sinusoids(whole, 7, numerics=numerics, **options).shape == (*shape, 7)


@given(data=st.data())
def test_float32_of_integers_is_that_of_floats_where_they_hold_them(data):
    positions = data.draw(ax.integers((5,), -(2**24) + 9, 2**24 - 9))
    options = {"numerics": "float32", "position_offset": 7, "padding_position": 3}
    actual = F.sinusoids(positions, 6, **options)
    assert_same_bits(actual, F.sinusoids(positions.astype(np.float32), 6, **options))


def test_float32_offsets_integers_before_they_are_rounded():
    # 2**24 + 1 is no float32, and its sum with 3 is one.
    options = {"numerics": "float32", "position_offset": 3}
    for positions in (np.array([2**24 + 1]), np.array([2**24 + 1.0])):
        actual = F.sinusoids(positions, 6, **options)
        expected = F.sinusoids(np.array([2**24 + 4]), 6, numerics="float32")
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("padding", (2**24, 2**24 + 1, 2**31 - 1))
def test_float32_compares_padding_before_positions_are_rounded(padding):
    positions = np.array([2**24, 2**24 + 1, 2**31 - 1])
    make = lambda p: F.sinusoids(p, 4, numerics="float32", padding_position=padding)
    is_zero = lambda rows: ~np.asarray(rows).any(-1)
    for exact in (positions, positions.astype(np.float64)):
        np.testing.assert_array_equal(is_zero(make(exact)), positions == padding)
    rows = make(jnp.asarray(positions, jnp.float32))  # 2**24, and 2**31 for the last
    np.testing.assert_array_equal(is_zero(rows), [padding == 2**24] * 2 + [False])


def test_float32_traced_integers_that_leave_int32_are_nan():
    for offset in (0, 5):
        make = jax.jit(
            lambda p, o=offset: F.sinusoids(
                p, 5, numerics="float32", position_offset=o, padding_position=2
            )
        )
        rows = make(host.asarray(np.array([2, 2**31 - 1 - offset, 2**32 - 1], "u4")))
        np.testing.assert_array_equal(np.isnan(rows).all(-1), [False, False, True])
        np.testing.assert_array_equal(np.isnan(rows).any(-1), [False, False, True])
    assert np.isnan(make(jnp.asarray([2**31 - 1], jnp.int32))).all()


@pytest.mark.errors
@pytest.mark.parametrize("option", ("base", "frequency_shift", "position_scale"))
@pytest.mark.parametrize("number", (np.float32, np.int64, np.asarray, int))
def test_numbers_of_numpy_are_numbers(option, number):
    positions = np.array([3, 10**6])
    actual = F.sinusoids(positions, 12, **{option: number(2)})
    assert_same_bits(actual, F.sinusoids(positions, 12, **{option: 2.0}))


@pytest.mark.filterwarnings("error")
def test_float64_of_numpy_is_taken_without_a_warning():
    times = np.array([0.3, 7.1])
    actual = F.sinusoids(times, 6, numerics="float32", padding_position=1)
    assert_same_bits(
        actual, F.sinusoids(times.astype(np.float32), 6, numerics="float32")
    )


@pytest.mark.parametrize("scale", (2.0**-126, -(2.0**126)))
def test_the_ends_of_float32_are_scales(scale):
    zeros, ones = np.zeros(5, np.int32), np.ones(5, np.int32)
    plain = np.asarray(F.sinusoids(zeros, 6))
    assert_same_bits(F.sinusoids(zeros, 6, scale=scale), np.float32(scale) * plain)
    if scale > 0:
        rows = F.sinusoids(ones, 6, position_scale=scale, numerics="float32")
        np.testing.assert_allclose(rows, plain, rtol=0, atol=NEAR)


def test_float32_in_64_bit_mode():
    with jax.enable_x64(True):
        for positions in (np.arange(3), np.array([2**31 - 1])):
            rows = F.sinusoids(jnp.asarray(positions), 4)
            assert error(rows, so.along(positions, so.paper(4))) <= FAR
        times = jnp.array([0.5], jnp.float64)
        assert F.sinusoids(times, 4, numerics="float32").dtype == jnp.float32


@pytest.mark.parametrize("offset", (0, 3, -3))
def test_traced_positions_that_leave_int32_are_nan(offset):
    make = jax.jit(
        lambda p: F.sinusoids(
            p, 5, position_offset=offset, odd_width="zero", padding_position=0
        )
    )
    inside = np.array([0, 7, 2**31 - 1 - max(offset, 0), -(2**31) - min(offset, 0)])
    rows = make(jnp.asarray(inside, jnp.int32))
    expected = so.along(inside + offset, so.diffusers(5, shift=0)[:-1])
    expected = np.concatenate([expected[:, [0, 2, 1, 3]], np.zeros((4, 1))], -1)
    expected[0] = 0
    assert error(rows, expected) <= FAR
    if offset:
        past = inside[2:3] + 1 if offset > 0 else inside[3:] - 1
        assert np.isnan(make(jnp.asarray(past, jnp.int32))).all()
    unsigned = host.asarray(np.array([2**31, 2**32 - 1], np.uint32))
    assert np.isnan(make(unsigned)).all()


@pytest.mark.errors
@pytest.mark.parametrize(
    "d_model, options, message",
    (
        (0, {}, "d_model=0 must be a positive integer"),
        (-2, {}, "d_model=-2 must be a positive integer"),
        (1, {"odd_width": "zero"}, "d_model=1 must be at least 2 for odd_width='zero'"),
        (1, {"odd_width": "drop"}, "d_model=1 must be at least 2 for odd_width='drop'"),
        (7, {"odd_width": "refuse"}, "d_model=7 must be even for odd_width='refuse'"),
        (6, {"odd_width": "cos"}, "odd_width='cos' must be 'sine', 'zero', 'drop' or"),
        (6, {"layout": "half"}, "layout='half' must be 'interleaved', 'sin_cos' or"),
        (6, {"base": 0.5}, "base=0.5 must be a finite number of at least 1"),
        (6, {"base": math.inf}, "base=inf must be a finite number of at least 1"),
        (6, {"base": math.nan}, "base=nan must be a finite number of at least 1"),
        (6, {"frequency_shift": 3.0}, "frequency_shift=3.0 must be below 3"),
        (7, {"frequency_shift": 3.5}, "frequency_shift=3.5 must be below 3.5"),
        (
            2,
            {"frequency_shift": math.nan},
            "frequency_shift=nan must be a finite",
        ),
        (6, {"position_scale": 0.0}, "position_scale=0.0 must be finite and positive"),
        (
            6,
            {"position_scale": -1.0},
            "position_scale=-1.0 must be finite and",
        ),
        (
            6,
            {"position_offset": 2**31},
            "position_offset=2147483648 must be an integer in ",
        ),
        (6, {"padding_position": -(2**31) - 1}, "padding_position=-2147483649 must be"),
        (6, {"position_scale": 2.0**64}, "position_scale=1.8.*e.19 must be below 2"),
        (
            6,
            {"position_scale": 1e39, "numerics": "float32"},
            r"position_scale=1e\+39 must be a finite number in",
        ),
        (
            6,
            {"position_scale": 1e-39, "numerics": "float32"},
            "position_scale=1e-39 must be a finite number in",
        ),
        (
            6,
            {"scale": math.inf},
            "scale=inf must be 0, 'unit', or a number from 1.2e-38",
        ),
        (
            6,
            {"scale": math.nan},
            "scale=nan must be 0, 'unit', or a number from 1.2e-38",
        ),
        (
            6,
            {"scale": 1e39},
            r"scale=1e\+39 must be 0, 'unit', or a number from 1.2e-38",
        ),
        (
            6,
            {"scale": 1e-50},
            "scale=1e-50 must be 0, 'unit', or a number from 1.2e-38",
        ),
        (6, {"scale": "norm"}, "scale='norm' must be 0, 'unit', or a number"),
        (6, {"numerics": "float64"}, "numerics='float64' must be 'exact' or 'float32'"),
    ),
)
def test_options_are_checked(d_model, options, message):
    with pytest.raises(ValueError, match=f"^sinusoids: {message}"):
        F.sinusoids(np.arange(3, dtype=np.int32), d_model, **options)


@pytest.mark.errors
@pytest.mark.parametrize("option", ("base", "position_scale", "scale"))
def test_integers_past_every_float_are_refused(option):
    with refused(f"sinusoids: {option}=1000.* must be"):
        F.sinusoids(np.arange(3), 6, **{option: 10**400})


@pytest.mark.errors
def test_positions_are_checked():
    for times in (np.array([0.5], np.float32), jnp.array([0.5], jnp.bfloat16)):
        message = f"positions.dtype={times.dtype} must be integer; pass numerics="
        with pytest.raises(ValueError, match=f"{message}'float32' for fractional"):
            F.sinusoids(times, 4)
    with pytest.raises(ValueError, match=r"positions\[1\]=2147483648 must lie in"):
        F.sinusoids(np.array([0, 2**31]), 4)
    for offset, position in ((2, 2**31 - 2), (-2, -(2**31) + 1)):
        message = (
            rf"positions\[0\]={position} must lie in .* for position_offset={offset}"
        )
        with pytest.raises(ValueError, match=message):
            F.sinusoids(np.array([position]), 4, position_offset=offset)
    with refused("apply_positional_encoding: positions.dtype=float32 must be integer"):
        F.apply_positional_encoding(host.ones((1, 4)), jnp.array([0.5], jnp.float32))
    with pytest.raises(ValueError, match=r"positions\[1\]=1099511627776 must lie in"):
        F.sinusoids(np.array([0, 2**40]), 4, numerics="float32")
    message = rf"positions\[0\]={2**31 - 1} must lie in .* for position_offset=1"
    with pytest.raises(ValueError, match=message):
        F.sinusoids(np.array([2**31 - 1]), 4, numerics="float32", position_offset=1)
    for dtype in ("bool", "complex64"):
        with refused(f"positions.dtype={dtype} must be integer or a real float"):
            F.sinusoids(np.ones(2, dtype), 4, numerics="float32")
