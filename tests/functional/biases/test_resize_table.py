"""Tables of another window, against the rules of released code in float64."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import table_resize_oracles as oracle
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from query_biases import matrix, normal

import attnax.functional as F

resize = jitted(F.resize_relative_table)
RULES = {
    "bilinear": oracle.by_pixels(oracle.BILINEAR),
    "bicubic": oracle.by_pixels(oracle.BICUBIC),
    "bicubic_antialias": oracle.by_pixels(oracle.BICUBIC_ANTIALIAS),
    "geometric": oracle.geometric_linear,
    "geometric_cubic": oracle.geometric_cubic,
}
# Larger in both axes, one larger and one smaller, far larger, and one as it was.
WINDOWS = [((3, 4), (5, 7)), ((5, 4), (3, 6)), ((3, 3), (8, 9)), ((4, 4), (4, 6))]
methods = pytest.mark.parametrize("method", RULES)


def table_of(window, extra_rows=0, heads=2):
    rows = np.prod([2 * n - 1 for n in window]) + extra_rows
    return normal(0, int(rows), heads)


@pytest.mark.parametrize("windows", [WINDOWS[0], *slow(*WINDOWS[1:])])
@methods
def test_the_rule_of_each_method(method, windows):
    old, new = windows
    table = table_of(old, extra_rows=3)
    actual = resize(table, old, new, method=method, num_extra_rows=3)
    wanted = oracle.resized_table(table, old, new, RULES[method], extra_rows=3)
    # Sizes of the weights of an axis add up to at most 2; entries are below 4.
    assert_close(actual, wanted, magnitude=16.0)
    np.testing.assert_array_equal(actual[-3:], table[-3:])


@pytest.mark.parametrize("method", ["bicubic_antialias", *slow("bilinear", "bicubic")])
def test_tables_without_signs(method):
    table = normal(1, 15, 2)
    actual = resize(table, (3, 5), (4, 2), method=method, signed=False)
    resampling = {
        "bilinear": oracle.BILINEAR,
        "bicubic": oracle.BICUBIC,
        "bicubic_antialias": oracle.BICUBIC_ANTIALIAS,
    }[method]
    wanted = oracle.resized_offsets(table, (3, 5), (4, 2), resampling)
    assert_close(actual, wanted, magnitude=16.0)


@pytest.mark.parametrize("places", [(14, 9), *slow((9, 14), (1, 3), (3, 1))])
def test_a_table_of_one_axis(places):
    old, new = places
    table = normal(2, 2 * old - 1, 8)
    actual = resize(table, (old,), (new,), method="bilinear")
    assert_close(actual, oracle.linear(table, 2 * new - 1), magnitude=8.0)


@pytest.mark.parametrize("method", ["bicubic", *slow("geometric")])
def test_a_table_of_a_video(method):
    """Each axis by itself: first the frames, and then rows and columns of each."""
    table = table_of((2, 3, 4)).reshape(3, 5, 7, 2)
    actual = resize(table.reshape(-1, 2), (2, 3, 4), (3, 4, 2), method=method)
    wanted = np.float64(table)
    for axis, sides in enumerate(((3, 5), (5, 7), (7, 3))):
        wanted = np.moveaxis(
            np.tensordot(RULES[method](*sides), wanted, (1, axis)), 0, axis
        )
    assert_close(actual, wanted.reshape(-1, 2), magnitude=32.0)


@methods
def test_the_same_window_is_the_table_itself(method):
    table = jnp.asarray(table_of((3, 4), extra_rows=3))
    same = F.resize_relative_table(
        table, (3, 4), (3, 4), method=method, num_extra_rows=3
    )
    assert same is table


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_an_axis_of_the_same_size_is_copied(method):
    """Other axes change: the places of this one stay where they are."""
    table = table_of((3, 4)).reshape(5, 7, 2)
    table[:, :] = table[:1]  # no change along the first axis
    made = resize(table.reshape(-1, 2), (3, 4), (5, 4), method=method)
    wanted = np.broadcast_to(table[:1], (9, 7, 2))
    assert_close(made.reshape(9, 7, 2), wanted, magnitude=8.0)


@methods
def test_a_constant_stays_one(method):
    """The weights of each new row add up to 1."""
    made = resize(np.ones((35, 1), np.float32), (3, 4), (6, 3), method=method)
    assert_close(made, np.ones((11 * 5, 1)), magnitude=4.0)


def test_the_geometric_ratio_is_not_above_a_half_more():
    """3 to 9 places: 1 + 1.5 is 2.5, and 8 is far beyond; the last value goes on."""
    table = np.arange(5, dtype=np.float32)[:, None]
    made = np.asarray(resize(table, (3,), (9,), method="geometric"))[:, 0]
    np.testing.assert_array_equal(made[:6], 0)
    np.testing.assert_array_equal(made[-6:], 4)
    np.testing.assert_allclose(made[7:10], [1, 2, 3], rtol=0, atol=2.0**-22)


@methods
def test_bfloat16_is_float32_rounded_once(method):
    table = jnp.asarray(table_of((3, 4)), jnp.bfloat16)
    narrow = resize(table, (3, 4), (5, 7), method=method)
    wide = resize(table.astype(jnp.float32), (3, 4), (5, 7), method=method)
    assert_same_bits(narrow, wide.astype(jnp.bfloat16))


def test_the_gradient_is_the_transposed_rule():
    table, weights = table_of((3, 4)), normal(3, 9 * 13, 2)

    def loss(table):
        made = F.resize_relative_table(table, (3, 4), (5, 7), method="bicubic")
        return (weights * made).sum()

    unit = np.eye(35)
    columns = oracle.resized_table(unit, (3, 4), (5, 7), RULES["bicubic"])
    # Sums of at most 117 numbers below 4, times weights whose sizes add up to 2 * 2.
    assert_close(jax.jit(jax.grad(loss))(table), columns.T @ weights, magnitude=40.0)


# What users of released code ran into


@pytest.mark.parametrize("method", ["bicubic", "geometric"])
def test_a_window_of_7_goes_to_12(method):
    """Swin at 384 pixels. # microsoft/Swin-Transformer#117, #251, SimMIM#30"""
    bias = F.WindowBias(2, (12, 12))
    table = resize(table_of((7, 7)), (7, 7), (12, 12), method=method)
    out = jax.eval_shape(
        lambda params: F.apply_position_bias(bias, params, range(144), range(144)),
        F.TableBiasParams(table),
    )
    assert out.shape == (2, 144, 144)
    middle = np.asarray(table).reshape(23, 23, 2)[11, 11]
    assert_close(middle, table_of((7, 7)).reshape(13, 13, 2)[6, 6], magnitude=4.0)


