"""Names and shapes of the tensors of every family of checkpoints, apart from its rows.

They are those of the models of transformers 5.23, timm 1.0 and big_vision. A family
without a case of its own here has the tensors of its golden record, which came from the
code of a model.
"""

import numpy as np
from helpers import assert_same_bits

from attnax import interop
from attnax.interop._checkpoint_families.table import CHECKPOINT_FAMILIES
from conformance.embeddings.records import load

V, D, P = 11, 6, 9  # tokens, width, positions
NORM = {"weight": (D,), "bias": (D,)}
BERT = {
    "embeddings.word_embeddings.weight": (V, D),
    "embeddings.position_embeddings.weight": (P, D),
    "embeddings.token_type_embeddings.weight": (2, D),
    "embeddings.LayerNorm.weight": (D,),
    "embeddings.LayerNorm.bias": (D,),
}
TOWER = {
    "embeddings.token_embedding.weight": (V, D),
    "embeddings.position_embedding.weight": (P, D),
}
HF_PATCH = {
    "embeddings.patch_embeddings.projection.weight": (D, 3, 4, 4),
    "embeddings.patch_embeddings.projection.bias": (D,),
    "embeddings.cls_token": (1, 1, D),
}
SIGLIP = {
    "embeddings.patch_embedding.bias": (D,),
    "embeddings.position_embedding.weight": (9, D),
}
TIMM = {"patch_embed.proj.weight": (D, 3, 5, 2), "patch_embed.proj.bias": (D,)}
BIG = {"embedding/kernel": (5, 2, 3, D), "embedding/bias": (D,)}


def after(prefix, shapes):
    return {prefix + name: shape for name, shape in shapes.items()}


def norm(stem):
    return after(f"{stem}.", NORM)


