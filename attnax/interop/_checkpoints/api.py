"""Reads embeddings from the checkpoints of released models, and writes them."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._checks import check_flags, check_params
from ..._public import public
from .._checkpoint_families.table import CHECKPOINT_FAMILIES, CHECKPOINT_TYPES
from .._checkpoint_families.without import REASONS
from .._model_types import family_of
from .._options.resampling import known_resampling
from .arguments import PARAMS, check_checkpoint, check_options, sizes_of
from .arrays import Arrays, check_held
from .files.open import open_source
from .head import hint_of_head, is_head_alone, table_from_head, with_head_as_table
from .names import find_prefix, find_tensors, pair_of, whole_prefix
from .record import EmbeddingCheckpoint
from .stored import stored_for
from .text import is_projected, read_text, write_text
from .vision import read_vision, write_vision

# The way out for a name that no table knows.
_HINT = "; models whose embedding is one table, `embed_tokens.weight`, are 'decoder'"


@public
def params_from_checkpoint(
    source: Mapping[str, Any] | str | os.PathLike,
    family: str,
    *,
    prefix: str | None = None,
    patch_size: int | tuple[int, int] | None = None,
    grid: tuple[int, int] | None = None,
    tied: bool | None = None,
    follow_links: bool = False,
) -> EmbeddingCheckpoint:
    """Reads the embedding of a model from its checkpoint.

    Nothing is cast, resized or made up: every array has the bits of the file. Only the
    tensors of the embedding are read, one at a time and all through one open file.

    Args:
        source: A mapping of names to NumPy or JAX arrays; or the path of a
            `.safetensors` file, of the index of a checkpoint in shards, of the folder
            of either, or of an `.npz` file.
        family: The name of a family, such as `"decoder"`, or a model type of
            transformers, such as `"llama"`; `docs/interop/checkpoints.md` lists them.
        prefix: The part of the names in front of those of the family, such as `"bert"`
            or `""`. `None` finds it from the names.
        patch_size: Side of a patch in pixels, or `(height, width)`. The kernel of a
            convolution tells the size, which must then be the same.
        grid: `(rows, columns)` that the positions were made for. `None` takes the grid
            from the file, or a square one.
        tied: Whether a head in the file must equal the table of the tokens (`True`) or
            is a table of its own (`False`). `None` is the rule of the family, which may
            leave that to the values. `True` reads the head as the table if the file
            holds no table.
        follow_links: Whether symbolic links in the folder of a checkpoint may lead out
            of it. Links of Hugging Face's cache to the blobs of the same repository are
            always followed.

    Returns:
        The parameters, and what the file says about them.

    Raises:
        ValueError: If the family is unknown, or the embedding of the model type has
            more than its tensors, such as a factor (the error says what to do); the
            prefix is not found, or found twice; a tensor is missing, does not belong to
            the family, or has a shape that does not fit the family and the other
            tensors; a dtype is not one that JAX holds (float64 needs `jax_enable_x64`,
            quantized tensors are refused); a copy of the token table differs from it;
            or a file does not exist, is not a regular file, is incomplete, has a name
            twice, leads out of the folder of its checkpoint, or changes while it is
            read.

    Example:
        >>> weights = {"wte.weight": jnp.ones((9, 4)), "wpe.weight": jnp.ones((5, 4))}
        >>> params_from_checkpoint(weights, "gpt2").params.token.weight.shape
        (9, 4)

    Reference:
        The names are those of transformers 5.23, timm 1.0 and big_vision
        (`models/vit.py`, `models/proj/image_text/naflex_vit.py`). The format of
        safetensors: https://github.com/huggingface/safetensors
    """
    table = CHECKPOINT_FAMILIES[_family(family)]
    check_options(table, prefix, patch_size, grid, tied)
    check_flags(follow_links=follow_links)
    sizes = sizes_of(patch_size, grid)
    with open_source(source, follow_links) as tensors:
        hint = hint_of_head(table, tensors.names, tied)
        table = table_from_head(table, tensors.names, tied)
        prefix = find_prefix(table, tensors.names, prefix, hint)
        stored = find_tensors(table, tensors, prefix, sizes, hint)
        for tensor in stored:
            check_held(tensor.name, tensors.describe(tensor.name)[1])
        extra = {s.name: tensors.read_own(s.name) for s in stored if s.role == "extra"}
        if table.kind == "vision":
            given = pair_of(sizes, "grid_rows", "grid_columns")
            params, grid = read_vision(table, tensors, stored, sizes, given)
            head = None
        else:
            params, head, stored = read_text(table, tensors, stored, tied)
    return EmbeddingCheckpoint(
        family=table.name,
        params=params,
        head=head,
        patch_size=pair_of(sizes, "patch_height", "patch_width"),
        grid=grid,
        extra_tensors=extra,
        prefix=prefix,
        tensors=tuple(s for s in stored if s.role != "extra"),
        resampling=known_resampling(family) if table.kind == "vision" else None,
    )


@public
def checkpoint_from_params(checkpoint: EmbeddingCheckpoint) -> dict[str, np.ndarray]:
    """Returns the tensors of a checkpoint: the inverse of `params_from_checkpoint`.

    A checkpoint that was read is written with the same names, shapes, dtypes and bits,
    including tied copies and the tensors of `extra_tensors`, but without the buffers
    that were dropped (`position_ids`). `checkpoint._replace(params=...)` writes other
    parameters. A parameter that the file did not hold gets the usual name of the
    family after `prefix`.

    Args:
        checkpoint: A checkpoint that `params_from_checkpoint` returned, or one that was
            made by hand.

    Returns:
        NumPy arrays by name, each in row order, which `safetensors.numpy.save_file`
        needs.

    Raises:
        ValueError: If the family is unknown, has no tensor for one of the parameters,
            or needs a tensor that neither they nor `extra_tensors` have; an array does
            not fit the others or the grid; a name is both in `extra_tensors` and in the
            parameters; or `patch_size` or `grid` is needed and missing.

    Example:
        >>> weights = {"wte.weight": jnp.ones((9, 4)), "wpe.weight": jnp.ones((5, 4))}
        >>> sorted(checkpoint_from_params(params_from_checkpoint(weights, "gpt2")))
        ['wpe.weight', 'wte.weight']

    Reference:
        The names are those that `params_from_checkpoint` reads.
    """
    check_checkpoint(checkpoint)
    table = CHECKPOINT_FAMILIES[_family(checkpoint.family)]
    params = checkpoint.params
    check_params(params, PARAMS[table.kind], "checkpoint.params")
    checkpoint = checkpoint._replace(
        family=table.name, prefix=whole_prefix(checkpoint.prefix, table.separator)
    )
    stored = stored_for(table, checkpoint)
    extra = Arrays(checkpoint.extra_tensors)
    sizes = sizes_of(checkpoint.patch_size, checkpoint.grid)
    if table.kind == "vision":
        tensors = write_vision(table, params, stored, sizes)
    else:
        projected = is_projected(extra.names)
        tensors = write_text(params, checkpoint.head, stored, projected=projected)
    for twice in tensors.keys() & checkpoint.extra_tensors.keys():
        raise ValueError(
            f"{twice!r} must not be in extra_tensors, since it is in the parameters."
        )
    tensors |= {name: extra.read(name) for name in extra.names}
    # What is written must be what `params_from_checkpoint` reads.
    hint = "; put it in params or extra_tensors, or take another family"
    if is_head_alone(table, stored):
        table = with_head_as_table(table)
    find_tensors(table, Arrays(tensors), checkpoint.prefix, sizes, hint)
    return {name: _in_row_order(tensor) for name, tensor in tensors.items()}


def _family(family):
    return family_of(family, CHECKPOINT_FAMILIES, CHECKPOINT_TYPES, REASONS, hint=_HINT)


def _in_row_order(tensor):
    # Writers of files take the bytes in memory and ignore strides.
    return tensor if tensor.flags.c_contiguous else np.ascontiguousarray(tensor)
