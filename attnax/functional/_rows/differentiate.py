"""Gradients of a loss, where those of tables hold the rows that the loss reads."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._checks import check_flags, check_table, row_indices, type_of
from ..._public import public
from ..._sharding import whole_array
from .gradient import RowGradient
from .select import selected_rows


@public
def row_value_and_grad(
    loss: Callable[..., Any],
    tables: Callable[[Any], Any],
    token_ids: Callable[..., Any],
    *,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """Returns `jax.value_and_grad(loss)` with the gradients of tables as their rows.

    The distinct rows of each table are gathered first, and the loss is differentiated
    by these. It gets a `SelectedRows` in place of the table, which every lookup of
    attnax takes, and `table[ids]` too. The rows of the gradient have the dtype of the
    table and the bits of the dense gradient. Nothing of the size of the table is made.

    Args:
        loss: A function `loss(params, *args, **kwargs)` of a scalar, in which the
            tables are only looked up.
        tables: A function of `params` that returns a table of it, or a tuple or another
            tree of several.
        token_ids: A function of all arguments of `loss` that returns the ids that it
            looks up in the table, as an array or a list of arrays. For several tables
            it returns a tree of these like that of `tables`.
        has_aux: Whether `loss` returns a pair, whose second element is not
            differentiated.

    Returns:
        A function of the arguments of `loss`, which returns the value and the
        gradients, a tree like `params` with a `RowGradient` in place of each table. A
        row that the loss looks up is NaN if `token_ids` did not return its id.

    Raises:
        ValueError: If an argument is not a function. The result raises one if `tables`
            returns something other than tables of `params`, or `token_ids` other than
            integers or ids out of range.

    Example:
        >>> loss = lambda params, ids: params["table"][ids].sum()
        >>> grad = row_value_and_grad(loss, lambda p: p["table"], lambda p, ids: ids)
        >>> grad({"table": jnp.ones((9, 1))}, jnp.array([4, 4]))[1]["table"].row_ids
        Array([4, 9], dtype=int32)

    Reference:
        PyTorch, `torch.nn.Embedding(sparse=True)`; why: pytorch/pytorch#5309.
        https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html
    """
    functions = {"loss": loss, "tables": tables, "token_ids": token_ids}
    for name, function in functions.items():
        if not callable(function):
            raise ValueError(f"{name} is {type_of(function)}, but must be a function.")
    check_flags(has_aux=has_aux)

    @public
    def selected(leaves, places, ids):
        return _selected(leaves, places, ids)

    def value_and_grad(params, *args, **kwargs):
        leaves, structure = jax.tree.flatten(params)
        places = tables(structure.unflatten(map(_Place, range(len(leaves)))))
        rows_of = selected(leaves, places, token_ids(params, *args, **kwargs))

        def of_rows(leaves):
            for place, stand_in in rows_of.items():
                rows = leaves[place]
                leaves[place] = dataclasses.replace(stand_in, rows=rows)
            return loss(structure.unflatten(leaves), *args, **kwargs)

        for place, stand_in in rows_of.items():
            leaves[place] = stand_in.rows
        value, grads = jax.value_and_grad(of_rows, has_aux=has_aux)(leaves)
        for place, stand_in in rows_of.items():
            grads[place] = RowGradient(stand_in.row_ids, grads[place])
        return value, structure.unflatten(grads)

    return value_and_grad


class _Place:
    """Stands for a leaf of `params`, to see which leaves `tables` returns."""

    def __init__(self, leaf):
        self.leaf = leaf


def _selected(leaves, places, ids):
    """The rows that a step reads, by the places of their tables among the leaves."""
    places, structure = jax.tree.flatten(places)
    for place in places:
        if not isinstance(place, _Place):
            raise ValueError(
                f"tables returns {type_of(place)}, but must return tables of params as "
                "they are."
            )
    places = [place.leaf for place in places]
    if not places or len(set(places)) < len(places):
        raise ValueError(
            "tables must return at least one table, and each of them once."
        )
    try:
        ids = [ids] if len(places) == 1 else structure.flatten_up_to(ids)
    except ValueError:
        raise ValueError(
            f"token_ids returns {jax.tree.structure(ids)}, but must return ids for "
            f"each of the tables {structure}."
        ) from None
    return {
        place: _rows_read(leaves[place], of_table)
        for place, of_table in zip(places, ids, strict=True)
    }


def _rows_read(table, ids):
    """The rows of a table that are read by an array of ids, or by a tree of several."""
    check_table("tables", table)
    ids = [
        row_indices("token_ids", leaf, table.shape[0]) for leaf in jax.tree.leaves(ids)
    ]
    ids = [whole_array(leaf).reshape(-1) for leaf in ids]
    return selected_rows(table, jnp.concatenate(ids))
