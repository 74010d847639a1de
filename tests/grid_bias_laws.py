"""Laws of biases of grids with tables, and inputs that several tests share."""

import jax
import numpy as np
from query_biases import forms, matrix

import attnax.functional as F

same = np.testing.assert_array_equal


def table(seed, num_rows, num_heads):
    """A table of normal numbers."""
    drawn = np.random.default_rng(seed).normal(size=(num_rows, num_heads))
    return F.TableBiasParams(drawn.astype(np.float32))


def check_forms(bias, params, expected, num_tokens):
    """Compares all tokens in order, known and traced, with what is expected."""
    tokens = range(num_tokens)
    for actual in forms(bias, params, tokens, tokens, batch=1):
        same(np.reshape(actual, expected.shape), expected)


def check_any_order(bias, params, num_tokens):
    """Compares tokens in any order, of a batch, with the whole window."""
    whole = np.asarray(matrix(bias, params, range(num_tokens), range(num_tokens)))
    rng = np.random.default_rng(1)
    q, k = rng.integers(0, num_tokens, (2, 2, 5))
    k = k[:1]  # batch axes broadcast
    actual = matrix(bias, params, q, k)
    same(actual, [whole[:, i[:, None], k[0]] for i in q])
    same(matrix(bias, params, q[0], k[0]), actual[0])


def check_low_precision(bias, params, num_tokens):
    """Compares bfloat16 with float32 that is rounded once, all tokens and some."""
    for q in (range(num_tokens), np.arange(num_tokens)):
        wide = np.asarray(matrix(bias, params, q, range(num_tokens)))
        narrow = matrix(bias, params, q, range(num_tokens), dtype="bfloat16")
        same(np.asarray(narrow), wide.astype(narrow.dtype))


def gradient(bias, params, q_positions, k_positions, weights):
    """The gradient with respect to the parameters of a weighted sum of the biases."""

    def of_sum(params):
        return (
            weights * F.apply_position_bias(bias, params, q_positions, k_positions)
        ).sum()

    return jax.jit(jax.grad(of_sum))(params)


def sums_by_row(rows, weights, num_rows):
    """Sums of weights `(heads, q, k)` by the rows of pairs, and of their sizes."""
    sums, sizes = np.zeros((2, num_rows, len(weights)))
    for head, of_head in enumerate(np.asarray(weights, np.float64)):
        np.add.at(sums[:, head], rows, of_head)
        np.add.at(sizes[:, head], rows, abs(of_head))
    return sums, sizes
