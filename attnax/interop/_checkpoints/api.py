"""Embeddings from the checkpoints of released models, and back."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._checks import check_flags, check_params
from ..._public import public
from .._checkpoint_families.table import CHECKPOINT_FAMILIES, CHECKPOINT_TYPES
from .._checkpoint_families.without import REASONS
from .._model_types import family_of
from .arguments import PARAMS, check_checkpoint, check_options, sizes_of
from .arrays import Arrays, check_held
from .files.open import open_source
from .head import hint_of_head, is_head_alone, table_from_head, with_head_as_table
from .layout import complete_layout
from .names import find_prefix, find_tensors, pair_of, whole_prefix
from .record import EmbeddingCheckpoint
from .text import is_projected, read_text, write_text
from .vision import read_vision, write_vision

# What a name that nothing knows may be.
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
    """Reads the embedding of a model: tokens, positions, patches and what is beside.

    Nothing is cast, resized or made up: every array has the bits of the file. Of a file
    only these tensors are read, one at a time and all through one open file.

    Args:
        source: A mapping of names to NumPy or JAX arrays; a `.safetensors` file, the
            index of several, or the folder of either; or an `.npz` file.
        family: Whose names these are: a family or a model type of transformers, such
            as `"decoder"` or `"llama"`; see `docs/interop/checkpoints.md`.
        prefix: What stands in front of the family's names: `"bert"`, `""`. `None` finds
            it from the names.
        patch_size: Side of a patch in pixels, or `(height, width)`. A convolution tells
            it; given, it is checked.
        grid: `(rows, columns)` of the positions. `None` is what the file tells, else a
            square.
        tied: Whether a head in the file must equal the table of the tokens, or is a
            table of its own. `None` is the family's rule: one or the other, or both,
            as the values tell. `True` takes the head for the table in a file that
            holds no table.
        follow_links: Whether symbolic links in the folder of a checkpoint may lead out
            of it. Those of Hugging Face's cache, to the blobs of the same repository,
            are followed without.

    Returns:
        The parameters and what the file says about them, an `EmbeddingCheckpoint`.

    Raises:
        ValueError: If the family is not known, or the model type has more in its
            embedding than its tensors, such as a factor (the error says what to do);
            the prefix is not found, or is found twice; a tensor is missing, is there
            beyond those of the family, has another shape than the family or the other
            tensors ask for (the error names it with both shapes), or a dtype that JAX
            would not hold as it is (float64 needs `jax_enable_x64`, quantized ones are
            refused); a copy of the token table differs from it; or a file does not
            exist, is no regular file, is not whole, names a tensor twice, leads out of
            the folder of its checkpoint, or changes while it is read.

    Example:
        >>> weights = {"wte.weight": jnp.ones((9, 4)), "wpe.weight": jnp.ones((5, 4))}
        >>> params_from_checkpoint(weights, "gpt2").params.token.weight.shape
        (9, 4)

    Reference:
        Names as transformers 5.23, timm 1.0 and big_vision (`models/vit.py`,
        `models/proj/image_text/naflex_vit.py`) have them; the format: safetensors.
        https://github.com/huggingface/safetensors
    """
    table = CHECKPOINT_FAMILIES[_family(family)]
    check_options(table, prefix, patch_size, grid, tied)
    check_flags(follow_links=follow_links)
    sizes = sizes_of(patch_size, grid)
    with open_source(source, follow_links) as tensors:
        hint = hint_of_head(table, tensors.names, tied)
        table = table_from_head(table, tensors.names, tied)
        prefix = find_prefix(table, tensors.names, prefix, hint)
        layout = find_tensors(table, tensors, prefix, sizes, hint)
        for stored in layout:
            check_held(stored.name, tensors.describe(stored.name)[1])
        extra = {s.name: tensors.read_own(s.name) for s in layout if s.role == "extra"}
        if table.kind == "vision":
            given = pair_of(sizes, "grid_rows", "grid_columns")
            params, grid = read_vision(table, tensors, layout, sizes, given)
            head = None
        else:
            params, head, layout = read_text(table, tensors, layout, tied)
    return EmbeddingCheckpoint(
        family=table.name,
        params=params,
        head=head,
        patch_size=pair_of(sizes, "patch_height", "patch_width"),
        grid=grid,
        extra_tensors=extra,
        prefix=prefix,
        tensors=tuple(stored for stored in layout if stored.role != "extra"),
    )


@public
def checkpoint_from_params(checkpoint: EmbeddingCheckpoint) -> dict[str, np.ndarray]:
    """The tensors of a file from parameters: the inverse of `params_from_checkpoint`.

    What `params_from_checkpoint` read comes out with the same names, shapes, dtypes and
    bits, tied copies and the tensors of `extra_tensors` included; the buffers that it
    dropped (`position_ids`) do not. Other parameters are put in with `_replace`; what
    no file has held gets the family's usual name after `prefix`.

    Args:
        checkpoint: What `params_from_checkpoint` returned, or one made by hand.

    Returns:
        NumPy arrays by name, each in row order, as `safetensors.numpy.save_file` needs
        them.

    Raises:
        ValueError: If the family is not known, has no tensor for what the parameters
            hold, or needs one that neither they nor `extra_tensors` have; an array,
            those of `extra_tensors` included, does not fit the others or the grid; a
            name is in both; or `patch_size` or `grid` is needed and missing.

    Example:
        >>> weights = {"wte.weight": jnp.ones((9, 4)), "wpe.weight": jnp.ones((5, 4))}
        >>> sorted(checkpoint_from_params(params_from_checkpoint(weights, "gpt2")))
        ['wpe.weight', 'wte.weight']

    Reference:
        As `params_from_checkpoint`.
    """
    check_checkpoint(checkpoint)
    table = CHECKPOINT_FAMILIES[_family(checkpoint.family)]
    params = checkpoint.params
    check_params(params, PARAMS[table.kind], "checkpoint.params")
    checkpoint = checkpoint._replace(
        family=table.name, prefix=whole_prefix(table, checkpoint.prefix)
    )
    layout = complete_layout(table, checkpoint)
    extra = Arrays(checkpoint.extra_tensors)
    sizes = sizes_of(checkpoint.patch_size, checkpoint.grid)
    if table.kind == "vision":
        tensors = write_vision(table, params, layout, sizes)
    else:
        projected = is_projected(extra.names)
        tensors = write_text(params, checkpoint.head, layout, projected=projected)
    for twice in tensors.keys() & checkpoint.extra_tensors.keys():
        raise ValueError(
            f"{twice!r} must not be in extra_tensors, since it is in the parameters."
        )
    tensors |= {name: extra.read(name) for name in extra.names}
    # What is written must be what `params_from_checkpoint` reads.
    hint = "; put it in params or extra_tensors, or take another family"
    if is_head_alone(table, layout):
        table = with_head_as_table(table)
    find_tensors(table, Arrays(tensors), checkpoint.prefix, sizes, hint)
    return {name: _in_row_order(tensor) for name, tensor in tensors.items()}


def _family(family):
    return family_of(family, CHECKPOINT_FAMILIES, CHECKPOINT_TYPES, REASONS, hint=_HINT)


def _in_row_order(tensor):
    # Writers of files take the bytes as they lie, whatever the strides say.
    return tensor if tensor.flags.c_contiguous else np.ascontiguousarray(tensor)
