"""What the tokens of images and videos read about their grids, one row per grid."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from ...._sharding import explicit_axes, sharding_like, spread
from ..ends import ends_of

# What `token_types` hold. Sound is counted as text is.
IMAGE, VIDEO, SOUND = 1, 2, 3
NAMES = {IMAGE: "image", VIDEO: "video"}
# No batch has as many tokens.
LIMIT = 2**30
# Products of seconds are rounded to float32, which counts no further.
LAST_TIME = 2**24


class Grids(NamedTuple):
    """The grids of each kind, with rows of zeros as padding."""

    given: dict  # by kind, the arrays as they were passed
    sizes: jnp.ndarray  # (*batch, num_kinds, num_grids, 3), or without the batch
    seconds: jnp.ndarray | None  # between two frames, without the last axis
    shared: bool  # whether a batch shares them, one sequence after another

    @property
    def kinds(self) -> tuple[int, ...]:
        return tuple(self.given)


class Row(NamedTuple):
    """A grid, in int32; `scale` holds the bits of a float32."""

    start: jnp.ndarray  # index of its first token among all tokens of its kind
    num_tokens: jnp.ndarray
    area: jnp.ndarray  # number of its tokens per frame
    columns: jnp.ndarray
    advance: jnp.ndarray  # positions from its start to the token that follows
    scale: jnp.ndarray  # factor of the index of a frame in `time_of`
    wrong: jnp.ndarray


def unit_of(rule, kind):
    """The numbers that divide the frames, the rows and the columns of a grid."""
    frames = rule.temporal_merge_size if kind == VIDEO else 1
    return frames, rule.merge_size, rule.merge_size


def grid_table(rule, grids):
    """The ends of grids among the tokens of their kind, and the `Row` of each grid.

    Rows are packed along the last axis. Behind those of a kind stands one more, for
    tokens without a grid. A grid of zeros has no tokens, and a wrong one has one, which
    finds it wrong.
    """
    sizes = grids.sizes
    is_video = np.array([[kind == VIDEO] for kind in grids.kinds])
    is_video = is_video.reshape((1,) * (sizes.ndim - 3) + is_video.shape)
    unit = np.array([unit_of(rule, kind) for kind in grids.kinds], np.int32)
    unit = unit.reshape((1,) * (sizes.ndim - 3) + (len(unit), 1, 3))
    padding = jnp.all(sizes == 0, axis=-1)
    frames, rows, columns = jnp.moveaxis(sizes // unit, -1, 0)
    scale = _scale(rule, is_video, frames, grids.seconds)
    last = time_of(rule, frames - 1, scale)
    # So are grids of zeros, but no token reads that.
    wrong = jnp.any((sizes <= 0) | (sizes % unit != 0), axis=-1)
    wrong |= (last < 0) | (last > LAST_TIME)
    area = _product(rows, columns)
    count = jnp.where(padding, 0, jnp.where(wrong, 1, _product(frames, area)))
    ends = ends_of(count, LIMIT)
    start = jnp.concatenate([jnp.zeros_like(ends[..., :1]), ends], axis=-1)[..., :-1]
    advance = jnp.maximum(rows, columns)
    if rule.advance == "position":
        apart = is_video & rule.separate_frames
        advance = jnp.where(apart, advance, jnp.maximum(advance, last + 1))
    scale = lax.bitcast_convert_type(scale, jnp.int32)
    area, columns = jnp.maximum(area, 1), jnp.maximum(columns, 1)
    row = Row(start, count, area, columns, advance, scale, wrong.astype(jnp.int32))
    # Outside `jit`, some fields have lost the sharding of the batch.
    sharding = sharding_like(sizes, explicit_axes(sizes[..., 0]))
    table = jnp.stack([spread(field, sharding) for field in row], axis=-1)
    behind = [(0, 0)] * (table.ndim - 2) + [(0, 1), (0, 0)]
    return ends, jnp.pad(table, behind, constant_values=1)


def time_of(rule, frame, scale):
    """The time of a frame in positions, rounded down as the code of the models does."""
    if rule.positions_per_second is None:
        return frame
    product = frame.astype(jnp.float32) * scale
    if rule.advance == "position":
        # Without the maximum, which changes nothing, XLA may multiply constant factors
        # with each other first, which rounds otherwise.
        rate = np.float32(rule.positions_per_second)
        product = jnp.maximum(product, 0) * rate
    # NaN is -1, and all that is too late is `LIMIT`.
    product = jnp.where(product >= 0, jnp.minimum(product, LIMIT), -1)
    return product.astype(jnp.int32)


def _scale(rule, is_video, frames, seconds):
    """Seconds between two frames, or positions between them."""
    if seconds is None:
        seconds = jnp.ones_like(frames, dtype=jnp.float32)
    if rule.positions_per_second is None or rule.advance == "position":
        return seconds
    rate = np.float32(rule.positions_per_second)
    return seconds * np.where(is_video, rate, np.float32(1))


def _product(a, b):
    """The product of numbers that are not negative, at most `LIMIT`."""
    return jnp.where(a > LIMIT // jnp.maximum(b, 1), LIMIT, a * b)
