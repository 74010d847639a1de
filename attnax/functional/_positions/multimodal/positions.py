"""Positions of sequences of text, images and videos, and where decoding goes on."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int32, Integer, Real

from ...._checks import array_of, check_axes, check_not_sharded, int32_in_range
from ...._public import public
from .arguments import checked_grids, whole_mask
from .faults import check_known
from .row import row_positions
from .rule import MultimodalRule, check_rule
from .table import SOUND, grid_table

# The delta of a sequence whose tokens do not fit its grids. No step leads from it to a
# position of a token.
NO_DELTA = -(2**31)


@public
def multimodal_positions(
    rule: MultimodalRule,
    token_types: Integer[Array | np.ndarray, "*batch seq_len"] | Sequence,
    *,
    image_grids: Integer[Array | np.ndarray, "*grids num_images 3"]
    | Sequence
    | None = None,
    video_grids: Integer[Array | np.ndarray, "*grids_of_videos num_videos 3"]
    | Sequence
    | None = None,
    seconds_per_grid: Real[Array | np.ndarray, "*grids_of_videos num_videos"]
    | Sequence
    | None = None,
    mask: Bool[Array | np.ndarray, "*#batch seq_len"]
    | Integer[Array | np.ndarray, "*#batch seq_len"]
    | Sequence
    | None = None,
) -> tuple[Int32[Array, "*batch seq_len 3"], Int32[Array, "*batch"]]:
    """Positions (time, row, column) of text, images and videos, and the decode delta.

    A text token has one number for all three, one more than the token before it. The
    tokens of an image or video have the number at which it starts, plus their own time,
    row and column. What follows is counted from `rule.advance`.

    The grids are those that processors of transformers return: `(frames, rows,
    columns)` in patches, before they are merged. They may be those of the whole batch,
    `(num_images, 3)`, one sequence after another; or those of each sequence,
    `(*batch, num_images, 3)`, which keeps the sequences independent. Rows of zeros are
    padding, and grids that are left over are ignored, so `num_images` may be a static
    maximum.

    Args:
        rule: How the model counts, from `interop.multimodal_rule_from_hf` for example.
        token_types: 0 for text, 1 for the tokens of images, 2 for those of videos and 3
            for those of sound, which count as text does: `mm_token_type_ids` in
            transformers. The tokens that mark the start and the end of an image are
            text.
        image_grids: Grids of the images, in the order of their tokens.
        video_grids: Grids of the videos.
        seconds_per_grid: Seconds between two frames of each video, for a rule with
            `positions_per_second`: `second_per_grid_ts` in transformers. They are taken
            in float32. `None` stands for 1 second.
        mask: True (or 1) at tokens, False (or 0) at padding, which may stand anywhere.

    Returns:
        Positions for a rope of three axes, 0 at padding; and for each sequence, what
        decoding adds: the token that follows `t` tokens, padding not counted, has the
        position `t + delta` on all three axes. A traced sequence with tokens that do
        not fit the grids has -1 at every token and the delta -2**31; where grids are
        those of the whole batch, all sequences after it have too.

    Raises:
        ValueError: If shapes or dtypes do not fit each other; if known `token_types`
            are not from 0 to 3; if a known grid does not merge; if the tokens of an
            image or video are known not to be those of its grid, in one piece.

    Example:
        >>> rule = MultimodalRule(merge_size=2)
        >>> types, grids = jnp.array([0, 1, 1, 0]), jnp.array([[1, 2, 4]])
        >>> positions, delta = multimodal_positions(rule, types, image_grids=grids)
        >>> positions.tolist(), delta.item()
        ([[0, 0, 0], [1, 1, 1], [1, 1, 2], [3, 3, 3]], 0)

    Reference:
        Wang et al., Qwen2-VL, 2024, section 2.1. https://arxiv.org/abs/2409.12191;
        transformers 5.23, `get_rope_index` of `Qwen2VLModel`, `Qwen2_5_VLModel`,
        `Qwen3VLModel` and `Ernie4_5_VLMoeModel`.
    """
    check_rule(rule)
    types, types_valid = int32_in_range("token_types", token_types, 0, SOUND + 1)
    check_axes("token_types", types, "seq_len")
    check_not_sharded("token_types", types, 1, "shard the batch")
    given_mask = None if mask is None else array_of("mask", mask)
    mask = whole_mask(mask, types)
    grids = checked_grids(rule, types, image_grids, video_grids, seconds_per_grid)
    check_known(rule, array_of("token_types", token_types), given_mask, grids.given)
    positions, delta, valid = _positions(rule, types, mask, grids)
    if types_valid is not None:
        valid &= jnp.all(types_valid, axis=-1)
    if grids.shared:
        # After tokens that do not fit, it is not known which grid is the next one.
        valid = lax.cummin(valid.reshape(-1).astype(jnp.int32)).reshape(valid.shape) > 0
    positions = jnp.where(valid[..., None, None], positions, -1)
    delta = jnp.where(valid, delta, NO_DELTA)
    return positions, delta


def _positions(rule, types, mask, grids):
    """What `row_positions` returns, of every sequence."""
    ends, table = grid_table(rule, grids)
    before = np.zeros(len(grids.kinds), np.int32)
    if grids.shared:
        counts = [_tokens_before(mask & (types == kind)) for kind in grids.kinds]
        before = jnp.stack(counts, axis=-1)
    function = partial(row_positions, rule, grids.kinds)
    of_each = 0 if ends.ndim > 2 else None
    axes = (0, 0, 0 if grids.shared else None, of_each, of_each)
    for _ in types.shape[:-1]:
        function = jax.vmap(function, in_axes=axes)
    return function(types, mask, before, ends, table)


def _tokens_before(here):
    """The number of tokens in all sequences before each one."""
    totals = jnp.sum(here, axis=-1, dtype=jnp.int32)
    sums = jnp.cumsum(totals.reshape(-1), dtype=jnp.int32).reshape(totals.shape)
    return sums - totals
