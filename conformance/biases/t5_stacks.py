"""Biases of T5 and its kin: a table of buckets of distances, for whole stacks."""

import contextlib
import sys
import unittest.mock

import numpy as np

from .models import config_of, of_transformers, record, stored
from .sizes import HEAD_DIM, HEADS, WIDTH

TENSORS = r"(global_)?relative_attention_bias"
SCALE = 1.0  # scores are not scaled
SIZES = {"d_model": WIDTH, "d_kv": HEAD_DIM, "num_heads": HEADS, "d_ff": 8}
SIZES |= {"num_layers": 2, "num_decoder_layers": 2, "vocab_size": 9}
SIZES |= {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
# Few buckets and a short distance, so that short sequences go past it.
SHORT = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 6}
# Numbers of buckets and distances whose halves and thresholds are no powers of two.
ODD = {"relative_attention_num_buckets": 14, "relative_attention_max_distance": 11}
QUERIES, KEYS, PAST = 7, 11, 6


def records():
    """Every stack of each model type, and T5 with its default numbers."""
    for name, more in (
        ("T5ForConditionalGeneration", SHORT),
        ("MT5ForConditionalGeneration", ODD),
        ("UMT5ForConditionalGeneration", SHORT),
        ("SwitchTransformersForConditionalGeneration", SHORT | {"num_experts": 2}),
        ("Pop2PianoForConditionalGeneration", SHORT | {"composer_vocab_size": 3}),
        ("LongT5ForConditionalGeneration", SHORT | {"local_radius": 3}),
    ):
        model, source = of_transformers(name, **SIZES, **more)
        if name.startswith("LongT5"):
            yield from of_decoder(model, source, model.decoder)
            continue
        yield from of_encoder(model, source, model.encoder)
        yield from of_decoder(model, source, model.decoder)
    yield from _with_another_head()
    yield from _pix2struct()
    yield from _long()


def title(model):
    return f"{model.config.model_type}: {type(model).__name__}"


@contextlib.contextmanager
def recorded_biases(model):
    """A list of the biases that an attention adds to its scores, without a mask."""
    import torch

    module = sys.modules[type(model).__module__]
    attention, biases = module.eager_attention_forward, []

    def recording(*args, position_bias, scaling, **kwargs):
        assert scaling == SCALE
        biases.append(position_bias)
        return attention(*args, position_bias=position_bias, scaling=scaling, **kwargs)

    with unittest.mock.patch.object(module, "eager_attention_forward", recording):
        with torch.no_grad():
            yield biases


def hidden(length, batch=1):
    import torch

    shape = (batch, length, WIDTH)
    drawn = np.random.default_rng(length).normal(size=shape).astype(np.float32)
    return torch.tensor(drawn)


def of_encoder(model, source, stack):
    with recorded_biases(model) as biases:
        stack(inputs_embeds=hidden(KEYS))
    state = stored(model, TENSORS)
    for layer, bias in enumerate(biases):
        yield _record(model, source, state, bias, "encoder", layer)


def of_decoder(model, source, stack, part="decoder"):
    """The whole sequence, its last tokens against a cache, and the encoder's output."""
    state = stored(model, TENSORS)
    inputs, encoded = hidden(PAST + QUERIES), {"encoder_hidden_states": hidden(KEYS)}
    with recorded_biases(model) as biases:
        stack(inputs_embeds=inputs, use_cache=False, **encoded)
    for layer, bias in enumerate(biases[0::2]):
        yield _record(model, source, state, bias, part, layer)
    yield _record(model, source, state, biases[1], "cross", 0)
    if not stack.config.is_encoder_decoder:
        # Its cache mixes the encoder's keys with its own.
        return
    with recorded_biases(model) as biases:
        first, last = inputs[:, :PAST], inputs[:, PAST:]
        made = stack(inputs_embeds=first, use_cache=True, **encoded)
        cache = made.past_key_values
        del biases[:]
        stack(inputs_embeds=last, past_key_values=cache, use_cache=True, **encoded)
    for layer, bias in enumerate(biases[0::2]):
        yield _record(model, source, state, bias, part, layer, past=PAST)


def _record(model, source, state, bias, part, layer, past=0):
    queries, keys = bias.shape[-2:]
    arrays = {"q_positions": np.arange(past, past + queries, dtype=np.int32)}
    arrays["k_positions"] = np.arange(keys, dtype=np.int32)
    cached = ", cached" if past else ""
    return record(
        f"{title(model)}, {part}{cached}, layer {layer}",
        source,
        config_of(model),
        state,
        arrays,
        bias[0],
        part=part,
        layer=layer,
        scale=SCALE,
    )


def _with_another_head():
    """Other names of the same tensors; a table of cross-attention that nobody reads."""
    for name in ("T5EncoderModel", "T5ForTokenClassification", "UMT5EncoderModel"):
        model, source = of_transformers(name, **SIZES, **SHORT)
        stack = getattr(model, "transformer", model).encoder
        yield from of_encoder(model, source, stack)
    model, source = of_transformers("T5ForConditionalGeneration", **SIZES, **SHORT)
    with recorded_biases(model) as biases:
        model.encoder(inputs_embeds=hidden(KEYS))
    state = stored(model, TENSORS)
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    state[name] = np.ones((SHORT["relative_attention_num_buckets"], HEADS), np.float32)
    made = _record(model, source, state, biases[1], "encoder", 1)
    yield made._replace(name=f"{made.name}, table of cross-attention in the file")


def _pix2struct():
    """The text decoder alone, and inside the whole model."""
    text = {"hidden_size": WIDTH, "d_kv": HEAD_DIM, "num_heads": HEADS, "d_ff": 8}
    text |= {"num_layers": 2, "vocab_size": 9} | SHORT
    model, source = of_transformers(
        "Pix2StructTextModel", initializer_range=0.02, **text
    )
    yield from of_decoder(model, source, model)
    vision = {"hidden_size": WIDTH, "d_kv": HEAD_DIM, "num_attention_heads": HEADS}
    vision |= {"num_hidden_layers": 1, "d_ff": 8, "patch_embed_hidden_size": 8}
    model, source = of_transformers(
        "Pix2StructForConditionalGeneration", text_config=text, vision_config=vision
    )
    yield from of_decoder(model, source, model.decoder, part="text")


def _long():
    """The default numbers, from queries at both ends and in the middle of 300 keys."""
    for name in ("T5ForConditionalGeneration", "UMT5ForConditionalGeneration"):
        model, source = of_transformers(name, **SIZES)
        state = stored(model, TENSORS)
        rows = np.array([0, 131, 299], np.int32)
        for part in ("encoder", "decoder"):
            attention = getattr(model, part).block[0].layer[0].SelfAttention
            bias = attention.compute_bias(300, 300).detach()
            made = _record(model, source, state, bias, part, 0)
            arrays = made.arrays | {"q_positions": rows}
            arrays["expected"] = arrays["expected"][:, rows]
            yield made._replace(name=f"{made.name}, 300 tokens", arrays=arrays)
