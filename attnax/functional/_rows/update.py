"""Steps of an optimizer that read and write the rows that have a gradient."""

from typing import Any

import jax
import jax.numpy as jnp

from ..._checks import any_array, check_table, type_of
from ..._public import public
from .gradient import RowGradient, check_row_gradient
from .optimizer import LeafOptimizer
from .storage import read_rows, write_rows
from .trial import check_optimizer


@public
def update_rows(
    optimizer: Any, gradients: Any, opt_state: Any, params: Any
) -> tuple[Any, Any]:
    """Returns parameters and state after a step that touches few rows of tables.

    It is `optimizer.update` and `optax.apply_updates` in one. Where a gradient is a
    `RowGradient`, the rows of the table and of its state are gathered, updated and
    written back; all other rows stay as they are. The result has the bits of the step
    with dense gradients, for optimizers that change neither a row nor its state where
    the gradient is 0. Donate the parameters and the state under `jit`, so that rows are
    written in place.

    Args:
        optimizer: A transformation of optax, or another with its `init` and `update`,
            such as SGD without momentum or Adagrad.
        gradients: A tree like `params`, with a `RowGradient` for some tables. Its rows
            are rounded to the dtype of the table.
        opt_state: What `optimizer.init(params)` returned, or the last step.
        params: Parameters.

    Returns:
        New parameters and the new state.

    Raises:
        ValueError: If a trial of the optimizer on a few rows changes one whose gradient
            is 0, or shows that a row depends on others; if a gradient does not fit its
            table, or the state the parameters.

    Example:
        >>> import optax
        >>> gradient = RowGradient(jnp.array([2]), jnp.ones((1, 1)))
        >>> sgd, params = optax.sgd(0.5), jnp.ones((3, 1))
        >>> update_rows(sgd, gradient, sgd.init(params), params)[0][:, 0]
        Array([1. , 1. , 0.5], dtype=float32)

    Reference:
        Duchi et al., Adaptive Subgradient Methods, 2011, for sparse gradients.
        https://jmlr.org/papers/v12/duchi11a.html
    """
    return _updated(optimizer, gradients, opt_state, params, exact=True)


@public
def update_rows_lazily(
    optimizer: Any, gradients: Any, opt_state: Any, params: Any
) -> tuple[Any, Any]:
    """Returns parameters and state after a step in which only given rows take part.

    The rows of a table that a `RowGradient` holds are updated, with their rows of the
    state, as if they were the whole table. All others stay as they are: their moments
    do not decay, and there is no weight decay on them. Counts of steps are those of
    the whole model. For Adam this is not the dense step but the rule of LazyAdam; the
    two agree where every step holds every row.

    Args:
        optimizer: A transformation of optax, or another with its `init` and `update`,
            that updates each row by itself, such as Adam or SGD with momentum.
        gradients: A tree like `params`, with a `RowGradient` for some tables. Its rows
            are rounded to the dtype of the table.
        opt_state: What `optimizer.init(params)` returned, or the last step.
        params: Parameters.

    Returns:
        New parameters and the new state.

    Raises:
        ValueError: If a trial of the optimizer on a few rows shows that a row depends
            on others, or its state is not by row; if a gradient does not fit its table,
            or the state the parameters.

    Example:
        >>> import optax
        >>> gradient = RowGradient(jnp.array([2]), jnp.ones((1, 1)))
        >>> adam, params = optax.adam(0.5), jnp.ones((3, 1))
        >>> state = adam.init(params)
        >>> new_params, _ = update_rows_lazily(adam, gradient, state, params)
        >>> new_params[:, 0].round(3)
        Array([1. , 1. , 0.5], dtype=float32)

    Reference:
        TensorFlow Addons, `LazyAdam`; PyTorch, `torch.optim.SparseAdam`.
        https://docs.pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
    """
    return _updated(optimizer, gradients, opt_state, params, exact=False)


def _updated(optimizer, gradients, opt_state, params, exact):
    for method in ("init", "update"):
        if not callable(getattr(optimizer, method, None)):
            raise ValueError(
                f"optimizer is {type_of(optimizer)}, but must have the functions init "
                "and update, as a transformation of optax has."
            )
    is_rows = lambda x: isinstance(x, RowGradient)
    gradients, structure = jax.tree.flatten(gradients, is_leaf=is_rows)
    params = _like(structure, params)
    state, state_structure = jax.tree.flatten(opt_state)
    by_leaf = LeafOptimizer(optimizer, structure, state_structure)
    ids = {}
    for place, gradient in enumerate(gradients):
        if is_rows(gradient):
            ids[place], gradients[place] = _fitting(gradient, params[place])
        else:
            _check_dense(gradient, params[place])

    _check_state(optimizer, opt_state, structure.unflatten(params))
    owners = by_leaf.owners(state, params, ids)
    check_optimizer(by_leaf, params, ids, owners, exact=exact)
    ids_of_state = [ids.get(owner) for owner in owners]
    ids_of_params = [ids.get(place) for place in range(len(params))]
    few_state, few_params = _read(state, ids_of_state), _read(params, ids_of_params)
    _, few_state, few_params = by_leaf.step(gradients, few_state, few_params)
    params = _written(params, few_params, ids_of_params)
    state = _written(state, few_state, ids_of_state)
    return structure.unflatten(params), state_structure.unflatten(state)


def _read(wholes, ids):
    """Arrays, and the rows of those that have ids."""
    pairs = zip(map(jnp.asarray, wholes), ids, strict=True)
    return [x if i is None else read_rows(x, i) for x, i in pairs]


def _written(wholes, parts, ids):
    """New arrays, and arrays with new rows where there are ids."""
    return [
        part if i is None else write_rows(jnp.asarray(x), i, part.astype(x.dtype))
        for x, part, i in zip(wholes, parts, ids, strict=True)
    ]


def _like(structure, params):
    """The leaves of parameters, which have the structure of the gradients."""
    try:
        return structure.flatten_up_to(params)
    except ValueError as error:
        raise ValueError(
            "gradients must be a tree like params, with a RowGradient in place of some "
            f"tables: {error}"
        ) from None


def _fitting(gradient, table):
    """The ids and the rows of a gradient, in the dtype of its table."""
    row_ids, rows = check_row_gradient("gradients", gradient)
    check_table("params", table)
    if rows.shape[1:] != table.shape[1:]:
        raise ValueError(
            f"gradients.rows.shape={rows.shape} must end in the width of its table, "
            f"params.shape={table.shape}."
        )
    return row_ids, rows.astype(table.dtype)


def _check_dense(gradient, param):
    """Raises unless a gradient is an array of the shape of its parameter."""
    any_array("params", param)
    any_array("gradients", gradient)
    if gradient.shape != param.shape:
        raise ValueError(
            f"gradients.shape={gradient.shape} must be that of its parameter, "
            f"params.shape={param.shape}."
        )


def _check_state(optimizer, opt_state, params):
    """Raises unless the tree of a state is the one that the optimizer makes."""
    wanted = jax.tree.structure(jax.eval_shape(optimizer.init, params))
    found = jax.tree.structure(opt_state)
    if found != wanted:
        raise ValueError(
            f"opt_state is the tree {found}, but must be as from "
            f"optimizer.init(params), which is {wanted}."
        )
