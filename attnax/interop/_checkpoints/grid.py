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
    afters = [family.without_position]
    if family.without_position is None:
        afters = [(), tuple(counts)] if counts else [()]
    rows, fits, shapes = sizes["num_positions"], [], []
    for after in afters:
        prefix = sum(count for role, count in counts.items() if role not in after)
        side = math.isqrt(max(rows - prefix, 0))
        made = (side, side) if grid is None else grid
        if math.prod(made) == rows - prefix > 0:
            fits.append((made, after))
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
    """A `ValueError` unless a file can tell where tokens stand, and rows fit."""
    before = (
        0 if params.tokens_with_position is None else len(params.tokens_with_position)
    )
    without = family.without_position
    expected = sum(count for role, count in counts.items() if role in (without or ()))
    after = sum(counts.values()) - before
    if without is None and not (before and after) and params.positions is not None:
        expected = after
    if after != expected:
        raise ValueError(
            f"tokens_without_position has {after} rows, but must have {expected}: a "
            "file with other rows would not tell which tokens have positions."
        )
    if params.positions is None:
        return
    shape = params.positions.weight.shape
    if grid is None or shape[0] != before + math.prod(grid):
        raise ValueError(
            f"params.positions.weight.shape={shape} must have {before} + "
            f"rows * columns rows for {grid=}; set grid to the grid of the rows."
        )
