"""Disentangled attention against DeBERTa's paper, in every form of a bias."""

import disentangled_bias_oracles as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from query_biases import forms, matrix, normal, rows_of

import attnax.functional as F

HEADS, WIDTH = 3, 8
C2P, P2C = {"position_to_content": False}, {"content_to_position": False}


def bias_of(**settings):
    return F.DisentangledBias(HEADS, WIDTH, **settings)


BIASES = {
    "both": bias_of(max_distance=4),
    "buckets": bias_of(max_distance=9, num_buckets=4),
    "content to position": bias_of(max_distance=9, num_buckets=4, **C2P),
    "position to content": bias_of(max_distance=4, **P2C),
    "factor": bias_of(max_distance=1, factor=1.0),
}
Q, K = normal(0, 2, 11, HEADS, WIDTH), normal(1, 2, 11, HEADS, WIDTH)
named = pytest.mark.parametrize("name", BIASES)


def content(bias, q_places=slice(None)):
    given = {"q": Q[:, q_places]} if bias.content_to_position else {}
    return given | ({"k": K} if bias.position_to_content else {})


def params_of(bias):
    shape = bias.num_rows, HEADS, WIDTH
    return F.DisentangledParams(
        keys=normal(2, *shape) if bias.content_to_position else None,
        queries=normal(3, *shape) if bias.position_to_content else None,
    )


def row(bias):
    span, limit = bias.num_rows // 2, bias.max_distance
    buckets = () if bias.num_buckets is None else (bias.num_buckets, limit)
    return lambda i, j: oracle.row(i, j, span, *buckets)


def expected(bias, params, q_positions, k_positions, q, k):
    rows = rows_of(q_positions, k_positions, row(bias))
    out = oracle.bias(q, k, params.keys, params.queries, rows)
    return out * (WIDTH * (1 + sum(t is not None for t in params))) ** 0.5 * bias.factor


# Two products of `WIDTH` terms: the sum of their magnitudes is below 2 * 8 * 3 * 3,
# times the factor, and each is rounded in a product, in the sums and by the factor.
CLOSE = {"magnitude": 80.0, "roundings": 1}


@named
def test_content_meets_rows_by_the_distance(name):
    """Numbers of queries and keys differ, as with a cache."""
    bias = BIASES[name]
    params, positions = params_of(bias), (range(4, 11), range(11))
    wanted = expected(bias, params, *positions, Q[:, 4:], K)
    given = content(bias, slice(4, 11))
    for actual in forms(bias, params, *positions, batch=2, **given):
        assert_close(actual, wanted, **CLOSE)


@named
def test_positions_in_any_order(name):
    bias, params = BIASES[name], params_of(BIASES[name])
    positions = np.random.default_rng(3).integers(-19, 19, (2, 11))
    actual = matrix(bias, params, *positions, **content(bias))
    assert_close(actual, expected(bias, params, *positions, Q, K), **CLOSE)


def test_extreme_positions():
    positions = np.array([-(2**31), -1, 0, 2**31 - 1])
    q, k = Q[:, :4], K[:, :4]
    for name in ("both", "buckets"):
        bias, params = BIASES[name], params_of(BIASES[name])
        # Beyond the table, the oracle's row does not change.
        near = np.clip(positions, -100, 100)
        actual = matrix(bias, params, positions, positions, q=q, k=k)
        assert_close(actual, expected(bias, params, near, near, q, k), **CLOSE)


@pytest.mark.parametrize("name", ("both", "buckets"))
def test_pieces_of_a_sequence_have_the_bias_of_the_whole(name):
    """Decoding with a cache, left padding and packed documents."""
    bias, params = BIASES[name], params_of(BIASES[name])
    whole = matrix(bias, params, range(11), range(11), q=Q, k=K)
    step = matrix(bias, params, np.array([7]), np.arange(11), q=Q[:, 7:8], k=K)
    assert_close(step, whole[:, :, 7:8], **CLOSE)
    positions = np.array([np.arange(-2, 9), [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6]])
    batched = matrix(bias, params, positions, positions, q=Q, k=K)
    assert_close(batched[0], whole[0], **CLOSE)
    # The bias of two documents is that of their distances and their own tokens.
    wanted = expected(bias, params, range(7), range(7), Q[1:, 4:], K[1:, 4:])
    assert_close(batched[1, :, 4:, 4:], wanted[0], **CLOSE)


