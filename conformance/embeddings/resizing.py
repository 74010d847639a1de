"""Learned grids resized by the code of each family, to six grids, none square."""

import importlib
import inspect
import itertools
import re
import types

import jax.numpy as jnp
import numpy as np

import attnax.functional as F
from attnax.interop import resampling
from attnax.interop._options.resampling import RESAMPLING_TYPES, RESAMPLINGS

from .records import Record
from .resizing_others import OTHERS, SIDE, WIDTH

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
    """The table resized by what `resampling` returns for the name of the family."""
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
    if family in OTHERS:
        return OTHERS[family]()
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
