"""Values by distance against Shaw et al., and their kinship with the keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import relative_key_bias_oracles as oracle
from helpers import assert_close, assert_same_bits, jitted, refused
from query_biases import normal, rows_of

import attnax.functional as F

HEADS, WIDTH = 3, 8
BIASES = {
    "window": F.RelativeKeyBias(HEADS, WIDTH, left=2, right=2, zero_outside=True),
    "clipped": F.RelativeKeyBias(HEADS, WIDTH, left=3, right=1),
}
P = np.abs(normal(0, 2, HEADS, 7, 11))
P = P / P.sum(-1, keepdims=True)
named = pytest.mark.parametrize("name", BIASES)
added = jitted(F.apply_relative_values)


def values_of(bias):
    return F.RelativeValueParams(values=normal(1, bias.num_rows, WIDTH))


def row(bias):
    def of_pair(i, j):
        if bias.zero_outside:
            return oracle.window_row(i, j, bias.left)
        return oracle.row(i, j, left=bias.left, right=bias.right, offset=bias.left)

    return of_pair


# The probabilities of a query add up to 1, so no sum exceeds the largest value, which
# is below 4. The roundings are those of a sum of 11 products.
CLOSE = {"magnitude": 4.0, "roundings": 4}


@named
@pytest.mark.parametrize("known", (True, False))
def test_values_of_the_distances_by_their_probabilities(name, known):
    bias, positions = BIASES[name], (range(4, 11), range(11))
    wanted = oracle.values(P, values_of(bias).values, rows_of(*positions, row(bias)))
    if not known:
        positions = tuple(map(np.array, positions))
    actual = added(bias, values_of(bias), P, *positions)
    assert actual.shape == (2, 7, HEADS, WIDTH)
    assert_close(actual, wanted, **CLOSE)


@named
def test_positions_of_a_batch(name):
    bias, params = BIASES[name], values_of(BIASES[name])
    positions = np.random.default_rng(2).integers(-5, 5, (2, 11))
    actual = added(bias, params, P[:1], positions[:, :7], positions)
    for n in range(2):
        rows = rows_of(positions[n, :7], positions[n], row(bias))
        wanted = oracle.values(P[:1], params.values, rows)
        assert_close(actual[n], wanted[0], **CLOSE)


@named
def test_a_cached_step_is_a_row_of_the_whole(name):
    bias, params = BIASES[name], values_of(BIASES[name])
    whole = added(bias, params, P, range(4, 11), range(11))
    step = added(bias, params, P[:, :, 3:4], np.array([7]), np.arange(11))
    assert_close(step, whole[:, 3:4], **CLOSE)


@pytest.mark.parametrize("known", (True, False))
def test_gradients(known):
    bias, params = BIASES["clipped"], values_of(BIASES["clipped"])
    positions = (range(4, 11), range(11))
    if not known:
        positions = tuple(map(np.array, positions))
    weight = normal(3, 2, 7, HEADS, WIDTH)

    def loss(params, p):
        return jnp.sum(weight * added(bias, params, p, *positions))

    of_params, of_p = jax.jit(jax.grad(loss, (0, 1)))(params, P)
    rows = rows_of(range(4, 11), range(11), row(bias))
    of_rows = np.asarray(params.values, np.float64)[rows]
    wanted = np.einsum("bihd,ijd->bhij", weight.astype(np.float64), of_rows)
    # A sum of 8 products below 16.
    assert_close(of_p, wanted, magnitude=40.0)
    one_hot = (rows[..., None] == np.arange(bias.num_rows)).astype(np.float64)
    wanted = np.einsum("bihd,bhij,ijn->nd", weight, P, one_hot)
    # 2 * 3 * 7 queries, whose probabilities add up to 1.
    assert_close(of_params.values, wanted, magnitude=42.0)


def test_low_precision_is_float32_rounded_once():
    bias, params = BIASES["window"], values_of(BIASES["window"])
    low = F.RelativeValueParams(jnp.asarray(params.values, jnp.bfloat16))
    wide = F.RelativeValueParams(low.values.astype(jnp.float32))
    p = jnp.asarray(P, jnp.bfloat16)
    of_low = added(bias, low, p, range(4, 11), range(11))
    of_wide = added(bias, wide, p.astype(jnp.float32), range(4, 11), range(11))
    assert_same_bits(of_low, of_wide.astype(jnp.bfloat16))


def test_a_traced_position_outside_int32_gives_nan():
    bias, params = BIASES["window"], values_of(BIASES["window"])
    q_positions = np.array([0, 2**31, *range(5)], np.uint32)
    actual = added(bias, params, P, q_positions, np.arange(11))
    assert np.isnan(actual[:, 1]).all()
    assert np.isfinite(actual[:, [0, *range(2, 7)]]).all()
    # Every query meets the key.
    k_positions = np.array([2**31, *range(10)], np.uint32)
    actual = added(bias, params, P, np.arange(7), k_positions)
    assert np.isnan(actual).all()


def test_no_queries_and_no_keys():
    bias, params = BIASES["clipped"], values_of(BIASES["clipped"])
    none = added(bias, params, P[:, :, :0], [], range(11))
    assert none.shape == (2, 0, HEADS, WIDTH)
    none = added(bias, params, P[..., :0], range(7), [])
    assert none.shape == (2, 7, HEADS, WIDTH)
    assert (np.asarray(none) == 0).all()


def test_initial_values():
    key, bias = jax.random.key(0), BIASES["window"]
    params = F.init_relative_values(key, bias, init_std=0.5, dtype=jnp.float32)
    assert params.values.shape == (5, WIDTH)
    assert 0.3 < params.values.std() < 0.7
    low = F.init_relative_values(key, bias, init_std=0.5, dtype=jnp.bfloat16)
    assert_same_bits(low.values, params.values.astype(jnp.bfloat16))


@pytest.mark.errors
@pytest.mark.parametrize(
    ("changed", "message"),
    (
        ({"params": normal(0, 5, 8)}, "params is"),
        (
            {"params": F.RelativeValueParams(normal(0, 4, 8))},
            r"params\.values\.shape=\(4, 8\) must have num_rows=5 rows",
        ),
        ({"probabilities": P[:, :2]}, r"probabilities\.shape=\(2, 2, 7, 11\) must end"),
        (
            {"q_positions": np.zeros((3, 7), int)},
            r"probabilities with batch axes \(2,\) and positions with batch axes",
        ),
    ),
)
def test_errors(changed, message):
    bias = BIASES["window"]
    arguments = {"bias": bias, "params": values_of(bias), "probabilities": P}
    arguments |= {"q_positions": range(7), "k_positions": range(11)}
    with refused(f"apply_relative_values: {message}"):
        F.apply_relative_values(**(arguments | changed))


@pytest.mark.errors
def test_another_record_is_an_error():
    bias = BIASES["window"]
    positions = range(7), range(11)
    message = "bias must be a RelativeKeyBias|^Type-check error"
    with pytest.raises(TypeError, match=message):
        F.apply_relative_values(F.AlibiBias(HEADS), values_of(bias), P, *positions)
    with pytest.raises(TypeError, match=message):
        F.init_relative_values(jax.random.key(0), F.AlibiBias(HEADS))


def test_the_sum_over_many_keys_stays_exact():
    """A key beyond the table shares a row with thousands of others."""
    bias = F.RelativeKeyBias(1, 1, left=1, right=1)
    params = F.RelativeValueParams(np.full((3, 1), 0.7, np.float32))
    k_len = 16384
    p = np.abs(normal(3, 1, 4, k_len)) / k_len
    actual = F.apply_relative_values(bias, params, p, range(4), range(k_len))
    wanted = 0.7 * p.astype(np.float64).sum(-1)[..., None].swapaxes(0, 1)
    np.testing.assert_allclose(actual, wanted, rtol=16 * 2.0**-24)


def test_no_pair_is_scattered():
    bias = F.RelativeKeyBias(HEADS, WIDTH, left=3, right=1)
    made = jax.make_jaxpr(
        lambda p: F.apply_relative_values(bias, values_of(bias), p, range(7), range(11))
    )
    assert "scatter" not in str(made(P))
