"""Token, position and patch embeddings for transformers in JAX.

The most used names stand here. `attnax.functional` holds stateless functions,
`attnax.nn` holds Equinox modules that call them, and `attnax.interop` reads the configs
and checkpoints of other libraries.
"""

from . import functional as functional
from . import interop as interop
from . import nn as nn
from .functional import apply_rope as apply_rope
from .functional import rope_cos_sin_from_positions as rope_cos_sin_from_positions
from .functional import rope_cos_sin_table as rope_cos_sin_table
from .functional import rope_inv_freq as rope_inv_freq
from .nn import LearnedPositionalEmbedding as LearnedPositionalEmbedding
from .nn import PatchEmbedding as PatchEmbedding
from .nn import PositionalEncoding as PositionalEncoding
from .nn import RotaryEmbedding as RotaryEmbedding
from .nn import TokenEmbedding as TokenEmbedding

__version__ = "0.1.0"
