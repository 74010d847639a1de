"""Biases of MPNet, CPM-Ant and Phi-4's audio encoder: one table for all layers."""

import numpy as np

from .models import (
    config_of,
    modules_of,
    of_transformers,
    positions,
    record,
    scale_of,
    scores_without_content,
    stored,
)
from .sizes import HEAD_DIM, HEADS, WIDTH

CPM_ANT = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "dim_head": HEAD_DIM}
CPM_ANT |= {"num_hidden_layers": 1, "dim_ff": 8, "vocab_size": 9}
CPM_ANT |= {"position_bias_num_buckets": 8, "position_bias_max_distance": 6}
CPM_ANT |= {"prompt_types": 4, "prompt_length": 3, "segment_types": 3}


def records():
    """Each model, past its largest distance."""
    yield from _mpnet()
    for name in ("CpmAntModel", "CpmAntForCausalLM"):
        yield from _cpmant(name)
    yield from _phi4()


def _mpnet():
    """A table of 32 rows, and of 40, of which the model reads 32."""
    import torch

    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": 2}
    sizes |= {"intermediate_size": 8, "vocab_size": 9, "max_position_embeddings": 302}
    for name, buckets in (("MPNetModel", 32), ("MPNetForMaskedLM", 40)):
        model, source = of_transformers(
            name, relative_attention_num_buckets=buckets, **sizes
        )
        state = stored(model, r"relative_attention_bias")
        ids = torch.full((1, 300), 5)
        scores = scores_without_content(model, r"attention\.attn\.q\.", ids)
        attentions = modules_of(model, "SelfAttention$")
        rows = np.array([0, 131, 299], np.int32)
        for layer, bias in enumerate(scores):
            yield record(
                f"mpnet: {name}, {buckets} rows, layer {layer}",
                source,
                config_of(model),
                state,
                positions(300) | {"q_positions": rows},
                bias[0, :, rows],
                part="encoder",
                layer=layer,
                scale=scale_of(attentions[layer]),
            )


def _cpmant(name):
    """A prompt, padding on the left, which is of the prompt's segment, and text."""
    import torch

    model, source = of_transformers(name, **CPM_ANT)
    ids = torch.tensor([[2, 3, 4, 5, 6, 7, 8, 2, 3], [0, 0, 4, 5, 6, 7, 8, 2, 3]])
    base = getattr(model, "cpmant", model)
    biases, segments = [], []

    def hook(module, args, bias):
        biases.append(bias)
        segments.append(args[3])

    base.position_bias.register_forward_hook(hook)
    with torch.no_grad():
        model(ids)
    arrays = positions(biases[0].shape[-1])
    for axis in ("q_segments", "k_segments"):
        arrays[axis] = segments[0].numpy()
    config = config_of(model)
    state = stored(model, r"relative_attention_bias")
    scale = scale_of(modules_of(model, "CpmAntAttention$")[0])
    options = {"part": "decoder", "layer": 0, "scale": scale}
    title = f"cpmant: {name}"
    yield record(title, source, config, state, arrays, biases[0], **options)
    # Pairs of segments that this model's inputs do not make.
    rows = np.random.default_rng(0).integers(0, 3, (2, 11)).astype(np.int32)
    place = torch.arange(11)[None].repeat(2, 1)
    q, k = torch.tensor(rows), torch.tensor(rows)
    with torch.no_grad():
        bias = base.position_bias.eval()(place, place, k, q)
    arrays = positions(11) | {"q_segments": rows, "k_segments": rows}
    title += ", three segments"
    yield record(title, source, config, state, arrays, bias, **options)


def _phi4():
    """Distances cut at 5, or absolute ones; the encoder alone and in its model."""
    import torch
    from transformers import Phi4MultimodalConfig

    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_blocks": 2}
    sizes |= {"intermediate_size": 8, "input_size": 4, "time_reduction": 2}
    sizes |= {"nemo_conv_channels": 4, "ext_pw_out_channel": WIDTH}
    sizes |= {"depthwise_separable_out_channel": WIDTH, "initializer_range": 0.02}
    for symmetric, distance in ((False, 5), (True, 11)):
        model, source = of_transformers(
            "Phi4MultimodalAudioModel",
            bias_max_distance=distance,
            bias_symmetric=symmetric,
            **sizes,
        )
        layer = model.relative_attention_bias_layer
        with torch.no_grad():
            bias = layer(torch.zeros(1, 11, WIDTH))[0]
        state = stored(model, r"bias_values")
        title = f"phi4_multimodal_audio: {'absolute' if symmetric else 'signed'}"
        scale = scale_of(model.encoders[1].self_attn)
        options = {"part": "encoder", "layer": 1, "scale": scale}
        arrays, config = positions(11), config_of(model)
        yield record(title, source, config, state, arrays, bias, **options)
        if symmetric:
            continue
        whole = Phi4MultimodalConfig(audio_config=model.config)
        prefix = "model.embed_tokens_extend.audio_embed.encoder."
        state = {prefix + name: tensor for name, tensor in state.items()}
        model.config = whole
        title = "phi4_multimodal: the names of the whole model"
        config, options["part"] = config_of(model), "audio"
        yield record(title, source, config, state, arrays, bias, **options)
