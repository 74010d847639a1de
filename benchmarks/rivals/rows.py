"""Steps of optimizers on a table that is looked up, as libraries make them.

Each takes a table with its state, ids, and a cotangent of the rows, in place of the
layers of a model.
"""

import time
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

import attnax.functional as F

from ..timing import pytorch
from ..timing.programs import Started
from .lookup import gather, lookup


def optimizers():
    """By name: the optimizer of optax, and attnax's update that fits it."""
    import optax

    return {
        "SGD": (optax.sgd(0.1), F.update_rows),
        "Adagrad": (optax.adagrad(0.1), F.update_rows),
        "Adam": (optax.adam(0.1), F.update_rows_lazily),
    }


def start(name, shape, dtype):
    """A table and the state of its optimizer, as a step takes and returns them."""
    weight = jnp.full(shape, 0.5, dtype)
    return weight, optimizers()[name][0].init(weight)


def dense_step(name, carry, ids, cotangent):
    """The gradient of the whole table, and `optax.apply_updates`."""
    import optax

    (weight, state), (optimizer, _) = carry, optimizers()[name]
    gradient = jax.grad(partial(_loss, gather))(weight, ids, cotangent)
    updates, state = optimizer.update(gradient, state, weight)
    return optax.apply_updates(weight, updates), state


def row_step(name, carry, ids, cotangent):
    (weight, state), (optimizer, update) = carry, optimizers()[name]
    value_and_grad = F.row_value_and_grad(
        partial(_loss, lookup),
        tables=lambda weight: weight,
        token_ids=lambda weight, ids, cotangent: ids,
    )
    _, gradient = value_and_grad(weight, ids, cotangent)
    return update(optimizer, gradient, state, weight)


def _loss(rows_of, weight, ids, cotangent):
    return jnp.sum(rows_of(weight, ids) * cotangent)


@dataclass(frozen=True)
class TorchSteps:
    """Steps of PyTorch with the sparse gradients of `torch.nn.Embedding`."""

    name: str
    shape: tuple[int, int]
    args: tuple

    def start(self) -> Started:
        """Makes a table, and takes a step."""
        import torch

        ids, cotangent = map(pytorch.tensor, self.args)
        make = lambda: torch.full(self.shape, 0.5, dtype=cotangent.dtype)
        table = torch.nn.Embedding.from_pretrained(
            make().to(pytorch.device()), freeze=False, sparse=True
        )
        kinds = {"SGD": "SGD", "Adagrad": "Adagrad", "Adam": "SparseAdam"}
        optimizer = getattr(torch.optim, kinds[self.name])(table.parameters(), lr=0.1)

        def call():
            optimizer.zero_grad()
            table(ids).backward(cotangent)
            optimizer.step()

        begin = time.perf_counter()
        call()
        pytorch.wait(None)
        first_ms = (time.perf_counter() - begin) * 1e3
        facts = {"first_ms": round(first_ms, 1), **pytorch.settings()}
        return Started(call, pytorch.wait, facts)
