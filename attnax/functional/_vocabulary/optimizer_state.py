"""States of optimizers for parameters of another shape."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ..._checks import type_of
from ..._public import public
from .placed import in_sharding_of


@public
def resize_optimizer_state(
    init: Callable[[Any], Any], state: PyTree, params: PyTree, new_params: PyTree
) -> PyTree:
    """Returns the state of an optimizer for parameters of which some have more rows.

    Arrays of the state that follow the shape of a resized parameter keep their old
    rows, and new rows are those of a fresh state: zeros for moments, the initial
    accumulator for Adagrad. All others stay as they are. Which arrays these are is
    found by tracing `init` for both parameters, so any optimizer of optax will do.

    Args:
        init: The `init` function of the optimizer.
        state: Its state for `params`.
        params: The parameters before any was resized; their shapes are all that is
            read.
        new_params: The parameters afterwards.

    Returns:
        A state for `new_params`, of the same structure, dtypes and shardings.

    Raises:
        ValueError: If the parameters hold other things than arrays, `state` is not a
            state of `init` for `params`, or the state for `new_params` has another
            structure or number of axes.

    Example:
        >>> init = lambda params: {"moment": jnp.zeros_like(params), "step": 0}
        >>> state = {"moment": jnp.ones(2), "step": 7}
        >>> resize_optimizer_state(init, state, jnp.ones(2), jnp.ones(3))["moment"]
        Array([1., 1., 0.], dtype=float32)

    Reference:
        Kingma and Ba, Adam, 2014, algorithm 1: moments start as zeros.
        https://arxiv.org/abs/1412.6980
    """
    _check_leaves("params", params)
    _check_leaves("new_params", new_params)
    old = jax.eval_shape(init, params)
    fresh = init(new_params)
    _check_structure("state", state, old)
    _check_structure("init(new_params)", fresh, old)
    return jax.tree_util.tree_map_with_path(_resized, state, old, fresh)


def _check_leaves(name, tree) -> None:
    for leaf in jax.tree.leaves(tree):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise ValueError(f"{name} holds {type_of(leaf)}, but must hold arrays.")


def _check_structure(name, tree, wanted) -> None:
    found, wanted = jax.tree.structure(tree), jax.tree.structure(wanted)
    if found != wanted:
        raise ValueError(
            f"{name} has the structure {found}, but must have that of init(params), "
            f"{wanted}."
        )


def _resized(path, leaf, old, fresh):
    """A leaf of the state with the rows that it has, and fresh ones after them."""
    name = f"state{jax.tree_util.keystr(path)}"
    if jnp.shape(leaf) != old.shape or len(old.shape) != jnp.ndim(fresh):
        raise ValueError(
            f"{name}.shape={jnp.shape(leaf)} must be {old.shape}, as init makes it of "
            f"params, and that of new_params, {jnp.shape(fresh)}, must have as many "
            "axes."
        )
    if old.shape == jnp.shape(fresh):
        return leaf
    return in_sharding_of(leaf, _kept, len(fresh), leaf, fresh)


def _kept(leaf, fresh):
    """`fresh` with the entries of `leaf` where both have any."""
    kept = tuple(slice(min(n)) for n in zip(leaf.shape, fresh.shape, strict=True))
    return fresh.astype(leaf.dtype).at[kept].set(leaf[kept])
