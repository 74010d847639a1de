"""The loss of a tied head by all logits at once, and by chunks."""

import jax
import jax.numpy as jnp
from jax import lax

import attnax.functional as F


def by_chunks(weight, hidden, targets, chunk_size):
    return F.unembedding_cross_entropy(weight, hidden, targets, chunk_size=chunk_size)


def by_logits(weight, hidden, targets):
    """Float32 logits, as `apply_token_unembedding` gives them for a loss."""
    return _loss(_logits(weight, hidden), targets)


def by_rematerialized_logits(weight, hidden, targets):
    """What one writes to keep no logits for the backward pass: they are made twice."""
    return jax.checkpoint(by_logits)(weight, hidden, targets)


def optax_loss(weight, hidden, targets):
    import optax

    logits = _logits(weight, hidden)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets)


def torch_loss(weight, hidden, targets):
    import torch

    logits = torch.nn.functional.linear(hidden, weight).float()
    return torch.nn.functional.cross_entropy(logits, targets.long(), reduction="none")


def gradients(loss):
    """The mean loss and its gradients by the table and the hidden states."""

    def step(weight, hidden, targets):
        mean = lambda *arrays: jnp.mean(loss(*arrays, targets))
        return jax.value_and_grad(mean, (0, 1))(weight, hidden)

    return step


def _logits(weight, hidden):
    contracted = ((hidden.ndim - 1,), (1,)), ((), ())
    return lax.dot_general(
        hidden, weight, contracted, preferred_element_type=jnp.float32
    )


def _loss(logits, targets):
    own = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(logits, axis=-1) - own
