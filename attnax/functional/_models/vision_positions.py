"""The table of positions of a vision embedding, for the grid of an image."""

from .._resizing.grid import resize_positions


def resized_for(table, table_grid, new_grid, resampling, num_before):
    """The rows of `num_before` tokens and of `new_grid`."""
    if new_grid == tuple(table_grid):
        return table
    if len(new_grid) == 3:
        raise ValueError(
            f"the video's {new_grid=} must be {table_grid=}, that of the positions: "
            "they are not resized over time; resize the video."
        )
    if resampling is None:
        raise ValueError(
            f"{resampling=} must be an attnax.functional.Resampling for an image of "
            f"{new_grid=} and positions of {table_grid=}; "
            'attnax.interop.resampling("vit") is that of ViT.'
        )
    return resize_positions(
        table, table_grid, new_grid, resampling, num_prefix_tokens=num_before
    )
