"""XLNet: scores of Transformer-XL with segments, memories and two directions."""

import numpy as np

from .models import config_of, of_transformers, record, scale_of, stored
from .projections import (
    beyond_content,
    calls,
    float32,
    hidden_states,
    numbered,
    softmax_inputs,
)
from .sizes import HEADS, WIDTH

LENGTH, MEMORY, LAYER = 7, 4, 1
SIZES = {"vocab_size": 11, "d_model": WIDTH, "n_layer": 2, "d_inner": 8}
SIZES |= {"n_head": HEADS}


def records():
    """Both kinds of attention, with memories, clamped, and half of a batch reversed."""
    for title, batch, memory, settings in (
        ("two directions", 1, 0, {}),
        ("memory", 1, MEMORY, {}),
        ("one direction", 1, MEMORY, {"attn_type": "uni"}),
        ("clamped", 1, MEMORY, {"clamp_len": 3}),
        ("half reversed", 2, 0, {"bi_data": True}),
    ):
        for segments in (False, True):
            name = f"xlnet: {title}{', segments' if segments else ''}"
            yield _of_model(name, batch, memory, segments, settings)


def _of_model(name, batch, memory, segments, settings):
    import torch

    model, source = of_transformers("XLNetLMHeadModel", **SIZES, **settings)
    config = config_of(model)
    state = stored(model, r"layer\.\d+\.rel_attn\.(r$|r_|seg_embed)")
    model.double()
    keys = LENGTH + memory
    hidden = hidden_states(batch, keys, WIDTH)
    inputs = {"inputs_embeds": hidden[:, memory:]}
    if memory:
        inputs["mems"] = [hidden[:, :memory].transpose(0, 1)] * 2
    of_token = np.arange(keys) // 3 % 2
    of_token[:memory] = 0  # memories count as segment 0
    if segments:
        types = torch.tensor(of_token[memory:]).expand(batch, -1)
        inputs["token_type_ids"] = types
    attention = model.transformer.layer[LAYER].rel_attn
    q_of = calls(type(attention), "rel_attn_core", lambda args, kw, out: args[1])
    k_of = calls(type(attention), "rel_attn_core", lambda args, kw, out: args[2])
    with q_of as queries, k_of as all_keys, softmax_inputs() as scores:
        model.transformer(**inputs)
    q, k = (x[LAYER].transpose(0, 1) for x in (queries, all_keys))
    scale = scale_of(attention)
    bias = beyond_content(scores[LAYER], q, k, scale).numpy()
    arrays = numbered(LENGTH, keys, memory) | float32(q=q, k=k)
    seen = np.ones((LENGTH, keys), bool)
    if model.config.attn_type == "uni":
        seen = arrays["q_positions"][:, None] >= arrays["k_positions"]
        arrays["mask"] = seen
    if segments:
        arrays |= {"q_segments": of_token[memory:], "k_segments": of_token}
    options = {"part": "encoder", "layer": LAYER, "scale": scale}
    bias = np.where(seen, bias, 0)
    return record(name, source, config, state, arrays, bias, **options)
