"""Per-layer embeddings of Gemma 3n and Gemma 4."""

import numpy as np

from .checkpoint_models import VOCAB, WIDTH, drawn
from .fused_codebooks import DTYPES, drawn_codes
from .records import Record

NUM_LAYERS, D_LAYER, OF_LAYERS = 3, 6, 17


def layers():
    for dtype in DTYPES:
        for name in ("Gemma3n", "Gemma4"):
            model = _model(name, dtype)
            for has_ids in (True, False):
                yield _record(model, name, dtype, has_ids)


def _model(name, dtype):
    import torch
    import transformers

    more = {}
    if name == "Gemma3n":
        more = {"laurel_rank": 2, "activation_sparsity_pattern": [0.0] * NUM_LAYERS}
    config = getattr(transformers, f"{name}TextConfig")(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        intermediate_size=8,
        num_hidden_layers=NUM_LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_kv_shared_layers=0,
        head_dim=6,
        hidden_size_per_layer_input=D_LAYER,
        vocab_size_per_layer_input=OF_LAYERS,
        pad_token_id=0,
        layer_types=["sliding_attention"] * 2 + ["full_attention"],
        **more,
    )
    model = getattr(transformers, f"{name}TextModel")(config)
    return drawn(model).to(getattr(torch, dtype))


def _record(model, name, dtype, has_ids):
    import torch
    import transformers

    # Only Gemma 3n reads a row for ids past the end of the table.
    end = VOCAB if name == "Gemma3n" else OF_LAYERS
    ids = drawn_codes(2, 5, end=end)
    torch.manual_seed(1)
    x = torch.randn(2, 5, WIDTH).to(getattr(torch, dtype))
    of_ids = model.get_per_layer_inputs(ids) if has_ids else None
    with torch.no_grad():
        expected = model.project_per_layer_inputs(x.clone(), of_ids)
    settings = {}
    if dtype == "bfloat16":
        settings["round_steps"] = True
        settings |= {"scale_dtype": dtype} if name == "Gemma3n" else {}
    if name == "Gemma3n":
        settings["outside_id"] = 0
    arrays = {
        "weight": model.embed_tokens_per_layer.weight,
        "projection": model.per_layer_model_projection.weight.T,
        "norm_scale": model.per_layer_projection_norm.weight,
        "x": x,
        "expected": expected,
    }
    arrays = {n: np.asarray(a.detach().float()) for n, a in arrays.items()}
    if has_ids:
        arrays["ids"] = np.asarray(ids)
    options = {"function": "apply_per_layer_embedding", "dtype": dtype}
    title = f"{name}TextModel, {dtype}{'' if has_ids else ', without ids'}"
    source = f"transformers {transformers.__version__}, {name}TextModel"
    return Record(title, source, options | {"settings": settings}, arrays)
