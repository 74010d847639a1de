"""Permutations of channels between ropes that turn alike."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F
from attnax.functional import Rope

INV_FREQ = F.default_inv_freq(8)


def rotate64(rope, x, position):
    """One head at one position, `(axes,)`: a complex product per pair, in loops."""
    out, pairs = x.copy(), rope.rotary_pairs
    start = {"leading": 0, "trailing": x.size - 2 * pairs}.get(
        rope.rotary_start, rope.rotary_start
    )
    axes = rope.axis_of_pair or (0,) * pairs
    for i, (frequency, axis) in enumerate(zip(rope.inv_freq, axes, strict=True)):
        in_block = pairs // rope.num_blocks
        first = start + 2 * in_block * (i // in_block) + i % in_block
        half, neighbors = (
            (first, first + in_block),
            (start + 2 * i, start + 2 * i + 1),
        )
        source, target = {
            "half": (half, half),
            "interleaved": (neighbors, neighbors),
            "interleaved_to_half": (neighbors, half),
        }[rope.layout]
        turn = rope.attention_factor * np.exp(1j * position[axis] * frequency)
        z = complex(*x[list(source)]) * turn
        out[list(target)] = z.real, z.imag
    return out


def assert_permutes(source, target, head_dim):
    """The law in float64, at a position whose coordinates differ."""
    p = F.channel_permutation(source, target, head_dim)
    q = F.channel_permutation(source, target, head_dim, rotated=True)
    for order in (p, q):
        assert isinstance(order, np.ndarray)
        np.testing.assert_array_equal(np.sort(order), np.arange(head_dim))
    x = np.random.default_rng(0).normal(size=head_dim)
    position = 1.0 + 2.0 * np.arange(max(source.num_axes, target.num_axes))
    actual = rotate64(target, x[p], position)
    np.testing.assert_allclose(
        actual, rotate64(source, x, position)[q], rtol=0, atol=1e-14
    )
    return p, q


@st.composite
def settings(draw, turns, attention_factor=1.0):
    """Of a rope of `(axis, frequency)` in a drawn order, with signs, and its place."""
    turns = draw(st.permutations(turns))
    signs = draw(st.tuples(*[st.sampled_from((1, -1))] * len(turns)))
    layout = draw(st.sampled_from(("half", "interleaved", "interleaved_to_half")))
    divisors = [n for n in range(1, len(turns) + 1) if len(turns) % n == 0]
    # Not the rope: the hook checks random elements, which a strategy must not do.
    return {
        "inv_freq": [
            s * frequency for s, (_, frequency) in zip(signs, turns, strict=True)
        ],
        "layout": layout,
        "axis_of_pair": [axis for axis, _ in turns],
        "num_axes": 2,
        "num_blocks": draw(st.sampled_from(divisors)) if layout == "half" else 1,
        "rotary_start": draw(st.sampled_from(("leading", "trailing", 0, 1))),
        "attention_factor": attention_factor,
    }


# Few frequencies, so that some come twice; and on two axes.
turning = st.tuples(st.integers(0, 1), st.sampled_from((1.0, 0.25, 0.3)))
still = st.tuples(st.integers(0, 1), st.just(0.0))
SIZES = ("min_size", "max_size")


@given(data=st.data(), turns=st.lists(turning, min_size=1, max_size=6))
def test_any_ropes_of_the_same_turns(data, turns):
    factor = data.draw(st.sampled_from((1.0, 1.25)))
    zeros = data.draw(st.lists(still, max_size=2))
    # Pairs that stand still may be missing, unless the factor scales them, and their
    # axis is not read.
    count = {"max_size": 2} if factor == 1 else dict.fromkeys(SIZES, len(zeros))
    others = data.draw(st.lists(still, **count))
    source = Rope(**data.draw(settings(turns + zeros, factor)))
    target = Rope(**data.draw(settings(turns + others, factor)))
    assert_permutes(source, target, 2 * (len(turns) + 2) + 1)


@given(data=st.data(), count=st.integers(1, 6))
def test_permutations_compose_and_invert(data, count):
    """All turns differ, so that there is one permutation between any two ropes."""
    turns = [(axis, 1.0 / (i + 1)) for i in range(count) for axis in (0, 1)][:count]
    a, b, c = (Rope(**data.draw(settings(turns))) for _ in range(3))
    head_dim = 2 * count + 3
    for rotated in (False, True):

        def order(x, y, rotated=rotated):
            return F.channel_permutation(x, y, head_dim, rotated=rotated)

        np.testing.assert_array_equal(order(a, b)[order(b, c)], order(a, c))
        np.testing.assert_array_equal(order(b, a), np.argsort(order(a, b)))
        np.testing.assert_array_equal(order(a, a), np.arange(head_dim))


HALF = Rope(INV_FREQ)
PARTIAL = F.default_inv_freq(16)[:3]
AXES = {"axis_of_pair": (0, 1, 1, 0)}
PAIRS_OF_ROPES = {
    "half": (Rope(INV_FREQ, "interleaved"), HALF),
    "interleaved": (HALF, Rope(INV_FREQ, "interleaved")),
    "to_half": (Rope(INV_FREQ, "interleaved"), Rope(INV_FREQ, "interleaved_to_half")),
    "from_to_half": (Rope(INV_FREQ, "interleaved_to_half"), HALF),
    "blocks": (HALF, Rope(INV_FREQ, num_blocks=2)),
    "from_blocks": (
        Rope(INV_FREQ, num_blocks=4, rotary_start=3),
        Rope(INV_FREQ, "interleaved"),
    ),
    "reversed_sign": (HALF, Rope(-INV_FREQ, "interleaved")),
    "another_order": (HALF, Rope(INV_FREQ[[2, 0, 3, 1]])),
    "trailing": (HALF, Rope(INV_FREQ, rotary_start="trailing")),
    "offset": (Rope(INV_FREQ, "interleaved", rotary_start="trailing"), HALF),
    "proportional": (
        Rope(F.proportional_inv_freq(8, fraction=0.5)),
        Rope(F.default_inv_freq(8)[:2], "interleaved"),
    ),
    "to_proportional": (
        Rope(PARTIAL, rotary_start="trailing"),
        Rope([*PARTIAL[:2], 0.0, PARTIAL[2], 0.0]),
    ),
    "to_half_with_zeros": (
        Rope([*PARTIAL[:2], 0.0, PARTIAL[2]], "interleaved_to_half"),
        Rope(PARTIAL, "interleaved", rotary_start="trailing"),
    ),
    "still_on_another_axis": (
        Rope([1.0, 0.5, 0.0], axis_of_pair=(0, 1, 0), attention_factor=1.25),
        Rope([0.0, 0.5, 1.0], axis_of_pair=(1, 1, 0), attention_factor=1.25),
    ),
    "axes": (Rope(INV_FREQ, **AXES), Rope(INV_FREQ, "interleaved_to_half", **AXES)),
    "axes_in_order": (
        F.axial_rope((4, 4), num_blocks=2),
        F.axial_rope((4, 4), axis_order=(1, 0), alternate=True),
    ),
    "shared": (
        F.axial_rope((4, 4), shared=True),
        F.axial_rope((4, 4), shared=True, alternate=True, layout="interleaved"),
    ),
    "attention_factor": (
        Rope(INV_FREQ, "interleaved", attention_factor=1.25),
        Rope(-INV_FREQ[::-1], attention_factor=1.25),
    ),
}


@pytest.mark.parametrize("name", PAIRS_OF_ROPES)
def test_the_library_rotates_alike(name):
    source, target = PAIRS_OF_ROPES[name]
    p, q = assert_permutes(source, target, 11)
    x = np.random.default_rng(1).normal(size=(5, 3, 11)).astype(np.float32)
    positions = np.arange(10, dtype=np.int32).reshape(5, 2) * 1013 - 7
    if source.axis_of_pair is None:
        positions = positions[:, 0]
    expected = np.asarray(F.rotate(source, jnp.asarray(x), positions))[..., q]
    actual = F.rotate(target, jnp.asarray(x[..., p]), positions)
    # Cos and sin are the same bits; of two products one is rounded, and not always the
    # same one when a pair is taken the other way round.
    magnitude = 2 * 1.25 * float(np.abs(x).max())
    assert_close(actual, expected.astype(np.float64), magnitude=magnitude, roundings=1)
    if name not in ("reversed_sign", "attention_factor"):
        assert_same_bits(actual, expected)


def test_orders_of_the_two_storages():
    half, interleaved = HALF, Rope(INV_FREQ, "interleaved")
    to_half = F.channel_permutation(interleaved, half, 10)
    np.testing.assert_array_equal(to_half, [0, 2, 4, 6, 1, 3, 5, 7, 8, 9])
    from_half = F.channel_permutation(half, interleaved, 10)
    np.testing.assert_array_equal(from_half, [0, 4, 1, 5, 2, 6, 3, 7, 8, 9])
    # What DeepSeek-V3 caches is in halves, though its weights are interleaved.
    deepseek = Rope(INV_FREQ, "interleaved_to_half")
    orders = [
        F.channel_permutation(interleaved, deepseek, 10, rotated=rotated)
        for rotated in (False, True)
    ]
    np.testing.assert_array_equal(orders, [np.arange(10), to_half])


def shown(thing):
    return re.escape(str(thing))


@pytest.mark.errors
@pytest.mark.parametrize(
    "target, message",
    (
        (
            Rope(F.default_inv_freq(8, 500.0)),
            "more pairs of frequency 0.211474 on axis",
        ),
        (Rope(np.append(INV_FREQ, 1.0)), "more pairs of frequency 1 on axis 0"),
        (Rope(INV_FREQ[:3]), "has more pairs than"),
        (
            Rope(INV_FREQ, axis_of_pair=(0, 0, 1, 0)),
            "frequency 0.01 on axis 1 than",
        ),
        (Rope(INV_FREQ, attention_factor=1.5), "have different attention factors"),
    ),
)
def test_no_permutation_exists(target, message):
    source = Rope(INV_FREQ, "interleaved")
    for rotated in (False, True):
        with pytest.raises(ValueError, match="no permutation exists") as error:
            F.channel_permutation(source, target, 10, rotated=rotated)
        assert message in str(error.value)
        assert str(source) in str(error.value)
        assert str(target) in str(error.value)


@pytest.mark.errors
def test_factors_scale_pairs_that_stand_still():
    frequencies = [1.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="has more pairs than"):
        F.channel_permutation(
            Rope(frequencies, attention_factor=1.5),
            Rope(frequencies[:2], attention_factor=1.5),
            6,
        )


@pytest.mark.errors
@pytest.mark.parametrize("rotary_start, head_dim", (("trailing", 7), (3, 10)))
def test_a_head_must_hold_the_channels_that_rotate(rotary_start, head_dim):
    rope = Rope(INV_FREQ, rotary_start=rotary_start)
    message = f"head_dim={head_dim} must hold the 8 channels of {shown(rope)}"
    for ropes in ((rope, rope), (rope, Rope([1.0])), (Rope([1.0]), rope)):
        with pytest.raises(ValueError, match=message):
            F.channel_permutation(*ropes, head_dim)
