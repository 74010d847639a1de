"""Resizing by code that has no method of its own, or has it outside transformers."""

import types

import jax
import jax.numpy as jnp

import attnax.functional as F

from .sources import file_of_timm

SIDE, WIDTH = 7, 3


def _interpolate(table, **options):
    import torch

    grid = torch.tensor(table).reshape(1, SIDE, SIDE, WIDTH).permute(0, 3, 1, 2)
    return torch.nn.functional.interpolate(grid, **options).permute(0, 2, 3, 1)


def _dinov2_hub():
    import torch

    def function(table, grid):
        scales = tuple(float(size + 0.1) / SIDE for size in grid)
        return _interpolate(table, scale_factor=scales, mode="bicubic")

    by = f"torch {torch.__version__}, interpolate(scale_factor=(size + 0.1) / side)"
    return by, function


def _timm(**options):
    def make():
        import importlib.metadata

        import torch

        resample = file_of_timm("layers.pos_embed").resample_abs_pos_embed

        def function(table, grid):
            table = torch.tensor(table)[None]
            settings = {"new_size": grid, "num_prefix_tokens": 0, **options}
            return resample(table, **settings)

        version = importlib.metadata.version("timm")
        return f"timm {version}, resample_abs_pos_embed", function

    return make


def _siglip2():
    import torch
    import transformers
    from transformers.models.siglip2.modeling_siglip2 import Siglip2VisionEmbeddings

    def function(table, grid):
        table = torch.tensor(table).reshape(SIDE, SIDE, WIDTH)
        shapes = torch.tensor([grid])
        resize = Siglip2VisionEmbeddings.resize_positional_embeddings
        return resize(table, shapes, grid[0] * grid[1])

    by = f"transformers {transformers.__version__}, Siglip2VisionEmbeddings"
    return f"{by}.resize_positional_embeddings", function


def _glm4v():
    import torch
    import transformers
    from transformers.models.glm4v.modeling_glm4v import Glm4vVisionEmbeddings

    def function(table, grid):
        model = types.SimpleNamespace(
            position_embedding=types.SimpleNamespace(weight=torch.tensor(table)),
            interpolated_method="bicubic",
        )
        rows, columns = torch.tensor(F.positions_from_grid(grid)).T
        return Glm4vVisionEmbeddings.forward(
            model,
            torch.zeros(len(rows), WIDTH),
            [len(rows)],
            torch.tensor([[1, *grid]]),
            rows,
            columns,
        )

    return f"transformers {transformers.__version__}, Glm4vVisionEmbeddings", function


def _zoom():
    import scipy

    def function(table, grid):
        table = table.reshape(SIDE, SIDE, WIDTH)
        zoom = (grid[0] / SIDE, grid[1] / SIDE, 1)
        return scipy.ndimage.zoom(table, zoom, order=1)

    return f"scipy {scipy.__version__}, ndimage.zoom(order=1)", function


def _jax_linear():
    def function(table, grid):
        table = table.reshape(SIDE, SIDE, WIDTH)
        return jax.image.resize(table, (*grid, WIDTH), "linear", antialias=True)

    return f"jax {jax.__version__}, image.resize('linear')", function


def _jax_traced():
    def function(table, grid):
        scale = jnp.asarray(grid, jnp.float32) / SIDE
        grown = jax.image.scale_and_translate(
            table.reshape(SIDE, SIDE, WIDTH),
            (64, 64, WIDTH),
            (0, 1),
            scale,
            jnp.zeros(2),
            method="linear",
            antialias=True,
        )
        return grown[: grid[0], : grid[1]]

    return f"jax {jax.__version__}, image.scale_and_translate('linear')", function


OTHERS = {
    "siglip2_vision": _siglip2,
    "glm4v": _glm4v,
    "dinov2_hub": _dinov2_hub,
    "timm": _timm(),
    "timm_npz": _timm(interpolation="bilinear", antialias=False),
    "big_vision": _zoom,
    "big_vision_flexi": _jax_linear,
    "big_vision_naflex": _jax_traced,
}
