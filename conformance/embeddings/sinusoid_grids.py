"""Sinusoids of grids: transformers, timm and diffusers."""

from importlib.metadata import version

import attnax.functional as F

from .sinusoid_record import GRIDS, VIDEOS, sinusoid_record
from .sources import file_of_timm


def transformers_grids():
    from transformers.models.vit_mae import modeling_vit_mae

    source = f"transformers {version('transformers')} modeling_vit_mae."
    for rows, columns in GRIDS:
        for width in (4, 12):
            for cls_token in (False, True):
                grid = F.positions_from_grid((rows, columns))
                table = modeling_vit_mae.build_2d_sinusoidal_position_embedding(
                    rows, columns, width, cls_token=cls_token
                )
                yield sinusoid_record(
                    f"rows first {rows} x {columns} class {cls_token}: width {width}",
                    source + "build_2d_sinusoidal_position_embedding",
                    "grid_sinusoids",
                    width,
                    table,
                    {"positions": grid},
                    angle=max(rows, columns),
                    family="rt_detr",
                    settings={"cls_token": cls_token},
                    float64=True,
                )
    # Square, as its code takes the root of the number of patches for either side.
    config = modeling_vit_mae.ViTMAEConfig(
        hidden_size=12,
        num_attention_heads=1,
        num_hidden_layers=0,
        intermediate_size=1,
        image_size=10,
        patch_size=2,
        num_channels=1,
    )
    embeddings = modeling_vit_mae.ViTMAEEmbeddings(config)
    embeddings.initialize_weights()
    yield sinusoid_record(
        "vit_mae: width 12",
        source + "ViTMAEEmbeddings.initialize_weights",
        "grid_sinusoids",
        12,
        embeddings.position_embeddings[0].detach(),
        {"positions": F.positions_from_grid((5, 5))},
        angle=5,
        family="vit_mae",
        float64=True,
    )


def aimv2_grids():
    import torch
    from transformers.models.aimv2 import modeling_aimv2

    source = f"transformers {version('transformers')} modeling_aimv2."
    for rows, columns in GRIDS:
        for width in (4, 12):
            config = modeling_aimv2.Aimv2VisionConfig(
                hidden_size=width, patch_size=2, num_channels=1, is_native=True
            )
            embeddings = modeling_aimv2.Aimv2VisionEmbeddings(config)
            for parameter in embeddings.parameters():
                parameter.data.zero_()  # which leaves the positions
            table = embeddings(torch.zeros(1, 1, 2 * rows, 2 * columns))[0]
            yield sinusoid_record(
                f"aimv2 {rows} x {columns}: width {width}",
                source + "Aimv2VisionEmbeddings",
                "grid_sinusoids",
                width,
                table.detach(),
                {"positions": F.positions_from_grid((rows, columns))},
                angle=max(rows, columns),
                family="aimv2",
                float64=True,
            )


def timm_grids():
    build = file_of_timm("layers.pos_embed_sincos").build_sincos2d_pos_embed
    source = f"timm {version('timm')} layers.pos_embed_sincos.build_sincos2d_pos_embed"
    for sizes in GRIDS:
        for width in (4, 12):
            for interleave in (False, True):
                for reverse in (False, True):
                    # Reversed, it walks the grid column by column.
                    grid = F.positions_from_grid(sizes[::-1] if reverse else sizes)
                    table = build(
                        list(sizes),
                        width,
                        reverse_coord=reverse,
                        interleave_sin_cos=interleave,
                    )
                    yield sinusoid_record(
                        f"timm {sizes[0]} x {sizes[1]} reverse_coord {reverse} "
                        f"interleave_sin_cos {interleave}: width {width}",
                        source,
                        "grid_sinusoids",
                        width,
                        table,
                        {"positions": grid},
                        angle=max(sizes),
                        family="timm",
                        settings={"interleave_sin_cos": interleave},
                    )


def diffusers_grids():
    from diffusers.models.embeddings import (
        get_2d_sincos_pos_embed,
        get_3d_sincos_pos_embed,
    )

    source = f"diffusers {version('diffusers')} embeddings."
    for sizes in GRIDS:
        for scale in (1.0, 1.875):
            for extra_tokens in (0, 2):
                settings = {
                    "grid_size": list(sizes),
                    "base_size": 5,
                    "interpolation_scale": scale,
                    "cls_token": True,
                    "extra_tokens": extra_tokens,
                }
                yield sinusoid_record(
                    f"diffusers {sizes[0]} x {sizes[1]} extra_tokens {extra_tokens} "
                    f"interpolation_scale {scale}: width 12",
                    source + "get_2d_sincos_pos_embed",
                    "grid_sinusoids",
                    12,
                    get_2d_sincos_pos_embed(12, **{**settings, "grid_size": sizes}),
                    {"positions": F.positions_from_grid(sizes)},
                    angle=5,
                    family="diffusers",
                    settings=settings,
                )
    for frames, rows, columns in VIDEOS:
        for spatial, temporal in ((1.0, 1.0), (1.875, 0.75)):
            # CogVideoX gives the width first.
            table = get_3d_sincos_pos_embed(
                16, (columns, rows), frames, spatial, temporal
            )
            yield sinusoid_record(
                f"cogvideox {frames} x {rows} x {columns} scales {spatial} {temporal}",
                source + "get_3d_sincos_pos_embed",
                "grid_sinusoids",
                16,
                table.flatten(0, 1),
                {"positions": F.positions_from_grid((frames, rows, columns))},
                angle=max(frames / temporal, rows, columns),
                family="cogvideox",
                settings={
                    "spatial_interpolation_scale": spatial,
                    "temporal_interpolation_scale": temporal,
                },
            )