def test_beit_at_another_size_keeps_the_rows_of_its_class_token():
    """ViT-Adapter#7: they have no place in the grid, and stay as they are."""
    old, new = (3, 4), (4, 6)
    table = table_of(old, extra_rows=3)
    made = resize(table, old, new, method="geometric", num_extra_rows=3)
    bias = F.WindowBias(2, new, num_prefix_tokens=1)
    biases = matrix(bias, F.TableBiasParams(made), range(25), range(25))
    np.testing.assert_array_equal(biases[:, 0, 1:], np.tile(table[-3], (24, 1)).T)
    np.testing.assert_array_equal(biases[:, 1:, 0], np.tile(table[-2], (24, 1)).T)
    np.testing.assert_array_equal(biases[:, 0, 0], table[-1])


def test_a_window_that_is_no_square_is_read_row_by_row():
    """transformers exchanges height and width of BEiT's table, at any size."""
    table = np.zeros((5, 7, 1), np.float32)
    table[2] = np.arange(7)[:, None]  # a slope along the columns of the middle row
    made = resize(table.reshape(-1, 1), (3, 4), (5, 4), method="bilinear")
    made = np.asarray(made).reshape(9, 7)
    assert (made[[0, 1, 7, 8]] == 0).all()
    assert (np.diff(made[4]) > 0).all()


# Errors


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"old_window": (3, 5)}, "table.shape=(35, 2) must have 5 * 9 + 0 rows for"),
        ({"num_extra_rows": 3}, "table.shape=(35, 2) must have 5 * 7 + 3 rows for"),
        ({"signed": False}, "table.shape=(35, 2) must have 3 * 4 + 0 rows for"),
        ({"new_window": (5,)}, "new_window=(5,) must have as many axes as old_window="),
        ({"new_window": (5, 0)}, "new_window=(5, 0) must be (rows, columns)"),
        ({"new_window": (5, 2.5)}, "new_window=(5, 2.5) must be integers"),
        ({"new_window": 5}, "new_window=5 must be a sequence of integers"),
        ({"method": "linear"}, "method='linear' must be 'bilinear', 'bicubic'"),
        ({"num_extra_rows": -1}, "num_extra_rows=-1 must be an integer"),
        ({"table": np.ones((35, 2), np.int32)}, "table.dtype=int32 must be"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    call = {"table": table_of((3, 4)), "old_window": (3, 4), "new_window": (5, 7)}
    with refused(re.escape(message)):
        F.resize_relative_table(**{**call, "method": "bicubic", **arguments})


@pytest.mark.errors
@pytest.mark.parametrize("method", ["geometric", "geometric_cubic"])
def test_geometric_rules_need_signs_and_splines_three_places(method):
    with pytest.raises(ValueError, match="signed=False must be True with method="):
        F.resize_relative_table(
            normal(0, 12, 2), (3, 4), (5, 7), method=method, signed=False
        )
    if method == "geometric_cubic":
        message = re.escape("old_window=(2, 4) must have at least 3 places")
        with pytest.raises(ValueError, match=message):
            F.resize_relative_table(table_of((2, 4)), (2, 4), (5, 7), method=method)
