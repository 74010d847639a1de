"""The record of how a model counts positions past images and videos."""

from dataclasses import dataclass
from typing import SupportsFloat, SupportsIndex

import jax

from ...._checks import (
    FLOAT32_MAX,
    INT32_MAX,
    check_flags,
    choice,
    integer,
    number,
    type_of,
)
from ...._public import public

ADVANCES = ("side", "position")
# XLA takes smaller numbers for 0.
_LOWEST_RATE = 2.0**-126


@jax.tree_util.register_static
@dataclass(frozen=True)
class MultimodalRule:
    """How a model counts positions past images and videos, as one setting.

    Text has the same number for time, row and column. A patch has the number at which
    its image or video starts, plus its own time, row and column in the grid. The models
    differ in how much time there is between two frames, and in the number that follows
    an image or video. `attnax.interop.multimodal_rule_from_hf` returns the record of a
    released model. The record is hashable and has no leaves as a pytree, so `jit`,
    gradients and optimizers take it as a constant.

    Args:
        merge_size: Side of the square of patches that becomes one token. Positive.
        temporal_merge_size: Number of frames of a video that become one (2 in Ernie
            4.5 VL). Positive. Images are not merged along time.
        separate_frames: Whether each frame of a video counts as an image of its own,
            with text between the frames or not (Qwen3-VL, GLM-4.1V).
        positions_per_second: Positions per second of video, where the times of frames
            are in seconds: `tokens_per_second` of Qwen2.5-VL. At least 2**-126. `None`
            stands for one position per frame.
        advance: What the number after an image or video follows: `"side"`, the longer
            side of its grid, as in transformers 5; or `"position"`, its largest
            position, as in the models' own code, transformers 4 and the Omni models.
            They differ where a video has more time than rows or columns.

    Raises:
        ValueError: If a setting is out of its range, or `separate_frames` comes with
            `positions_per_second`.

    Example:
        >>> MultimodalRule(merge_size=2, separate_frames=True).positions_per_second

    Reference:
        Wang et al., Qwen2-VL, 2024, section 2.1. https://arxiv.org/abs/2409.12191;
        Bai et al., Qwen2.5-VL, 2025, section 2.1.3. https://arxiv.org/abs/2502.13923
    """

    merge_size: SupportsIndex
    temporal_merge_size: SupportsIndex = 1
    separate_frames: bool = False
    positions_per_second: SupportsFloat | None = None
    advance: str = "side"

    @public
    def __post_init__(self):
        for name in ("merge_size", "temporal_merge_size"):
            self._set(name, integer(name, getattr(self, name), 1, INT32_MAX))
        check_flags(separate_frames=self.separate_frames)
        choice("advance", self.advance, ADVANCES)
        rate = self.positions_per_second
        if rate is None:
            return
        rate = number("positions_per_second", rate, high=FLOAT32_MAX, positive=True)
        if rate < _LOWEST_RATE:
            raise ValueError(f"positions_per_second={rate} must be at least 2**-126.")
        if self.separate_frames:
            raise ValueError(
                f"positions_per_second={rate} must be None with separate_frames=True: "
                "a frame of its own has no time."
            )
        self._set("positions_per_second", rate)

    def _set(self, argument, value):
        object.__setattr__(self, argument, value)


def check_rule(rule) -> None:
    """A `ValueError` unless a rule is a record."""
    if not isinstance(rule, MultimodalRule):
        raise ValueError(
            f"rule is {type_of(rule)}, but must be a MultimodalRule, such as "
            "interop.multimodal_rule_from_hf returns."
        )
