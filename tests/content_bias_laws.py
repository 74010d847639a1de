"""Laws of biases that may read more of a token than its position."""

import jax
import jax.numpy as jnp
import numpy as np
from helpers import jitted

import attnax.functional as F

LENGTH, STEP, SHIFT, FIRST = 13, 9, 4, 6
# Ranges are known while tracing, and arrays are traced.
matrix = jitted(F.apply_position_bias)
same_bits = np.testing.assert_array_equal


def check_parts(bias, params, tokens=None, same=same_bits):
    """Compares a cached step, left padding and packed documents with a whole sequence.

    `tokens` are what the bias reads of each of `LENGTH` tokens, by "q" and "k".
    Positions of the whole are known, and those of the parts are traced.
    """
    tokens, at = tokens or {}, np.arange(LENGTH)
    whole = matrix(bias, params, range(LENGTH), range(LENGTH), **tokens)
    assert whole.shape == (bias.num_heads, LENGTH, LENGTH)
    last = {n: x[STEP : STEP + 1] if n == "q" else x for n, x in tokens.items()}
    same(matrix(bias, params, at[STEP : STEP + 1], at, **last), whole[:, STEP, None])
    # The whole, the same behind padding, and two documents in one row.
    places = [at, np.maximum(at - SHIFT, 0), np.r_[at[:FIRST], at[:-FIRST]]]
    parts = {n: np.stack([x[place] for place in places]) for n, x in tokens.items()}
    found = matrix(bias, params, *(np.stack(places),) * 2, **parts)
    same(found[0], whole)
    same(found[1, :, SHIFT:, SHIFT:], whole[:, :-SHIFT, :-SHIFT])
    same(found[2, :, :FIRST, :FIRST], whole[:, :FIRST, :FIRST])
    same(found[2, :, FIRST:, FIRST:], whole[:, :-FIRST, :-FIRST])


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


def check_low_precision(bias, params, tokens=None):
    """Compares bfloat16 with float32 that is rounded once."""
    arguments = bias, params, range(LENGTH), range(LENGTH)
    narrow = matrix(*arguments, dtype="bfloat16", **tokens or {})
    wide = matrix(*arguments, dtype="float32", **tokens or {})
    same_bits(np.asarray(narrow), np.asarray(wide).astype(narrow.dtype))


def gradient(bias, params, weights, tokens=None):
    """The gradient of a weighted sum of the biases of a whole sequence."""

    def of_sum(params):
        at = np.arange(LENGTH)
        biases = F.apply_position_bias(bias, params, at, at, **tokens or {})
        return (weights * biases).sum()

    return jax.jit(jax.grad(of_sum))(params)


def drawn(bias, seed=0, init_std=1.0, dtype="float32"):
    """Parameters of a bias, drawn."""
    return F.init_position_bias(
        jax.random.key(seed), bias, init_std=init_std, dtype=dtype
    )
