"""A small model whose tables are looked up, and its steps of an optimizer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import attnax.functional as F

VOCAB_SIZE, D_MODEL = 50, 7
PADDING_ID = 3


def draw_params(dtype=np.float32, vocab_size=VOCAB_SIZE):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(vocab_size, D_MODEL)).astype(dtype)
    # Where an update is -0.0 or rounds away, a zero keeps its sign.
    weight[1, 0] = -0.0
    head = rng.normal(size=(D_MODEL, 5)).astype(dtype)
    return {"token": F.TokenEmbeddingParams(weight=weight), "head": head}


def draw_ids(step, shape=(4, 9)):
    """Ids of a step, with repeats and padding."""
    rng = np.random.default_rng(step)
    return rng.integers(0, 20, shape).astype(np.int32)


def loss(params, ids, padding_id=PADDING_ID):
    rows = F.apply_token_embedding(params["token"], ids, padding_id=padding_id)
    return jnp.sum(jnp.sin(rows @ params["head"]).astype(jnp.float32) ** 2)


row_gradients = F.row_value_and_grad(
    loss, lambda params: params["token"].weight, lambda params, ids: ids
)


@functools.partial(jax.jit, static_argnums=0)
def dense_step(optimizer, params, state, ids):
    gradients = jax.grad(loss)(params, ids)
    updates, state = optimizer.update(gradients, state, params)
    return optax.apply_updates(params, updates), state


@functools.partial(jax.jit, static_argnums=(0, 1))
def row_step(update, optimizer, params, state, ids):
    _, gradients = row_gradients(params, ids)
    return update(optimizer, gradients, state, params)
