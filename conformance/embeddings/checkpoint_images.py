"""Images through the embeddings of transformers."""

import numpy as np

from .checkpoint_models import (
    PATCH,
    SQUARE,
    of_transformers,
    picture,
    record,
    two_towers,
)

# A grid beside the one that the positions are made for.
OTHER = (3, 7)
# A family, a model of transformers with it, and the settings of the model.
MODELS = (
    ("vit", "ViTForMaskedImageModeling", {"encoder_stride": PATCH}),
    ("deit", "DeiTForImageClassificationWithTeacher", {}),
    ("dinov2", "Dinov2ForImageClassification", {}),
    ("dinov2_with_registers", "Dinov2WithRegistersModel", {}),
    ("dinov3", "DINOv3ViTModel", {"num_register_tokens": 2}),
)
# A family, and a model of two towers whose vision tower has it.
TOWERS = (
    ("clip_vision", "CLIPModel"),
    ("blip_vision", "BlipModel"),
    ("siglip_vision", "SiglipModel"),
)


def images():
    for family, name, settings in MODELS:
        yield from _of_model(family, name, settings)
    for family, name in TOWERS:
        yield from _of_tower(family, name)
    yield _packed()


def _of_model(family, name, settings):
    """The images of two grids, and one with masked patches."""
    import torch

    sizes = {"image_size": SQUARE[0] * PATCH, "patch_size": PATCH}
    model, by = of_transformers(name, **sizes, **settings)
    embeddings = getattr(model, family, model).embeddings
    options = {}
    if family in ("vit", "deit"):
        options["interpolate_pos_encoding"] = True
    for grid in (SQUARE, OTHER):
        image = picture(grid)
        expected = embeddings(image, **options)
        title = f"{family}: {grid[0]} x {grid[1]}"
        yield record(title, by, family, model, {"image": image}, expected)
    if family != "deit":
        masked = torch.arange(2 * 21).reshape(2, 21) % 4 == 1
        expected = embeddings(image, bool_masked_pos=masked, **options)
        arrays = {"image": image, "masked": masked}
        yield record(f"{family}: masked", by, family, model, arrays, expected)


def _of_tower(family, name):
    """The images of two grids."""
    model, by = two_towers(name)
    for grid in (SQUARE, OTHER):
        image = picture(grid)
        expected = model.vision_model.embeddings(image, interpolate_pos_encoding=True)
        title = f"{family}: {grid[0]} x {grid[1]}"
        yield record(title, by, family, model, {"image": image}, expected)


def _packed():
    """A batch of images of two sizes."""
    import torch

    model, by = two_towers("Siglip2Model")
    shapes = torch.tensor([OTHER, (4, 5)])
    patches = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (2, 24, 48)))
    patches = patches.to(torch.float32)
    expected = model.vision_model.embeddings(patches, shapes)
    # Its code puts the position of another patch where there is none; ours puts zeros.
    expected[torch.arange(24) >= shapes.prod(1)[:, None]] = 0.0
    arrays = {"patches": patches, "spatial_shapes": shapes}
    return record("siglip2_vision", by, "siglip2_vision", model, arrays, expected)
