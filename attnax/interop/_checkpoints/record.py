"""The record of an embedding that was read from a checkpoint."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

import attnax.functional as F

from .names import StoredTensor


class EmbeddingCheckpoint(NamedTuple):
    """The embedding of a model as `params_from_checkpoint` finds it.

    `checkpoint._replace(params=...)` and `checkpoint_from_params` write other
    parameters the way the file had them. Transformations take its `params`.

    Attributes:
        family: Name of the family, from the tables in
            `docs/interop/checkpoints.md`; not a model type.
        params: Parameters, as JAX arrays of the dtypes of the file.
        head: The table of a head that is not tied to that of the tokens, or `None`.
        patch_size: `(height, width)`, or `None` where the file does not tell.
        grid: `(rows, columns)` that the positions were made for, or `None`.
        extra_tensors: The caller's part of what the file holds of the embedding,
            untouched, by the names of the file: norms, projections, biases of heads.
        prefix: What stands in front of the family's names.
        tensors: Every tensor of the file that is in `params` or `head`: its role, name
            and axes. `None` is the family's usual ones.
    """

    family: str
    params: F.TokenEmbeddingParams | F.TextEmbeddingParams | F.VisionEmbeddingParams
    head: F.TokenEmbeddingParams | None = None
    patch_size: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    extra_tensors: Mapping[str, np.ndarray] = MappingProxyType({})
    prefix: str = ""
    tensors: tuple[StoredTensor, ...] | None = None

    def __reduce__(self):
        """For pickle and copy, which take no mapping proxy."""
        return type(self), tuple(self._replace(extra_tensors=dict(self.extra_tensors)))
