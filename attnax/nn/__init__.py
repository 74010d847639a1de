"""Thin Equinox modules over `attnax.functional`.

A module holds its parameters, if it has any, and static settings. It holds nothing
else: fixed values are computed in each call, so no table of them is trained, decayed,
cast or saved. Calls take single examples and batches. They accept and ignore `key`, so
that `eqx.nn.Sequential` can pass one.
"""

from ._bias import RelativePositionBias as RelativePositionBias
from ._fused import FusedEmbedding as FusedEmbedding
from ._learned import LearnedPositionalEmbedding as LearnedPositionalEmbedding
from ._patch import PatchEmbedding as PatchEmbedding
from ._per_layer import PerLayerEmbedding as PerLayerEmbedding
from ._rope import RotaryEmbedding as RotaryEmbedding
from ._sinusoidal import PositionalEncoding as PositionalEncoding
from ._text import TextEmbedding as TextEmbedding
from ._token import TokenEmbedding as TokenEmbedding
from ._vision import VisionEmbedding as VisionEmbedding
