"""Keys by distance, against Shaw et al., in every form of a bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import relative_key_bias_oracles as oracle
from helpers import assert_close, assert_same_bits, refused, slow
from query_biases import forms, matrix, normal, rows_of

import attnax.functional as F

HEADS, WIDTH = 3, 8
DOWN = "query_minus_key"
BIASES = {
    "clipped": F.RelativeKeyBias(HEADS, WIDTH, left=4, right=2),
    "down": F.RelativeKeyBias(HEADS, WIDTH, left=2, right=3, direction=DOWN),
    "window": F.RelativeKeyBias(HEADS, WIDTH, left=2, right=2, zero_outside=True),
    "causal": F.RelativeKeyBias(HEADS, WIDTH, left=3, right=0, zero_outside=True),
    "one key": F.RelativeKeyBias(HEADS, WIDTH, left=0, right=0, factor=1.0),
    "with keys": F.RelativeKeyBias(HEADS, WIDTH, left=3, right=3, with_keys=True),
}
Q, K = normal(0, 2, 11, HEADS, WIDTH), normal(1, 2, 11, HEADS, WIDTH)
named = pytest.mark.parametrize("name", BIASES)


def content(bias, q_places=slice(None)):
    return {"q": Q[:, q_places]} | ({"k": K} if bias.with_keys else {})


def params_of(bias):
    return F.RelativeKeyParams(keys=normal(2, bias.num_rows, WIDTH))


def row(bias):
    """The oracle of the row of a pair, -1 for none."""
    down = bias.direction == DOWN
    bounds = {"left": bias.right, "right": bias.left} if down else {}
    bounds = bounds or {"left": bias.left, "right": bias.right}

    def of_pair(i, j):
        if bias.zero_outside and not -bias.left <= int(j) - int(i) <= bias.right:
            return -1
        sign = -1 if down else 1
        return oracle.row(i, j, **bounds, offset=bounds["left"], sign=sign)

    return of_pair


def expected(bias, params, q_positions, k_positions, q, k=None):
    rows = rows_of(q_positions, k_positions, row(bias))
    out = oracle.bias(q, params.keys, rows)
    if k is not None:
        of_keys = oracle.bias(k, params.keys, rows.T)
        out = out + of_keys.swapaxes(-1, -2)
    return out * WIDTH**0.5 * bias.factor


# A product has `WIDTH` terms: the sum of their magnitudes is below 8 * 3 * 3, times the
# factor, and each is rounded in the product, in the sum and by the factor.
CLOSE = {"magnitude": 40.0, "roundings": 1}


@named
def test_products_with_the_key_of_the_distance(name):
    bias = BIASES[name]
    params, positions = params_of(bias), (range(4, 11), range(11))
    given = content(bias, slice(4, 11))
    wanted = expected(bias, params, *positions, **given)
    for actual in forms(bias, params, *positions, batch=2, **given):
        assert_close(actual, wanted, **CLOSE)


@named
def test_positions_in_any_order(name):
    bias, params = BIASES[name], params_of(BIASES[name])
    rng = np.random.default_rng(3)
    q_positions, k_positions = rng.integers(-9, 9, (2, 11))
    actual = matrix(bias, params, q_positions, k_positions, **content(bias))
    wanted = expected(bias, params, q_positions, k_positions, **content(bias))
    assert_close(actual, wanted, **CLOSE)


@pytest.mark.parametrize("name", ("window", "causal"))
def test_zero_outside_the_window(name):
    bias = BIASES[name]
    distance = np.subtract.outer(np.arange(11), np.arange(11)).T
    outside = (distance < -bias.left) | (distance > bias.right)
    for actual in forms(bias, params_of(bias), range(11), range(11), batch=2, q=Q):
        assert (np.asarray(actual)[:, :, outside] == 0).all()
        assert (np.asarray(actual)[:, :, ~outside] != 0).all()


def test_row_0_is_the_key_farthest_to_the_left_or_to_the_right():
    up = F.RelativeKeyBias(HEADS, WIDTH, left=2, right=5)
    down = F.RelativeKeyBias(HEADS, WIDTH, left=2, right=5, direction=DOWN)
    keys = normal(4, 8, WIDTH)
    a = matrix(up, F.RelativeKeyParams(keys), range(11), range(11), q=Q)
    b = matrix(down, F.RelativeKeyParams(keys[::-1]), range(11), range(11), q=Q)
    assert_same_bits(a, b)


@pytest.mark.parametrize(
    "name", ("clipped", "window", "with keys", *slow("down", "causal", "one key"))
)
def test_pieces_of_a_sequence_have_the_bias_of_the_whole(name):
    """Decoding with a cache, left padding and packed documents."""
    bias, params = BIASES[name], params_of(BIASES[name])
    given = content(bias)
    whole = matrix(bias, params, range(11), range(11), **given)
    step = given | {"q": Q[:, 7:8]}
    cached = matrix(bias, params, np.array([7]), np.arange(11), **step)
    assert_close(cached, whole[:, :, 7:8], **CLOSE)
    # Two rows of padding in front of one sequence, and a document of four tokens.
    positions = np.array([np.arange(-2, 9), [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6]])
    given = {n: x[:, [*range(4), *range(4, 11)]] for n, x in given.items()}
    batched = matrix(bias, params, positions, positions, **given)
    assert_close(batched[0], whole[0], **CLOSE)
    one = {n: x[1:, 4:] for n, x in given.items()}
    alone = expected(bias, params, range(7), range(7), **one)
    assert_close(batched[1, :, 4:, 4:], alone[0], **CLOSE)


def test_a_batch_is_vmap():
    bias, params = BIASES["with keys"], params_of(BIASES["with keys"])
    positions = np.array([np.arange(11), np.arange(11)[::-1]])
    together = matrix(bias, params, positions, positions, q=Q, k=K)
    apart = jax.jit(
        jax.vmap(lambda t, q, k: F.apply_position_bias(bias, params, t, t, q=q, k=k))
    )(positions, Q, K)
    assert_close(together, apart, **CLOSE)
    shared = matrix(bias, params, positions, positions, q=Q[0], k=K)
    assert_close(shared[0], together[0], **CLOSE)
    alone = matrix(bias, params, range(11), range(11), q=Q[0], k=K)
    assert_close(alone[0], together[0], **CLOSE)


def test_extreme_positions():
    low, high = -(2**31), 2**31 - 1
    bias, params = BIASES["clipped"], params_of(BIASES["clipped"])
    positions = np.array([low, -1, 0, high])
    actual = matrix(bias, params, positions, positions, q=Q[:, :4])
    wanted = expected(bias, params, positions, positions, Q[:, :4])
    assert_close(actual, wanted, **CLOSE)
    window = BIASES["window"]
    actual = matrix(window, params_of(window), positions, positions, q=Q[:, :4])
    wanted = expected(window, params_of(window), positions, positions, Q[:, :4])
    assert_close(actual, wanted, **CLOSE)


def test_a_traced_position_outside_int32_gives_nan():
    bias, params = BIASES["clipped"], params_of(BIASES["clipped"])
    positions = np.array([0, 2**31, 1], np.uint32)
    actual = matrix(bias, params, positions, np.arange(3), q=Q[:, :3])
    assert np.isnan(actual[:, :, 1]).all()
    assert np.isfinite(actual[:, :, ::2]).all()


@pytest.mark.parametrize("name", ("down", "window", "with keys"))
@pytest.mark.parametrize("known", (True, False))
def test_gradients(name, known):
    bias, params = BIASES[name], params_of(BIASES[name])
    positions = range(11) if known else np.arange(11)
    weight = normal(5, 2, HEADS, 11, 11)

    def loss(params, given):
        bias_of = matrix(bias, params, positions, positions, **given)
        return jnp.sum(weight * bias_of)

    of_params, of_given = jax.jit(jax.grad(loss, (0, 1)))(params, content(bias))
    rows = rows_of(range(11), range(11), row(bias))
    one_hot = (rows[..., None] == np.arange(bias.num_rows)).astype(np.float64)
    # The sum over all terms of `weight * one_hot * q * keys` is linear in each.
    scaled = bias.factor * np.einsum("bhij,ijn->bhijn", weight, one_hot)
    of_q = np.einsum("bhijn,nd->bihd", scaled, params.keys)
    of_keys = np.einsum("bhijn,bihd->nd", scaled, Q)
    if bias.with_keys:
        of_k = np.einsum("bhijn,nd->bjhd", scaled, params.keys)
        of_keys = of_keys + np.einsum("bhijn,bjhd->nd", scaled, K)
        assert_close(of_given["k"], of_k, **CLOSE)
    assert_close(of_given["q"], of_q, **CLOSE)
    # Up to 2 * 3 * 55 terms of magnitude 1, half of them of each sign.
    assert_close(of_params.keys, of_keys, magnitude=330.0)


def test_low_precision_is_float32_rounded_once():
    bias = BIASES["with keys"]
    low = F.RelativeKeyParams(jnp.asarray(params_of(bias).keys, jnp.bfloat16))
    wide = F.RelativeKeyParams(low.keys.astype(jnp.float32))
    q, k = (jnp.asarray(x, jnp.bfloat16) for x in (Q, K))
    q_wide, k_wide = (x.astype(jnp.float32) for x in (q, k))
    for positions in (range(11), np.arange(11)):
        of_low = matrix(bias, low, positions, positions, q=q, k=k)
        of_wide = matrix(bias, wide, positions, positions, q=q_wide, k=k_wide)
        assert_same_bits(of_low, of_wide)
        rounded = matrix(bias, low, positions, positions, q=q, k=k, dtype="bfloat16")
        assert_same_bits(rounded, of_wide.astype(jnp.bfloat16))


def test_no_queries_and_no_keys():
    bias, params = BIASES["with keys"], params_of(BIASES["with keys"])
    for q, k in ((Q[:, :0], K), (Q, K[:, :0])):
        positions = range(q.shape[1]), range(k.shape[1])
        of = lambda q, k, at=positions: F.apply_position_bias(
            bias, params, *at, q=q, k=k
        )
        assert jax.eval_shape(of, q, k).shape == (2, HEADS, *map(len, positions))


def test_initial_keys():
    bias = BIASES["clipped"]
    params = F.init_position_bias(
        jax.random.key(0), bias, init_std=0.5, dtype=jnp.float32
    )
    assert params.keys.shape == (7, WIDTH)
    assert 0.3 < params.keys.std() < 0.7
    low = F.init_position_bias(
        jax.random.key(0), bias, init_std=0.5, dtype=jnp.bfloat16
    )
    assert_same_bits(low.keys, params.keys.astype(jnp.bfloat16))


# What users of other libraries reported.


def test_a_cached_step_has_the_distances_of_its_position():  # transformers#20203
    bias, params = BIASES["clipped"], params_of(BIASES["clipped"])
    whole = matrix(bias, params, range(11), range(11), q=Q)
    for place in (5, 10):
        one = Q[:, place : place + 1]
        step = matrix(bias, params, np.array([place]), np.arange(11), q=one)
        assert_close(step[:, :, 0], whole[:, :, place], **CLOSE)


def test_an_input_may_be_longer_than_the_table():  # transformers#17026
    max_len = 4
    edge = {"left": max_len - 1, "right": max_len - 1, "direction": DOWN}
    bias = F.RelativeKeyBias(HEADS, WIDTH, **edge)
    params = params_of(bias)
    longer = matrix(bias, params, range(11), range(11), q=Q)
    within = matrix(bias, params, range(4), range(4), q=Q[:, :4])
    assert_close(longer[:, :, :4, :4], within, **CLOSE)
    last = np.asarray(longer)[:, :, 0, max_len - 1 :]
    assert_close(jnp.asarray(last), last[..., :1] + 0 * last, **CLOSE)


def test_old_berts_relative_keys_and_queries_are_there():  # transformers#41170
    # The code of transformers 4.57, for one sequence of 11 tokens.
    max_len = 11
    edge = {"left": max_len - 1, "right": max_len - 1, "direction": DOWN}
    table = normal(6, 2 * max_len - 1, WIDTH)
    places = np.arange(11)
    keys = table[places[:, None] - places[None] + max_len - 1].astype(np.float64)
    of_queries = np.einsum("blhd,lrd->bhlr", Q, keys)
    of_keys = np.einsum("brhd,lrd->bhlr", K, keys)
    params = F.RelativeKeyParams(table)
    for with_keys, wanted in ((False, of_queries), (True, of_queries + of_keys)):
        bias = F.RelativeKeyBias(HEADS, WIDTH, **edge, with_keys=with_keys)
        actual = matrix(bias, params, range(11), range(11), **content(bias))
        assert_close(actual, wanted / WIDTH**0.5, **CLOSE)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"left": -1}, "left=-1 must be an integer in"),
        ({"right": 2.5}, "right=2.5 must be an integer"),
        # Numbers of rows are int32.
        ({"right": 2**31 - 3}, "right=2147483645 must be an integer in"),
        ({"direction": "down"}, "direction='down' must be"),
        ({"zero_outside": 1.5}, "zero_outside"),
        ({"factor": float("inf")}, "factor=inf must be"),
        ({"head_dim": 0}, "head_dim=0 must be"),
    ),
)
def test_settings_out_of_range(settings, message):
    settings = {"num_heads": 2, "head_dim": 4, "left": 2, "right": 1} | settings
    with refused(f"RelativeKeyBias: {message}"):
        F.RelativeKeyBias(**settings)


@pytest.mark.errors
@pytest.mark.parametrize("shape", ((6, WIDTH), (7, WIDTH + 1), (7,)))
def test_keys_of_another_shape(shape):
    params = F.RelativeKeyParams(normal(0, *shape))
    with refused(r"apply_position_bias: params.keys.shape=\("):
        F.apply_position_bias(BIASES["clipped"], params, [0], [0], q=Q[:, :1])


@pytest.mark.errors
def test_vectors_that_are_missing_or_not_read():
    bias, params = BIASES["clipped"], params_of(BIASES["clipped"])
    with pytest.raises(ValueError, match="q must be given"):
        F.apply_position_bias(bias, params, [0], [0])
    with pytest.raises(ValueError, match="k must be None"):
        F.apply_position_bias(bias, params, [0], [0], q=Q[:, :1], k=K[:, :1])
    with pytest.raises(ValueError, match=r"q.shape=\(2, 11, 3, 8\) must end in"):
        F.apply_position_bias(bias, params, [0], [0], q=Q)
