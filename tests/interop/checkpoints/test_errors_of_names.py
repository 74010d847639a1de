"""Names and shapes that are refused, each with the shape wanted."""

import host
import pytest
from zero_tensors import GPT2, PER_LAYER, bert, fails, timm, vit, zeros

import attnax.functional as F
from attnax import interop
from attnax.interop._checkpoint_families.table import CHECKPOINT_FAMILIES

pytestmark = pytest.mark.errors
load, write = interop.params_from_checkpoint, interop.checkpoint_from_params


def test_families_must_be_known():
    with fails(
        f"family='bart' must be one of {sorted(CHECKPOINT_FAMILIES)}, or a model type"
    ):
        load({}, "bart")
    made = interop.EmbeddingCheckpoint(
        "bart", F.TokenEmbeddingParams(host.ones((2, 3)))
    )
    with fails("checkpoint_from_params: family='bart' must be one of"):
        write(made)


def test_names_must_be_those_of_the_family():
    message = (
        "params_from_checkpoint: 'embeddings.word_embeddings.weight' must be in "
        "source, alone or after a prefix; the first of 2 names is 'wte.weight'."
    )
    with fails(message):
        load(zeros(**GPT2), "bert")
    with fails(
        "'encoder.embed_tokens.weight' or 'decoder.embed_tokens.weight' must be in "
        "source, alone or after a prefix; source holds no tensors."
    ):
        load({}, "t5")
    # A name must start where a part of a name does.
    with fails("'wte.weight' must be in source, alone or after a prefix"):
        load(zeros(("newte.weight", (11, 6)), ("newpe.weight", (9, 6))), "gpt2")


def test_prefixes_must_be_clear():
    towers = bert("query.") | bert("context.")
    message = "stands after each of prefix=['context.', 'query.']; pass one of them"
    with fails(message):
        load(towers, "bert")
    assert load(towers, "bert", prefix="query").prefix == "query."
    message = "'answer.embeddings.word_embeddings.weight' must be there, of shape "
    with fails(message + "(vocab_size, d_model), with prefix='answer.'."):
        load(towers, "bert", prefix="answer.")


@pytest.mark.parametrize(
    ("name", "shape"),
    (
        ("position_embeddings.weight", "(num_positions, 6)"),
        ("token_type_embeddings.weight", "(num_token_types, 6)"),
        ("LayerNorm.bias' or 'bert.embeddings.LayerNorm.beta", "(6,)"),
    ),
)
def test_missing_tensors_are_named_with_the_shape_wanted(name, shape):
    tensors = bert("bert.")
    del tensors["bert.embeddings." + name.partition("'")[0]]
    with fails(f"'bert.embeddings.{name}' must be there, of shape {shape}, with"):
        load(tensors, "bert")


@pytest.mark.parametrize("name", vit())
def test_all_of_a_vit_is_required(name):
    tensors = vit()
    del tensors[name]
    where = "in source" if "weight" in name else "there"
    with fails(f"'{name}' must be {where}"):
        load(tensors, "vit")


@pytest.mark.parametrize(
    ("tensors", "family", "name"),
    (
        (bert("bert."), "bert", "bert.embeddings.word_embeddings.weight_scale"),
        (bert("bert."), "bert", "bert.embeddings.norm.weight"),
        (vit(), "vit", "embeddings.register_tokens"),
        (vit(), "dinov2", "embeddings.distillation_token"),
        (zeros(**GPT2), "gpt2", "wpe.bias"),
        (timm(30), "timm", "patch_embed.norm.weight"),
        (timm(30), "timm", "pos_embed_win"),
        # The embeddings of other families, which would be read without these.
        (timm(30), "timm", "register_tokens"),
        (timm(30), "timm", "mask_token"),
        (
            zeros(("model.embed_tokens.weight", (11, 6))),
            "decoder",
            f"model.{PER_LAYER}",
        ),
        (
            zeros(("decoder.embed_tokens.weight", (11, 6))),
            "decoder",
            "decoder.embed_positions.weight",
        ),
        (
            zeros(("decoder.embed_tokens.weight", (11, 6))),
            "decoder",
            "decoder.project_in.weight",
        ),
        (
            zeros(("decoder.embed_tokens.weight", (11, 6))),
            "t5",
            "decoder.embed_positions.weight",
        ),
        (zeros(("h.wte.weight", (11, 6))), "gptj", "h.wpe.weight"),
        (
            zeros(("word_embeddings.weight", (11, 6))),
            "falcon",
            "word_embeddings_layernorm.weight",
        ),
        (
            zeros(("bert.embeddings.word_embeddings.weight", (11, 6))),
            "falcon",
            "bert.embeddings.position_embeddings.weight",
        ),
        (
            zeros(("img/embedding/kernel", (5, 4, 3, 6)), ("img/embedding/bias", (6,))),
            "big_vision",
            "img/patchln_pre/scale",
        ),
    ),
)
def test_extra_tensors_are_named_with_their_shape(tensors, family, name):
    extra = zeros((name, (7, 5)))
    with fails(f"'{name}' of shape (7, 5) must not be there; the family has ["):
        load(tensors | extra, family)
    load(tensors, family)  # without it, all is well


