"""Biases by distances of boxes, and their sums in LayoutLM and UDOP."""

import box_bias_oracles as oracles
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bias_laws import (
    LENGTH,
    check_low_precision,
    check_parts,
    check_score_mod,
    drawn,
    gradient,
    matrix,
    sums_by_row,
)
from helpers import assert_close

import attnax.functional as F
from attnax.functional._biases.sequences.box_distance import steps_between

HEADS = 3
SIDES = ("left", "top", "right", "bottom")


def boxes(size, *, batch=(), length=LENGTH):
    """Left, top, right and bottom of drawn boxes, float32 in `[0, size]`."""
    corners = np.random.default_rng(0).uniform(0, size, (2, *batch, length, 2))
    corners = np.sort(corners, axis=0)
    return np.concatenate(list(corners), -1).astype(np.float32)


PAGE = boxes(1000).astype(np.int32)
TOKENS = {"q": PAGE, "k": PAGE}


def layoutlm(factor=1.0):
    """LayoutLMv2's three tables, in small."""
    sides = (
        F.BoxBias(HEADS, 16, 256, coordinate=side, factor=factor)
        for side in ("left", "bottom")
    )
    return F.SumBias([F.T5Bias(HEADS, 8, 6, bidirectional=True, factor=factor), *sides])


def udop(prefix):
    """UDOP's three tables, and the settings as its config has them."""
    kinds = [{"type": kind, "prefix_bucket": prefix} for kind in ("1d", "horizontal")]
    kinds += [{"type": "vertical", "scaling_factor": 37, "max_distance": 9}]
    biases = [
        F.BoxBias(HEADS, 32, 128, coordinate="position", prefix_rows=prefix),
        F.BoxBias(HEADS, 32, 100, coordinate="center_x", scale=100, prefix_rows=prefix),
        F.BoxBias(HEADS, 32, 9, coordinate="center_y", scale=37),
    ]
    return F.SumBias(biases), kinds


@pytest.mark.parametrize("factor", (1.0, 0.5))
def test_layoutlm_adds_three_tables(factor):
    bias, page = layoutlm(factor), boxes(1000, batch=(2,)).astype(np.int32)
    params = drawn(bias)
    places = np.stack([np.r_[:8, :5], np.arange(LENGTH)])  # words, and patches anew
    actual = matrix(bias, params, places[:, 4:], places, q=page[:, 4:], k=page)
    tables = [p.table.T for p in params]
    expected = factor * oracles.layout_bias(tables, places, page, 6, 256)
    assert_close(actual, expected[:, :, 4:], magnitude=10)


@pytest.mark.parametrize("prefix", (False, True))
def test_udop_adds_three_tables(prefix):
    bias, kinds = udop(prefix)
    params, page = drawn(bias), boxes(1, batch=(2,))
    page[0, :2], page[1, :3] = -1, -1  # in front of the page
    page[:, 5, 1] = 0  # at its upper edge
    at = np.arange(LENGTH)
    actual = matrix(bias, params, at[1:], at, q=page[:, 1:], k=page)
    expected = oracles.udop_bias([p.table for p in params], kinds, page)
    assert_close(actual, expected[:, :, 1:], magnitude=10)


@pytest.mark.parametrize("coordinate", (*SIDES, "center_x", "center_y"))
def test_each_coordinate(coordinate):
    bias = F.BoxBias(HEADS, 16, 256, coordinate=coordinate)
    params, page = drawn(bias), 4 * PAGE  # so that centers are integers
    if coordinate in SIDES:
        measured = page[:, SIDES.index(coordinate)]
    else:
        first = ("center_x", "center_y").index(coordinate)
        measured = (page[:, first] + page[:, first + 2]) // 2
    at = np.arange(LENGTH)
    rows = F.relative_position_bucket(
        measured - measured[:, None],
        num_buckets=16,
        max_distance=256,
        bidirectional=True,
    )
    actual = matrix(bias, params, at, at, q=page, k=page)
    np.testing.assert_array_equal(actual, np.moveaxis(params.table[rows], -1, 0))


def test_steps_are_those_of_float32_arithmetic():
    # 0.29 * 100 is 28.999998 in float32, and 29.0 in other roundings.
    grid = np.arange(1001, dtype=np.float32) / np.float32(1000)
    page = np.zeros((1001, 4), np.float32)
    page[:, 0] = page[:, 2] = grid
    expected = oracles.udop_distance(page[[0, 290, 573]], 0, 100)
    known = steps_between(grid[[0, 290, 573], None], grid[[0, 290, 573]], 100)
    np.testing.assert_array_equal(known, expected)
    expected = oracles.udop_distance(page, 0, 100)
    traced = jax.jit(lambda x: steps_between(x[:, None], x[None], 100))(grid)
    np.testing.assert_array_equal(traced, expected)


def test_known_boxes_of_float64_are_subtracted_in_float64():
    # The centers of the pictures of transformers' UDOP are float64.
    generator = np.random.default_rng(3)
    page = np.repeat(generator.integers(0, 97, (60, 1)) / 97, 4, axis=1)
    bias = F.BoxBias(HEADS, 32, 100, coordinate="center_x", scale=97)
    params, at = drawn(bias), range(60)
    kinds = [{"type": "horizontal", "scaling_factor": 97}]
    expected = oracles.udop_bias([params.table], kinds, page[None])[0]
    actual = F.apply_position_bias(bias, params, at, at, q=page, k=page)
    np.testing.assert_array_equal(actual, expected)
    score_mod = F.position_bias_score_mod(bias, params, at, at, q=page, k=page)
    indices = [jnp.asarray(n) for n in np.ix_(range(HEADS), range(60), range(60))]
    zeros = jnp.zeros(expected.shape, actual.dtype)
    np.testing.assert_array_equal(score_mod(zeros, 0, *indices), expected)


