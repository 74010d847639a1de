"""The record of an embedding that was read from a checkpoint."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

import attnax.functional as F

from ..._checks import type_of
from .names import StoredTensor


class EmbeddingCheckpoint(NamedTuple):
    """The embedding of a model, and what its file says about it.

    `checkpoint_from_params(checkpoint._replace(params=...))` writes other parameters
    the way the file had them. Transformations of JAX take the `params`.

    Attributes:
        family: Name of the family, from the tables in `docs/interop/checkpoints.md`;
            not a model type.
        params: Parameters as JAX arrays, with the dtypes of the file.
        head: Table of a head that is not tied to the table of the tokens, or `None`.
        patch_size: `(height, width)`, or `None` if the file does not tell.
        grid: `(rows, columns)` that the positions were made for, or `None`.
        extra_tensors: Tensors of the embedding that are no parameters of attnax, by
            their names in the file: norms, projections, biases of heads.
        prefix: The part of the names in front of those of the family.
        tensors: Role, name and axes of every tensor of the file that is in `params` or
            `head`. `None` stands for the usual names of the family.
        resampling: The way in which the model resizes its positions, which is
            `attnax.interop.resampling` of the family or model type that was asked for;
            `None` if it is not known.
    """

    family: str
    params: F.TokenEmbeddingParams | F.TextEmbeddingParams | F.VisionEmbeddingParams
    head: F.TokenEmbeddingParams | None = None
    patch_size: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    extra_tensors: Mapping[str, np.ndarray] = MappingProxyType({})
    prefix: str = ""
    tensors: tuple[StoredTensor, ...] | None = None
    resampling: F.Resampling | None = None

    def __reduce__(self):
        """For pickle and copy, which take no mapping proxy."""
        return type(self), tuple(self._replace(extra_tensors=dict(self.extra_tensors)))


def check_record(checkpoint) -> None:
    """Raises unless `checkpoint` is an `EmbeddingCheckpoint`."""
    if not isinstance(checkpoint, EmbeddingCheckpoint):
        raise ValueError(
            f"checkpoint is {type_of(checkpoint)}, but must be an "
            "EmbeddingCheckpoint, as attnax.interop.params_from_checkpoint returns it."
        )
