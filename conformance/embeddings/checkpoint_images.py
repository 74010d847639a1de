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

OTHER = (3, 7)  # run on, beside the grid that positions are made for


def images():
    import torch

    sizes = {"image_size": SQUARE[0] * PATCH, "patch_size": PATCH}
    for family, name, extra in (
        ("vit", "ViTForMaskedImageModeling", {"encoder_stride": PATCH}),
        ("deit", "DeiTForImageClassificationWithTeacher", {}),
        ("dinov2", "Dinov2ForImageClassification", {}),
        ("dinov2_with_registers", "Dinov2WithRegistersModel", {}),
        ("dinov3", "DINOv3ViTModel", {"num_register_tokens": 2}),
    ):
        model, by = of_transformers(name, **sizes, **extra)
        embeddings = getattr(model, family, model).embeddings
        for grid in (SQUARE, OTHER):
            image, options = picture(grid), {}
            if family in ("vit", "deit"):
                options["interpolate_pos_encoding"] = True
            expected = embeddings(image, **options)
            title = f"{family}: {grid[0]} x {grid[1]}"
            yield record(title, by, family, model, {"image": image}, expected)
        if family != "deit":
            masked = torch.arange(2 * 21).reshape(2, 21) % 4 == 1
            expected = embeddings(image, bool_masked_pos=masked, **options)
            arrays = {"image": image, "masked": masked}
            yield record(f"{family}: masked", by, family, model, arrays, expected)

    for family, name in (
        ("clip_vision", "CLIPModel"),
        ("siglip_vision", "SiglipModel"),
    ):
        model, by = two_towers(name)
        for grid in (SQUARE, OTHER):
            image = picture(grid)
            expected = model.vision_model.embeddings(
                image, interpolate_pos_encoding=True
            )
            title = f"{family}: {grid[0]} x {grid[1]}"
            yield record(title, by, family, model, {"image": image}, expected)

    model, by = two_towers("Siglip2Model")
    shapes = torch.tensor([OTHER, (4, 5)])
    patches = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (2, 24, 48)))
    patches = patches.to(torch.float32)
    expected = model.vision_model.embeddings(patches, shapes)
    # Where there is no patch its code puts another one's position, and ours zeros.
    expected[torch.arange(24) >= shapes.prod(1)[:, None]] = 0.0
    arrays = {"patches": patches, "spatial_shapes": shapes}
    yield record("siglip2_vision", by, "siglip2_vision", model, arrays, expected)
