"""Products by distance, at lengths around those of a block of tokens."""

import jax
import numpy as np
import pytest
from helpers import assert_close
from query_biases import matrix, normal

import attnax.functional as F
from attnax.functional._biases.core import known_products

# Tables of few rows, which tokens meet row by row, and of more rows than diagonals.
BOTH_FORMS = pytest.mark.parametrize("most", (20, 600), ids=("few", "many"))
FIELDS = "q", "k", "keys", "queries"
EPS = 2.0**-24
HEADS = 3


def disentangled(q_len, k_len, most):
    """Arrays by name, the bias of them, and the rows `(q_len, k_len)` of all pairs."""
    bias = F.DisentangledBias(HEADS, 2, max_distance=most, factor=1.0)
    lengths = q_len, k_len, 2 * most, 2 * most
    arrays = [normal(seed, length, HEADS, 2) for seed, length in enumerate(lengths)]
    first = k_len - q_len

    def function(q, k, keys, queries):
        params = F.DisentangledParams(keys, queries)
        return matrix(bias, params, range(first, k_len), range(k_len), q=q, k=k)

    distance = np.arange(k_len)[None] - np.arange(first, k_len)[:, None]
    rows = most - np.clip(distance, 1 - most, most)
    return dict(zip(FIELDS, arrays, strict=True)), function, rows


def wanted_of(rows, q, k, keys, queries):
    """The bias of every pair, in float64."""
    q, k, keys, queries = (t.astype(np.float64) for t in (q, k, keys, queries))
    of_queries = np.einsum("qhd,qkhd->hqk", q, keys[rows])
    return of_queries + np.einsum("khd,qkhd->hqk", k, queries[rows])


@BOTH_FORMS
@pytest.mark.parametrize(
    ("q_len", "k_len"), ((256, 257), (257, 300), (3, 600), (1, 40))
)
def test_blocks_have_the_products_of_every_pair(q_len, k_len, most):
    arrays, function, rows = disentangled(q_len, k_len, most)
    actual, wanted = function(**arrays), wanted_of(rows, **arrays)
    # Four products below 4 * 4.
    assert_close(actual, wanted, magnitude=64.0, roundings=1)


@BOTH_FORMS
@pytest.mark.parametrize("name", FIELDS)
def test_derivatives_for_one_array_and_for_all(name, most):
    """The bias is linear in each array: its derivative is the bias of the tangent."""
    arrays, function, rows = disentangled(300, 301, most)
    tangent = normal(7, *arrays[name].shape)
    alone = lambda x: function(**arrays | {name: x})
    _, of_one = jax.jit(lambda *t: jax.jvp(alone, t[:1], t[1:]))(arrays[name], tangent)
    tangents = {n: np.zeros_like(x) for n, x in arrays.items()} | {name: tangent}
    among = lambda x: function(**x)
    _, of_all = jax.jit(lambda *t: jax.jvp(among, t[:1], t[1:]))(arrays, tangents)
    other = {"q": "keys", "k": "queries", "keys": "q", "queries": "k"}[name]
    wanted = wanted_of(rows, **tangents | {other: arrays[other]})
    # Two products below 4 * 4.
    assert_close(of_one, wanted, magnitude=32.0, roundings=1)
    np.testing.assert_array_equal(of_one, of_all)


@BOTH_FORMS
@pytest.mark.parametrize("name", FIELDS)
def test_the_gradient_is_that_of_float64(name, most):
    arrays, function, rows = disentangled(300, 301, most)
    weight = normal(8, HEADS, 300, 301)
    loss = lambda x: (weight * function(**arrays | {name: x})).sum()
    actual = np.asarray(jax.jit(jax.grad(loss))(arrays[name]))
    wanted, sizes = (
        gradients_of(rows, w, a)[name]
        for w, a in (
            (weight, arrays),
            (abs(weight), {n: abs(t) for n, t in arrays.items()}),
        )
    )
    # A band has 556 columns, which is the longest sum, and an unused row no gradient.
    assert (abs(actual - wanted) <= 556 * EPS * sizes).all()


def gradients_of(rows, weight, arrays):
    """The gradient of the weighted sum of all pairs for each array, in float64."""
    q, k, keys, queries = (arrays[name].astype(np.float64) for name in FIELDS)
    of_keys, of_queries = np.zeros_like(keys), np.zeros_like(queries)
    np.add.at(of_keys, rows, np.einsum("hqk,qhd->qkhd", weight, q))
    np.add.at(of_queries, rows, np.einsum("hqk,khd->qkhd", weight, k))
    return {
        "q": np.einsum("hqk,qkhd->qhd", weight, keys[rows]),
        "k": np.einsum("hqk,qkhd->khd", weight, queries[rows]),
        "keys": of_keys,
        "queries": of_queries,
    }


