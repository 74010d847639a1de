"""Which leaves of an optimizer's state have a row for each row of a table."""

import jax


def owners_of_state(optimizer, params, structure, tables):
    """The table whose rows each leaf of the state follows, by its place, or `None`.

    `params` are the leaves of `structure`, and `tables` the places of tables among
    them. The state is made in the abstract for a table that is one row longer, and for
    one that is one column wider: a leaf may be as long as a table by chance.
    """
    shapes = lambda params: jax.eval_shape(optimizer.init, structure.unflatten(params))
    state = shapes(params)
    paths = [
        jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(state)
    ]
    leaves = jax.tree.leaves(state)
    owners = [None] * len(leaves)
    for place in tables:
        num_rows, width = params[place].shape
        longer, wider = (
            jax.tree.leaves(shapes(_with_shape(params, place, shape)))
            for shape in ((num_rows + 1, width), (num_rows, width + 1))
        )
        for i, (leaf, *others) in enumerate(zip(leaves, longer, wider, strict=True)):
            if all(other.shape == leaf.shape for other in others):
                continue
            has_rows = leaf.shape[:1] == (num_rows,)
            if not has_rows or others[0].shape != (num_rows + 1, *leaf.shape[1:]):
                raise ValueError(
                    f"optimizer must keep its state by row, but opt_state{paths[i]} of "
                    f"shape {leaf.shape} is of all rows of a table of shape "
                    f"{params[place].shape} together; take the gradient of the whole "
                    "table for it."
                )
            owners[i] = place
    return owners, state


def check_state(opt_state, wanted) -> None:
    """Raises unless a state has the structure and the shapes that are wanted."""
    shapes = [jax.numpy.shape(leaf) for leaf in jax.tree.leaves(opt_state)]
    same = jax.tree.structure(opt_state) == jax.tree.structure(wanted)
    if not same or shapes != [leaf.shape for leaf in jax.tree.leaves(wanted)]:
        raise ValueError(
            f"opt_state is {jax.tree.structure(opt_state)} with leaves of shapes "
            f"{shapes}, but must be like the result of optimizer.init(params)."
        )


def _with_shape(params, place, shape):
    """Leaves of parameters, with a table of another shape."""
    table = jax.ShapeDtypeStruct(shape, params[place].dtype)
    return [*params[:place], table, *params[place + 1 :]]
