"""Biases by the distances of boxes on a page: UDOP, LayoutLM, PP-DocLayout."""

import numpy as np

from ..embeddings.checkpoint_models import drawn
from .models import (
    config_of,
    of_transformers,
    positions,
    record,
    scale_of,
    scores_without_content,
    stored,
    without_content,
)
from .projections import cogview_inputs
from .sizes import HEADS, WIDTH
from .t5_stacks import SCALE, SHORT, SIZES, TENSORS, of_decoder, recorded_biases

LAYOUT = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": 2}
LAYOUT |= {"intermediate_size": 8, "vocab_size": 9, "coordinate_size": 2}
LAYOUT |= {"shape_size": 2, "max_position_embeddings": 20, "rel_pos_bins": 8}
LAYOUT |= {"max_rel_pos": 6, "rel_2d_pos_bins": 16, "max_rel_2d_pos": 256}
BIASES = ("has_relative_attention_bias", "has_spatial_attention_bias")


def records():
    """Every model, with the parts of its bias and without."""
    yield from _udop()
    for spatial in (True, False):
        for relative in (True, False):
            if spatial or relative:
                switches = dict(zip(BIASES, (relative, spatial), strict=True))
                yield from _layoutlmv2(switches)
                yield from _layoutlmv3(switches)


def boxes(count, size, integers=True):
    """Left, top, right and bottom of drawn boxes."""
    generator = np.random.default_rng(count)
    corners = np.sort(generator.uniform(0, size, (2, count, 2, 2)), axis=2)
    corners = corners.reshape(2, count, 4)
    return corners.astype(np.int64) if integers else corners.astype(np.float32)


def _udop():
    """Its default scales and others; a prefix; a picture; the decoder."""
    short = {"relative_attention_num_buckets": 8}
    default = [{"type": kind} | short for kind in ("1d", "horizontal", "vertical")]
    others = [{"type": "1d", "max_distance": 6} | short]
    others += [{"type": "vertical", "scaling_factor": 37, "max_distance": 9} | short]
    prefix = [kind | {"prefix_bucket": True} for kind in default]
    model, source = _of_udop("UdopForConditionalGeneration", default)
    on_grid = boxes(11, 1000).astype(np.float32) / 1000
    yield from _udop_encoder(model, source, "default scales", on_grid)
    yield from of_decoder(model, source, model.decoder)
    page = boxes(11, 1, integers=False)
    model, source = _of_udop("UdopModel", others)
    yield from _udop_encoder(model, source, "other scales", page)
    # Other classes tie the first table to one without the rows of the prefix.
    model, source = _of_udop("UdopModel", prefix)
    page = page.copy()
    page[0, :2], page[1, :3] = -1, -1
    yield from _udop_encoder(model, source, "a prefix", page)
    model, source = _of_udop("UdopEncoderModel", default)
    page = boxes(7, 1, integers=False)
    yield from _udop_encoder(model, source, "a picture", page, picture=True)


def _of_udop(name, biases):
    return of_transformers(
        name, relative_bias_args=biases, image_size=8, patch_size=4, **SIZES, **SHORT
    )


def _udop_encoder(model, source, title, page, picture=False):
    import torch

    seen = []

    def hook(module, args, kwargs):
        seen.append(kwargs["bbox"])

    model.encoder.relative_bias.register_forward_pre_hook(hook, with_kwargs=True)
    batch, length, _ = page.shape
    inputs = {"input_ids": torch.full((batch, length), 5)}
    inputs |= {"bbox": torch.tensor(page), "attention_mask": torch.ones(batch, length)}
    if picture:
        inputs["pixel_values"] = torch.zeros(batch, 3, 8, 8)
    with recorded_biases(model) as biases:
        model.encoder(**inputs)
    for layer, bias in enumerate(biases):
        yield record(
            f"udop: {type(model).__name__}, {title}, layer {layer}",
            source,
            config_of(model),
            stored(model, TENSORS),
            positions(bias.shape[-1]) | {"boxes": seen[0]},
            bias.expand(batch, -1, -1, -1),
            part="encoder",
            layer=layer,
            scale=SCALE,
        )


def _page():
    """Positions and boxes of words and of patches, which both count from 0."""
    place = np.append(np.arange(7), np.arange(5))
    return np.stack([place, place]), boxes(12, 1000)


def _layout_record(name, source, config, state, place, page, bias, attention):
    """A record of the second layer."""
    arrays = {"q_positions": place, "k_positions": place, "boxes": page}
    arrays = {name: array.astype(np.int32) for name, array in arrays.items()}
    options = {"part": "encoder", "layer": 1, "scale": scale_of(attention)}
    return record(name, source, config, state, arrays, bias, **options)


def _switched(switches):
    words = [name.split("_")[1] for name, on in switches.items() if on]
    return " and ".join(words)


def _layoutlmv2(switches):
    """The encoder alone: the whole model needs a package for its pictures."""
    import torch
    import transformers
    from transformers.models.layoutlmv2.modeling_layoutlmv2 import LayoutLMv2Encoder

    config = transformers.LayoutLMv2Config(**LAYOUT, **switches)
    encoder = drawn(LayoutLMv2Encoder(config))
    encoder.config = config
    state = {n: np.asarray(t) for n, t in encoder.state_dict().items()}
    prefix = "layoutlmv2.encoder." if all(switches.values()) else "encoder."
    state = {prefix + n: t.copy() for n, t in state.items() if "rel_pos" in n}
    place, page = _page()
    scores = scores_without_content(
        encoder,
        r"qkv_linear|q_bias",
        torch.ones(2, 12, WIDTH),
        torch.zeros(2, 1, 1, 12),
        bbox=torch.tensor(page),
        position_ids=torch.tensor(place),
    )
    source = f"transformers {transformers.__version__}, LayoutLMv2Encoder"
    name, config = f"layoutlmv2: {_switched(switches)}", config_of(encoder)
    attention = encoder.layer[1].attention.self
    yield _layout_record(name, source, config, state, place, page, scores[1], attention)


def _layoutlmv3(switches):
    """Words with a picture of 2 x 2 patches, and words alone."""
    import torch

    name = "LayoutLMv3ForTokenClassification"
    if all(switches.values()):
        name = "LayoutLMv3Model"
    model, source = of_transformers(
        name, input_size=8, patch_size=4, pad_token_id=1, **LAYOUT, **switches
    )
    state = stored(model, r"rel_pos")
    without_content(model, r"attention\.self\.query\.")
    base = getattr(model, "layoutlmv3", model)
    attention = base.encoder.layer[1].attention.self
    ids, words = torch.tensor([[5, 3, 7, 4, 8, 6, 2]] * 2), boxes(7, 1000)
    for title, more in (
        ("", {"pixel_values": torch.zeros(2, 3, 8, 8)}),
        (", words", {}),
    ):
        with cogview_inputs(attention) as scores:
            model(input_ids=ids, bbox=torch.tensor(words), **more)
        place, page = np.arange(7), words
        if more:
            place = np.append(place, np.arange(5))
            patches = np.repeat(base.visual_bbox.numpy()[None], 2, axis=0)
            page = np.concatenate([words, patches], axis=1)
        yield _layout_record(
            f"layoutlmv3: {name}, {_switched(switches)}{title}",
            source,
            config_of(model),
            state,
            np.stack([place, place]),
            page,
            scores[1],
            attention,
        )
