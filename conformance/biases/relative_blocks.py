"""Granite Speech: queries with keys by distance, inside blocks of the sequence."""

import numpy as np

from .models import config_of, of_transformers, record, scale_of, stored
from .projections import (
    beyond_content,
    calls,
    float32,
    heads,
    hidden_states,
    numbered,
    outputs,
    softmax_inputs,
)
from .sizes import BATCH, HEAD_DIM, HEADS, WIDTH

LENGTH, BLOCK = 12, 5
ENCODER = {"input_dim": 6, "num_layers": 2, "hidden_dim": WIDTH, "num_heads": HEADS}
ENCODER |= {"output_dim": 5, "context_size": BLOCK, "max_pos_emb": 7}
ENCODER |= {"conv_kernel_size": 3}
LATER = {"vocab_size": 11, "hidden_size": WIDTH, "intermediate_size": 8}
LATER |= {"num_hidden_layers": 3, "num_attention_heads": HEADS, "num_mel_bins": 3}
LATER |= {"max_position_embeddings": 7, "context_size": BLOCK, "conv_kernel_size": 3}
LATER |= {"subsample_layers": [0]}


def records():
    """Blocks of 5 in 12 frames, the last one cut, and in 6 frames after a pooling."""
    for kind in ("Speech", "SpeechPlus"):
        yield _with_text(f"Granite{kind}ForConditionalGeneration", layer=1)
    for layer in (0, 1):
        yield _alone(layer)


def _with_text(name, layer):
    """A record of a model whose blocks are rows of a batch."""
    import torch

    text = {"model_type": "granite", "vocab_size": 11, "hidden_size": 8}
    text |= {"intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 0}
    projector = {"model_type": "blip_2_qformer", "hidden_size": 8}
    projector |= {"intermediate_size": 8, "num_attention_heads": 2}
    projector |= {"num_hidden_layers": 1, "encoder_hidden_size": WIDTH}
    model, source = of_transformers(
        name,
        encoder_config=ENCODER,
        projector_config=projector,
        text_config={**text, "bos_token_id": 0},
        audio_token_index=1,
    )
    config, state = config_of(model), stored(model, r"\.attn\.rel_pos_emb")
    model.double()
    encoder, attend = model.model.encoder, "scaled_dot_product_attention"
    attention = encoder.layers[layer].attn
    in_call = calls(torch.nn.functional, attend, lambda args, kw, out: kw["attn_mask"])
    with outputs(q=attention.to_q) as found, in_call as biases:
        encoder(hidden_states(BATCH, LENGTH, ENCODER["input_dim"]))
    q = heads(found["q"][:, :LENGTH], HEADS)
    blocks = biases[layer].reshape(BATCH, -1, HEADS, BLOCK, BLOCK)
    options = {"part": "encoder", "layer": layer, "scale": scale_of(attention)}
    name = config["model_type"]
    return _record(name, source, config, state, q, blocks, **options)


def _alone(layer):
    """A record of the later model, whose first layer halves the frames."""
    model, source = of_transformers(
        "GraniteSpeech5ForCTC", vocab_size=11, encoder_config=LATER
    )
    config, state = config_of(model), stored(model, r"\.self_attn\.rel_pos_emb")
    model.double()
    attention = model.encoder.layers[layer].self_attn
    modules = {part: getattr(attention, f"{part}_proj") for part in "qk"}
    with outputs(**modules) as found, softmax_inputs() as scores:
        model.encoder(hidden_states(BATCH, LENGTH, 4 * LATER["num_mel_bins"]))
    length = LENGTH // (1 + layer)
    q, k = (found[part].reshape(-1, BLOCK, HEADS, HEAD_DIM) for part in "qk")
    # The head for characters in the middle has a softmax too.
    scores = [x for x in scores if x.ndim == 4]
    options = {"part": "encoder", "layer": layer, "scale": scale_of(attention)}
    blocks = beyond_content(scores[layer], q, k, options["scale"])
    blocks = blocks.reshape(BATCH, -1, HEADS, BLOCK, BLOCK)
    q = heads(found["q"][:, :length], HEADS)
    name = f"granite_speech5_ctc, layer {layer}"
    return _record(name, source, config, state, q, blocks, **options)


def _record(name, source, config, state, q, blocks, **options):
    """A record of a bias that is zero where `mask` is: between frames of two blocks."""
    length = q.shape[1]
    bias = np.zeros((BATCH, HEADS, length, length))
    mask = np.zeros((length, length), bool)
    for start in range(0, length, BLOCK):
        frames = slice(start, min(start + BLOCK, length))
        size = frames.stop - start
        bias[..., frames, frames] = blocks[:, start // BLOCK, :, :size, :size]
        mask[frames, frames] = True
    arrays = numbered(length) | float32(q=q) | {"mask": mask}
    return record(name, source, config, state, arrays, bias, **options)
