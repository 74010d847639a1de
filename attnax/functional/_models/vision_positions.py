"""The table of positions of a vision embedding, resized for the grid of an image."""

from .._resizing.grid import resize_positions
from .._resizing.resampling import check_resampling


def resized_for(table, table_grid, grid, resampling, num_before):
    """Returns the rows of `num_before` tokens and of the `grid` of an image."""
    if grid == table_grid:
        return table
    if len(grid) == 3:
        raise ValueError(
            f"image has {_product(grid)} patches, but must have {table_grid=}: the "
            "positions of a video are not resized over time; resize the video."
        )
    reason = f"for an image of {_product(grid)} patches and {table_grid=}"
    check_resampling(resampling, reason)
    return resize_positions(
        table, table_grid, grid, resampling, num_prefix_tokens=num_before
    )


def _product(grid):
    return " x ".join(map(str, grid))
