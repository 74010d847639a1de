"""Records of the blocks of a Swin pyramid, with any of its biases."""

import re

from .models import (
    config_of,
    positions,
    record,
    recorded_scores,
    scale_of,
    without_content,
)

QUERIES_AND_KEYS = r"\.(query|key|q_proj|k_proj)\."


def records_of_blocks(model, source, title, state, part="vision"):
    """One for each block, whose window attends without the mask of its shift."""
    import torch

    without_content(model, QUERIES_AND_KEYS)
    blocks = [(n, m) for n, m in model.named_modules() if hasattr(m, "shift_size")]
    for layer, (name, module) in enumerate(blocks):
        stage, block = map(int, re.findall(r"\.(\d+)", name)[-2:])
        side = module.window_size
        hidden = torch.ones(1, side * side, module.layernorm_before.weight.shape[0])
        with recorded_scores() as scores:
            module.attention(hidden)
        yield record(
            f"{title}, window {side}, layer {layer}",
            source,
            config_of(model),
            state,
            positions(side * side),
            scores[0][0],
            part=part,
            layer=layer,
            scale=scale_of(getattr(module.attention, "self", module.attention)),
            stage=stage,
            block=block,
            grid=(side, side),
        )
