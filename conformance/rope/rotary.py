"""How the rotary classes are called."""

import inspect

import torch

# Positions are the indices of heads, not of tokens.
BY_HEAD = ("NeuCodecRotaryEmbedding", "Xcodec2RotaryEmbedding")


def positions_of(rotary, line):
    """Positions as the class takes them, and as `(seq_len,)` or `(seq_len, axes)`."""
    line = torch.tensor(line)
    if rotary is None:
        return line[None], line
    name = type(rotary).__name__
    if name in BY_HEAD:
        heads = torch.arange(rotary.config.num_attention_heads)
        return heads[None], heads
    coordinates = torch.stack([line, line.flip(0), line.roll(3)])
    if hasattr(rotary, "mrope_section"):
        return coordinates[:, None], coordinates.T
    if not hasattr(rotary, "compute_axial_rope_parameters"):
        return line[None], line
    axes = 3 if name == "MiniMaxM3VLVisionRotaryEmbedding" else 2
    grid = coordinates[:axes].T
    return (grid[None] if name == "Gemma4VisionRotaryEmbedding" else grid), grid


def cos_sin_of(rotary, positions, layer_type):
    """The result of the class, or `None` if it has none for the layer type."""
    if rotary is None:
        return None
    call = lambda **kwargs: rotary(torch.zeros(1), positions, **kwargs)
    if "layer_type" not in inspect.signature(type(rotary).forward).parameters:
        return call()
    types = rotary.rope_type
    if not types:  # it has the parameter, and no use for it
        return call()
    if set(types) == {"main", "compress"}:
        return {name: call(layer_type=name) for name in types}
    return call(layer_type=layer_type) if layer_type in types else None
