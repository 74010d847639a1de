"""ALiBi in float64, written from the paper and its code, and as models round it."""

import ml_dtypes
import numpy as np


def slopes(num_heads, max_bias=8.0):
    """Press et al. 2022: `get_slopes` of its code, with another last exponent."""
    power = 1
    while 2 * power <= num_heads:
        power *= 2
    first = [2 ** (-max_bias * head / power) for head in range(1, power + 1)]
    between = [2 ** (-max_bias * head / (2 * power)) for head in range(1, 2 * power, 2)]
    return np.array((first + between)[:num_heads], np.float64)


def by_key(slopes, k_positions, num_queries):
    """`(*batch, heads, queries, keys)`: the slope times the position of the key."""
    bias = (
        np.asarray(k_positions, np.float64)[..., None, None, :] * slopes[:, None, None]
    )
    shape = list(bias.shape)
    shape[-2] = num_queries
    return np.broadcast_to(bias, shape)


def bloom_bias(num_heads, k_positions, num_queries, dtype):
    """BLOOM: the product is rounded once, to the dtype of the hidden states."""
    bias = by_key(slopes(num_heads), k_positions, num_queries)
    return bias.astype(np.float32).astype(dtype).astype(np.float64)


def falcon_bias(num_heads, k_positions, num_queries, head_dim, dtype):
    """Falcon: bfloat16 slopes, positions and products, divided as scores are."""
    low = ml_dtypes.bfloat16
    rounded = slopes(num_heads).astype(np.float32).astype(low).astype(np.float64)
    keys = np.asarray(k_positions).astype(np.float32).astype(low).astype(np.float64)
    bias = by_key(rounded, keys, num_queries).astype(np.float32).astype(low)
    # The quotient is rounded to the dtype of the hidden states.
    bias = bias.astype(np.float64) / np.sqrt(head_dim)
    return bias.astype(np.float32).astype(dtype).astype(np.float64)
