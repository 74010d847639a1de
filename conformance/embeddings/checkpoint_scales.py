"""Models that multiply their tokens, or the input of their head."""

from .checkpoint_models import VOCAB, WIDTH, first_input, of_transformers, record

HEADS = {"num_key_value_heads": 2}
# A model, the settings of its config, and the factors of its tokens and of its head.
SCALES = (
    ("GemmaForCausalLM", HEADS | {"head_dim": 6}, WIDTH**0.5, None),
    ("GraniteForCausalLM", {"embedding_multiplier": 3.0}, 3.0, None),
    ("GraniteForCausalLM", {"logits_scaling": 3.0}, None, 1 / 3.0),
    ("CohereForCausalLM", {"logit_scale": 0.3}, None, 0.3),
    ("MiniCPM3ForCausalLM", {"scale_emb": 2.5}, 2.5, None),
    ("MiniCPM3ForCausalLM", {"dim_model_base": 8}, None, 8 / WIDTH),
)


def scaled_texts():
    import torch

    ids = torch.tensor([[5, 22, 7, 0, 3], [1, 1, 19, 4, 4]])
    text = {"vocab_size": VOCAB, "pad_token_id": 1, "bos_token_id": 0}
    text["eos_token_id"] = 2
    for name, config, scale, head_scale in SCALES:
        model, by = of_transformers(name, **text, **config)
        title = f"decoder: {name}, {'tokens' if scale else 'logits'}"
        if scale is not None:
            expected = first_input(model, model.model.layers[0], ids)
            arrays, options = {"token_ids": ids}, {"scale": scale}
        else:
            hidden, expected = _last(model, model.model, input_ids=ids)
            arrays, options = {"hidden": hidden}, {"head_scale": head_scale}
            options["head"] = True
        yield record(title, by, "decoder", model, arrays, expected, **options)

    # The root is rounded to the dtype of the table, to 3.46875, and the product again.
    name, config, scale, _ = SCALES[0]
    model, by = of_transformers(name, **text, **config)
    model = model.bfloat16()
    expected = first_input(model, model.model.layers[0], ids).float()
    state = {name: tensor.float() for name, tensor in model.state_dict().items()}
    title = f"decoder: {name}, tokens in bfloat16"
    options = {"scale": scale, "dtype": "bfloat16"}
    arrays = {"token_ids": ids}
    yield record(title, by, "decoder", state, arrays, expected, **options)

    sizes = {"d_model": WIDTH, "d_kv": 6, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    for tied in (True, False):
        model, by = of_transformers(
            "T5ForConditionalGeneration",
            **sizes,
            **text,
            tie_word_embeddings=tied,
            decoder_start_token_id=0,
        )
        hidden, expected = _last(
            model, model.decoder, input_ids=ids, decoder_input_ids=ids
        )
        title = f"t5: logits, {'v1.0' if tied else 'v1.1'}"
        options = {"head_scale": WIDTH**-0.5 if tied else 1.0, "head": True}
        yield record(title, by, "t5", model, {"hidden": hidden}, expected, **options)


def _last(model, stack, **inputs):
    """The output of the last layer of a model, and its logits."""
    seen = []
    handle = stack.register_forward_hook(lambda _, args, output: seen.append(output[0]))
    logits = model(**inputs).logits
    handle.remove()
    return seen[0].detach(), logits
