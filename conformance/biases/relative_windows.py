"""VITS: keys and values by distance inside a window, and nothing outside it."""

from .models import config_of, of_transformers, record, scale_of, stored
from .projections import (
    beyond_content,
    float32,
    heads,
    hidden_states,
    numbered,
    outputs,
    softmax_inputs,
)
from .sizes import BATCH, HEADS, WIDTH

WINDOW = 3
SIZES = {"vocab_size": 11, "hidden_size": WIDTH, "num_attention_heads": HEADS}
SIZES |= {"num_hidden_layers": 2, "ffn_dim": 8, "flow_size": 8, "spectrogram_bins": 5}
SIZES |= {"upsample_initial_channel": 8, "upsample_rates": [2]}
SIZES |= {"upsample_kernel_sizes": [4], "resblock_kernel_sizes": [3]}
SIZES |= {"resblock_dilation_sizes": [[1]], "duration_predictor_filter_channels": 8}


def records():
    """A sequence longer than the window, and one that is shorter."""
    for length in (9, 2):
        yield _of_length(length, layer=1)


def _of_length(length, layer):
    import torch

    model, source = of_transformers("VitsModel", window_size=WINDOW, **SIZES)
    config = config_of(model)
    state = stored(model, r"text_encoder\.encoder\.layers\.\d+\.attention\.emb_rel_")
    model.double()
    encoder = model.text_encoder.encoder
    attention = encoder.layers[layer].attention
    modules = {part: getattr(attention, f"{part}_proj") for part in "qkv"}
    inputs = []
    attention.out_proj.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with outputs(**modules) as found, softmax_inputs() as scores:
        ones = torch.ones(BATCH, length, 1, dtype=torch.float64)
        encoder(hidden_states(BATCH, length, WIDTH), padding_mask=ones)
    q, k, v = (heads(found[part], HEADS) for part in "qkv")
    probabilities = scores[layer].softmax(-1).reshape(BATCH, HEADS, length, length)
    values = heads(inputs[0], HEADS)
    values = values - torch.einsum("bhqk,bkhd->bqhd", probabilities, v)
    scale = scale_of(attention)
    bias = beyond_content(scores[layer], q, k, scale)
    arrays = numbered(length)
    arrays |= float32(q=q, probabilities=probabilities, expected_values=values)
    options = {"part": "text_encoder", "layer": layer, "scale": scale}
    return record(f"vits: {length}", source, config, state, arrays, bias, **options)
