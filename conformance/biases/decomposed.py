"""Biases of the query with a table for rows and one for columns: ViTDet, SAM, kin."""

import numpy as np

from .models import (
    config_of,
    of_transformers,
    record,
    recorded_scores,
    scale_of,
    stored,
)

PATCH, HEADS, HEAD_DIM = 4, 2, 6
WIDTH = HEADS * HEAD_DIM
TENSORS = r"\.rel_pos_[hw]$"


def records():
    """A layer of windows and one of the whole image; images of other sizes."""
    yield from _vitdet()
    yield from _seggpt()
    for make in (_sam, _sam_hq, _got_ocr2, _pp_chart2table, _slanext, _pp_formulanet):
        yield from _square(*make())
    for make in (_deepseek_ocr2, _unlimited_ocr):
        yield from _square(*make(), part="vision.sam")
        yield from _square(*make(), grid=(4, 6), part="vision.sam")
    yield from _other_lengths()


def _vitdet():
    """Tables for 5 x 5, used at 5 x 5 and resized to 4 x 7; windows of 3."""
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 3, "mlp_ratio": 1}
    sizes |= {"num_attention_heads": HEADS, "image_size": 5 * PATCH}
    sizes |= {"pretrain_image_size": 5 * PATCH, "patch_size": PATCH}
    for grid in ((5, 5), (4, 7)):
        model, source = of_transformers(
            "VitDetModel",
            use_relative_position_embeddings=True,
            window_size=3,
            window_block_indices=[0, 1],
            **sizes,
        )
        yield from _layers(model, source, model, "vision", grid)


def _seggpt():
    """Tables for 3 x 5, of different lengths."""
    config = {"hidden_size": WIDTH, "num_hidden_layers": 2, "patch_size": PATCH}
    config |= {"num_attention_heads": HEADS, "image_size": [3 * PATCH, 5 * PATCH]}
    config |= {"pretrain_image_size": 5 * PATCH, "decoder_hidden_size": 4}
    config |= {"merge_index": 0, "intermediate_hidden_state_indices": [0, 1]}
    model, source = of_transformers("SegGptModel", mlp_dim=8, **config)

    # What the embedding makes of a picture and its prompt.
    hidden = _drawn(2, 3, 5, WIDTH)
    yield from _layers(model, source, model.encoder, "vision", (3, 5), hidden)


def _square(model, source, tower, grid=(5, 5), part="vision"):
    yield from _layers(model, source, tower, part, grid)


def _tower(**others):
    """A vision tower of SAM: layers 0 and 1 in windows, layer 2 whole."""
    config = {"hidden_size": WIDTH, "num_hidden_layers": 3, "mlp_dim": 8}
    config |= {"num_attention_heads": HEADS, "image_size": 5 * PATCH}
    config |= {"patch_size": PATCH, "window_size": 3, "global_attn_indexes": [2]}
    return config | {"output_channels": 8} | others


def _sam():
    model, source = of_transformers("SamModel", vision_config=_tower())
    return model, source, model.vision_encoder


def _sam_hq():
    model, source = of_transformers(
        "SamHQModel", vision_config=_tower(), mask_decoder_config={"vit_dim": WIDTH}
    )
    return model, source, model.vision_encoder


def _text(model_type=None, **others):
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 9}
    return text | ({"model_type": model_type} if model_type else {}) | others


def _pp_chart2table():
    return _got_ocr2("PPChart2TableConfig")


def _got_ocr2(config_class=None):
    model, source = of_transformers(
        "GotOcr2ForConditionalGeneration",
        config_class,
        vision_config=_tower(),
        text_config=_text("qwen2"),
    )
    return model, source, model.model.vision_tower


def _with_sam(name, encoder):
    """A model whose tower of vision has one of SAM before another encoder."""
    sam = _tower(downsample_channels=[8, 8])
    model, source = of_transformers(
        name,
        vision_config={"sam_config": sam, "encoder_config": encoder},
        text_config=_text(mlp_layer_types=["dense"]),
    )
    return model, source, model.model.vision_tower.sam_encoder


def _deepseek_ocr2():
    return _with_sam("DeepseekOcr2ForConditionalGeneration", _text())


