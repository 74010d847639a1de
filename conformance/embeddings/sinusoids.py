"""Sinusoids of transformers, diffusers, timm and mlx, of one axis and of several."""

import math
import types
from importlib.metadata import version

import jax.numpy as jnp
import numpy as np

import attnax.functional as F
from attnax import interop

from .records import Record

# Rows and columns, coprime and not square; frames before them.
GRIDS = ((3, 5), (7, 4), (1, 2), (2, 9), (8, 3), (5, 1))
VIDEOS = ((2, 3, 5), (4, 5, 3), (1, 1, 2), (3, 7, 4), (5, 2, 9), (2, 8, 3))


def records():
    yield from _transformers_1d()
    yield from _diffusers_1d()
    yield from _mlx()
    yield from _transformers_2d()
    yield from _aimv2()
    yield from _timm()
    yield from _diffusers_grids()
    yield from _detr()
    yield from _sam()


def ours(record):
    """What attnax makes of the same inputs."""
    options, arrays = record.options, record.arrays
    settings = options["settings"]
    if options["function"] == "detr_sinusoids":
        features = F.detr_sinusoids(arrays["mask"], options["d_model"], **settings)
        return features[arrays["mask"]] if options["at_mask"] else features
    if options["function"] == "gaussian_fourier_features":
        return F.gaussian_fourier_features(arrays["coordinates"], arrays["matrix"])
    numerics = options.get("numerics", "exact")
    make, options_of = {
        "sinusoids": (F.sinusoids, interop.sinusoid_options),
        "grid_sinusoids": (F.grid_sinusoids, interop.grid_sinusoid_options),
    }[options["function"]]
    return make(
        jnp.asarray(arrays["positions"]),
        options["d_model"],
        **options_of(options["family"], **settings),
        numerics=numerics,
    )


def tolerance(record):
    """The float32 rounding of their angles, and of results of size at most 1.

    A frequency `exp(-e)` with `e` a rounded product is off by `2 e + 2` halves of a
    unit, its product with a position by one more: `(2 e + 3) exp(-e)` is at most 3.
    Theirs in float64 differ by our own error and one rounding only.
    """
    size = 2.0**-22
    if record.options.get("float64"):
        return size
    return size + 4 * 2.0**-24 * record.options["largest_angle"]


def _record(name, source, function, d_model, expected, arrays, *, angle, **options):
    options = {"function": function, "d_model": d_model, "settings": {}, **options}
    return Record(
        name=name,
        source=source,
        options={**options, "largest_angle": float(angle)},
        arrays={**arrays, "expected": np.asarray(expected, np.float32)},
    )


def _transformers_1d():
    import torch
    from transformers.models.gemma4 import modeling_gemma4
    from transformers.models.kimi_k25 import modeling_kimi_k25
    from transformers.models.m2m_100 import modeling_m2m_100
    from transformers.models.musicgen import modeling_musicgen
    from transformers.models.roformer import modeling_roformer
    from transformers.models.videomae import modeling_videomae
    from transformers.models.whisper import modeling_whisper

    source = f"transformers {version('transformers')} "
    count = 41
    positions = np.arange(count, dtype=np.int32)

    def record(name, where, family, width, table, positions=positions, **options):
        angle = np.abs(positions).max()
        return _record(
            f"{name}: width {width}",
            source + where,
            "sinusoids",
            width,
            table,
            {"positions": positions},
            angle=angle,
            family=family,
            **options,
        )

    for width in (1, 2, 9, 12):
        table = modeling_videomae.get_sinusoid_encoding_table(count, width)[0]
        where = "modeling_videomae.get_sinusoid_encoding_table"
        yield record("videomae", where, "videomae", width, table, float64=True)
    for width in (3, 9, 12):
        module = modeling_roformer.RoFormerSinusoidalPositionalEmbedding(count, width)
        where = "modeling_roformer.RoFormerSinusoidalPositionalEmbedding"
        table = module.create_weight()
        yield record("roformer", where, "roformer", width, table, float64=True)
    for width in (4, 12):
        table = modeling_whisper.sinusoids(count, width)
        where = "modeling_whisper.sinusoids"
        yield record("whisper", where, "whisper", width, table)
    for width in (4, 9, 12):
        where = "modeling_musicgen.MusicgenSinusoidalPositionalEmbedding"
        table = modeling_musicgen.MusicgenSinusoidalPositionalEmbedding.get_embedding(
            count, width
        )
        yield record("musicgen", where, "musicgen", width, table)
    for padding_idx in (0, 1):
        for width in (4, 9, 12):
            module = modeling_m2m_100.M2M100SinusoidalPositionalEmbedding(
                8, width, padding_idx
            )
            ids = np.full((2, 11), padding_idx)
            ids[0, 3:], ids[1, :7] = 5, 5  # padded on the left, and on the right
            tokens = torch.tensor(ids)
            rows = module.create_position_ids_from_input_ids(tokens, padding_idx)
            where = "modeling_m2m_100.M2M100SinusoidalPositionalEmbedding"
            yield record(
                f"m2m_100 padding {padding_idx}",
                where,
                "m2m_100",
                width,
                module(tokens),
                rows.numpy().astype(np.int32),
                settings={"padding_idx": padding_idx},
            )
    for width in (2, 9, 12):
        config = types.SimpleNamespace(
            hidden_size=width,
            attention_chunk_size=12,
            attention_context_left=13,
            attention_context_right=0,
        )
        module = modeling_gemma4.Gemma4AudioRelPositionalEncoding(config)
        where = "modeling_gemma4.Gemma4AudioRelPositionalEncoding"
        relative = np.arange(12, -1, -1, dtype=np.int32)
        table = module(torch.zeros(()))
        table = table.reshape(relative.size, -1)
        yield record("gemma4_audio", where, "gemma4_audio", width, table, relative)
    for width in (2, 12):
        config = types.SimpleNamespace(
            hidden_size=width, pos_emb_time=6, pos_emb_height=1, pos_emb_width=1
        )
        module = modeling_kimi_k25.Kimi_K25VisionPositionEmbeddings(config)
        frames = modeling_kimi_k25.get_vision_frame_index(
            torch.tensor([[1, 2, 1], [6, 1, 2]])
        )
        where = "modeling_kimi_k25.Kimi_K25VisionPositionEmbeddings"
        table = module.time_position_embeddings[frames]
        frames = frames.numpy().astype(np.int32)
        yield record("kimi_k25", where, "kimi_k25", width, table, frames)


