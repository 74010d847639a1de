"""Thin Equinox modules over `attnax.functional`.

Every module holds its parameters (if it has any) and static settings, nothing else:
what is fixed is made at the call, so there is no table to train, decay, cast or save.
Calls take single examples and batches; `key` is accepted and ignored, for
`eqx.nn.Sequential`.
"""

from ._learned import LearnedPositionalEmbedding as LearnedPositionalEmbedding
from ._patch import PatchEmbedding as PatchEmbedding
from ._rope import RotaryEmbedding as RotaryEmbedding
from ._sinusoidal import PositionalEncoding as PositionalEncoding
from ._text import TextEmbedding as TextEmbedding
from ._token import TokenEmbedding as TokenEmbedding
from ._vision import VisionEmbedding as VisionEmbedding
