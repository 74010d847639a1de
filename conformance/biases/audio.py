"""Towers for audio of Gemma 3n and 4: projected sinusoids near a query, in blocks."""

import numpy as np

from .models import config_of, of_transformers, record, scale_of, stored
from .projections import calls, float32, heads, hidden_states, numbered, outputs
from .sizes import BATCH, HEADS, WIDTH

LENGTH, BLOCK = 11, 4


def records():
    """Settings as released, scaled down, and others."""
    for left, right in ((5, 0), (3, 2), (1, 0)):
        model, source = of_transformers(
            "Gemma3nAudioEncoder",
            hidden_size=WIDTH,
            input_feat_size=8,
            conf_attention_chunk_size=BLOCK,
            conf_attention_context_left=left,
            conf_attention_context_right=right,
            conf_num_attention_heads=HEADS,
            conf_num_hidden_layers=2,
            sscp_conv_channel_size=(4, 2),
        )
        yield _of_3n(f"gemma3n_audio: {left}, {right}", source, model, left - 1)
    for left, right in ((5, 0), (4, 0), (5, 2)):
        model, source = of_transformers(
            "Gemma4AudioModel",
            hidden_size=WIDTH,
            num_attention_heads=HEADS,
            num_hidden_layers=2,
            attention_chunk_size=BLOCK,
            attention_context_left=left,
            attention_context_right=right,
            subsampling_conv_channels=(4, 2),
            output_proj_dims=5,
        )
        yield _of_4(f"gemma4_audio: {left}, {right}", source, model, left - 1)


def _of_3n(name, source, model, past):
    import torch

    config = config_of(model)
    state = stored(model, r"^conformer\.\d+\..*(pos_proj|per_dim_scale)")
    model.double()
    attention = model.conformer[1].attention.attn
    position = type(attention.relative_position_embedding)
    with (
        outputs(q=attention.q_proj) as found,
        calls(position, "_relative_shift") as blocks,
    ):
        mask = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
        attention(hidden_states(BATCH, LENGTH, WIDTH), mask)
    scale = scale_of(attention)
    return _record(name, source, config, state, found["q"], blocks[0], past, scale)


def _of_4(name, source, model, past):
    config = config_of(model)
    state = stored(model, r"^(.*\.)?layers\.\d+\..*(relative_k_proj|per_dim_scale)")
    attention = model.layers[1].self_attn
    hidden = hidden_states(BATCH, LENGTH, WIDTH).float()
    with (
        outputs(q=attention.q_proj) as found,
        calls(type(attention), "_rel_shift") as blocks,
    ):
        attention(hidden, model.rel_pos_enc(hidden))
    scale = scale_of(attention)
    return _record(name, source, config, state, found["q"], blocks[0], past, scale)


def _record(name, source, config, state, q, blocks, past, scale):
    """A record of the bias of each query's own block, and 0 where no block reaches."""
    bias = np.zeros((BATCH, HEADS, LENGTH, LENGTH))
    mask = np.zeros((LENGTH, LENGTH), bool)
    for i, c in np.ndindex(LENGTH, blocks.shape[-1]):
        block, j = i // BLOCK, i // BLOCK * BLOCK + c - past
        if 0 <= j < LENGTH:
            bias[:, :, i, j] = blocks[:, :, block, i % BLOCK, c]
            mask[i, j] = True
    arrays = numbered(LENGTH) | float32(q=heads(q, HEADS)) | {"mask": mask}
    options = {"part": "audio", "layer": 1, "scale": scale}
    return record(name, source, config, state, arrays, bias, **options)
