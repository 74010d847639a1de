"""Texts through the embeddings of transformers."""

from .checkpoint_models import (
    VOCAB,
    WIDTH,
    first_input,
    of_transformers,
    record,
    two_towers,
)


def texts():
    import torch

    ids = torch.tensor([[5, 22, 7, 0, 3], [1, 1, 19, 4, 4]])  # 1 is padding
    plain = {"token_ids": ids}
    text = {
        "vocab_size": VOCAB,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    small = {**text, "max_position_embeddings": 9}

    model, by = of_transformers("BertForMaskedLM", **small, layer_norm_eps=1e-3)
    types = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]])
    expected = model.bert.embeddings(ids, token_type_ids=types)
    arrays = plain | {"token_type_ids": types}
    yield record("bert", by, "bert", model, arrays, expected, eps=1e-3)

    model, by = of_transformers("RobertaForMaskedLM", **small, layer_norm_eps=1e-3)
    expected = model.roberta.embeddings(ids)
    padding = {"padding_id": 1, "first_position": 2, "padding_position": 1}
    yield record(
        "roberta", by, "roberta", model, plain, expected, eps=1e-3, padding=padding
    )

    model, by = of_transformers("GPT2LMHeadModel", **text, n_positions=9)
    expected = first_input(model, model.transformer.h[0], ids)
    yield record("gpt2", by, "gpt2", model, plain, expected)

    sizes = {"ffn_dim": 8, **small}
    for name, width in (("opt", WIDTH), ("opt: projected", 6)):
        model, by = of_transformers(
            "OPTForCausalLM", **sizes, word_embed_proj_dim=width
        )
        layer = model.model.decoder.layers[0]
        expected = first_input(model, layer, ids, attention_mask=(ids != 1).long())
        yield record(name, by, "opt", model, plain, expected, padding=padding)

    sizes = {"d_model": WIDTH, "d_kv": 6, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    for tied in (True, False):
        model, by = of_transformers(
            "T5ForConditionalGeneration",
            **sizes,
            **text,
            tie_word_embeddings=tied,
            decoder_start_token_id=0,
        )
        expected = model.lm_head(model.encoder.embed_tokens(ids))
        name = f"t5: {'tied' if tied else 'untied'}"
        yield record(name, by, "t5", model, plain, expected, head=True)

    for family, name, extra in (
        ("decoder", "LlamaForCausalLM", {"tie_word_embeddings": False}),
        ("decoder", "Qwen3ForCausalLM", {"tie_word_embeddings": True}),
        ("decoder", "PhiForCausalLM", {}),
        ("gpt_neox", "GPTNeoXForCausalLM", {}),
        ("gptj", "GPTJForCausalLM", {"rotary_dim": 4}),
        ("falcon", "FalconForCausalLM", {}),
    ):
        model, by = of_transformers(name, **text, **extra)
        embed, head = model.get_input_embeddings(), model.get_output_embeddings()
        expected = head(embed(ids))
        name = f"{family}: {name}"
        yield record(name, by, family, model, plain, expected, head=True)

    model, by = of_transformers("BloomForCausalLM", **text, layer_norm_epsilon=1e-3)
    expected = first_input(model, model.transformer.h[0], ids)
    yield record("bloom", by, "bloom", model, plain, expected, eps=1e-3)

    for family, name in (
        ("clip_text", "CLIPModel"),
        ("siglip_text", "SiglipModel"),
        ("siglip2_text", "Siglip2Model"),
    ):
        model, by = two_towers(name)
        expected = model.text_model.embeddings(ids)
        yield record(family, by, family, model, plain, expected)