@pytest.mark.parametrize(("q_batch", "k_batch"), (((3,), ()), ((), (3,)), ((1,), (3,))))
@pytest.mark.parametrize("name", FIELDS)
def test_gradients_with_batches_of_one_side(q_batch, k_batch, name):
    bias = F.DisentangledBias(2, 4, max_distance=5, factor=1.0)
    q, k = normal(0, *q_batch, 9, 2, 4), normal(1, *k_batch, 9, 2, 4)
    arrays = {
        "q": q,
        "k": k,
        "keys": normal(2, 10, 2, 4),
        "queries": normal(3, 10, 2, 4),
    }
    cotangent = normal(4, 3, 2, 9, 9)

    def loss(x, q, k, keys, queries, positions):
        arrays = {"q": q, "k": k, "keys": keys, "queries": queries} | {name: x}
        params = F.DisentangledParams(arrays["keys"], arrays["queries"])
        q, k = arrays["q"], arrays["k"]
        biases = matrix(bias, params, positions, positions, q=q, k=k)
        return (cotangent * biases).sum()

    gradient = jax.grad(loss)
    known = gradient(arrays[name], **arrays, positions=range(9))
    traced = jax.jit(gradient)(arrays[name], **arrays, positions=np.arange(9))
    assert known.shape == arrays[name].shape
    # Sums of at most 486 products below 4**2, in another order.
    np.testing.assert_allclose(known, traced, rtol=0, atol=486 * 16 * EPS)


def test_one_query_against_many_keys_has_small_temporary_arrays():
    heads, k_len = 12, 8192
    bias = F.DisentangledBias(heads, 4, max_distance=512)
    q, k = (jax.ShapeDtypeStruct((n, heads, 4), np.float32) for n in (1, k_len))
    init = lambda: F.init_position_bias(jax.random.key(0), bias, dtype=np.float32)
    params = jax.eval_shape(init)
    last = range(k_len - 1, k_len)
    made = lambda p, q, k: matrix(bias, p, last, range(k_len), q=q, k=k)
    memory = jax.jit(made).lower(params, q, k).compile().memory_analysis()
    # The rows of all distances of each head, and few results.
    rows, result = heads * k_len * 4 * 4, heads * k_len * 4
    assert memory.temp_size_in_bytes < 3 * rows + 6 * result


@pytest.mark.parametrize("most", (3, 60), ids=("few", "many"))
def test_heads_follow_each_other_where_all_pairs_are_many(most, monkeypatch):
    arrays, _, rows = disentangled(20, 21, most)
    arrays["q"] = normal(5, 2, 20, HEADS, 2)
    bias = F.DisentangledBias(HEADS, 2, max_distance=most, factor=1.0)

    # `matrix` would find the program that it has compiled for these shapes.
    def in_turn(q, k, keys, queries):
        params, positions = F.DisentangledParams(keys, queries), range(1, 21)
        return F.apply_position_bias(bias, params, positions, range(21), q=q, k=k)

    monkeypatch.setattr(known_products, "_MOST_AT_ONCE", 100)
    assert "scan" in str(jax.make_jaxpr(lambda t: in_turn(**t))(arrays))
    actual = jax.jit(lambda t: in_turn(**t))(arrays)
    # Four products below 4 * 4.
    wanted = np.stack([wanted_of(rows, **arrays | {"q": q}) for q in arrays["q"]])
    assert_close(actual, wanted, magnitude=64.0, roundings=1)


def test_the_gradient_of_a_row_that_most_pairs_share():
    # Each of 2047 diagonals is added up first, and then the diagonals of a row.
    length, weight = 1024, np.float32(0.1)
    bias = F.RelativeKeyBias(1, 1, left=1, right=1, factor=1.0)
    params = F.RelativeKeyParams(np.zeros((3, 1), np.float32))
    q = np.ones((length, 1, 1), np.float32)

    def loss(params):
        biases = matrix(bias, params, range(length), range(length), q=q)
        return weight * biases.sum()

    apart = length * (length - 1) // 2
    wanted = np.float64(weight) * np.array([apart, length, apart])
    # A product adds up 256 terms one after another, and each sum rounds by half a unit.
    actual = jax.jit(jax.grad(loss))(params).keys[:, 0]
    np.testing.assert_allclose(actual, wanted, rtol=256 * 2.0**-24)


@pytest.mark.parametrize("known", (True, False))
def test_the_gradient_of_a_row_that_a_long_sequence_shares(known):
    q_len, k_len, weight = 4, 16384, np.float32(0.1)
    bias = F.RelativeKeyBias(1, 1, left=1, right=1, factor=1.0)
    params = F.RelativeKeyParams(np.zeros((3, 1), np.float32))
    q = np.ones((q_len, 1, 1), np.float32)

    def loss(params, k_positions):
        return weight * matrix(bias, params, range(q_len), k_positions, q=q).sum()

    keys = range(k_len) if known else np.arange(k_len)
    gradient = jax.grad(loss) if known else jax.jit(jax.grad(loss))
    actual = gradient(params, keys).keys[:, 0]
    distances = np.arange(k_len) - np.arange(q_len)[:, None]
    counts = np.bincount(np.clip(distances, -1, 1).reshape(-1) + 1)
    # A chain of 64 and few sums of chains, of which each rounds by half a unit.
    np.testing.assert_allclose(actual, np.float64(weight) * counts, rtol=1e-6)


def test_a_batch_without_keys_keeps_its_axes():
    empty, q = np.zeros((3, 0), np.int32), np.zeros((3, 0, 1, 2), np.float32)
    bias = F.RelativeKeyBias(1, 2, left=1, right=1)
    params = F.RelativeKeyParams(np.zeros((3, 2), np.float32))
    assert matrix(bias, params, empty, empty, q=q).shape == (3, 1, 0, 0)
    bias = F.ProfileBias(1, 2, 4)
    params = F.init_position_bias(jax.random.key(0), bias)
    made = matrix(bias, params, range(2), empty, q=np.zeros((2, 1, 2), np.float32))
    assert made.shape == (3, 1, 2, 0)