@pytest.mark.parametrize("page", (PAGE, boxes(1)), ids=("integers", "floats"))
def test_a_step_padding_and_packing_leave_the_bias_as_it_is(page):
    bias = layoutlm() if page is PAGE else udop(prefix=True)[0]
    check_parts(bias, drawn(bias), {"q": page, "k": page})


def test_the_function_of_scores_has_the_bits_of_the_matrix():
    bias = udop(prefix=True)[0]
    page = boxes(1)
    page[:2] = -1
    check_score_mod(bias, drawn(bias), {"q": page, "k": page})


def test_a_batch_is_vmap():
    bias, page = layoutlm(), boxes(1000, batch=(2,)).astype(np.int32)
    params, at = drawn(bias), np.arange(LENGTH)

    def of_one(page):
        return F.apply_position_bias(bias, params, at, at, q=page, k=page)

    np.testing.assert_array_equal(
        jax.jit(jax.vmap(of_one))(page), jax.jit(of_one)(page)
    )


def test_positions_may_have_a_batch_that_boxes_lack():
    bias = F.BoxBias(HEADS, 16, 256, coordinate="left")
    params, at = drawn(bias), np.arange(LENGTH)
    actual = matrix(bias, params, np.stack([at, at]), at, **TOKENS)
    one = matrix(bias, params, at, at, **TOKENS)
    np.testing.assert_array_equal(actual, np.stack([one, one]))


def test_bfloat16_is_float32_rounded_once():
    check_low_precision(layoutlm(factor=0.3), drawn(layoutlm()), TOKENS)


def test_coordinates_at_the_ends_of_int32_saturate():
    ends = np.array([-(2**31), 2**31 - 1])
    page = np.repeat(ends[:, None], 4, axis=1).astype(np.int32)
    bias = F.BoxBias(1, 8, 16, coordinate="left")
    params, at = drawn(bias), np.arange(2)
    actual = matrix(bias, params, at, at, q=page, k=page)
    same, before, after = params.table[jnp.array([0, 3, 7]), 0]
    np.testing.assert_array_equal(actual[0], [[same, after], [before, same]])


def test_layoutlm_tables_get_gradients():  # transformers#30974, #30988
    bias = layoutlm(factor=0.5)
    params, at = drawn(bias), np.arange(LENGTH)
    weights = np.random.default_rng(1).normal(size=(HEADS, LENGTH, LENGTH)).astype("f")
    found = gradient(bias, params, at, at, weights, TOKENS)
    measured = at, PAGE[:, 0], PAGE[:, 3]
    for term, table, values in zip(bias.biases, found, measured, strict=True):
        rows = F.relative_position_bucket(
            values - values[:, None],
            num_buckets=term.num_buckets,
            max_distance=term.max_distance,
            bidirectional=True,
        )
        expected, sizes = sums_by_row(rows, 0.5 * weights, len(table.table))
        assert np.abs(expected).max() > 1
        # Sums of at most 169 numbers, added up in short chains.
        error = np.abs(np.asarray(table.table) - expected)
        assert (error <= 32 * 2.0**-24 * sizes).all()


def test_a_table_of_bfloat16_has_a_gradient_that_was_rounded_once():
    bias = F.BoxBias(1, 8, 64, coordinate="left")
    same = np.zeros((LENGTH, 4), np.int32)
    weights = np.full((1, LENGTH, LENGTH), 1 + 2.0**-7, np.float32)
    params, at = drawn(bias, dtype="bfloat16"), np.arange(LENGTH)
    found = gradient(bias, params, at, at, weights, {"q": same, "k": same}).table
    assert found[0, 0] == jnp.bfloat16(LENGTH**2 * (1 + 2.0**-7))


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"num_heads": 0}, "num_heads=0 must be a positive integer"),
        ({"num_buckets": 7}, "num_buckets=7 must be even"),
        ({"max_distance": 2}, "max_distance=2 must be"),
        ({"coordinate": "middle"}, "coordinate='middle' must be 'left', 'top'"),
        ({"scale": 0.0}, "scale=0.0 must be finite and positive"),
        ({"coordinate": "position", "scale": 2}, "scale=2.0 must be 1 for coord"),
        ({"prefix_rows": 2}, "prefix_rows"),
        ({"factor": np.inf}, "factor=inf must be a finite number"),
    ),
)
def test_settings_out_of_range(changed, message):
    settings = {"num_heads": 2, "num_buckets": 8, "max_distance": 16}
    with pytest.raises(Exception, match=message):
        F.BoxBias(**settings | {"coordinate": "left"} | changed)


@pytest.mark.errors
@pytest.mark.parametrize(
    "page, message",
    (
        (PAGE[:3], r"q.shape=\(3, 4\) must end in \(13, 4\)"),
        (PAGE[:, :2], r"q.shape=\(13, 2\) must end in \(13, 4\)"),
        (PAGE.astype(np.float16), "q.dtype=float16 must be float32 or wider"),
        (None, "q must be given: BoxBias reads it"),
    ),
)
def test_boxes_that_do_not_fit(page, message):
    bias = F.BoxBias(2, 8, 16, coordinate="left")
    at = range(LENGTH)
    with pytest.raises(ValueError, match=message):
        F.apply_position_bias(bias, drawn(bias), at, at, q=page, k=PAGE)


@pytest.mark.errors
def test_a_table_of_another_size():
    bias = F.BoxBias(2, 8, 16, coordinate="left", prefix_rows=True)
    params = F.TableBiasParams(np.ones((8, 2), np.float32))
    with pytest.raises(ValueError, match=r"params.table.shape=\(8, 2\) must be \(10"):
        F.apply_position_bias(bias, params, range(13), range(13), **TOKENS)
