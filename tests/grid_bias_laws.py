"""Laws of biases of grids with tables, and inputs that several tests share."""

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