def _diffusers_1d():
    import torch
    from diffusers.models.embeddings import get_timestep_embedding

    source = f"diffusers {version('diffusers')} embeddings.get_timestep_embedding"
    whole = np.array([0, 1, 7, 250, 999], np.int32)
    fractional = np.array([0.0, 0.125, 0.7, 33.3, 998.4], np.float32)
    settings = (
        {},
        {"flip_sin_to_cos": True, "downscale_freq_shift": 0.0},
        {"downscale_freq_shift": 0.5, "max_period": 100.0},
    )
    cases = [
        (t, s, w) for t in (whole, fractional) for s in settings for w in (4, 9, 12)
    ]
    # AuraFlow and Qwen-Image: times from 0 to 1, scaled by a thousand.
    scaled = {"flip_sin_to_cos": True, "downscale_freq_shift": 0.0, "scale": 1000.0}
    cases += [(fractional / 1000, scaled, 12), (whole[:3], scaled, 12)]
    for positions, options, width in cases:
        kind = "whole" if positions.dtype == np.int32 else "fractional"
        named = "".join(f" {name} {value}" for name, value in options.items())
        table = get_timestep_embedding(torch.tensor(positions), width, **options)
        yield _record(
            f"diffusers {kind}{named}: width {width}",
            source,
            "sinusoids",
            width,
            table,
            {"positions": positions},
            angle=positions.max() * options.get("scale", 1.0),
            family="diffusers",
            settings=options,
            numerics="exact" if kind == "whole" else "float32",
        )


def _mlx():
    import mlx.core as mx
    import mlx.nn

    source = f"mlx {version('mlx')} nn.SinusoidalPositionalEncoding"
    positions = np.arange(41, dtype=np.int32)
    settings = (
        {},
        {"cos_first": True, "full_turns": True},
        {"min_freq": 0.002, "max_freq": 0.5, "scale": 3.0},
    )
    for options in settings:
        for width in (2, 4, 12):
            module = mlx.nn.SinusoidalPositionalEncoding(width, **options)
            named = "".join(f" {name} {value}" for name, value in options.items())
            angle = positions.max() * (2 * math.pi if options.get("full_turns") else 1)
            yield _record(
                f"mlx{named}: width {width}",
                source,
                "sinusoids",
                width,
                np.array(module(mx.array(positions))),
                {"positions": positions},
                angle=angle * options.get("scale", 1.0),
                family="mlx",
                settings=options,
            )


def _transformers_2d():
    from transformers.models.vit_mae import modeling_vit_mae

    source = f"transformers {version('transformers')} modeling_vit_mae."
    for rows, columns in GRIDS:
        for width in (4, 12):
            for cls_token in (False, True):
                grid = F.positions_from_grid((rows, columns))
                table = modeling_vit_mae.build_2d_sinusoidal_position_embedding(
                    rows, columns, width, cls_token=cls_token
                )
                yield _record(
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
    yield _record(
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


def _aimv2():
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
            yield _record(
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


def _timm():
    from .sources import file_of_timm

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
                    yield _record(
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


def _diffusers_grids():
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
                yield _record(
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
            yield _record(
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


def _detr():
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
            yield _record(
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


def _sam():
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
    yield _record(
        "sam: width 12",
        source + "SamPositionalEmbedding",
        "gaussian_fourier_features",
        12,
        module(torch.tensor(points)).detach(),
        {"coordinates": coordinates, "matrix": matrix},
        angle=2 * math.pi * 2 * np.abs(matrix).max() * 2,
    )
