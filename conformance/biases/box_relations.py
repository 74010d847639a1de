"""Biases of PP-DocLayoutV2's order of reading: a linear map of relations of boxes."""

import numpy as np

from ..embeddings.checkpoint_models import drawn
from .boxes import boxes
from .models import config_of, positions, record, scale_of, stored, without_content
from .projections import cogview_inputs
from .sizes import HEADS, WIDTH

SIZES = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": 2}
SIZES |= {"intermediate_size": 8, "coordinate_size": 2, "shape_size": 2}
SIZES |= {"relation_bias_embed_dim": 8, "global_pointer_head_size": 4}


def records():
    """Two pages, the second with boxes of padding; its model alone and in the whole."""
    import torch
    import transformers
    from transformers.models.pp_doclayout_v2 import modeling_pp_doclayout_v2 as layout

    config = layout.PPDocLayoutV2ReadingOrderConfig(**SIZES)
    kind = layout.PPDocLayoutV2ReadingOrder
    model = drawn(kind._from_config(config, attn_implementation="eager"))
    source = f"transformers {transformers.__version__}, {kind.__name__}"
    state = stored(model, r"rel_bias_module|rel_pos")
    without_content(model, r"attention\.self\.query\.")
    attention = model.encoder.layer[0].attention.self
    page = boxes(7, 1000).astype(np.float32)
    page[1, 5:] = 0
    # Without a mask; what the model pads lies in it.
    mask = torch.ones(2, 7, dtype=torch.bool)
    with cogview_inputs(attention) as scores:
        model(boxes=torch.tensor(page), mask=mask)
    padded = np.pad(page, ((0, 0), (1, 1), (0, 0)))
    arrays = positions(padded.shape[1]) | {"boxes": padded}
    # A part of a config, which has no model type of its own.
    model.config = transformers.PPDocLayoutV2Config(reading_order_config=model.config)
    config = config_of(model)
    options = {"part": "reading_order", "scale": scale_of(attention)}
    for layer, bias in enumerate(scores):
        title = f"pp_doclayout_v2: order of reading, layer {layer}"
        yield record(title, source, config, state, arrays, bias, layer=layer, **options)
    title = "pp_doclayout_v2: the names of the whole model"
    state = {f"reading_order.{name}": tensor for name, tensor in state.items()}
    yield record(title, source, config, state, arrays, scores[1], layer=1, **options)
