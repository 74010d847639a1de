"""The grid of patches that a table of positions was made for."""

import math

from .names import shape_of


def find_grid(family, stored, sizes, counts, grid):
    """Returns the grid, and the roles of the tokens that have no row in the table.

    `counts` maps the roles of the tokens in front of the patches to their numbers. A
    grid that is not given must be square.
    """
    if "grid_rows" in stored.axes:
        return (sizes["grid_rows"], sizes["grid_columns"]), family.without_position
    choices = [family.without_position]
    if family.without_position is None:
        choices = [(), tuple(counts)] if counts else [()]
    rows, fits, shapes = sizes["num_positions"], [], []
    for without in choices:
        prefix = sum(count for role, count in counts.items() if role not in without)
        side = math.isqrt(max(rows - prefix, 0))
        made = (side, side) if grid is None else grid
        if math.prod(made) == rows - prefix > 0:
            fits.append((made, without))
        patches = "side * side" if grid is None else f"{grid[0]} * {grid[1]}"
        patches = f"{prefix} + {patches}" if prefix else patches
        shapes.append(shape_of(stored.axes, sizes | {"num_positions": patches}))
    if len(fits) == 1:
        return fits[0]
    one = "only one of the shapes" if fits else "shape"
    hint = "; pass grid=(rows, columns)" if grid is None else ""
    raise ValueError(
        f"{stored.name!r} of shape {shape_of(stored.axes, sizes)} must "
        f"have {one} {' or '.join(shapes)}{hint}."
    )


def check_grid(family, params, counts, grid):
    """A `ValueError` unless a file can tell the grid and the tokens with positions."""
    tokens = params.tokens_with_position
    num_with = 0 if tokens is None else len(tokens)
    num_without = sum(counts.values()) - num_with
    roles = family.without_position
    expected = sum(count for role, count in counts.items() if role in (roles or ()))
    if roles is None and num_with == 0 and params.positions is not None:
        expected = num_without
    if num_without != expected:
        raise ValueError(
            f"tokens_without_position has {num_without} rows, but must have "
            f"{expected}: a file with other rows would not tell which tokens have "
            "positions."
        )
    if params.positions is None:
        return
    shape = params.positions.weight.shape
    if grid is None or shape[0] != num_with + math.prod(grid):
        raise ValueError(
            f"params.positions.weight.shape={shape} must have {num_with} + "
            f"rows * columns rows for {grid=}; set grid to the grid of the rows."
        )
