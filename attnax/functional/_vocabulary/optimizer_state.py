"""States of optimizers for parameters of another shape."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
        ValueError: If `init` is not a function, the parameters hold other things than
            arrays, `state` is not a state of `init` for `params`, `new_params` has
            another structure than `params`, or the state for `new_params` differs in
            more than rows: an array with new rows in its dtype, or factors of Adafactor
            that change places.

    Example:
        >>> init = lambda params: {"moment": jnp.zeros_like(params), "step": 0}
        >>> state = {"moment": jnp.ones(2), "step": 7}
        >>> resize_optimizer_state(init, state, jnp.ones(2), jnp.ones(3))["moment"]
        Array([1., 1., 0.], dtype=float32)

    Reference:
        Kingma and Ba, Adam, 2014, algorithm 1: moments start as zeros.
        https://arxiv.org/abs/1412.6980
    """
    if not callable(init):
        raise ValueError(
            f"init is {type_of(init)}, but must be the init function of an optimizer."
        )
    _check_leaves("params", params)
    _check_leaves("new_params", new_params)
    _check_structure("new_params", new_params, params, "params")
    old = jax.eval_shape(init, params)
    fresh = init(new_params)
    _check_structure("state", state, old)
    _check_structure("init(new_params)", fresh, old)
    changes = _changes(params, new_params)
    resized = partial(_resized, changes)
    return jax.tree_util.tree_map_with_path(resized, state, old, fresh)


def _check_leaves(argument, tree) -> None:
    for leaf in jax.tree.leaves(tree):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise ValueError(f"{argument} holds {type_of(leaf)}, but must hold arrays.")
        _check_numbers(argument, leaf)


def _check_numbers(argument, leaf) -> None:
    dtype = getattr(leaf, "dtype", type(leaf))  # a state may count in Python's ints
    kinds = (np.number, np.bool_, jax.dtypes.prng_key)
    if not any(jnp.issubdtype(dtype, kind) for kind in kinds):
        raise ValueError(f"{argument} holds {type_of(leaf)}, but must hold numbers.")


def _check_structure(argument, tree, wanted, source="init(params)") -> None:
    found, wanted = jax.tree.structure(tree), jax.tree.structure(wanted)
    if found != wanted:
        raise ValueError(
            f"{argument} has the structure {found}, but must have that of {source}, "
            f"{wanted}."
        )


def _changes(params, new_params):
    """The sizes of axes of parameters before and afterwards, where they differ."""
    pairs = zip(*map(jax.tree.leaves, (params, new_params)), strict=True)
    sizes = (zip(old.shape, new.shape, strict=False) for old, new in pairs)
    return {(old, new) for axes in sizes for old, new in axes if old != new}


def _resized(changes, path, leaf, old, fresh):
    """A leaf of the state with the rows that it has, and fresh ones after them."""
    name = f"state{jax.tree_util.keystr(path)}"
    _check_numbers(name, leaf)
    if jnp.shape(leaf) != old.shape:
        raise ValueError(
            f"{name}.shape={jnp.shape(leaf)} must be {old.shape}, as init makes it of "
            "params."
        )
    if old.shape == jnp.shape(fresh):
        return leaf
    sizes = set(zip(old.shape, jnp.shape(fresh), strict=False))
    if (
        len(old.shape) != jnp.ndim(fresh)
        or {s for s in sizes if s[0] != s[1]} - changes
    ):
        raise ValueError(
            f"{name}.shape={old.shape} must only get more rows, but init makes "
            f"{jnp.shape(fresh)} of new_params, which holds something else, as "
            "Adafactor does where a table gets more rows than columns or enough of "
            "both to be factored; start that state anew with init(new_params)."
        )
    if leaf.dtype != fresh.dtype:
        raise ValueError(
            f"{name}.dtype={leaf.dtype} must be {fresh.dtype}, as init makes it of "
            "new_params; cast it first."
        )
    return in_sharding_of(leaf, _kept, len(fresh), leaf, fresh)


def _kept(leaf, fresh):
    """`fresh` with the entries of `leaf` where both have any."""
    kept = tuple(slice(min(n)) for n in zip(leaf.shape, fresh.shape, strict=True))
    return fresh.at[kept].set(leaf[kept])
