"""Conformers with the scores of Transformer-XL: projected sinusoids, two vectors."""

import numpy as np

from .models import config_of, of_transformers, record, scale_of, stored
from .projections import (
    beyond_content,
    float32,
    heads,
    hidden_states,
    numbered,
    outputs,
    projection,
    softmax_inputs,
)
from .relative_keys import LENGTH, SEAMLESS
from .sizes import BATCH, HEADS, WIDTH

SIZES = {"vocab_size": 11, "hidden_size": WIDTH, "intermediate_size": 8}
SIZES |= {"num_hidden_layers": 2, "num_attention_heads": HEADS}
# Fewer positions than frames: the table of sinusoids grows.
SIZES |= {"conv_depthwise_kernel_size": 3, "max_source_positions": 5}
SPEECH = {"conv_dim": (8,), "conv_stride": (2,), "conv_kernel": (2,)}
SPEECH |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
FAST = {"vocab_size": 11, "hidden_size": WIDTH, "num_mel_bins": 4}
FAST |= {"encoder_layers": 2, "decoder_layers": 2, "speech_decoder_postnet_layers": 1}
FAST |= {"encoder_linear_units": 8, "decoder_linear_units": 8}
FAST |= {"encoder_num_attention_heads": HEADS, "decoder_num_attention_heads": 2}
FAST |= {"encoder_kernel_size": 3, "decoder_kernel_size": 3}
FAST |= {"speech_decoder_postnet_units": 4}
for _part in ("duration", "energy", "pitch"):
    FAST |= {f"{_part}_predictor_layers": 1, f"{_part}_predictor_channels": 4}
STREAM = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS}
STREAM |= {"intermediate_size": 8, "conv_kernel_size": 3, "subsampling_factor": 2}
STREAM |= {"subsampling_conv_channels": 2, "num_mel_bins": 8}


def records():
    """Whole sequences, and a chunk of a stream after frames in the cache."""
    model, source = of_transformers("Wav2Vec2ConformerForCTC", **SIZES, **SPEECH)
    encoder = model.wav2vec2_conformer.encoder
    yield _of_encoder("wav2vec2-conformer", source, model, encoder)

    model, source = of_transformers(
        "Wav2Vec2BertForCTC",
        position_embeddings_type="relative",
        feature_projection_input_dim=6,
        **SIZES,
    )
    encoder = model.wav2vec2_bert.encoder
    yield _of_encoder("wav2vec2-bert: relative", source, model, encoder)

    model, source = of_transformers(
        "SeamlessM4TForSpeechToText", max_source_positions=5, **SEAMLESS
    )
    yield _of_encoder("seamless_m4t", source, model, model.speech_encoder.encoder)

    for part in ("encoder", "decoder"):
        yield _fast(part)

    model, source = of_transformers(
        "ParakeetForCTC", vocab_size=11, pad_token_id=10, encoder_config=STREAM
    )
    yield _of_encoder("parakeet_ctc", source, model, model.encoder)

    for cached in (0, 4):
        model, source = of_transformers(
            "NemotronAsrStreamingEncoder", sliding_window=6, **STREAM
        )
        name = f"nemotron_asr_streaming_encoder: {cached}"
        yield _of_encoder(name, source, model, model, cached)


def _of_encoder(name, source, model, encoder, cached=0):
    """A record of the last layer of an encoder; `cached` frames come before."""
    layer = 1
    attention = encoder.layers[layer].self_attn
    pattern = r"encoder\.layers\.\d+\.self_attn\." if encoder is not model else ""
    pattern = pattern or r"^layers\.\d+\.self_attn\."
    # The adapter of Seamless has layers of the same names.
    state = stored(model, pattern + "(linear_pos|relative_k_proj|(pos_)?bias_)")
    config = config_of(model)
    model.double()

    def run(hidden):
        if not hasattr(encoder, "encode_positions"):
            return attention(
                hidden, relative_position_embeddings=encoder.embed_positions(hidden)
            )
        if not cached:
            return attention(hidden, encoder.encode_positions(hidden))
        return _after_cache(encoder, attention, hidden, cached)

    seamless = hasattr(model, "speech_encoder")
    options = {"part": "speech_encoder" if seamless else "encoder", "layer": layer}
    return _record(
        name, source, config, state, attention, run, HEADS, cached, **options
    )


def _after_cache(encoder, attention, hidden, cached):
    """Attends from the frames after `cached` ones, whose keys are in a cache."""
    from transformers import DynamicCache

    cache = DynamicCache()
    first, rest = hidden[:, :cached], hidden[:, cached:]
    # A cache is filled layer by layer.
    empty = hidden.new_zeros(BATCH, HEADS, cached, WIDTH // HEADS)
    cache.update(empty, empty, 0)
    key, value = (
        heads(project(first), HEADS).transpose(1, 2)
        for project in (attention.k_proj, attention.v_proj)
    )
    cache.update(key, value, attention.layer_idx)
    positions = encoder.encode_positions(rest, cached_frames=cached)
    attention(rest, positions, past_key_values=cache)


def _fast(part):
    import torch

    layer = 1
    model, source = of_transformers("FastSpeech2ConformerModel", **FAST)
    config = config_of(model)
    state = stored(
        model, rf"^{part}\.conformer_layers\.\d+\.self_attn\.(linear_pos|pos_bias)"
    )
    model.double()
    stack = getattr(model, part)
    attention = stack.conformer_layers[layer].self_attn

    def run(hidden):
        return attention(hidden, pos_emb=stack.pos_enc(hidden)[1])

    name, count = f"fastspeech2_conformer: {part}", attention.num_heads
    options = {"part": part, "layer": layer, "owner": torch}
    return _record(name, source, config, state, attention, run, count, **options)


def _record(
    name, source, config, state, attention, run, count, cached=0, owner=None, **options
):
    """Records the bias, and the part of it that is the same for every key's content."""
    import torch

    query, key = (projection(attention, part) for part in "qk")
    hidden = hidden_states(BATCH, LENGTH, WIDTH)
    with torch.no_grad(), outputs(q=query) as found:
        with softmax_inputs(owner) as scores:
            run(hidden)
        q, k = heads(found["q"], count), heads(key(hidden), count)
    vector = next(p for n, p in attention.named_parameters() if n.endswith("bias_u"))
    scale = scale_of(attention)
    arrays = numbered(LENGTH - cached, LENGTH, cached) | float32(q=q, k=k)
    of_position = beyond_content(scores[-1], q + vector, k, scale)
    arrays["expected_position"] = np.asarray(of_position.detach(), np.float32)
    bias = beyond_content(scores[-1], q, k, scale).detach()
    options |= {"scale": scale}
    return record(name, source, config, state, arrays, bias, **options)
