"""Biases that hidden states gate (WavLM) or make (ProphetNet)."""

import contextlib
import unittest.mock

import numpy as np

from .models import (
    config_of,
    of_transformers,
    positions,
    record,
    recorded_scores,
    scale_of,
    stored,
    without_content,
)
from .sizes import HEADS, WIDTH


def records():
    """Both kinds of layers of WavLM; both streams of ProphetNet."""
    short = {"num_buckets": 8, "max_bucket_distance": 6}
    for name in ("WavLMModel", "WavLMForCTC"):
        for stable in (False, True):
            yield from _wavlm(name, do_stable_layer_norm=stable, **short)
    yield _wavlm_long()
    yield from _prophetnet()


def _drawn(*shape):
    import torch

    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return torch.tensor(values)


def _of_wavlm(name, **more):
    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": 2}
    sizes |= {"intermediate_size": 8, "conv_dim": (4,), "conv_stride": (2,)}
    sizes |= {"conv_kernel": (3,), "num_conv_pos_embeddings": 4, "vocab_size": 9}
    model, source = of_transformers(
        name, num_conv_pos_embedding_groups=2, **sizes, **more
    )
    return model, source, stored(model, r"rel_attn_embed|gru_rel_pos")


@contextlib.contextmanager
def _recorded_hidden(modules):
    """A list of the hidden states that enter the modules."""
    seen = []

    def hook(module, args, kwargs):
        seen.append(args[0] if args else kwargs["hidden_states"])

    handles = [m.register_forward_pre_hook(hook, with_kwargs=True) for m in modules]
    yield seen
    for handle in handles:
        handle.remove()


def _wavlm(name, **more):
    model, source, state = _of_wavlm(name, **more)
    without_content(model, r"\.q_proj\.")
    encoder = getattr(model, "wavlm", model).encoder
    attentions = [layer.attention for layer in encoder.layers]
    with _recorded_hidden(attentions) as hidden, recorded_scores() as scores:
        encoder(_drawn(2, 11, WIDTH))
    kind = "stable" if more["do_stable_layer_norm"] else "plain"
    for layer, bias in enumerate(scores):
        yield record(
            f"wavlm: {name}, {kind} layer norm, layer {layer}",
            source,
            config_of(model),
            state,
            positions(11) | {"hidden": hidden[layer]},
            bias.reshape(2, HEADS, 11, 11),
            part="encoder",
            layer=layer,
            scale=scale_of(attentions[layer]),
        )


def _wavlm_long():
    """The default numbers, with distances past 800, from the first and last of 820."""
    model, source, state = _of_wavlm("WavLMModel")
    without_content(model, r"\.q_proj\.")
    hidden, rows = _drawn(1, 820, WIDTH), [0, 819]
    with recorded_scores() as scores:
        attention = model.encoder.layers[0].attention
        attention(hidden)
    arrays = positions(820) | {"q_positions": np.array(rows, np.int32)}
    return record(
        "wavlm: default buckets",
        source,
        config_of(model),
        state,
        arrays | {"hidden": hidden[:, rows]},
        scores[0].reshape(1, HEADS, 820, 820)[:, :, rows],
        part="encoder",
        layer=0,
        scale=scale_of(attention),
    )


def _prophetnet():
    """All tokens at once, and the last one against a cache."""
    import torch

    sizes = {"hidden_size": WIDTH, "num_encoder_layers": 2, "num_decoder_layers": 2}
    sizes |= {"encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "vocab_size": 9}
    sizes |= {"num_encoder_attention_heads": 2, "num_decoder_attention_heads": HEADS}
    sizes |= {"max_position_embeddings": 20, "ngram": 2, "num_buckets": 8}
    model, source = of_transformers(
        "ProphetNetForConditionalGeneration", relative_max_distance=6, **sizes
    )
    decoder = model.prophetnet.decoder
    ids = torch.tensor([[5, 3, 7, 4, 8, 6, 2, 5, 3], [2, 8, 4, 7, 3, 5, 6, 4, 2]])
    encoded = {"encoder_hidden_states": _drawn(2, 5, WIDTH)}
    whole = _recorded_rows(decoder, input_ids=ids, use_cache=False, **encoded)[0]
    _, cache = _recorded_rows(decoder, input_ids=ids[:, :-1], **encoded)
    last = _recorded_rows(
        decoder, input_ids=ids[:, -1:], past_key_values=cache, **encoded
    )[0]
    state = stored(model, r"relative_pos_embeddings")
    config = config_of(model)
    for layer in range(2):
        for title, rows, first in (
            ("", whole, 0),
            (", cached", last, ids.shape[1] - 1),
        ):
            for part, (hidden, bias) in rows[layer].items():
                # In a stream that predicts, main keys are one step further away. Of the
                # stream's own keys, only the query's own one passes the mask.
                keys = np.arange(ids.shape[1])
                own = keys[first:] + (title == "")
                k_positions = keys if part == "main" else np.append(keys - 1, own)
                arrays = {"q_positions": np.arange(first, ids.shape[1])}
                arrays["k_positions"] = k_positions
                arrays = {n: a.astype(np.int32) for n, a in arrays.items()}
                yield record(
                    f"prophetnet: {part}{title}, layer {layer}",
                    source,
                    config,
                    state,
                    arrays | {"hidden": hidden},
                    bias,
                    part=part,
                    layer=layer,
                    scale=scale_of(decoder.layers[layer].self_attn),
                )


def _recorded_rows(decoder, **inputs):
    """For each layer, hidden states and biases of each stream; and the cache.

    Of several queries at once, transformers confuses queries and heads of the streams
    that predict: it is called with one query at a time, as when it decodes.
    """
    import torch

    kind = type(decoder.layers[0].self_attn)
    main, predict = (
        kind.get_main_relative_pos_embeddings,
        (kind.get_predict_relative_pos_embeddings),
    )
    layers = []

    def of_main(self, hidden, scores, *args):
        bias = main(self, hidden, scores, *args)
        layers.append({"main": (hidden, bias)})
        return bias

    def of_streams(self, hidden, scores, position_ids, buckets):
        if buckets is None:
            rows = [predict(self, hidden, scores, position_ids, buckets)]
        else:
            rows = [
                predict(self, hidden[:, i : i + 1], scores, None, buckets[:, i : i + 1])
                for i in range(hidden.shape[1])
            ]
        bias = torch.cat(rows, dim=3)
        for stream in range(bias.shape[1]):
            layers[-1][f"stream {stream}"] = (hidden[:, :, stream], bias[:, stream])
        return bias

    patch = unittest.mock.patch.multiple(
        kind,
        get_main_relative_pos_embeddings=of_main,
        get_predict_relative_pos_embeddings=of_streams,
    )
    with patch, torch.no_grad():
        made = decoder(**inputs)
    return layers, made.past_key_values