def _unlimited_ocr():
    encoder = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    encoder |= {"num_attention_heads": 2, "image_size": 8, "patch_size": PATCH}
    return _with_sam("UnlimitedOcrForConditionalGeneration", encoder)


def _slanext():
    model, source = of_transformers(
        "SLANeXtForTableRecognition",
        vision_config=_tower(),
        post_conv_in_channels=8,
        post_conv_out_channels=8,
        hidden_size=8,
        out_channels=5,
    )
    return model, source, model.backbone.vision_tower


def _pp_formulanet():
    text = {"vocab_size": 9, "max_position_embeddings": 9, "encoder_layers": 1}
    text |= {"encoder_attention_heads": 2, "decoder_layers": 1, "decoder_ffn_dim": 8}
    text |= {"decoder_attention_heads": 2, "d_model": 8}
    post = {f"post_conv_{part}_channels": 8 for part in ("in", "mid", "out")}
    model, source = of_transformers(
        "PPFormulaNetForConditionalGeneration",
        vision_config=_tower(decoder_hidden_size=8, **post),
        text_config=text,
    )
    return model, source, model.model.encoder


def _drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32) / 2


def _layers(model, source, tower, part, grid, inputs=None):
    """Records of layers: the scores where all keys are zero, and the queries."""
    import torch

    state = stored(model, TENSORS)
    attentions = [m for m in tower.modules() if hasattr(m, "rel_pos_h")]
    queries = []
    with torch.no_grad():
        for attention in attentions:
            # The rows of the product are queries, keys and values.
            attention.qkv.weight[WIDTH : 2 * WIDTH] = 0
            attention.qkv.bias[WIDTH : 2 * WIDTH] = 0
            attention.qkv.register_forward_hook(
                lambda module, args, out: queries.append(out[..., :WIDTH])
            )
    if inputs is None:
        inputs = _drawn(1, 3, *(PATCH * side for side in grid))
    with recorded_scores() as scores:
        tower(torch.tensor(inputs))
    for layer, (query, bias) in enumerate(zip(queries, scores, strict=True)):
        if layer == 0:
            continue  # as the next, and files of records stay small
        rows, columns = query.shape[1:3]
        tokens = rows * columns
        positions = np.arange(tokens, dtype=np.int32)
        yield record(
            f"{model.config.model_type}: image {grid[0]} x {grid[1]}, layer {layer}",
            source,
            config_of(model),
            state,
            {
                "q": query.reshape(-1, tokens, HEADS, HEAD_DIM),
                "q_positions": positions,
                "k_positions": positions,
            },
            bias.reshape(-1, HEADS, tokens, tokens),
            part=part,
            layer=layer,
            scale=scale_of(attentions[layer]),
            grid=(rows, columns),
        )


def _other_lengths():
    """Queries and keys on different grids, as where MViTv2 pools."""
    import torch
    import transformers
    from transformers.models.vitdet.modeling_vitdet import (
        add_decomposed_relative_positions,
    )

    for q_grid, k_grid in (((4, 6), (2, 3)), ((2, 3), (4, 9)), ((3, 5), (2, 4))):
        (q_rows, q_columns), (k_rows, k_columns) = q_grid, k_grid
        # One table has the length that it needs, the other is resized.
        state = {
            "rel_pos_h": _drawn(2 * max(q_rows, k_rows) - 1, HEAD_DIM),
            "rel_pos_w": _drawn(5, HEAD_DIM),
        }
        q_len, k_len = q_rows * q_columns, k_rows * k_columns
        q = _drawn(1, q_len, HEADS, HEAD_DIM)
        flat = torch.tensor(q).transpose(1, 2).reshape(HEADS, q_len, HEAD_DIM)
        bias = add_decomposed_relative_positions(
            torch.zeros(HEADS, q_len, k_len),
            flat,
            *map(torch.tensor, state.values()),
            q_grid,
            k_grid,
        )
        yield record(
            f"vitdet: queries {q_grid}, keys {k_grid}",
            f"transformers {transformers.__version__}, "
            "vitdet.add_decomposed_relative_positions",
            {"model_type": "vitdet"},
            state,
            {"q": q},
            bias[None],
            part="function",
            q_grid=q_grid,
            k_grid=k_grid,
        )