def test_a_batch_is_vmap():
    bias, params = BIASES["buckets"], params_of(BIASES["buckets"])
    together = matrix(bias, params, range(11), range(11), q=Q, k=K)
    apart = jax.jit(
        jax.vmap(
            lambda q, k: F.apply_position_bias(
                bias, params, range(11), range(11), q=q, k=k
            )
        )
    )(Q, K)
    assert_close(together, apart, **CLOSE)
    # Keys that a batch of queries shares.
    shared = matrix(bias, params, range(11), range(11), q=Q, k=K[0])
    assert_close(shared[0], together[0], **CLOSE)


def test_positions_with_a_batch_axis_and_vectors_without():
    bias, params = BIASES["both"], params_of(BIASES["both"])
    positions = np.array([np.arange(11), np.arange(11)[::-1]])
    actual = matrix(bias, params, positions, np.arange(11), q=Q[0], k=K[0])
    assert actual.shape == (2, HEADS, 11, 11)
    for n in range(2):
        wanted = expected(bias, params, positions[n], range(11), Q[:1], K[:1])
        assert_close(actual[n], wanted[0], **CLOSE)


@pytest.mark.parametrize("name", ("both", *slow("buckets")))
@pytest.mark.parametrize("known", (True, False))
def test_gradients(name, known):
    bias, params = BIASES[name], params_of(BIASES[name])
    positions = range(11) if known else np.arange(11)
    weight = normal(5, 2, HEADS, 11, 11)

    def loss(params, q, k):
        bias_of = matrix(bias, params, positions, positions, q=q, k=k)
        return jnp.sum(weight * bias_of)

    of_params, of_q, of_k = jax.jit(jax.grad(loss, (0, 1, 2)))(params, Q, K)
    rows = rows_of(range(11), range(11), row(bias))
    one_hot = (rows[..., None] == np.arange(bias.num_rows)).astype(np.float64)
    # The sum is linear in each factor of its terms.
    scaled = bias.factor * np.einsum("bhij,ijn->bhijn", weight, one_hot)
    assert_close(of_q, np.einsum("bhijn,nhd->bihd", scaled, params.keys), **CLOSE)
    assert_close(of_k, np.einsum("bhijn,nhd->bjhd", scaled, params.queries), **CLOSE)
    # At most 2 * 121 terms of magnitude 1 for each row and head.
    of_keys = np.einsum("bhijn,bihd->nhd", scaled, Q)
    of_queries = np.einsum("bhijn,bjhd->nhd", scaled, K)
    assert_close(of_params.keys, of_keys, magnitude=242.0)
    assert_close(of_params.queries, of_queries, magnitude=242.0)


@jitted
def low_wide_rounded(bias, low, wide, positions):
    """Of numbers in bfloat16, of the same in float32, and of the former in bfloat16."""

    def of(params, q, k, dtype=None):
        return F.apply_position_bias(
            bias, params, positions, positions, q=q, k=k, dtype=dtype
        )

    return of(*low), of(*wide), of(*low, dtype="bfloat16")


def test_low_precision_is_float32_rounded_once():
    bias, params = BIASES["buckets"], params_of(BIASES["buckets"])
    low = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), (params, Q, K))
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), low)
    for positions in (range(11), np.arange(11)):
        of_low, of_wide, rounded = low_wide_rounded(bias, low, wide, positions)
        assert_same_bits(of_low, of_wide)
        assert_same_bits(rounded, of_wide.astype(jnp.bfloat16))


