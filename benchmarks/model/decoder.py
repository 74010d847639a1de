"""A decoder of grouped heads in plain JAX: a step of training, and steps of decoding.

Token embedding, and in each layer RMSNorm, causal attention, RMSNorm and SwiGLU; the
head is tied. Rotation and lookup are parameters: `turn(x, where)` as in
`rotations.py`, and `embed(table, inputs)`, whose inputs are ids, or rows for a
decoder whose embeddings are given.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from .. import cases
from .attention import Cache, Sizes, Weights, attention, cached_attention, init_weights

LEARNING_RATE = 1e-3


class Layer(NamedTuple):
    """Weights of one layer; `up` holds the gate and what it multiplies."""

    attention_norm: jax.Array
    attention: Weights
    mlp_norm: jax.Array
    up: jax.Array
    down: jax.Array


class Params(NamedTuple):
    """Parameters of the decoder; the table is the embedding and the head."""

    table: jax.Array
    layers: list[Layer]
    norm: jax.Array


def init_params(sizes: Sizes, num_layers, vocab_size, hidden, dtype):
    d_model = sizes.d_model
    ones = jnp.ones(d_model, dtype)
    up_shape, down_shape = (2, d_model, hidden), (hidden, d_model)
    layers = [
        Layer(
            ones,
            init_weights(seed, sizes, dtype),
            ones,
            cases.normal(seed + 4, up_shape, dtype) / d_model**0.5,
            cases.normal(seed + 5, down_shape, dtype) / hidden**0.5,
        )
        for seed in range(0, 6 * num_layers, 6)
    ]
    table = cases.normal(6 * num_layers, (vocab_size, d_model), dtype) / d_model**0.5
    return Params(table, layers, ones)


def given(table, rows):
    """Returns the rows, in place of a lookup, where embeddings are given."""
    return rows


def loss(params, inputs, targets, where, *, embed, turn):
    """Mean cross-entropy of `targets`, `(batch, seq_len)`."""
    x = embed(params.table, inputs)
    for layer in params.layers:
        attend = lambda x, w=layer.attention: attention(w, x, where, turn)
        x = _layer(layer, x, attend)
    logits = _logits(params, x)
    picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - picked)


def training_step(embed, turn):
    """Loss, updated parameters and, where embeddings are given, their gradient.

    A backward pass ends with that gradient, whoever goes on with it to a table.
    """

    def step(params, inputs, targets, where):
        wrt = (0, 1) if embed is given else 0
        of = lambda params, inputs: loss(
            params, inputs, targets, where, embed=embed, turn=turn
        )
        value, gradients = jax.value_and_grad(of, wrt)(params, inputs)
        gradients, rest = gradients if embed is given else (gradients, None)
        descend = lambda p, g: p - jnp.asarray(LEARNING_RATE, p.dtype) * g
        return value, jax.tree.map(descend, params, gradients), rest

    return step


def decode_step(embed, turn):
    """The next token, greedily, for one token at `position` of each of a batch."""

    def step(params, caches, inputs, position, where):
        x, written = embed(params.table, inputs), []
        for layer, cache in zip(params.layers, caches, strict=True):

            def attend(x, weights=layer.attention, cache=cache):
                cache, out = cached_attention(weights, cache, x, position, where, turn)
                written.append(cache)
                return out

            x = _layer(layer, x, attend)
        return written, jnp.argmax(_logits(params, x), axis=-1)

    return step


def init_caches(sizes, num_layers, batch, max_len, dtype):
    """Returns caches that are full."""
    shape = (batch, max_len, sizes.num_kv_heads, sizes.head_dim)
    made = lambda seed: Cache(*(cases.normal(seed + i, shape, dtype) for i in (0, 1)))
    return [made(2 * layer) for layer in range(num_layers)]


def _layer(layer, x, attend):
    x = x + attend(_rms_norm(x, layer.attention_norm))
    gate, up = jnp.einsum("bsm,gmh->gbsh", _rms_norm(x, layer.mlp_norm), layer.up)
    return x + (jax.nn.silu(gate) * up) @ layer.down


def _rms_norm(x, scale):
    wide = x.astype(jnp.float32)
    mean_square = jnp.mean(wide**2, axis=-1, keepdims=True)
    return (wide * lax.rsqrt(mean_square + 1e-6)).astype(x.dtype) * scale


def _logits(params, x):
    normed = _rms_norm(x, params.norm)
    return jnp.einsum(
        "bsm,vm->bsv", normed, params.table, preferred_element_type=jnp.float32
    )
