"""Sinusoids of sequences: transformers, diffusers and mlx."""

import math
import types
from importlib.metadata import version

import numpy as np

from .sinusoid_record import sinusoid_record


def transformers_sequences():
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
        return sinusoid_record(
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


def diffusers_sequences():
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
        yield sinusoid_record(
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


def mlx_sequences():
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
            yield sinusoid_record(
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
