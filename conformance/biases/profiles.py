"""Inkling: a bank of profiles by distance, mixed by numbers that each query makes."""

from .models import config_of, of_transformers, record, stored, without_content
from .projections import (
    float32,
    heads,
    hidden_states,
    numbered,
    outputs,
    softmax_inputs,
)

BATCH, LENGTH, CACHED = 2, 10, 4
SIZES = {"vocab_size": 11, "hidden_size": 12, "num_hidden_layers": 2, "d_rel": 3}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4}
SIZES |= {"swa_num_attention_heads": 2, "swa_num_key_value_heads": 1}
SIZES |= {"swa_head_dim": 6, "sliding_window_size": 3, "rel_extent": 5}
SIZES |= {"moe_intermediate_size": 4, "n_routed_experts": 4, "num_experts_per_tok": 2}
SIZES |= {"layer_types": ["hybrid_sliding", "hybrid"]}
FIRST = {"intermediate_size": 8, "mlp_layer_types": ["dense", "sparse"]}
FIRST |= {"log_scaling_alpha": 0.5}
SECOND = {"unpadded_vocab_size": 11, "log_scaling_alpha": 0.5, "eos_token_id": 2}


def records():
    """A layer of a window and one of all tokens, at once and after a cache."""
    for floor in (None, 4):
        for layer in (0, 1):
            settings = {**SIZES, **FIRST, "log_scaling_n_floor": floor}
            yield _of_layer("InklingForCausalLM", layer, settings, floor)
    for threshold in (8.0, 0.5):
        for layer in (0, 1):
            settings = {**SIZES, **SECOND, "log_scaling_n_floor": 4}
            settings["rel_l2_clip_threshold"] = threshold
            yield _of_layer("Inkling2ForCausalLM", layer, settings, threshold)
    settings = {**SIZES, **FIRST, "log_scaling_n_floor": 4}
    yield _of_layer("InklingForCausalLM", 1, settings, 4, CACHED)
    settings = {**SIZES, **SECOND, "log_scaling_n_floor": 4}
    yield _of_layer("Inkling2ForCausalLM", 1, settings, 8.0, CACHED)


def _of_layer(name, layer, settings, title, cached=0):
    """A record of the scores of a layer whose keys are zero."""
    import torch
    from transformers import DynamicCache

    model, source = of_transformers(name, **settings)
    config = config_of(model)
    pattern = r"layers\.\d+\.(self_attn|attn)\."
    state = stored(model, pattern + "(rel_logits_proj|rel_l2_clip|r_proj|wr_du)")
    without_content(model, r"self_attn\.k_proj")
    attention = model.model.layers[layer].self_attn
    hidden = hidden_states(BATCH, LENGTH, 12).float()
    cache = DynamicCache(config=model.config) if cached else None

    def run(first, last):
        states = [hidden[:, first:last]]
        if hasattr(attention, "k_l2_clip") and layer == 1:
            states *= 3
        positions = torch.arange(first, last)[None]
        return attention(
            *states, attention_mask=None, past_key_values=cache, position_ids=positions
        )

    if cached:
        with torch.no_grad():
            run(0, cached)
    with outputs(r=attention.r_proj) as found, softmax_inputs() as scores:
        run(cached, LENGTH)
    count = attention.num_heads
    arrays = numbered(LENGTH - cached, LENGTH, cached)
    arrays |= float32(relative_states=heads(found["r"], count))
    title = f"{config['model_type']}: {title}, layer {layer}{', cache' * bool(cached)}"
    bias = scores[-1][..., :LENGTH]  # a sink may come after the keys
    options = {"part": "decoder", "layer": layer, "scale": attention.scaling}
    return record(title, source, config, state, arrays, bias, **options)
