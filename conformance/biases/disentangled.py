"""Biases of DeBERTa, its later versions and SEW-D, from content and from positions."""

import math

from .models import config_of, of_transformers, record, stored
from .projections import calls, float32, heads, hidden_states, numbered, outputs
from .sizes import BATCH, HEAD_DIM, HEADS, WIDTH

LENGTH, LAYER = 12, 1
SIZES = {"vocab_size": 11, "hidden_size": WIDTH, "intermediate_size": 8}
SIZES |= {"num_hidden_layers": 2, "num_attention_heads": HEADS}
TYPES = (["c2p", "p2c"], ["c2p"], ["p2c"])
SPEECH = {"conv_dim": (8,), "conv_stride": (2,), "conv_kernel": (2,)}
SPEECH |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}


def records():
    """Each combination of terms; distances within the table and beyond it."""
    sizes = {**SIZES, "relative_attention": True, "max_position_embeddings": 16}
    for types in TYPES:
        for limit in (-1, 5):
            name = f"deberta: {'|'.join(types)}, {limit}"
            settings = {"pos_att_type": types, "max_relative_positions": limit}
            yield _first(name, **sizes, **settings)
    plain = {"pos_att_type": TYPES[0], "max_relative_positions": 9}
    buckets = {**plain, "position_buckets": 4}
    shared = {"share_att_key": True, "norm_rel_ebd": "layer_norm"}
    for title, settings in {
        "released": {**buckets, **shared},
        "as large as the table": {**buckets, **shared, "max_relative_positions": -1},
        "own projections": buckets,
        "no buckets": {**plain, "max_relative_positions": 5, **shared},
        "no buckets, the default limit": {"pos_att_type": TYPES[0]},
        "many buckets": {**buckets, "position_buckets": 10},
        "content to position": {**buckets, **shared, "pos_att_type": TYPES[1]},
        "position to content": {**buckets, "pos_att_type": TYPES[2]},
    }.items():
        yield _later(
            f"deberta-v2: {title}", "DebertaV2ForMaskedLM", **sizes, **settings
        )
    sizes |= {**SPEECH, "max_position_embeddings": 9, "position_buckets": 4}
    for title, settings in {
        "released": {},
        "own projections": {"share_att_key": False, "norm_rel_ebd": "none"},
        "no buckets": {"position_buckets": -1},
    }.items():
        yield _later(f"sew-d: {title}", "SEWDForCTC", **sizes | settings)


def _first(name, **settings):
    """A record of the first version, whose queries and keys are one projection."""
    model, source = of_transformers("DebertaForMaskedLM", **settings)
    encoder = model.deberta.encoder
    attention = encoder.layer[LAYER].attention.self
    pattern = r"rel_embeddings|layer\.\d+\.attention\.self\.pos_"
    state = stored(model, pattern)
    model.double()
    with (
        outputs(both=attention.in_proj) as found,
        calls(type(attention), "disentangled_att_bias") as biases,
    ):
        _run(encoder)
    both = heads(found["both"], HEADS)
    q = both[..., :HEAD_DIM] + heads(attention.q_bias, HEADS)
    k = both[..., HEAD_DIM : 2 * HEAD_DIM]
    return _record(name, source, model, state, q, k, biases[LAYER])


def _later(name, model_name, **settings):
    """A record of the later versions, with buckets."""
    model, source = of_transformers(model_name, **settings)
    encoder = getattr(model, model.base_model_prefix).encoder
    encoder = getattr(encoder, "encoder", encoder)
    attention = encoder.layer[LAYER].attention.self
    projections = "query_proj|key_proj" if attention.share_att_key else "pos_"
    pattern = r"rel_embeddings|encoder\.LayerNorm|layer\.\d+\.attention\.self\.("
    state = stored(model, f"{pattern}{projections})")
    model.double()
    with (
        outputs(q=attention.query_proj, k=attention.key_proj) as found,
        calls(type(attention), "disentangled_attention_bias") as biases,
    ):
        _run(encoder)
    q, k = (heads(found[n], HEADS) for n in "qk")
    bias = biases[LAYER].reshape(BATCH, HEADS, LENGTH, LENGTH)
    return _record(name, source, model, state, q, k, bias)


def _run(encoder):
    import torch

    hidden = hidden_states(BATCH, LENGTH, WIDTH)
    encoder(hidden, torch.ones(BATCH, LENGTH))


def _record(name, source, model, state, q, k, bias):
    types = set(model.config.pos_att_type)
    scale = 1 / math.sqrt(HEAD_DIM * (1 + len(types)))
    config, arrays = config_of(model), numbered(LENGTH) | float32(q=q, k=k)
    options = {"part": "encoder", "layer": LAYER, "scale": scale}
    return record(name, source, config, state, arrays, bias, **options)
