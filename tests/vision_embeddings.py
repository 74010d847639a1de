"""Parameters and calls of vision embeddings, as tests make them."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
from helpers import jitted

import attnax.functional as F

D_MODEL = 5
BICUBIC = F.Resampling("bicubic", antialias=False)
BILINEAR = F.Resampling("bilinear", antialias=True)
# Tokens before and after the patches, and whether there are positions.
FAMILIES = {
    "ViT, CLIP": (1, 0, True),
    "DeiT": (2, 0, True),
    "SigLIP": (0, 0, True),
    "DINOv2 with registers": (1, 4, True),
    "timm, no_embed_class": (0, 3, True),
    "DINOv3": (1, 4, False),
    "patches alone": (0, 0, False),
}


@jitted
def apply_each(params, image, **options):
    """The embedding for each set of parameters, of `{family: params}`."""
    embed = lambda p: F.apply_vision_embedding(p, image, **options)
    return {family: embed(p) for family, p in params.items()}


def normal(shape, dtype=jnp.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def made(family, patch_dim, rows, dtype=jnp.float32):
    """Parameters of a family, as large as `init_vision_embedding` draws weights."""
    rng = np.random.default_rng(0)
    table = lambda n: (0.3 * rng.normal(size=(n, D_MODEL))).astype(dtype)
    return params_of(family, patch_dim, rows, table)


def params_of(family, patch_dim, rows, table):
    """Parameters of a family for a table of `rows` patches, from `table(rows)`."""
    before, after, positions = FAMILIES[family]
    learned = F.LearnedPositionalEmbeddingParams(table(before + rows))
    params = F.VisionEmbeddingParams(
        patch=F.PatchEmbeddingParams(table(patch_dim), np.asarray(table(1))[0]),
        positions=learned if positions else None,
        tokens_with_position=table(before) if before else None,
        tokens_without_position=table(after) if after else None,
        mask_token=np.asarray(table(1))[0],
    )
    return jax.device_put(params)


def size_of_sums(params):
    """Bounds the sum of magnitudes of a token, of values of size at most 8."""
    return 64.0 * params.patch.weight.shape[0] + 16.0


def pack(images, patch_size, max_patches, order=None):
    """Packed by hand: patches, coordinates, mask and grids."""
    batch = len(images)
    channels = images[0].shape[-1]
    patches = np.zeros((batch, max_patches, patch_size**2 * channels), np.float32)
    coordinates = np.zeros((batch, max_patches, 2), np.int32)
    mask = np.zeros((batch, max_patches), bool)
    grids = np.array([[s // patch_size for s in i.shape[:2]] for i in images], np.int32)
    for index, image in enumerate(images):
        cut = oracles.patches(image, patch_size, patch_size)
        where = F.positions_from_grid(grids[index].tolist())
        chosen = np.arange(len(cut)) if order is None else order(len(cut))
        patches[index, : len(cut)] = cut[chosen]
        coordinates[index, : len(cut)] = where[chosen]
        mask[index, : len(cut)] = True
    return patches, coordinates, mask, grids


def small(**changes):
    table = lambda n: normal((n, 4))
    params = params_of("ViT, CLIP", 2 * 2 * 3, 2 * 3, table)
    return params._replace(**{"mask_token": None, **changes})


def embed(params, image=None, **options):
    options = {"patch_size": 2, "table_grid": (2, 3), **options}
    image = host.ones((4, 6, 3)) if image is None else image
    return F.apply_vision_embedding(params, image, **options)


def one_packed():
    patches, *rest = pack([np.ones((4, 6, 3), np.float32)], 2, 8)
    return jnp.asarray(patches), *rest


def packed(params, **options):
    options = {"table_grid": (2, 3), "resampling": BILINEAR, **options}
    return F.apply_packed_vision_embedding(
        params, F.PackedPatches(*one_packed()), **options
    )
