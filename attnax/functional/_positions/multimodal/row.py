"""Positions of one sequence of text, images and videos."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .table import IMAGE, VIDEO, Row, time_of


class _Patches(NamedTuple):
    """Where tokens stand in their grids; those of text have values without a meaning.

    Axis 0 of `here` and `others` is that of the kinds.
    """

    here: jnp.ndarray  # which tokens are of each kind
    others: jnp.ndarray  # how many tokens that are not of each kind stand up to there
    grid: Row
    number: jnp.ndarray  # among the tokens of the grid, from 0
    inside: jnp.ndarray  # (seq_len, 3): time, row and column
    first: jnp.ndarray  # which tokens begin an image, a video, or a frame of its own


def row_positions(rule, kinds, types, mask, before, ends, table):
    """Positions `(seq_len, 3)` of a sequence, its delta, and whether it is valid.

    `ends` and `table` are what `grid_table` returns. `before` has the number of tokens
    of each kind in earlier sequences, to which the first grids belong.
    """
    patches = _patches(rule, kinds, types, mask, before, ends, table)
    vision = jnp.any(patches.here, axis=0)
    # A step is how far the count goes on. The first patch takes that of its whole grid.
    step = jnp.where(vision, patches.grid.advance, mask.astype(jnp.int32))
    count = jnp.cumsum(jnp.where(vision & ~patches.first, 0, step), dtype=jnp.int32)
    inside = jnp.where(vision[:, None], patches.inside, 0)
    positions = jnp.where(mask[:, None], (count - step)[:, None] + inside, 0)
    largest = jnp.max(jnp.where(mask[:, None], positions, -1), initial=-1)
    delta = largest + 1 - jnp.sum(mask, dtype=jnp.int32)
    valid = _fits(patches)
    valid &= jnp.all(positions >= 0)  # the first sum beyond int32 is negative
    for kind in {IMAGE, VIDEO} - set(kinds):
        valid &= ~jnp.any(mask & (types == kind))
    return positions, delta, valid


def _patches(rule, kinds, types, mask, before, ends, table):
    """The grid of each token and its place there."""
    here = jnp.stack([mask & (types == kind) for kind in kinds])
    counts = jnp.cumsum(jnp.stack([*here, mask]), axis=-1, dtype=jnp.int32)
    counts, order = counts[:-1], counts[-1:]
    indices = jax.vmap(_grid_indices)(counts, before, ends)
    # Behind the rows of images and one more stand those of videos.
    first_rows = np.arange(len(kinds), dtype=np.int32) * table.shape[1]
    indices = _of_own_kind(here, indices + first_rows[:, None])
    rows = jnp.concatenate([*table]).at[indices]
    rows = rows.get(mode="promise_in_bounds", wrap_negative_indices=False)
    grid = Row(*jnp.moveaxis(rows, -1, 0))
    number = _of_own_kind(here, counts + before[:, None]) - 1 - grid.start
    # Not `//`, which costs a second division for signs that do not occur.
    frame = lax.div(number, grid.area)
    place = number - frame * grid.area
    row = lax.div(place, grid.columns)
    column = place - row * grid.columns
    time = time_of(rule, frame, lax.bitcast_convert_type(grid.scale, jnp.float32))
    begin = number
    if rule.separate_frames and VIDEO in kinds:
        is_video = here[kinds.index(VIDEO)]
        time, begin = jnp.where(is_video, 0, time), jnp.where(is_video, place, number)
    inside = jnp.stack([time, row, column], axis=-1)
    return _Patches(here, order - counts, grid, number, inside, begin == 0)


def _grid_indices(counts, before, ends):
    """The index of the grid that holds each token of a kind."""
    # A mark stands where a grid ends, in the order of the tokens of this kind.
    places = jnp.maximum(ends - before, 0)
    marks = jnp.zeros_like(counts).at[places].add(1, mode="drop")
    return jnp.cumsum(marks, dtype=jnp.int32)[jnp.maximum(counts - 1, 0)]


def _of_own_kind(here, values):
    """Of values for each kind, those for the kind of each token."""
    return values[0] if len(values) == 1 else jnp.where(here[1], values[1], values[0])


def _fits(patches):
    """Whether images and videos are as long as their grids and in one piece."""
    here, others, grid, number, _, first = patches
    # From the first token of a piece to its last one, there are no others.
    begins = jnp.where(here & first[None], others + 1, 0)
    pieces = lax.cummax(begins, axis=1) == others + 1
    begun, ended = (
        jnp.sum(here & edge[None], axis=-1, dtype=jnp.int32)
        for edge in (number == 0, number == grid.num_tokens - 1)
    )
    fits = jnp.where(here, pieces & (grid.wrong == 0)[None], True)
    return jnp.all(fits) & jnp.all(begun == ended)
