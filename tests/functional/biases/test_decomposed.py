"""Decomposed biases of MViTv2, ViTDet and SAM, against the paper and its code."""

import re

import decomposed_bias_oracles as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attention_oracles import attention
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from query_biases import forms, matrix, normal

import attnax.functional as F
from attnax.functional._biases.windows.axis_products import row_of_distance

HEADS, WIDTH = 2, 8
BIASES = {
    "wide": F.DecomposedBias(HEADS, WIDTH, (3, 5)),
    "class token": F.DecomposedBias(HEADS, WIDTH, (2, 3), num_prefix_tokens=1),
    "fewer keys": F.DecomposedBias(HEADS, WIDTH, (4, 3), (2, 2), num_prefix_tokens=1),
    "more keys": F.DecomposedBias(HEADS, WIDTH, (2, 3), (4, 5)),
    "video": F.DecomposedBias(HEADS, WIDTH, (2, 3, 4)),
}
named = pytest.mark.parametrize(
    "name", ["wide", "fewer keys", "video", *slow("class token", "more keys")]
)
few = pytest.mark.parametrize("name", ["fewer keys", *slow("wide", "video")])
draw = jitted(F.init_position_bias)


def params_of(bias, extra_rows=0):
    tables = (
        normal(n, rows + extra_rows, WIDTH) for n, rows in enumerate(bias.num_rows)
    )
    return F.DecomposedBiasParams(tuple(tables))


def queries(bias, batch=2):
    return normal(9, batch, bias.num_queries, HEADS, WIDTH)


def tokens(bias):
    return range(bias.num_queries), range(bias.num_keys)


def expected(bias, params, q):
    return oracle.decomposed_bias(
        q, params.tables, bias.q_grid, bias.k_grid, bias.num_prefix_tokens
    )


channels_of = jitted(F.position_bias_channels)
# Each of up to three products has 8 terms: the sum of the sizes is below 3 * 8 * 4, and
# each is rounded in the product and in the sum.
CLOSE = {"magnitude": 24.0, "roundings": 1}


@named
def test_products_with_a_row_of_each_axis(name):
    bias = BIASES[name]
    params, q = params_of(bias), queries(bias)
    wanted = expected(bias, params, q)
    for actual in forms(bias, params, *tokens(bias), batch=2, q=q):
        assert_close(actual, wanted, **CLOSE)


@few
def test_tokens_in_any_order(name):
    bias = BIASES[name]
    params, q = params_of(bias), queries(bias)
    wanted = expected(bias, params, q)
    rng = np.random.default_rng(1)
    i = rng.integers(0, bias.num_queries, (2, 5))
    j = rng.integers(0, bias.num_keys, (2, 4))
    of_pair = np.arange(2)[:, None]
    actual = matrix(bias, params, i, j, q=q[of_pair, i])
    wanted = np.stack([w[:, a][:, :, b] for w, a, b in zip(wanted, i, j, strict=True)])
    assert_close(actual, wanted, **CLOSE)


@pytest.mark.parametrize("name", ["fewer keys", *slow("video")])
def test_channels_are_the_bias(name):
    """Keys have ones alone, so products with them round nothing but their sum."""
    bias = BIASES[name]
    params, q = params_of(bias), queries(bias)

    @jax.jit
    def by_channels(params, q):
        channels = F.position_bias_channels(
            bias, params, *tokens(bias), q=q, scale=0.3, dtype="float32"
        )
        assert channels.q.shape[-1] == channels.k.shape[-1] == sum(bias.k_grid)
        k = jnp.broadcast_to(
            channels.k, (*channels.k.shape[:-2], HEADS, sum(bias.k_grid))
        )
        k = jnp.broadcast_to(k, (2, *k.shape[-3:]))
        return 0.3 * jnp.einsum("bqhc,bkhc->bhqk", channels.q, k, precision="highest")

    wide = {**CLOSE, "roundings": 4}  # the division by the scale, and its product
    assert_close(by_channels(params, q), expected(bias, params, q), **wide)


