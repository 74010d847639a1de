"""Learned grids resized by the code of each family, to six grids, none square."""

import importlib
import inspect
import itertools
import re
import types

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F
from attnax.interop import resampling
from attnax.interop._options.resampling import RESAMPLING_TYPES, RESAMPLINGS

from .records import Record

SIDE, WIDTH = 7, 3
# Rows and columns are coprime; up, down, and one of each.
GRIDS = [(9, 14), (3, 5), (5, 12), (13, 4), (7, 10), (16, 11)]


def records():
    """One for each family and size."""
    table = np.random.default_rng(0).normal(size=(SIDE * SIDE, WIDTH))
    table = table.astype(np.float32)
    for family in RESAMPLINGS:
        source, function = _reference(family)
        for grid in GRIDS:
            expected = np.asarray(function(table, grid), np.float32).reshape(-1, WIDTH)
            options = {"family": family, "new_grid": grid}
            arrays = {"table": table, "expected": expected}
            rows, columns = grid
            yield Record(f"{family}: {rows} x {columns}", source, options, arrays)


def ours(record):
    """From the name of the family alone."""
    way = resampling(record.options["family"])
    table = jnp.asarray(record.arrays["table"])
    new_grid = tuple(record.options["new_grid"])
    return F.resize_positions(table, (SIDE, SIDE), new_grid, way)


def tolerance(record):
    """A float32 scale moves a sample by 16 * 2**-24 or so, and the slope is below 6.

    Beside it stand some ten roundings of terms below 4.
    """
    del record
    return 6 * 16 * 2.0**-24 + 10 * 4 * 2.0**-24


def _reference(family):
    """Who says how, and a function of a table and a grid."""
    if family in _OTHERS:
        return _OTHERS[family]()
    import transformers

    module = _module(family)
    by = f"transformers {transformers.__version__}, {module.__name__.split('.')[-2]} "
    for name, cls in vars(module).items():
        if inspect.isclass(cls) and _resizes(cls):
            found = f"{by}{name}.interpolate_pos_encoding"
            return found, lambda table, grid, cls=cls: _of_class(cls, table, grid)
    return f"{by}get_vision_interpolation_indices_and_weights", _of_taps(module)


def _resizes(cls):
    """Whether a class has the method, a table, and calls the one on the other."""
    if "interpolate_pos_encoding" not in vars(cls):
        return False
    text = inspect.getsource(cls)
    table = "self.position_embedding =" in text or "self.position_embeddings =" in text
    return table and ".interpolate_pos_encoding(" in text


def _module(family):
    """The module of transformers whose model has the family."""
    from transformers.models.auto.configuration_auto import (
        CONFIG_MAPPING_NAMES,
        model_type_to_module_name,
    )

    types = [name for name, known in RESAMPLING_TYPES.items() if known == family]
    model_type = next(n for n in (family, *types) if n in CONFIG_MAPPING_NAMES)
    folder = model_type_to_module_name(model_type)
    for end in ("", "_vision"):
        module = f"transformers.models.{folder}.modeling_{folder}{end}"
        if importlib.util.find_spec(module):
            return importlib.import_module(module)
    raise LookupError(f"{family}: transformers.models.{folder}")


def _of_class(cls, table, grid):
    """Runs the method on an object that has what it reads, and drops its prefix."""
    import torch

    pixels, errors = 4, []
    for prefix, patch_size in itertools.product((0, 1, 2), (pixels, (pixels, pixels))):
        rows = torch.cat([torch.zeros(prefix, WIDTH), torch.tensor(table)])[None]
        model = types.SimpleNamespace(
            position_embeddings=rows,
            position_embedding=_Embedding(rows),
            position_ids=torch.arange(rows.shape[1])[None],
            num_positions=rows.shape[1],
            num_patches=SIDE * SIDE,
            embed_dim=WIDTH,
            patch_size=patch_size,
            patch_embeddings=types.SimpleNamespace(patch_size=(pixels, pixels)),
            config=types.SimpleNamespace(patch_size=pixels, image_size=SIDE * pixels),
        )
        embeddings = torch.zeros(1, prefix + grid[0] * grid[1], WIDTH)
        try:
            made = cls.interpolate_pos_encoding(
                model, embeddings, grid[0] * pixels, grid[1] * pixels
            )
        except (RuntimeError, AttributeError, TypeError) as error:
            errors.append(error)
            continue
        made = made.reshape(-1, WIDTH)
        if len(made) == len(embeddings[0]) and not made[:prefix].any():
            return made[prefix:]
    raise LookupError(f"{cls.__name__}: {errors}")


class _Embedding:
    """A parameter, or an embedding of all positions, whichever the model holds."""

    def __init__(self, rows):
        self.rows, self.weight, self.shape = rows, rows[0], rows.shape

    def __call__(self, ids):
        return self.rows[0][ids]

    def __getitem__(self, index):
        return self.rows[index]


def _of_taps(module):
    import torch
    from transformers.vision_utils import get_vision_interpolation_indices_and_weights

    text = inspect.getsource(module)
    found = re.search(r"interpolation_mode = \"(\w+)\"", text)
    mode = (found or re.search(r"num_grid_per_side=.*\n\s+mode=\"(\w+)\"", text))[1]
    corners = re.search(r"(?:interpolation_)?align_corners ?= ?(True|False)", text)[1]

    def function(table, grid):
        indices, weights = get_vision_interpolation_indices_and_weights(
            torch.tensor([[1, *grid]]), SIDE, mode, corners == "True"
        )
        return (torch.tensor(table)[indices] * weights[..., None]).sum(1)

    return function


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

        from .sources import file_of_timm

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


_OTHERS = {
    "siglip2_vision": _siglip2,
    "glm4v": _glm4v,
    "dinov2_hub": _dinov2_hub,
    "timm": _timm(),
    "timm_npz": _timm(interpolation="bilinear", antialias=False),
    "big_vision": _zoom,
    "big_vision_flexi": _jax_linear,
    "big_vision_naflex": _jax_traced,
}
