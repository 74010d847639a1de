"""Biases of queries with keys that depend on the distance, in encoders of speech."""

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
from .sizes import BATCH, HEADS, WIDTH

LENGTH = 9
SIZES = {"vocab_size": 11, "hidden_size": WIDTH, "intermediate_size": 8}
SIZES |= {"num_hidden_layers": 2, "num_attention_heads": HEADS}
CLIPPED = {"left_max_position_embeddings": 3, "right_max_position_embeddings": 2}
SEAMLESS = {"vocab_size": 11, "t2u_vocab_size": 11, "hidden_size": WIDTH}
SEAMLESS |= {"speech_encoder_layers": 2, "speech_encoder_attention_heads": HEADS}
SEAMLESS |= {"speech_encoder_intermediate_size": 8, "feature_projection_input_dim": 6}
SEAMLESS |= {"encoder_layers": 1, "encoder_ffn_dim": 8, "encoder_attention_heads": 2}
SEAMLESS |= {"decoder_layers": 1, "decoder_ffn_dim": 8, "decoder_attention_heads": 2}
SEAMLESS |= {"conv_depthwise_kernel_size": 3, "num_adapter_layers": 1}
SEAMLESS |= {"t2u_encoder_layers": 1, "t2u_decoder_layers": 1, "pad_token_id": 0}
SEAMLESS |= {"bos_token_id": 1, "eos_token_id": 2}
T5 = {"vocab_size": 11, "hidden_size": WIDTH, "encoder_layers": 2}
T5 |= {"encoder_attention_heads": HEADS, "encoder_ffn_dim": 8, "decoder_layers": 1}
T5 |= {"decoder_ffn_dim": 8, "decoder_attention_heads": 2, "conv_dim": (8,)}
T5 |= {"conv_stride": (2,), "conv_kernel": (2,), "num_conv_pos_embeddings": 4}
T5 |= {"num_conv_pos_embedding_groups": 2}


def records():
    """Distances within the bounds and beyond both."""
    model, source = of_transformers(
        "Wav2Vec2BertForCTC",
        feature_projection_input_dim=6,
        conv_depthwise_kernel_size=3,
        **SIZES,
        **CLIPPED,
    )
    layers = model.wav2vec2_bert.encoder.layers
    attentions = [layer.self_attn for layer in layers]
    encoder, pattern = model.wav2vec2_bert.encoder, "distance_embedding"
    yield from _layers("wav2vec2-bert", source, model, encoder, attentions, pattern)

    model, source = of_transformers(
        "SeamlessM4Tv2ForSpeechToText", **SEAMLESS, **CLIPPED
    )
    attentions = [layer.self_attn for layer in model.speech_encoder.encoder.layers]

    def alone(hidden):
        # The encoder adds a boolean mask to the scores as ones.
        for attention in attentions:
            attention(hidden)

    yield from _layers("seamless_m4t_v2", source, model, alone, attentions, pattern)

    for limit in (4, 20):
        model, source = of_transformers(
            "SpeechT5ForSpeechToText", encoder_max_relative_position=limit, **T5
        )
        encoder = model.speecht5.encoder.wrapped_encoder
        attentions = [layer.attention for layer in encoder.layers]
        name = f"speecht5: {limit}"
        yield from _layers(name, source, model, encoder, attentions, "pe_k")


def _layers(name, source, model, run, attentions, pattern):
    """A record of each layer, run on numbers in the place of speech."""
    config, state = config_of(model), stored(model, pattern)
    model.double()
    projections = {
        f"{part}{layer}": projection(attention, part)
        for layer, attention in enumerate(attentions)
        for part in "qk"
    }
    with outputs(**projections) as found, softmax_inputs() as scores:
        run(hidden_states(BATCH, LENGTH, WIDTH))
    for layer, attention in enumerate(attentions):
        q, k = (heads(found[f"{part}{layer}"], HEADS) for part in "qk")
        scale = scale_of(attention)
        yield record(
            f"{name}, layer {layer}",
            source,
            config,
            state,
            numbered(LENGTH) | float32(q=q),
            beyond_content(scores[layer], q, k, scale),
            part="speech_encoder" if name.startswith("seamless") else "encoder",
            layer=layer,
            scale=scale,
        )
