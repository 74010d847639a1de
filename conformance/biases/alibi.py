"""Biases of BLOOM, MPT and Falcon: ALiBi, as their code rounds it."""

import contextlib
import sys
import unittest.mock

import numpy as np

from .models import (
    config_of,
    modules_of,
    of_transformers,
    record,
    recorded_scores,
    scale_of,
    without_content,
)
from .sizes import HEAD_DIM

LENGTH, PAST, MANY = 11, 6, 300
# A power of two, and numbers between powers.
HEADS = (4, 3, 6)
PADDED = [[1] * LENGTH, [0, 0, 0] + [1] * (LENGTH - 3)]
PROJECTIONS = r"query_key_value|Wqkv"


def records():
    """Each model without a mask, padded on the left, with a cache and in bfloat16."""
    for heads in HEADS:
        for make in (_bloom, _mpt, _falcon):
            model, source = make(heads)
            yield from _lengths(model, source, heads)
    model, source = _mpt(3, softmax_scale=0.1)
    yield _record(model, source, "3 heads, scale 0.1", LENGTH)
    yield _other_slopes()
    for make in (_bloom, _falcon):
        model, source = make(3)
        yield _record(model, source, "3 heads, many keys", MANY, rows=[0, MANY - 1])
        model = model.bfloat16()
        yield _record(model, source, "3 heads, bfloat16", MANY, rows=[0, MANY - 1])
    for more in (
        {"multi_query": False, "parallel_attn": False, "bias": True},
        {"new_decoder_architecture": True, "num_kv_heads": 2},
    ):
        model, source = _falcon(4, **more)
        yield _record(model, source, f"4 heads, {', '.join(more)}", LENGTH)


def _model(name, keys, heads, **more):
    """A model by the keys of its width, of its heads and of its layers."""
    sizes = dict(zip(keys, (heads * HEAD_DIM, heads, 2), strict=True))
    return of_transformers(name, vocab_size=9, **sizes, **more)


def _bloom(heads):
    return _model("BloomModel", ("hidden_size", "n_head", "n_layer"), heads)


def _mpt(heads, **attention):
    more = {"max_seq_len": 15, "attn_config": attention}
    return _model("MptModel", ("d_model", "n_heads", "n_layers"), heads, **more)


def _falcon(heads, **more):
    keys = ("hidden_size", "num_attention_heads", "num_hidden_layers")
    return _model("FalconModel", keys, heads, alibi=True, **more)


def _lengths(model, source, heads):
    yield _record(model, source, f"{heads} heads", LENGTH)
    yield _record(model, source, f"{heads} heads, cached", LENGTH, past=PAST)
    yield _record(model, source, f"{heads} heads, padded", LENGTH, padded=True)


def _record(model, source, title, length, past=0, padded=False, rows=None):
    """What the second layer adds to the scores of every query and key."""
    without_content(model, PROJECTIONS)
    kind, falcon = model.config.model_type, model.config.model_type == "falcon"
    biases = _biases(model, length, past, padded, "sdpa" if falcon else "eager")
    queries = np.arange(past, length)
    keys = np.arange(length)
    if kind == "mpt":
        # Keys are counted from the last one.
        queries, keys = queries - (length - 1), keys - (length - 1)
    elif padded:
        mask = np.array(PADDED)
        queries = keys = (np.cumsum(mask, axis=-1) - 1) * mask
    arrays = {"q_positions": queries, "k_positions": keys}
    if rows:
        biases, arrays["q_positions"] = biases[:, :, rows], queries[rows]
    arrays = {name: array.astype(np.int32) for name, array in arrays.items()}
    if padded:
        arrays["attention_mask"] = np.array(PADDED, np.int32)
    elif falcon and not rows:
        # Without scaled_dot_product_attention, transformers adds the bias twice.
        arrays["eager"] = _biases(model, length, past, padded, "eager")[0]
    # Of one sequence, without the axis of the batch.
    biases = biases if padded else biases[0]
    attention = modules_of(model, "Attention$")[1]
    options = {"part": "decoder", "layer": 1, "scale": scale_of(attention)}
    config = config_of(model) | {"dtype": str(model.dtype).removeprefix("torch.")}
    return record(f"{kind}: {title}", source, config, {}, arrays, biases, **options)


def _other_slopes():
    """Slopes of MPT's own function; the model leaves the last exponent at 8."""
    model, source = _mpt(3, alibi_bias_max=16)
    made = _record(model, source, "3 heads, last exponent 16", LENGTH)
    bias = model.build_mpt_alibi_tensor(3, LENGTH, alibi_bias_max=16).numpy()
    arrays = made.arrays | {"transformers": made.arrays["expected"]}
    arrays["expected"] = np.broadcast_to(bias, made.arrays["expected"].shape).copy()
    return made._replace(arrays=arrays)


def _biases(model, length, past, padded, implementation):
    """The scores of the second layer, which has no content and no mask."""
    import torch

    mask = {"attention_mask": torch.tensor(PADDED)} if padded else {}
    ids = torch.full((2 if padded else 1, length), 5)
    model.config._attn_implementation = implementation
    scores = recorded_scores() if implementation == "eager" else _recorded_masks()
    with _without_mask(model), scores as scores:
        if past:
            made = model(ids[:, :past], use_cache=True)
            del scores[:]
            model(ids[:, past:], past_key_values=made.past_key_values)
        else:
            model(ids, **mask)
    model.config._attn_implementation = "eager"
    queries = length - past
    bias = scores[1].expand(len(ids), -1, queries, length)
    return bias.float().numpy()


@contextlib.contextmanager
def _without_mask(model):
    """A model all of whose queries see all keys."""
    import torch

    module = sys.modules[type(model).__module__]

    def zeros(*args, inputs_embeds, past_key_values, **kwargs):
        batch, queries, _ = inputs_embeds.shape
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        return torch.zeros(batch, 1, queries, queries + past, dtype=model.dtype)

    with unittest.mock.patch.object(module, "create_causal_mask", zeros):
        yield


@contextlib.contextmanager
def _recorded_masks():
    """A list of what is given to torch's attention to add."""
    import torch

    masks, attention = [], torch.nn.functional.scaled_dot_product_attention

    def recording(*args, attn_mask, **kwargs):
        masks.append(attn_mask)
        return attention(*args, attn_mask=attn_mask, **kwargs)

    patch = unittest.mock.patch.object(
        torch.nn.functional, "scaled_dot_product_attention", recording
    )
    with patch, torch.no_grad():
        yield masks
