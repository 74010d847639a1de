"""An optimizer as functions of leaves, and the leaves of its state that have rows."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class LeafOptimizer(NamedTuple):
    """An optimizer in the manner of optax, for lists of leaves in place of trees.

    `params` and `state` are the structures of the trees.
    """

    optimizer: Any
    params: Any
    state: Any

    def init(self, params):
        """The state of new parameters."""
        return jax.tree.leaves(self.optimizer.init(self.params.unflatten(params)))

    def step(self, gradients, state, params):
        """Updates, the new state and new parameters."""
        tree = self.params.unflatten
        updates, state = self.optimizer.update(
            tree(gradients), self.state.unflatten(state), tree(params)
        )
        updates = self.params.flatten_up_to(updates)
        # The bits of `optax.apply_updates`.
        pairs = zip(params, updates, strict=True)
        new = [jnp.asarray(p + u).astype(p.dtype) for p, u in pairs]
        return updates, self.state.flatten_up_to(state), new

    def owners(self, state, params, tables):
        """The table whose rows each leaf of the state follows, or `None`.

        Tables are places among the parameters. The state is made in the abstract for
        tables that are one row longer, and one column wider: a leaf may be as long as a
        table by chance.
        """
        shapes = lambda params: [x.shape for x in jax.eval_shape(self.init, params)]
        plain, found = shapes(params), [np.shape(leaf) for leaf in state]
        if plain != found:
            raise ValueError(
                f"opt_state has leaves of the shapes {found}, but must be as from "
                f"optimizer.init(params), which has {plain}."
            )
        owners: list[Any] = [None] * len(plain)
        for place in tables:
            rows, width = params[place].shape
            longer = shapes(_with_shape(params, place, (rows + 1, width)))
            wider = shapes(_with_shape(params, place, (rows, width + 1)))
            for i, shape in enumerate(plain):
                if longer[i] == wider[i] == shape:
                    continue
                if shape[:1] != (rows,) or longer[i] != (rows + 1, *shape[1:]):
                    raise ValueError(
                        "optimizer must keep state for each row of a table, but has an "
                        f"array of shape {shape} for all rows of one of shape "
                        f"{(rows, width)}; take the gradient of the whole table for it."
                    )
                owners[i] = place
        return owners


def _with_shape(params, place, shape):
    """Leaves of parameters, with a table of another shape."""
    table = jax.ShapeDtypeStruct(shape, params[place].dtype)
    return [*params[:place], table, *params[place + 1 :]]