@pytest.mark.parametrize(
    ("tensors", "family", "name", "got", "wanted"),
    (
        (
            bert("bert."),
            "bert",
            "bert.embeddings.position_embeddings.weight",
            (9, 7),
            "(num_positions, 6)",
        ),
        (bert(), "bert", "embeddings.LayerNorm.weight", (7,), "(6,)"),
        (bert(), "bert", "embeddings.word_embeddings.weight", (11,), "(vocab_size, d"),
        (vit(), "vit", "embeddings.cls_token", (1, 6), "(1, 1, 6)"),
        (vit(), "vit", "embeddings.cls_token", (1, 2, 6), "(1, 1, 6)"),
        (
            vit(),
            "vit",
            "embeddings.position_embeddings",
            (10, 6),
            "(1, num_positions, ",
        ),
        (
            vit(),
            "vit",
            "embeddings.patch_embeddings.projection.weight",
            (6, 60),
            "(d_model, channels, patch_height, patch_width)",
        ),
        (
            vit(),
            "vit",
            "embeddings.patch_embeddings.projection.bias",
            (3, 6),
            "(6,)",
        ),
        (timm(30), "timm", "reg_token", (4, 6), "(1, num_registers, 6)"),
    ),
)
def test_misshapen_tensors_are_named_with_both_shapes(
    tensors, family, name, got, wanted
):
    with fails(f"'{name}' of shape {got} must have shape {wanted}"):
        load(tensors | zeros((name, got)), family)


@pytest.mark.parametrize(
    ("tensors", "family", "name", "shape"),
    (
        (vit(), "vit", "embeddings.patch_embeddings.projection.weight", (6, 3, 0, 4)),
        (vit(), "vit", "embeddings.patch_embeddings.projection.weight", (6, 0, 5, 4)),
        (vit(), "vit", "embeddings.position_embeddings", (1, 0, 6)),
        (zeros(**GPT2), "gpt2", "wte.weight", (0, 6)),
        ({}, "gptj", "wte.weight", (11, 0)),
        ({}, "timm_naflex", "embeds.proj.weight", (6, 0)),
    ),
)
def test_axes_must_not_be_empty(tensors, family, name, shape):
    with fails(f"'{name}' of shape {shape} must have no axis of length 0."):
        load(tensors | zeros((name, shape)), family)


def test_mask_tokens_differ_between_vit_and_dinov2():
    for family, got, wanted in (
        ("vit", (1, 6), "(1, 1, 6)"),
        ("dinov2", (1, 1, 6), "(1, 6)"),
    ):
        mask = zeros(("embeddings.mask_token", got))
        with fails(f"'embeddings.mask_token' of shape {got} must have shape {wanted}."):
            load(vit() | mask, family)


def test_one_norm_has_one_pair_of_names():
    tensors = bert() | zeros(("embeddings.LayerNorm.gamma", (6,)))
    message = (
        "only one of ['embeddings.LayerNorm.weight', 'embeddings.LayerNorm.gamma']"
    )
    with fails(message):
        load(tensors, "bert")
