"""Embeddings of tiny models, from their state dicts alone: what their own code makes.

Every parameter is drawn anew, since many start as zeros. Images are of other sizes than
the positions were made for, with coprime sides.
"""

import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

import attnax.functional as F
from attnax import interop

from .checkpoint_images import images
from .checkpoint_models import PATCH
from .checkpoint_scales import scaled_texts
from .checkpoint_texts import texts
from .checkpoint_timm import big_vision, dinov2_hub, timm


def records():
    """Texts, then images, then models of timm."""
    for part in (texts, scaled_texts, images, timm, dinov2_hub, big_vision):
        yield from part()


def ours(record):
    """Loads the tensors and embeds the inputs."""
    options, arrays = record.options, record.arrays
    tensors = {
        name.removeprefix("state "): array
        for name, array in arrays.items()
        if name.startswith("state ")
    }
    if "dtype" in options:
        dtype = ml_dtypes.bfloat16
        tensors = {name: array.astype(dtype) for name, array in tensors.items()}
    given = {"grid": tuple(options["grid"])} if "grid" in options else {}
    checkpoint = interop.params_from_checkpoint(tensors, options["family"], **given)
    if isinstance(checkpoint.params, F.VisionEmbeddingParams):
        return _embed_image(checkpoint, arrays)
    return _embed_text(checkpoint, options, arrays)


def tolerance(record):
    """Roundings as likely up as down, so that their number counts by its root.

    Parameters have the deviation 1/4, and pixels are below 1: the magnitudes of a
    product of 48 terms sum to 12 at most, and of 12 terms of a head to 6. Beside it
    stand ten roundings of results below 4, and where positions are resized the error of
    their weights: see `resizing`, whose tables are four times as large.
    """
    image = "image" in record.arrays or "patches" in record.arrays
    sums = 48**0.5 * 12 * image + 12**0.5 * 6 * record.options.get("head", False)
    resized = (6 * 16 + 10 * 4) / 4 * image
    return (2 * sums + 10 * 4 + resized) * 2.0**-24


def _embed_text(checkpoint, options, arrays):
    params, rest, call = checkpoint.params, checkpoint.extra_tensors, {}
    if "hidden" in arrays:
        x = jnp.asarray(arrays["hidden"]) * options["head_scale"]
        return _logits(checkpoint, x)
    ids = jnp.asarray(arrays["token_ids"])
    if "padding" in options:
        kept = dict(options["padding"])
        mask = ids != kept.pop("padding_id")
        call["positions"] = F.padded_positions(mask, **kept)
    if isinstance(params, F.TokenEmbeddingParams):
        if "scale" in options:
            call = {"scale": options["scale"], "scale_dtype": params.weight.dtype}
        x = F.apply_token_embedding(params, ids, **call).astype(jnp.float32)
    elif any(name.endswith("project_in.weight") for name in rest):
        x = F.apply_token_embedding(params.token, ids)
        (weight,) = (w for n, w in rest.items() if n.endswith("project_in.weight"))
        x = jnp.einsum("...i,oi->...o", x, weight)
        x = F.apply_learned_positional_embedding(
            params.positions, x, call.pop("positions")
        )
    else:
        if params.token_types is not None:
            types = arrays.get("token_type_ids", np.zeros(ids.shape, np.int32))
            call["token_type_ids"] = types
        x = F.apply_text_embedding(params, ids, **call)
    if "eps" in options:
        weight, bias = (
            next(a for n, a in rest.items() if re.search(rf"[Nn]orm\.{end}$", n))
            for end in ("weight", "bias")
        )
        centered = x - x.mean(-1, keepdims=True)
        variance = (centered**2).mean(-1, keepdims=True)
        x = centered * jax.lax.rsqrt(variance + options["eps"])
        x = x * weight.reshape(1, 1, -1) + bias.reshape(1, 1, -1)
    return _logits(checkpoint, x) if options.get("head") else x


def _logits(checkpoint, x):
    table = checkpoint.params if checkpoint.head is None else checkpoint.head
    x = F.apply_token_unembedding(table, x)
    for name, bias in checkpoint.extra_tensors.items():
        x = x + bias.reshape(1, 1, -1) if name == "lm_head.bias" else x
    return x


def _embed_image(checkpoint, arrays):
    params = checkpoint.params
    if "spatial_shapes" in arrays:
        patches, grids = jnp.asarray(arrays["patches"]), arrays["spatial_shapes"]
        index = np.arange(patches.shape[1])
        mask = index < grids.prod(-1)[:, None]
        rows, columns = np.divmod(index, grids[:, 1:])
        coordinates = np.stack([rows, columns], -1) * mask[..., None]
        return F.apply_packed_vision_embedding(
            params,
            F.PackedPatches(patches, coordinates, mask, grids),
            table_grid=checkpoint.grid,
            resampling=checkpoint.resampling,
        )
    return F.apply_vision_embedding(
        params,
        jnp.asarray(arrays["image"]).transpose(0, 2, 3, 1),
        patch_size=checkpoint.patch_size or PATCH,
        table_grid=checkpoint.grid,
        resampling=checkpoint.resampling,
        masked=arrays.get("masked"),
    )
