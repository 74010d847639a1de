"""Other ways to make position biases, and products of queries with keys by distance."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def buckets_by_logarithm(distance, causal, num_buckets=32, max_distance=128):
    """T5's buckets as libraries make them: by a float logarithm."""
    if causal:
        rows, size, above = num_buckets, jnp.maximum(-distance, 0), 0
    else:
        rows, size = num_buckets // 2, jnp.abs(distance)
        above = rows * (distance > 0)
    exact = rows // 2
    ratio = jnp.log(jnp.maximum(size, 1).astype(jnp.float32) / exact)
    far = exact + (ratio / math.log(max_distance / exact) * (rows - exact)).astype(int)
    return above + jnp.where(size < exact, size, jnp.minimum(far, rows - 1))


def t5_gather(table, q_positions, k_positions, causal=False):
    """A row of the table for every pair, as keras-hub and transformers make it."""
    rows = buckets_by_logarithm(k_positions - q_positions[:, None], causal)
    return jnp.moveaxis(table[rows], -1, 0)


def t5_one_hot(table, q_positions, k_positions, causal=False):
    """A product of the table with a one-hot vector for every pair, as t5x makes it."""
    rows = buckets_by_logarithm(k_positions - q_positions[:, None], causal)
    return jnp.einsum("qkn,nh->hqk", jax.nn.one_hot(rows, table.shape[0]), table)


def swin_gather(window, table):
    """A row of the table for every pair of places, as keras-hub makes it."""
    rows, tokens = swin_rows(window), math.prod(window)
    biases = jnp.take(table, rows.reshape(-1), axis=0)
    return biases.reshape(tokens, tokens, -1).transpose(2, 0, 1)


def swin_rows(window):
    """The row of each pair of places of a window."""
    height, width = window
    places = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij"), -1)
    places = places.reshape(-1, 2)
    apart = places[:, None] - places
    return (apart[..., 0] + height - 1) * (2 * width - 1) + apart[..., 1] + width - 1


def shifted(q, keys):
    """Products with all distances, brought in place as Transformer-XL does.

    `keys` are those of the distances from the first key of the last query on.
    """
    products = jnp.einsum("hqc,hnc->hqn", q, keys)
    heads, q_len, count = products.shape
    padded = jnp.pad(products, ((0, 0), (0, 0), (1, 0)))
    rows = padded.reshape(heads, count + 1, q_len)[:, 1:]
    return rows.reshape(heads, q_len, count)[..., : count - q_len + 1]


def by_row(x, table, rows):
    """Products of tokens with every row, of which each pair takes one, as DeBERTa does.

    `x` is `(tokens, heads, width)`, `table` is `(rows, heads, width)`, and `rows` holds
    the row of each pair.
    """
    products = jnp.einsum("qhc,nhc->hqn", x, table)
    rows = jnp.broadcast_to(rows, (products.shape[0], *rows.shape))
    return jnp.take_along_axis(products, rows, axis=-1)


def transformers_t5(num_heads, length):
    """T5's bias of transformers for tensors of the table, `(rows, heads)`."""
    import torch
    from transformers.models.t5 import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    class Bias(T5Attention):
        def forward(self):
            return self.compute_bias(length, length)[0]

    config = T5Config(num_heads=num_heads, d_model=4 * num_heads, d_kv=4)
    with torch.device("meta"):
        bias = Bias(config, has_relative_attention_bias=True)
    name = "relative_attention_bias.weight"
    return lambda table: torch.func.functional_call(bias, {name: table}, ())


def transformers_swin(num_heads, window):
    """Swin's bias of transformers for tensors of the table, `(rows, heads)`."""
    import torch
    from transformers.models.swin.modeling_swin import SwinRelativePositionBias

    bias = SwinRelativePositionBias(num_heads, window)
    name = "relative_position_bias_table"
    return lambda table: torch.func.functional_call(bias, {name: table}, ())[0]
