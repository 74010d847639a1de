"""Sinusoids of masks and of coordinates: DETR and SAM."""

import math
import types
from importlib.metadata import version

import numpy as np

import attnax.functional as F

from .sinusoid_record import sinusoid_record


def detr_masks():
    import torch
    from transformers.models.deformable_detr import modeling_deformable_detr
    from transformers.models.detr import modeling_detr
    from transformers.models.mask2former import modeling_mask2former

    mask = np.zeros((2, 5, 7), bool)
    mask[0, :3, :4], mask[1] = True, True
    centers = {"pixel_centers": True}
    for model, name, options in (
        (modeling_detr, "Detr", {}),
        (modeling_detr, "Detr", {"scale": None}),
        (modeling_mask2former, "Mask2Former", {}),
        (modeling_deformable_detr, "DeformableDetr", centers),
        (modeling_deformable_detr, "DeformableDetr", {"scale": 1.5, **centers}),
    ):
        module = model.__name__.rpartition(".")[2]
        normalize = options.get("scale", 1.0) is not None
        scale = options.get("scale", 2 * math.pi)
        for width in (4, 12):
            make = getattr(model, f"{name}SinePositionEmbedding")(
                width // 2, normalize=normalize, scale=options.get("scale")
            )
            table = make((2, width, 5, 7), "cpu", torch.float32, torch.tensor(mask))
            table = table.permute(0, 2, 3, 1).numpy()
            # Where a whole column is padding, a center is half a pixel over 1e-6.
            at_mask = "pixel_centers" in options
            yield sinusoid_record(
                f"{module[9:]} scale {scale}: width {width}",
                f"transformers {version('transformers')} {module}.{name}"
                "SinePositionEmbedding",
                "detr_sinusoids",
                width,
                table[mask] if at_mask else table,
                {"mask": mask},
                # Both sides normalize in float32: four roundings more.
                angle=2 * scale if normalize else 7,
                settings=options,
                at_mask=at_mask,
            )


def sam_coordinates():
    import torch
    from transformers.models.sam.modeling_sam import SamPositionalEmbedding

    source = f"transformers {version('transformers')} modeling_sam."
    module = SamPositionalEmbedding(types.SimpleNamespace(scale=1.0, num_pos_feats=6))
    matrix = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    module.positional_embedding.data = torch.tensor(matrix)
    rows, columns = 3, 5
    y, x = np.divmod(np.arange(rows * columns), columns)
    points = np.stack([(x + 0.5) / columns, (y + 0.5) / rows], -1).astype(np.float32)
    coordinates = F.normalized_coordinates((rows, columns))[:, ::-1]
    # Turns of a sum of two products, below 4 of the largest entry of the matrix.
    yield sinusoid_record(
        "sam: width 12",
        source + "SamPositionalEmbedding",
        "gaussian_fourier_features",
        12,
        module(torch.tensor(points)).detach(),
        {"coordinates": coordinates, "matrix": matrix},
        angle=2 * math.pi * 2 * np.abs(matrix).max() * 2,
    )
