"""Runs single attentions of a model, with cos and sin of its own rotary class."""

import inspect

import numpy as np
import torch
from torch import nn

from .recorder import record
from .skeletons import bounded, running

# Input widths, for modules whose first linear map has another one.
WIDTHS = {"ZayaAttention": "hidden_size"}
# Modules that take an image in place of a line of tokens.
GRIDS = ("Sam3ViTRoPEAttention",)
# Modules whose `layer_idx` counts something else than layers.
UNINDEXED = ("Zamba2Attention",)
_COS_SIN = (
    "position_embeddings",
    "position_embeddings_k",
    "rotary_pos_emb",
    "freqs_ci",
    "relative_position_embeddings",
)
_NOTHING = ("alibi", "past_key_values", "prev_topk_indices")
_QKV = ("query", "key", "value")


def attentions(source, model, config):
    """`(layer_type, module)` for the first layer of each type."""
    types = getattr(config, "layer_types", None) or ()
    out = {}
    for module in model.modules():
        name = type(module).__name__
        own = getattr(module, "config", config)
        if not source.rotates(name) or not isinstance(config, type(own)):
            continue
        index = getattr(module, "layer_idx", None)
        known = types and index is not None and name not in UNINDEXED
        out.setdefault((name, types[index] if known else None), module)
    return [(layer_type, module) for (_, layer_type), module in out.items()]


def rotations(
    source, module, cos_sin, positions, seq_len, *, count=None, head_dim=None, **more
):
    """`(function, before, after)` for drawn heads in place of queries and of keys.

    What fails after the rotation is ignored, and so is what else rotates, such as the
    index of a sparse attention.

    Args:
        source: The file of the module.
        module: An attention.
        cos_sin: Cos and sin of the rotary class.
        positions: Positions as the module takes them.
        seq_len: Number of tokens.
        count: Number of positions, if it is not the number of tokens.
        head_dim: Width of a head, if the module does not say it.
        **more: Arguments that this module alone takes.
    """
    arguments = _arguments(module, cos_sin, positions, seq_len) | more
    with record(source) as recorder, running():
        try:
            module(**arguments)
        except Exception:
            if not recorder.rotations:
                raise
    if head_dim is None:
        head_dim = getattr(module, "head_dim", None) or _configured(module, "head_dim")
    out = []
    for rotation in (r for r in recorder.rotations if r.caller is module):
        start, width = recorder.place(rotation, head_dim)
        for number, (_, before, _) in enumerate(rotation.slices):
            heads = torch.from_numpy(drawn(count or seq_len, width))
            here = slice(start, start + before.shape[-1])
            after = heads.clone()
            with torch.no_grad():
                after[:, here] = rotation.again(number, heads[:, here])
            out.append((rotation.name, heads, after))
    return out[:2]


def _configured(module, name):
    return getattr(getattr(module, "config", None), name, None)


def drawn(seq_len, width):
    """Float32 queries between -1 and 1, the same on every machine."""
    bits = np.random.PCG64(0).random_raw(seq_len * width) >> 40
    return (bits / 2.0**23 - 1).astype(np.float32).reshape(seq_len, width)


def _arguments(module, cos_sin, positions, seq_len):
    names = inspect.signature(module.forward).parameters
    mask = torch.zeros(1, 1, seq_len, seq_len)
    values = {
        **_hidden_states(module, names, seq_len),
        "cu_seqlens": torch.tensor([0, seq_len], dtype=torch.int32),
        "max_seqlen": seq_len,
        "position_ids": positions,
        "layer_idx": 0,
        "rope_k_repeat": 1,
        "shared_kv_states": {},
        "attention_mask": mask if hasattr(module, "indexer") else None,
        "merged_attention_mask": mask,
        **dict.fromkeys(_COS_SIN, cos_sin),
        **dict.fromkeys(_NOTHING),
    }
    return {name: value for name, value in values.items() if name in names}


def _hidden_states(module, names, seq_len):
    name = type(module).__name__
    if "query" in names:
        widths = {n: getattr(module, f"{n[0]}_proj").in_features for n in _QKV}
        return {n: bounded(1, 1, seq_len, width) for n, width in widths.items()}
    width = next(m.in_features for m in module.modules() if isinstance(m, nn.Linear))
    if name in WIDTHS:
        width = getattr(module.config, WIDTHS[name])
    shape = (seq_len,) if "cu_seqlens" in names else (1, seq_len)
    shape = (*shape, 1) if name in GRIDS else shape
    # What queries attend to besides themselves: nothing.
    others = "context_hidden_states", "merged_attention_mask"
    nothing = bounded(1, 0, width) if any(name in names for name in others) else None
    return {
        "hidden_states": bounded(*shape, width),
        "context_hidden_states": nothing,
        "encoder_hidden_states": nothing,
    }
