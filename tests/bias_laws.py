"""Laws of biases: a cache, padding and packing do not change them."""

import jax
import jax.numpy as jnp
import numpy as np
from helpers import jitted
from query_biases import matrix

import attnax.functional as F

LENGTH, STEP, SHIFT, FIRST = 13, 9, 4, 6
FAR = 1_000_003  # bfloat16 and float16 hold few positions there
same_bits = np.testing.assert_array_equal


def drawn(bias, seed=0, init_std=1.0, dtype="float32"):
    """Parameters of a bias, drawn."""
    return F.init_position_bias(
        jax.random.key(seed), bias, init_std=init_std, dtype=dtype
    )


def check_parts(bias, params, tokens=None, same=same_bits, far=FAR):
    """Compares a cached step, left padding and packed documents with a whole sequence.

    `tokens` are what the bias reads of each of `LENGTH` tokens, by "q" and "k".
    Positions of the whole are known, and those of the parts are traced. Positions `far`
    away have the bias of the same distances.
    """
    tokens, at = tokens or {}, np.arange(LENGTH)
    whole = matrix(bias, params, range(LENGTH), range(LENGTH), **tokens)
    assert whole.shape == (bias.num_heads, LENGTH, LENGTH)
    last = {n: x[STEP : STEP + 1] if n == "q" else x for n, x in tokens.items()}
    same(matrix(bias, params, at[STEP : STEP + 1], at, **last), whole[:, STEP, None])
    # The whole, the same far away and behind padding, and two documents in one row.
    places = [at, at, np.maximum(at - SHIFT, 0), np.r_[at[:FIRST], at[:-FIRST]]]
    positions = np.stack(places) + np.array([[0], [far], [0], [0]])
    parts = {n: np.stack([x[place] for place in places]) for n, x in tokens.items()}
    found = matrix(bias, params, positions, positions, **parts)
    same(found[0], whole)
    same(found[1], whole)
    same(found[2, :, SHIFT:, SHIFT:], whole[:, :-SHIFT, :-SHIFT])
    same(found[3, :, :FIRST, :FIRST], whole[:, :FIRST, :FIRST])
    same(found[3, :, FIRST:, FIRST:], whole[:, :-FIRST, :-FIRST])


def check_outside_jit(bias, params):
    """Compares the function outside `jit` with the same under it."""
    eager = F.apply_position_bias(bias, params, range(3, 8), range(9))
    same_bits(eager, matrix(bias, params, range(3, 8), range(9)))


def check_score_mod(bias, params, tokens, same=same_bits):
    """Compares the function of scores with the matrix, for tokens of two sequences."""
    lengths = {"q": 3, "k": LENGTH}
    tokens = {
        n: np.stack([x[: lengths[n]], x[-lengths[n] :]]) for n, x in tokens.items()
    }
    shape = 2, bias.num_heads, *lengths.values()
    indices = [jnp.asarray(n) for n in np.ix_(*map(range, shape))]

    @jax.jit
    def both(params, tokens):
        arguments = bias, params, np.arange(5, 8), np.arange(LENGTH)
        score_mod = F.position_bias_score_mod(*arguments, **tokens)
        dense = F.apply_position_bias(*arguments, **tokens)
        return score_mod(jnp.zeros(shape, dense.dtype), *indices), dense

    scores, dense = both(params, tokens)
    same(scores, np.broadcast_to(dense, shape))


@jitted
def _of_both_dtypes(bias, params, q_positions, k_positions, tokens):
    """The bias in bfloat16 and in float32."""
    return [
        F.apply_position_bias(
            bias, params, q_positions, k_positions, **tokens, dtype=dtype
        )
        for dtype in ("bfloat16", "float32")
    ]


def check_low_precision(bias, params, tokens=None, length=LENGTH):
    """Compares bfloat16 with float32 that is rounded once."""
    for positions in (range(length), np.arange(length)):
        arguments = bias, params, positions, range(length), tokens or {}
        narrow, wide = map(np.asarray, _of_both_dtypes(*arguments))
        same_bits(narrow, wide.astype(narrow.dtype))


def gradient(bias, params, q_positions, k_positions, weights, tokens=None):
    """The gradient with respect to the parameters of a weighted sum of the biases."""

    def of_sum(params):
        biases = F.apply_position_bias(
            bias, params, q_positions, k_positions, **tokens or {}
        )
        return (weights * biases).sum()

    return jax.jit(jax.grad(of_sum))(params)


def sums_by_row(rows, weights, num_rows):
    """Sums of weights `(heads, q, k)` by the rows of pairs, and of their sizes."""
    rows = np.asarray(rows).ravel()
    sums = [np.bincount(rows, of_head.ravel(), num_rows) for of_head in weights]
    sizes = [np.bincount(rows, abs(of_head).ravel(), num_rows) for of_head in weights]
    return np.array(sums, np.float64).T, np.array(sizes, np.float64).T


def channel_products(channels, scale):
    """Products of channels in float64, `(*batch, num_heads, q_len, k_len)`."""
    q, k = (np.asarray(t, np.float64) for t in channels)
    k = np.broadcast_to(k, (*k.shape[:-2], *q.shape[-2:]))
    return float(np.float32(scale)) * np.einsum("...qhc,...khc->...hqk", q, k)


def check_widened(bias, params, q):
    """Compares parameters and queries of bfloat16 with the same numbers in float32."""
    low = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), (params, q))
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), low)
    at = range(q.shape[1])
    narrow, widened = (matrix(bias, p, at, at, q=queries) for p, queries in (low, wide))
    assert narrow.dtype == jnp.float32
    same_bits(narrow, widened)