def test_initial_rows():
    init = jitted(F.init_position_bias)
    params = init(jax.random.key(0), BIASES["buckets"], init_std=0.5)
    params = jax.tree.map(np.asarray, params)
    assert params.keys.shape == params.queries.shape == (8, HEADS, WIDTH)
    assert 0.3 < params.keys.std() < 0.7
    assert (params.keys != params.queries).all()
    one = jax.eval_shape(
        lambda key: F.init_position_bias(key, bias_of(max_distance=2, **P2C)),
        jax.random.key(0),
    )
    assert one.keys is None


# What users of other libraries reported.


def test_a_key_meets_the_row_of_query_minus_key():
    """nntrainer#3982, TensorRT#3370, DeBERTa#162: the index of p2c."""
    bias = bias_of(max_distance=11, factor=1.0, **P2C)
    queries = np.zeros((22, HEADS, WIDTH), np.float32)
    queries[11 + 3] = 1.0  # the row of keys three places before the query
    params = F.DisentangledParams(keys=None, queries=queries)
    k = np.ones_like(K)
    for actual in forms(bias, params, range(11), range(11), batch=2, k=k):
        wanted = WIDTH * np.eye(11, k=-3)
        np.testing.assert_array_equal(actual, np.broadcast_to(wanted, actual.shape))


def test_products_that_float16_does_not_hold_are_finite():  # DeBERTa#77
    bias, params = BIASES["both"], params_of(BIASES["both"])
    # The largest product, 8 * 100 * 300, is beyond 65504.
    q, k = (np.full_like(x, 100.0).astype(np.float16) for x in (Q, K))
    rows = np.full_like(params.keys, 300.0).astype(np.float16)
    params = F.DisentangledParams(keys=rows, queries=rows)
    for actual in forms(bias, params, range(11), range(11), batch=2, q=q, k=k):
        assert_close(
            actual, np.full(actual.shape, 2 * 240_000 / 24**0.5), magnitude=1e5
        )


def test_numbers_of_queries_and_keys_may_differ():
    """The code of transformers 5.23 has rows of swapped settings, and p2c by keys."""
    bias, params = BIASES["buckets"], params_of(BIASES["buckets"])
    whole = matrix(bias, params, range(11), range(11), q=Q, k=K)
    part = matrix(bias, params, range(8, 11), range(11), q=Q[:, 8:], k=K)
    assert part.shape == (2, HEADS, 3, 11)
    assert_close(part, whole[:, :, 8:], **CLOSE)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"max_distance": 0}, "max_distance=0 must be an integer in"),
        ({"num_buckets": 3}, "num_buckets=3 must be even"),
        ({"num_buckets": 8}, "max_distance=5 must be at least num_buckets=8"),
        (C2P | P2C, "content_to_position=False or position_to_content=False must be"),
        ({"position_to_content": "p2c"}, "position_to_content"),
        ({"factor": float("nan")}, "factor=nan must be"),
        ({"num_heads": 0}, "num_heads=0 must be"),
    ),
)
def test_settings_out_of_range(settings, message):
    settings = {"num_heads": 2, "head_dim": 4, "max_distance": 5} | settings
    with refused(f"DisentangledBias: {message}"):
        F.DisentangledBias(**settings)


@pytest.mark.errors
def test_params_that_do_not_fit():
    bias = BIASES["both"]
    params, given = params_of(bias), {"q": Q[:, :1], "k": K[:, :1]}
    with pytest.raises(
        ValueError, match=r"params\.keys\.shape=\(7, 3, 8\) must be \(8,"
    ):
        short = params._replace(keys=params.keys[1:])
        F.apply_position_bias(bias, short, [0], [0], **given)
    with pytest.raises(ValueError, match=r"params\.queries must be None"):
        one = bias_of(max_distance=4, **C2P)
        F.apply_position_bias(one, params, [0], [0], q=Q[:, :1])
    with pytest.raises(ValueError, match=r"params\.keys is a NoneType"):
        missing = params._replace(keys=None)
        F.apply_position_bias(bias, missing, [0], [0], **given)
    with pytest.raises(ValueError, match="k must be given"):
        F.apply_position_bias(bias, params, [0], [0], q=Q[:, :1])