def test_two_pieces_of_channels_in_bfloat16():
    """One piece has 8 bits of each product, and two have 16."""
    bias = BIASES["wide"]
    params, q = params_of(bias), queries(bias)
    wanted = expected(bias, params, q)
    errors = []
    for pieces in (1, 2):
        channels = channels_of(
            bias,
            params,
            *tokens(bias),
            q=q,
            scale=0.25,
            dtype="bfloat16",
            pieces=pieces,
        )
        of_q, of_k = (np.asarray(t, np.float64) for t in channels)
        of_k = np.broadcast_to(of_k, (2, *of_k.shape[-3:]))[:, :, 0]
        made = 0.25 * np.einsum("bqhc,bkc->bhqk", of_q, of_k)
        errors.append(np.abs(made - wanted).max() / np.abs(wanted).max())
    assert errors[0] < 2.0**-7
    assert errors[1] < 2.0**-15


@pytest.mark.parametrize("extra_rows", [4, *slow(-2)])
def test_tables_of_another_length_are_resized(extra_rows):
    bias = BIASES["wide"]
    params, q = params_of(bias, extra_rows), queries(bias)
    wanted = expected(bias, params, q)
    assert_close(matrix(bias, params, *tokens(bias), q=q), wanted, **CLOSE)
    resized = [
        F.resize_relative_table(
            table, ((len(table) + 1) // 2,), ((rows + 1) // 2,), method="bilinear"
        )
        for table, rows in zip(params.tables, bias.num_rows, strict=True)
    ]
    once = F.DecomposedBiasParams(tuple(resized))
    assert_close(matrix(bias, once, *tokens(bias), q=q), wanted, **CLOSE)


def test_rows_of_every_small_pair_of_sides():
    """Steps of whole numbers are those of the fractions, and stay in the table."""
    for q_side in range(1, 14):
        for k_side in range(1, 14):
            rows = row_of_distance(q_side, k_side)
            wanted = [
                [oracle.row_of_distance(i, j, q_side, k_side) for j in range(k_side)]
                for i in range(q_side)
            ]
            np.testing.assert_array_equal(rows, wanted)
            assert rows.min() >= 0 and rows.max() <= 2 * max(q_side, k_side) - 2


def test_rows_of_released_code_where_one_side_divides_the_other():
    """Their float32 is exact there; elsewhere it loses a row, for the first time here.

    8 queries and 6 keys: 6 * 4/3 is 8, and float32 has a little less.
    """

    def in_float32(q_side, k_side):
        q_ratio, k_ratio = (max(n, 1.0) for n in (k_side / q_side, q_side / k_side))
        i = np.arange(q_side, dtype=np.float32)[:, None] * np.float32(q_ratio)
        j = np.arange(k_side, dtype=np.float32) * np.float32(k_ratio)
        return ((i - j) + np.float32((k_side - 1) * k_ratio)).astype(np.int32)

    for side in (7, 14, 28, 56):
        for ratio in (1, 2, 4, 8):
            for sides in ((side, side * ratio), (side * ratio, side)):
                np.testing.assert_array_equal(
                    row_of_distance(*sides), in_float32(*sides)
                )
    assert (row_of_distance(8, 6) != in_float32(8, 6)).any()


def test_prefix_tokens_have_no_bias():
    bias = BIASES["fewer keys"]
    q = queries(bias)
    for at in (tokens(bias), tuple(map(np.array, tokens(bias)))):
        biases = matrix(bias, params_of(bias), *at, q=q)
        assert (biases[:, :, 0] == 0).all() and (biases[..., 0] == 0).all()
        assert (biases[:, :, 1:, 1:] != 0).all()


def test_a_batch_is_vmap():
    bias = BIASES["class token"]
    params, q = params_of(bias), queries(bias)
    one = jax.jit(
        jax.vmap(lambda q: F.apply_position_bias(bias, params, *tokens(bias), q=q))
    )
    assert_close(one(q), expected(bias, params, q), **CLOSE)


def test_outside_jit():
    bias = BIASES["wide"]
    params, q = params_of(bias), queries(bias)
    eager = F.apply_position_bias(bias, params, *tokens(bias), q=q)
    assert_close(eager, expected(bias, params, q), **CLOSE)


@few
def test_bfloat16_is_float32_rounded_once(name):
    bias = BIASES[name]
    params, q = params_of(bias), queries(bias)
    wide = np.asarray(matrix(bias, params, *tokens(bias), q=q))
    narrow = matrix(bias, params, *tokens(bias), q=q, dtype="bfloat16")
    assert_same_bits(narrow, wide.astype(narrow.dtype))


def test_bfloat16_queries_and_tables_are_multiplied_in_float32():
    bias = BIASES["wide"]
    narrow = jax.tree.map(
        lambda x: jnp.asarray(x, "bfloat16"), (params_of(bias), queries(bias))
    )
    wide = jax.tree.map(lambda x: np.asarray(x, "float32"), narrow)
    made = [matrix(bias, params, *tokens(bias), q=q) for params, q in (narrow, wide)]
    assert made[0].dtype == np.float32
    assert_same_bits(*made)


@pytest.mark.parametrize("traced", [False, *slow(True)])
@few
def test_gradients_in_float64(name, traced):
    """The bias is linear in tables and in queries: it is its own derivative."""
    bias = BIASES[name]
    params, q = params_of(bias, extra_rows=2), queries(bias)
    at = tuple(map(np.array, tokens(bias))) if traced else tokens(bias)
    weights = normal(8, 2, HEADS, bias.num_queries, bias.num_keys)

    def loss(params, q, *positions):
        at = positions or tokens(bias)
        return (weights * F.apply_position_bias(bias, params, *at, q=q)).sum()

    step = jax.jit(jax.grad(loss, (0, 1)))
    of_params, of_q = step(params, q, *(at if traced else ()))
    directions = params_of(bias, extra_rows=2)
    directions = jax.tree.map(lambda t: t[::-1].copy(), directions)
    other_q = q[::-1].copy()
    for gradient, direction, wanted in (
        (of_params, directions, expected(bias, directions, q)),
        (of_q, other_q, expected(bias, params, other_q)),
    ):
        parts = [
            (np.float64(g) * d).sum()
            for g, d in zip(
                jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True
            )
        ]
        # Each entry of a gradient is a sum of numbers up to 4, over pairs and channels,
        # whose sizes add up to that of all weights times the largest bias.
        size = np.abs(weights * wanted).sum()
        np.testing.assert_allclose(
            sum(parts), (weights * wanted).sum(), atol=4 * 2.0**-24 * size
        )


def test_parameters_are_drawn():
    bias = BIASES["video"]
    params = draw(jax.random.key(0), bias, dtype="bfloat16")
    assert [t.shape for t in params.tables] == [(3, WIDTH), (5, WIDTH), (7, WIDTH)]
    assert len({np.asarray(t, np.float32).std() for t in params.tables}) == 3


# What users of released code ran into


@pytest.mark.parametrize("grid", [(2, 3, 4), *slow((4, 2, 3), (3, 4, 2))])
def test_volumes_of_unequal_sides(grid):
    """The third axis read the table of another one, where the sides differ.

    A cube hides it, because any order of its axes fits. # Project-MONAI/MONAI#8890
    """
    bias = F.DecomposedBias(HEADS, WIDTH, grid)
    params, q = params_of(bias), queries(bias, batch=1)
    wanted = expected(bias, params, q)
    assert_close(matrix(bias, params, *tokens(bias), q=q), wanted, **CLOSE)


@pytest.mark.parametrize("kernel", ["with a bias", "without"])
def test_sam_attends_by_any_kernel(kernel):
    """SAM had eager attention alone. # transformers#34110

    Kernels without a bias take channels; they refused SAM 3. # transformers#42543
    """
    bias = F.DecomposedBias(HEADS, WIDTH, (3, 5))
    params, q = params_of(bias), queries(bias)
    k, v = normal(10, *q.shape), normal(11, *q.shape)
    scale = WIDTH**-0.5

    @jax.jit
    def attend(q, k, v):
        if kernel == "with a bias":
            biases = F.apply_position_bias(bias, params, *tokens(bias), q=q)
            return jax.nn.dot_product_attention(q, k, v, bias=biases, scale=scale)
        extra = F.position_bias_channels(
            bias, params, *tokens(bias), q=q, scale=scale, dtype=q.dtype
        )
        width = extra.q.shape[-1]
        of_k = jnp.broadcast_to(extra.k, (*k.shape[:-1], width))
        q, k = jnp.concatenate([q, extra.q], -1), jnp.concatenate([k, of_k], -1)
        v = jnp.pad(v, [(0, 0)] * 3 + [(0, width)])
        out = jax.nn.dot_product_attention(q, k, v, scale=scale)
        return out[..., :WIDTH]

    wanted = attention(q, k, v, expected(bias, params, q), scale=scale)
    # Errors of scores, whose sizes add up to 30, change weights by as much.
    assert_close(attend(q, k, v), wanted, magnitude=3 * 30.0)


# Errors


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"q_grid": (14,)}, "q_grid=(14,) must be (rows, columns)"),
        ({"k_grid": (2, 3, 4)}, "k_grid=(2, 3, 4) must have as many axes as q_grid="),
        ({"head_dim": 0}, "head_dim=0 must be a positive integer"),
        ({"num_heads": 0}, "num_heads=0 must be a positive integer"),
        ({"num_prefix_tokens": -1}, "num_prefix_tokens=-1 must be an integer"),
    ],
)
def test_settings_out_of_range(arguments, message):
    with refused(re.escape(message)):
        F.DecomposedBias(
            **{"num_heads": 2, "head_dim": 8, "q_grid": (3, 5)} | arguments
        )


