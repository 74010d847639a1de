"""Laws of biases: a cache, padding and packing do not change them."""

import jax
import numpy as np
from helpers import jitted

import attnax.functional as F

LENGTH = 37
# Ranges are known while tracing, and arrays are traced.
matrix = jitted(F.apply_position_bias)
same_bits = np.testing.assert_array_equal


def check_parts(bias, params, same=same_bits):
    """Compares a cached step, left padding and packed documents with a whole sequence.

    Positions of the whole are known, and those of the parts are traced.
    """
    at = np.arange(LENGTH)
    whole = matrix(bias, params, range(LENGTH), range(LENGTH))
    assert whole.shape == (bias.num_heads, LENGTH, LENGTH)
    same(matrix(bias, params, at, at), whole)
    same(matrix(bias, params, at[20:21], at), whole[:, 20:21])
    padded, packed = np.maximum(at - 5, 0), np.r_[at[:15], at[:-15]]
    padded, packed = matrix(bias, params, *(np.stack([padded, packed]),) * 2)
    same(padded[:, 5:, 5:], whole[:, :-5, :-5])
    same(packed[:, :15, :15], whole[:, :15, :15])
    same(packed[:, 15:, 15:], whole[:, :-15, :-15])


def check_outside_jit(bias, params):
    """Compares the function outside `jit` with the same under it."""
    eager = F.apply_position_bias(bias, params, range(3, 8), range(9))
    same_bits(eager, matrix(bias, params, range(3, 8), range(9)))


def check_low_precision(bias, params):
    """Compares bfloat16 with float32 that is rounded once."""
    arguments = (bias, params, range(20, 30), range(40))
    narrow = matrix(*arguments, dtype="bfloat16")
    wide = matrix(*arguments, dtype="float32")
    same_bits(np.asarray(narrow), np.asarray(wide).astype(narrow.dtype))


def gradient(bias, params, q_positions, k_positions, weights):
    """The gradient with respect to the parameters of a weighted sum of the biases."""

    def of_sum(params):
        biases = F.apply_position_bias(bias, params, q_positions, k_positions)
        return (weights * biases).sum()

    return jax.jit(jax.grad(of_sum))(params)
