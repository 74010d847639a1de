"""Biases of LongT5's encoder: blocks of neighbors, and averages of blocks."""

import numpy as np

from .models import config_of, of_transformers, record, stored
from .t5_stacks import SCALE, SHORT, SIZES, TENSORS, title

RADIUS, BLOCK = 3, 4
# A whole number of blocks, a rest, padding on the right, and fewer tokens than a block.
LENGTHS = {"whole blocks": (12, 12), "a rest": (11, 11), "padding": (11, 6)}
LENGTHS |= {"less than a block": (11, 3)}


def records():
    """Keys at hand in both kinds of attention, and summaries of all blocks."""
    sizes = SIZES | SHORT | {"local_radius": RADIUS, "global_block_size": BLOCK}
    for kind in ("local", "transient-global"):
        model, source = of_transformers(
            "LongT5ForConditionalGeneration", encoder_attention_type=kind, **sizes
        )
        yield _local(model, source)
    yield from _blocks(model, source)


def _attention(model):
    layer = model.encoder.block[0].layer[0]
    return getattr(layer, "LocalSelfAttention", None) or (
        layer.TransientGlobalSelfAttention
    )


def _local(model, source):
    """A block of queries against itself, the block before it and the one after it."""
    attention = _attention(model)
    width = attention.block_len
    arrays = {"q_positions": np.arange(width, 2 * width, dtype=np.int32)}
    arrays["k_positions"] = np.arange(3 * width, dtype=np.int32)
    return record(
        f"{title(model)}, {model.config.encoder_attention_type}, tokens",
        source,
        config_of(model),
        stored(model, TENSORS),
        arrays,
        attention.compute_bias(width).detach()[0, 0],
        part="encoder",
        layer=0,
        scale=SCALE,
        keys="tokens",
    )


def _blocks(model, source):
    """Positions are the block of each query, -1 without one, and block numbers."""
    import torch
    from transformers.models.longt5 import modeling_longt5 as longt5

    attention = _attention(model)
    for name, lengths in LENGTHS.items():
        # The longest sequence has no padding in the first row.
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        mask = mask.long()
        with torch.no_grad():
            distance = longt5._make_side_relative_position_ids(mask, BLOCK)
            bucket = attention._relative_position_bucket(
                distance,
                num_buckets=attention.relative_attention_num_buckets,
                max_distance=attention.relative_attention_max_distance,
            )
            bias = attention.global_relative_attention_bias(bucket)
            bias = bias.permute(0, 3, 1, 2)
            made = attention.compute_side_bias(
                mask, longt5._make_global_fixed_block_ids(mask, BLOCK)[1]
            )
        # Its own sum loses the digits of the bias under a mask of -1e10.
        assert torch.equal(torch.where(made > -1e9, bias, made), made)
        block_ids = -distance[..., 0]
        arrays = {"q_positions": block_ids.numpy().astype(np.int32)}
        arrays["k_positions"] = np.arange(distance.shape[-1], dtype=np.int32)
        arrays["attention_mask"] = mask.numpy().astype(np.int32)
        yield record(
            f"{title(model)}, summaries of blocks, {name}",
            source,
            config_of(model),
            stored(model, TENSORS),
            arrays,
            bias,
            part="encoder",
            layer=0,
            scale=SCALE,
            keys="blocks",
        )
