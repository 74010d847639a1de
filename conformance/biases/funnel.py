"""Funnel: scores of Transformer-XL between pooled queries and keys."""

import numpy as np

from .models import config_of, of_transformers, record, scale_of, stored
from .projections import calls, float32, heads, hidden_states, outputs
from .sizes import BATCH, HEAD_DIM, HEADS, WIDTH

LENGTH = 11
SIZES = {"vocab_size": 11, "block_sizes": [1, 2, 1], "num_decoder_layers": 1}
SIZES |= {"d_model": WIDTH, "n_head": HEADS, "d_head": HEAD_DIM, "d_inner": 8}


def records():
    """Layers of each block, with and without pooled queries, and the decoder."""
    for kind in ("relative_shift", "factorized"):
        for settings in (
            {},
            {"truncate_seq": False},
            {"separate_cls": False},
            {"pool_q_only": False},
        ):
            yield from _of_model(kind, settings)


def _of_model(kind, settings):
    import torch

    model, source = of_transformers(
        "FunnelForMaskedLM", attention_type=kind, **SIZES, **settings
    )
    tower = model.funnel
    config, state = config_of(model), stored(model, r"attention\.(r_|seg_embed)")
    model.double()
    layers = {
        f"encoder.blocks.{b}.{i}": layer.attention
        for b, block in enumerate(tower.encoder.blocks)
        for i, layer in enumerate(block)
    }
    layers["decoder.layers.0"] = tower.decoder.layers[0].attention
    types = torch.tensor([2, *[0] * 4, *[1] * (LENGTH - 5)]).expand(BATCH, -1)
    projections = {}
    for name, attention in layers.items():
        projections |= {f"q {name}": attention.q_head, f"k {name}": attention.k_head}
    attention = type(layers["decoder.layers.0"])
    of_positions = calls(attention, "relative_positional_attention")
    of_types = calls(attention, "relative_token_type_attention")
    with outputs(**projections) as found, of_positions as moved, of_types as typed:
        tower(
            inputs_embeds=hidden_states(BATCH, LENGTH, WIDTH),
            token_type_ids=types,
            attention_mask=torch.ones(BATCH, LENGTH),
        )
    places = _places(tower.config)
    for n, (name, attention) in enumerate(layers.items()):
        q, k = (heads(found[f"{part} {name}"], HEADS) for part in "qk")
        scale = scale_of(attention)
        content = scale * torch.einsum("hd,bkhd->bhk", attention.r_w_bias, k)
        bias = moved[n] + typed[n] + content[:, :, None]
        q_places, k_places = places[name]
        arrays = {"q_positions": q_places, "k_positions": k_places}
        of_token = types[0].numpy()
        arrays |= {"q_segments": of_token[np.maximum(q_places, 0)]}
        arrays |= {"k_segments": of_token[np.maximum(k_places, 0)]}
        title = "".join(f", {n}={v}" for n, v in settings.items())
        yield record(
            f"funnel: {kind}{title}, {name}",
            source,
            config,
            state,
            arrays | float32(q=q, k=k),
            bias.detach(),
            part=name.split(".")[0],
            layer=name,
            scale=scale,
        )


def _places(config):
    """Positions of the queries and keys of each layer; the class token stays first."""
    whole = np.arange(LENGTH, dtype=np.int32)
    places, keys = {"decoder.layers.0": (whole, whole)}, whole
    for block, size in enumerate(config.block_sizes):
        queries = keys
        if block and config.separate_cls:
            rest = keys[1:-1] if config.truncate_seq else keys[1:]
            first = np.array([1 - 2**block], np.int32)
            queries = np.concatenate([first, rest[::2]])
        elif block:
            queries = keys[::2]
        if not config.pool_q_only:
            keys = queries
        for layer in range(size):
            places[f"encoder.blocks.{block}.{layer}"] = (queries, keys)
            keys = queries
    return places