@pytest.mark.errors
@pytest.mark.parametrize(
    "tables, message",
    [
        ([(5, 8)], "params.tables has 1 tables, but must have 2"),
        (
            [(5, 8), (9, 6)],
            "params.tables[1].shape=(9, 6) must be (num_differences, 8)",
        ),
        ([(5, 8), (0, 8)], "params.tables[1].shape=(0, 8) must be (rows, columns)"),
    ],
)
def test_parameters_of_another_bias(tables, message):
    bias = BIASES["wide"]
    tables = tuple(np.ones(shape, np.float32) for shape in tables)
    params = F.DecomposedBiasParams(tables)
    with refused(re.escape(message)):
        F.apply_position_bias(bias, params, *tokens(bias), q=queries(bias))


@pytest.mark.errors
def test_queries_and_keys_have_bounds_of_their_own():
    bias = BIASES["fewer keys"]  # 13 queries and 5 keys
    params, q = params_of(bias), queries(bias)
    with pytest.raises(
        ValueError, match=re.escape("k_positions[5]=5 must lie in [0, 5)")
    ):
        F.apply_position_bias(bias, params, range(13), range(6), q=q)
    with pytest.raises(ValueError, match=re.escape("[13]=13 must lie in [0, 13)")):
        F.apply_position_bias(bias, params, range(14), range(5), q=q)
    with pytest.raises(ValueError, match="q must be given"):
        F.apply_position_bias(bias, params, range(13), range(5))


def test_traced_tokens_outside_the_grid_give_nan():
    bias = BIASES["fewer keys"]
    q = queries(bias)[:, :2]
    biases = matrix(bias, params_of(bias), np.array([1, 13]), np.array([5, 0, 4]), q=q)
    nan = np.isnan(biases)
    np.testing.assert_array_equal(nan[1, 1], [[True, False, False], [True] * 3])
