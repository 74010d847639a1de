"""The arguments of `params_from_checkpoint` and `checkpoint_from_params`."""

import attnax.functional as F

from ..._checks import check_flags, check_params, grid_sizes, side_lengths, type_of
from .._checkpoint_families.family import CheckpointFamily
from .arrays import check_names
from .names import StoredTensor
from .record import check_record

PARAMS = {
    "token": F.TokenEmbeddingParams,
    "text": F.TextEmbeddingParams,
    "vision": F.VisionEmbeddingParams,
}


def check_options(family: CheckpointFamily, prefix, patch_size, grid, tied) -> None:
    """A `ValueError` for an option of the wrong kind, or one that the family lacks."""
    if prefix is not None and not isinstance(prefix, str):
        raise ValueError(f"{prefix=} must be a string, or None.")
    for argument, size in (("patch_size", patch_size), ("grid", grid)):
        if size is not None and family.kind != "vision":
            raise ValueError(
                f"{argument}={size!r} must be None for family={family.name!r}, which "
                "has no patches."
            )
    if tied is not None:
        check_flags(tied=tied)
        if not family.held("head"):
            raise ValueError(
                f"{tied=} must be None for family={family.name!r}, which has no head."
            )


def sizes_of(patch_size, grid) -> dict[str, int]:
    """The lengths that a patch size and a grid give, by the name of the axis."""
    sizes = {}
    if patch_size is not None:
        sides = side_lengths("patch_size", patch_size, most_axes=2)
        sizes["patch_height"], sizes["patch_width"] = sides
    if grid is not None:
        sizes["grid_rows"], sizes["grid_columns"] = grid_sizes("grid", grid)
    return sizes


def check_checkpoint(checkpoint) -> None:
    """A `ValueError` unless the fields of a checkpoint are of their kinds."""
    check_record(checkpoint)
    check_params(
        checkpoint.head, F.TokenEmbeddingParams, "checkpoint.head", optional=True
    )
    if not isinstance(checkpoint.prefix, str):
        raise ValueError(f"{checkpoint.prefix=} must be a string.")
    check_names("checkpoint.extra_tensors", checkpoint.extra_tensors)
    tensors = checkpoint.tensors
    if tensors is not None and not _are_stored(tensors):
        raise ValueError(
            f"checkpoint.tensors is {type_of(tensors)}, but must be what "
            "params_from_checkpoint returned, or None for the family's usual names."
        )


def _are_stored(tensors):
    return isinstance(tensors, tuple | list) and all(
        isinstance(tensor, StoredTensor) for tensor in tensors
    )