# Family, names and shapes, and sets of names that hold one array.
CASES = {
    "bert, bare": ("bert", BERT, ()),
    "bert, whole": (
        "bert",
        after("bert.", BERT)
        | {"cls.predictions.decoder.weight": (V, D), "cls.predictions.bias": (V,)}
        | {"cls.predictions.decoder.bias": (V,)},
        ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ),
    "bert, of TensorFlow": (
        "bert",
        {
            f"bert.{n}".replace("Norm.weight", "Norm.gamma").replace(
                "Norm.bias", "Norm.beta"
            ): shape
            for n, shape in BERT.items()
        }
        | {"cls.predictions.bias": (V,)},
        (),
    ),
    "bert, bias of no head": (
        "bert",
        after("bert.", BERT) | {"cls.predictions.bias": (V,)},
        (),
    ),
    "bert, of a small ELECTRA": (
        "bert",
        after(
            "electra.",
            BERT
            | {"embeddings_project.weight": (8, D), "embeddings_project.bias": (8,)},
        ),
        (),
    ),
    "roberta": (
        "roberta",
        after("roberta.", BERT)
        | {"lm_head.bias": (V,), "lm_head.decoder.weight": (V, D)}
        | {"lm_head.decoder.bias": (V,)},
        ("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    ),
    "gpt2, bare": ("gpt2", {"wte.weight": (V, D), "wpe.weight": (P, D)}, ()),
    "gpt2, whole": (
        "gpt2",
        {"transformer.wte.weight": (V, D), "transformer.wpe.weight": (P, D)}
        | {"lm_head.weight": (V, D)},
        ("transformer.wte.weight", "lm_head.weight"),
    ),
    "opt": (
        "opt",
        after(
            "model.decoder.",
            {"embed_tokens.weight": (V, D), "embed_positions.weight": (P + 2, D)},
        )
        | {"lm_head.weight": (V, D)},
        ("model.decoder.embed_tokens.weight", "lm_head.weight"),
    ),
    "opt, projected": (
        "opt",
        after(
            "decoder.",
            {
                "embed_tokens.weight": (V, 4),
                "embed_positions.weight": (P + 2, D),
                "project_in.weight": (D, 4),
                "project_out.weight": (4, D),
            },
        ),
        (),
    ),
    "t5": (
        "t5",
        {"shared.weight": (V, D), "encoder.embed_tokens.weight": (V, D)}
        | {"decoder.embed_tokens.weight": (V, D), "lm_head.weight": (V, D)},
        (
            *("shared.weight", "encoder.embed_tokens.weight"),
            *("decoder.embed_tokens.weight", "lm_head.weight"),
        ),
    ),
    "t5, v1.1": ("t5", {"shared.weight": (V, D), "lm_head.weight": (V, D)}, ()),
    "t5, one alias": ("t5", {"encoder.embed_tokens.weight": (V, D)}, ()),
    "decoder, tied": ("decoder", {"model.embed_tokens.weight": (V, D)}, ()),
    "decoder, untied": (
        "decoder",
        {"model.embed_tokens.weight": (V, D), "lm_head.weight": (V, D)},
        (),
    ),
    "decoder, biased": (
        "decoder",
        {"model.embed_tokens.weight": (V, D), "lm_head.weight": (V, D)}
        | {"lm_head.bias": (V,)},
        (),
    ),
    "decoder, of a multimodal model": (
        "decoder",
        {"model.language_model.embed_tokens.weight": (V + 8, D)}
        | {"lm_head.weight": (V, D), "lm_head.bias": (V,)},
        (),
    ),
    "gpt_neox": (
        "gpt_neox",
        {"gpt_neox.embed_in.weight": (V, D), "embed_out.weight": (V, D)},
        (),
    ),
    "gptj": (
        "gptj",
        {"transformer.wte.weight": (V, D), "lm_head.weight": (V, D)}
        | {"lm_head.bias": (V,)},
        (),
    ),
    "bloom": (
        "bloom",
        {"word_embeddings.weight": (V, D), **norm("word_embeddings_layernorm")},
        (),
    ),
    "falcon": (
        "falcon",
        {"transformer.word_embeddings.weight": (V, D), "lm_head.weight": (V, D)},
        ("transformer.word_embeddings.weight", "lm_head.weight"),
    ),
    "meta_llama": (
        "meta_llama",
        {"tok_embeddings.weight": (V, D), "output.weight": (V, D)},
        (),
    ),
    "clip_text": ("clip_text", after("text_model.", TOWER), ()),
    "siglip_text": ("siglip_text", TOWER, ()),
    "siglip2_text": ("siglip2_text", after("text_model.", TOWER), ()),
    "vit": (
        "vit",
        after("vit.", HF_PATCH | {"embeddings.position_embeddings": (1, 10, D)}),
        (),
    ),
    "vit, masked": (
        "vit",
        HF_PATCH
        | {"embeddings.position_embeddings": (1, 10, D)}
        | {"embeddings.mask_token": (1, 1, D)},
        (),
    ),
    "deit": (
        "deit",
        after(
            "deit.",
            HF_PATCH
            | {"embeddings.position_embeddings": (1, 11, D)}
            | {"embeddings.distillation_token": (1, 1, D)},
        ),
        (),
    ),
    "dinov2": (
        "dinov2",
        after(
            "dinov2.",
            HF_PATCH
            | {"embeddings.position_embeddings": (1, 10, D)}
            | {"embeddings.mask_token": (1, D)},
        ),
        (),
    ),
    "dinov2_hub": (
        "dinov2_hub",
        {
            "patch_embed.proj.weight": (D, 3, 4, 4),
            "patch_embed.proj.bias": (D,),
            "cls_token": (1, 1, D),
            "pos_embed": (1, 10, D),
            "mask_token": (1, D),
        },
        (),
    ),
    "dinov2_hub, registers": (
        "dinov2_hub",
        {
            "patch_embed.proj.weight": (D, 3, 4, 4),
            "patch_embed.proj.bias": (D,),
            "cls_token": (1, 1, D),
            "register_tokens": (1, 4, D),
            "pos_embed": (1, 10, D),
            "mask_token": (1, D),
        },
        (),
    ),
    "dinov2_with_registers": (
        "dinov2_with_registers",
        HF_PATCH
        | {"embeddings.position_embeddings": (1, 10, D)}
        | {"embeddings.mask_token": (1, D), "embeddings.register_tokens": (1, 4, D)},
        (),
    ),
    "dinov3": (
        "dinov3",
        {
            "embeddings.patch_embeddings.weight": (D, 3, 4, 4),
            "embeddings.patch_embeddings.bias": (D,),
            "embeddings.cls_token": (1, 1, D),
            "embeddings.mask_token": (1, 1, D),
            "embeddings.register_tokens": (1, 0, D),
        },
        (),
    ),
    "clip_vision": (
        "clip_vision",
        after(
            "vision_model.",
            {
                "embeddings.class_embedding": (D,),
                "embeddings.patch_embedding.weight": (D, 3, 4, 4),
                "embeddings.position_embedding.weight": (10, D),
                **norm("pre_layrnorm"),
            },
        ),
        (),
    ),
    "siglip_vision": (
        "siglip_vision",
        SIGLIP | {"embeddings.patch_embedding.weight": (D, 3, 4, 4)},
        (),
    ),
    "siglip2_vision": (
        "siglip2_vision",
        after("vision_model.", SIGLIP | {"embeddings.patch_embedding.weight": (D, 48)}),
        (),
    ),
    "timm": (
        "timm",
        TIMM | {"cls_token": (1, 1, D), "pos_embed": (1, 10, D)} | norm("norm_pre"),
        (),
    ),
    "timm, no_embed_class": (
        "timm",
        TIMM
        | {"cls_token": (1, 1, D), "reg_token": (1, 4, D), "pos_embed": (1, 25, D)},
        (),
    ),
    "timm, registers with positions": (
        "timm",
        TIMM
        | {"cls_token": (1, 1, D), "reg_token": (1, 4, D), "pos_embed": (1, 30, D)},
        (),
    ),
    "timm, distilled": (
        "timm",
        TIMM
        | {"cls_token": (1, 1, D), "dist_token": (1, 1, D), "pos_embed": (1, 6, D)},
        (),
    ),
    "timm, distilled with registers": (
        "timm",
        TIMM
        | {
            "cls_token": (1, 1, D),
            "dist_token": (1, 1, D),
            "reg_token": (1, 4, D),
            "pos_embed": (1, 31, D),
        },
        (),
    ),
    "timm, patches only": (
        "timm",
        {"patch_embed.proj.weight": (D, 3, 5, 2), "pos_embed": (1, 9, D)},
        (),
    ),
    "timm_naflex": (
        "timm_naflex",
        {
            "embeds.proj.weight": (D, 30),
            "embeds.proj.bias": (D,),
            "embeds.pos_embed": (1, 3, 5, D),
        },
        (),
    ),
    "timm_naflex, convolution": (
        "timm_naflex",
        {
            "embeds.proj.weight": (D, 3, 5, 2),
            "embeds.cls_token": (1, 1, D),
            "embeds.reg_token": (1, 2, D),
            "embeds.pos_embed": (1, 3, 5, D),
        },
        (),
    ),
    "big_vision": (
        "big_vision",
        after("params/", BIG | {"pos_embedding": (1, 9, D)}),
        (),
    ),
    "big_vision, class token": (
        "big_vision",
        after("params/img/", BIG | {"pos_embedding": (1, 9, D), "cls": (1, 1, D)}),
        (),
    ),
    "big_vision, old": (
        "big_vision",
        BIG
        | {"Transformer/posembed_input/pos_embedding": (1, 10, D), "cls": (1, 1, D)},
        (),
    ),
    "big_vision, before 2022": (
        "big_vision",
        BIG | {"Transformer/pos_embedding": (1, 10, D), "cls": (1, 1, D)},
        (),
    ),
    "big_vision_naflex": (
        "big_vision_naflex",
        {"embedding/kernel": (30, D), "embedding/bias": (D,)}
        | {"pos_embedding": (3, 5, D)},
        (),
    ),
}


def golden_cases():
    """The tensors of the first golden record of each other family."""
    known = {family for family, _, _ in CASES.values()}
    cases = {}
    for record in load("checkpoints"):
        family = record.options["family"]
        if family not in known and family not in cases:
            tensors = _embedding(record)
            shapes = {name: array.shape for name, array in tensors.items()}
            cases[family] = (family, shapes, _equal(tensors))
    return cases


def _embedding(record):
    """The tensors of a record that are in the namespaces of its family."""
    tensors = {
        name.removeprefix("state "): array
        for name, array in record.arrays.items()
        if name.startswith("state ")
    }
    family = record.options["family"]
    prefix = interop.params_from_checkpoint(tensors, family).prefix
    starts = tuple(prefix + start for start in CHECKPOINT_FAMILIES[family].namespaces)
    return {n: array for n, array in tensors.items() if n.startswith(starts)}


def _equal(tensors):
    """Names of tensors that hold one table, the first that is there twice."""
    for array in tensors.values():
        names = [
            name for name, other in tensors.items() if np.array_equal(array, other)
        ]
        if len(names) > 1:
            return tuple(names)
    return ()


CASES |= golden_cases()


def state(shapes, same=(), dtype=np.float32, seed=0):
    """Every bit random: NaN with a payload, -0.0 and subnormals are all likely."""
    rng = np.random.default_rng(seed)
    unsigned = f"u{np.dtype(dtype).itemsize}"
    high = np.iinfo(unsigned).max
    arrays = {
        name: rng.integers(0, high, shape, unsigned, endpoint=True).view(dtype)
        for name, shape in shapes.items()
    }
    return arrays | {name: arrays[same[0]] for name in same}


def assert_same_tensors(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert isinstance(actual[name], np.ndarray)
        assert actual[name].flags.c_contiguous
        assert_same_bits(actual[name], array)
