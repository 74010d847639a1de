"""Ropes of images and videos, each against the full table that the model writes."""

import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, refused, slow
from hypothesis import given
from hypothesis import strategies as st
from table_rotations import (
    by_table,
    in_place,
    largest_pair,
    normal,
    rotate_half,
    rotate_neighbors,
    twice,
)

import attnax.functional as F

ROWS, COLUMNS, FRAMES = 5, 7, 3
H = np.array([row for row in range(ROWS) for _ in range(COLUMNS)])
W = np.array([column for _ in range(ROWS) for column in range(COLUMNS)])
T3 = np.repeat(np.arange(FRAMES), len(H))
H3, W3 = np.tile(H, FRAMES), np.tile(W, FRAMES)
IMAGE = F.positions_from_grid((ROWS, COLUMNS))
VIDEO = F.positions_from_grid((FRAMES, ROWS, COLUMNS))


def angles(coordinates, width, base=10_000.0):
    """`(patches, width / 2)`: the progression of one axis."""
    frequencies = [base ** (-2 * k / width) for k in range(width // 2)]
    return np.array([[c * f for f in frequencies] for c in coordinates])


def rotate_half_of_each_half(x):
    return np.concatenate([rotate_half(part) for part in np.split(x, 2, -1)], -1)


# Each gives the rope, the positions it takes, the model's table and its `rotate_half`.


def qwen2_vl():
    table = twice(angles(H, 40), angles(W, 40))
    return F.axial_rope((40, 40)), IMAGE, table, rotate_half


def gemma_4():
    """Columns first, and padding has -1."""
    h, w = np.append(H, -1), np.append(W, -1)
    x, y = angles(w, 32, 100.0), angles(h, 32, 100.0)
    table = np.concatenate([x, x, y, y], axis=-1)
    positions = np.stack([h, w], axis=-1)
    rope = F.axial_rope((32, 32), 100.0, axis_order=(1, 0), num_blocks=2)
    return rope, positions, table, rotate_half_of_each_half


def step_3():
    table = twice(angles(W, 32), angles(H, 32))
    return F.axial_rope((32, 32), axis_order=(1, 0)), IMAGE, table, rotate_half


def kimi_k2_5():
    pairs = np.stack([angles(W, 36), angles(H, 36)], axis=-1).reshape(len(H), -1)
    rope = F.axial_rope((36, 36), axis_order=(1, 0), alternate=True)
    return rope, IMAGE, twice(pairs), rotate_half


def sam_2():
    """Columns first: the model stacks `wpos_ids` and `hpos_ids`."""
    table = in_place(angles(W, 32), angles(H, 32))
    rope = F.axial_rope((32, 32), axis_order=(1, 0), layout="interleaved")
    return rope, IMAGE, table, rotate_neighbors


def inkling_2():
    table = in_place(angles(W, 32), angles(H, 32))
    rope = F.axial_rope((32, 32), axis_order=(1, 0), layout="interleaved")
    return rope, IMAGE, table, rotate_neighbors


def llama_4_vision():
    """Counts from 1, columns first; the class token comes last and stands still."""
    x, y = np.append(W + 1, 0), np.append(H + 1, 0)
    table = in_place(angles(x, 44), angles(y, 44))
    positions = np.concatenate([IMAGE + 1, [[0, 0]]])
    rope = F.axial_rope((44, 44), axis_order=(1, 0), layout="interleaved")
    return rope, positions, table, rotate_neighbors


def pixtral():
    whole = [10_000.0 ** (-2 * k / 64) for k in range(32)]
    h, w = (np.outer(c, whole[k::2]) for k, c in enumerate((H, W)))
    return F.axial_rope((32, 32), shared=True), IMAGE, twice(h, w), rotate_half


def minimax_m3():
    """80 channels hold three axes of 2 * ((80 // 3) // 2), and two pass."""
    t, h, w = (angles(c, 26) for c in (T3, H3, W3))
    return F.axial_rope((26,) * 3), VIDEO, twice(t, h, w), rotate_half


def rope_vit_axial():
    n, width = np.arange(ROWS * COLUMNS), 64
    frequencies = [100.0 ** (-4 * k / width) for k in range(width // 4)]
    x, y = (np.outer(c, frequencies) for c in (n % COLUMNS, n // COLUMNS))
    rope = F.axial_rope((32, 32), 100.0, axis_order=(1, 0), layout="interleaved")
    return rope, IMAGE, in_place(x, y), rotate_neighbors


def video(dims):
    parts = [angles(c, d) for c, d in zip((T3, H3, W3), dims, strict=True)]
    rope = F.axial_rope(dims, layout="interleaved")
    return rope, VIDEO, in_place(*parts), rotate_neighbors


def flux():
    return video((16, 56, 56))


def cogvideox():
    return video((64 // 4, 3 * 64 // 8, 3 * 64 // 8))


def wan():
    side = 2 * (128 // 6)
    return video((128 - 2 * side, side, side))


MODELS = (
    *(qwen2_vl, gemma_4, step_3, kimi_k2_5, sam_2, inkling_2, llama_4_vision),
    *(pixtral, minimax_m3, rope_vit_axial, flux, cogvideox, wan),
)


QUICK = qwen2_vl, gemma_4, kimi_k2_5, llama_4_vision, minimax_m3, cogvideox, wan


@pytest.mark.parametrize(
    "model",
    (*QUICK, *slow(*(model for model in MODELS if model not in QUICK))),
    ids=lambda model: model.__name__,
)
def test_equals_the_table_of_the_model(model):
    rope, positions, table, turned = model()
    width = 80 if model is minimax_m3 else table.shape[-1]
    x = normal((2, len(positions), 3, width))
    actual = np.asarray(F.rotate(rope, jnp.asarray(x), positions))
    assert_close(actual, by_table(x, table, turned), magnitude=largest_pair(x))
    assert_same_bits(actual[..., rope.rotary_dim :], x[..., rope.rotary_dim :])


@given(
    dims=st.lists(st.integers(1, 20).map(lambda n: 2 * n), min_size=1, max_size=4),
    data=st.data(),
    base=ax.bases,
)
def test_progressions_of_any_axes(dims, data, base):
    order = data.draw(st.permutations(range(len(dims))))
    rope = F.axial_rope(dims, base, axis_order=order)
    pairs = [(axis, k) for axis in order for k in range(dims[axis] // 2)]
    assert rope.axis_of_pair == tuple(axis for axis, _ in pairs)
    assert rope.num_axes == len(dims)
    expected = [base ** (-2 * k / dims[axis]) for axis, k in pairs]
    # Powers in float64, by the host's `pow` and by Python's.
    np.testing.assert_allclose(rope.inv_freq, expected, rtol=1e-14)


@pytest.mark.parametrize("shared", (False, True))
def test_three_axes_by_turns(shared):
    rope = F.axial_rope((4, 4, 4), axis_order=(2, 0, 1), alternate=True, shared=shared)
    assert rope.axis_of_pair == (2, 0, 1, 2, 0, 1)
    exponents = (4, 0, 2, 10, 6, 8) if shared else (0, 0, 0, 6, 6, 6)
    expected = [10_000.0 ** (-k / 12) for k in exponents]
    np.testing.assert_allclose(rope.inv_freq, expected, rtol=1e-14)


@given(data=st.data(), shift=st.tuples(*[st.integers(-(2**20), 2**20)] * 2))
def test_scores_depend_only_on_the_differences_of_coordinates(data, shift):
    rope = F.axial_rope((8, 8), axis_order=(1, 0), alternate=True)
    q, k = (data.draw(ax.floats((5, 3, 18))) for _ in range(2))
    m, n = (data.draw(ax.positions((5, 2))) // 2 for _ in range(2))

    def scores(m, n):
        turned = (F.rotate(rope, t, p.astype(np.int32)) for t, p in ((q, m), (k, n)))
        q_turned, k_turned = (np.asarray(t, np.float64) for t in turned)
        return np.einsum("...hd,...hd->...h", q_turned, k_turned)

    # 18 products of two rotated numbers below 8 * 1.5, wrong by 4.5 units of them each,
    # on both sides of the comparison.
    bound = 2 * 18 * 12**2 * 2 * 4.5 * 2.0**-23
    shifted = scores(m + shift, n + shift)
    np.testing.assert_allclose(shifted, scores(m, n), rtol=0, atol=bound)


@pytest.mark.parametrize("num_blocks", (2, *slow(1)))
def test_batch_jit_and_low_precision(num_blocks):
    rope = F.axial_rope((24, 24), num_blocks=num_blocks)
    x = jnp.asarray(normal((2, 35, 3, 51)).astype(jnp.bfloat16))
    positions = np.stack([IMAGE, IMAGE[::-1] * 1009 - 4])
    rotate = jax.jit(lambda x, positions: F.rotate(rope, x, positions))
    actual = rotate(x, positions)
    assert actual.dtype == jnp.bfloat16
    wide = np.asarray(rotate(np.asarray(x, np.float32), positions))
    assert_same_bits(actual, wide.astype(jnp.bfloat16))
    assert_same_bits(F.rotate(rope, x, positions), actual)
    mapped = jax.vmap(lambda x, p: F.rotate(rope, x, p))(x, positions)
    assert_same_bits(mapped, actual)
    one = F.rotate(rope, x, positions[:1])
    assert_same_bits(one[0], actual[0])


def test_any_axis_at_0_is_the_identity_of_its_channels():
    rope = F.axial_rope((8, 6))
    x = normal((5, 2, 14))
    positions = np.stack([np.zeros(5, np.int32), np.arange(5, dtype=np.int32)], -1)
    still = np.array([0, 1, 2, 3, 7, 8, 9, 10])  # the first four pairs, in halves
    actual = np.asarray(F.rotate(rope, jnp.asarray(x), positions))
    np.testing.assert_array_equal(actual[..., still], x[..., still])
    assert (actual[1:, :, 4:7] != x[1:, :, 4:7]).all()
    np.testing.assert_array_equal(F.rotate(rope, jnp.asarray(x), positions * 0), x)


@pytest.mark.errors
@pytest.mark.parametrize("dims", ((), (4, 0), (4, -2), (4, 3)))
def test_dims_must_be_positive_and_even(dims):
    with pytest.raises(ValueError, match=re.escape(f"dims={dims} must be one or")):
        F.axial_rope(dims)


@pytest.mark.errors
@pytest.mark.parametrize("order", ((0,), (0, 0), (1, 2), (0, 1, 2)))
def test_order_must_name_each_axis_once(order):
    with pytest.raises(
        ValueError, match=re.escape(f"axis_order={order} must name each")
    ):
        F.axial_rope((4, 4), axis_order=order)


@pytest.mark.errors
@pytest.mark.parametrize("option", ("alternate", "shared"))
def test_axes_by_turns_must_be_as_wide_as_each_other(option):
    message = rf"dims=\(4, 6\) must be equal for .*{option}=True"
    with pytest.raises(ValueError, match=message):
        F.axial_rope((4, 6), **{option: True})


@pytest.mark.errors
def test_positions_must_hold_a_coordinate_for_each_axis():
    rope = F.axial_rope((4, 4, 4))
    with pytest.raises(ValueError, match=r"shape=\(5, 2\) must end in the 3 coord"):
        F.rotate(rope, host.ones((5, 1, 12)), np.zeros((5, 2), np.int32))


@pytest.mark.errors
def test_blocks_of_images_are_their_axes():
    for options in ({"dims": (4, 8)}, {"dims": (4, 4, 4)}):
        with pytest.raises(ValueError, match=r"^axial_rope: .*num_blocks=2"):
            F.axial_rope(**options, num_blocks=2)
    for base in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"^axial_rope: base={base} must be fini"):
            F.axial_rope((4, 4), base)
    for options in ({}, {"shared": True}):
        with refused(r"^axial_rope: base=1e-40 must give frequencies below 2\*\*64"):
            F.axial_rope((4, 4), 1e-40, **options)
