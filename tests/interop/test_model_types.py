"""One vocabulary: model types of transformers in every table of families."""

import json
import pathlib
import re

import jax
import numpy as np
import pytest

from attnax import interop
from attnax.interop._checkpoint_families.table import (
    CHECKPOINT_FAMILIES,
    CHECKPOINT_TYPES,
)
from attnax.interop._checkpoint_families.without import REASONS
from attnax.interop._config.families.table import REMOTE
from attnax.interop._model_types import by_name, family_of
from attnax.interop._options.grid_sinusoids import GRID_SINUSOIDS
from attnax.interop._options.resampling import RESAMPLING_TYPES, RESAMPLINGS
from attnax.interop._options.sinusoids import SINUSOIDS

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = json.loads((ROOT / "attnax/interop/model_types.json").read_text())
ALL = {name for names in FOLDERS["folders"].values() for name in names}
load, errors = interop.params_from_checkpoint, pytest.mark.errors


def table(name="model.embed_tokens.weight"):
    return {name: np.ones((5, 4), np.float32)}


def fails(message):
    return pytest.raises(ValueError, match=re.escape(message))


@pytest.mark.parametrize("family", ("llama", "qwen3", "qwen3_vl", "gpt-oss", "LLaMA"))
def test_plain_tables_have_one_family(family):
    loaded = load(table(), family)
    assert (loaded.family, loaded.prefix) == ("decoder", "model.")
    written = interop.checkpoint_from_params(loaded._replace(family=family))
    assert written.keys() == table().keys()


def test_other_model_types_have_the_family_of_their_names():
    for model_type, family, name in (
        ("mt5", "t5", "shared.weight"),
        ("codegen", "gptj", "transformer.wte.weight"),
        ("internlm2", "meta_llama", "model.tok_embeddings.weight"),
        ("RefinedWebModel", "falcon", "transformer.word_embeddings.weight"),
        ("gpt_neox_japanese", "gpt_neox", "gpt_neox_japanese.embed_in.weight"),
    ):
        assert load(table(name), model_type).family == family


def test_every_model_type_is_one_and_has_a_family_or_a_reason():
    assert set(CHECKPOINT_TYPES) | set(REASONS) <= ALL | set(REMOTE)
    assert set(CHECKPOINT_TYPES.values()) <= set(CHECKPOINT_FAMILIES)
    assert not set(CHECKPOINT_TYPES) & set(REASONS)
    for types, families in (
        (RESAMPLING_TYPES, RESAMPLINGS),
        (SINUSOIDS.types, SINUSOIDS.by_name),
        (GRID_SINUSOIDS.types, GRID_SINUSOIDS.by_name),
    ):
        assert set(types.values()) <= set(families)
        assert set(types) <= ALL | set(CHECKPOINT_FAMILIES)
    # A family that is a model type too must be that of this model.
    for name in set(CHECKPOINT_FAMILIES) & ALL:
        assert CHECKPOINT_TYPES[name] == name
    assert len({name.replace("-", "_").lower() for name in ALL}) == len(ALL)


@errors
@pytest.mark.parametrize(
    ("family", "reason"),
    (
        ("gemma2", "multiplies its tokens by the root of d_model, which no tensor"),
        ("gemma3", "family='decoder' and pass scale to apply_token_embedding"),
        ("granite", "multiplies its tokens by embedding_multiplier of its config"),
        ("minicpm", "multiplies its tokens by scale_emb of its config"),
        ("gemma3n_text", "has tables for each of its layers"),
        ("gemma4", "has tables for each of its layers"),
        ("modernbert", "normalizes its tokens before the first layer"),
        ("nanochat", "normalizes its tokens before the first layer"),
        ("deepseek_v4", "gives its layers several streams"),
        ("nystromformer", "counts its positions from 2: read it with family='bert'"),
        ("xglm", "adds sinusoids, which no file holds"),
        ("bros", "has more in its embedding than the tensors of family='bert'"),
        ("llava", "pass the model_type of its text_config, such as 'llama'"),
        ("clip", "has two towers: pass 'clip_text_model' or 'clip_vision_model'"),
    ),
)
def test_what_tensors_do_not_tell_is_said(family, reason):
    with fails(reason) as caught:
        load(table(), family)
    caught.match(f"^params_from_checkpoint: family={family!r} ")


@errors
def test_near_names_are_named_and_decoder_is():
    with fails("; near it are ['llama'") as caught:
        load(table(), "lama")
    caught.match("embedding is one table, `embed_tokens.weight`, are 'decoder'")
    with fails("near it are ['qwen3'") as caught:
        load(table(), "qwen33")
    # A model that is known to be another is near to none of them.
    with fails("none of them is known to be that of this model") as caught:
        load(table(), "bart")
    assert "near" not in str(caught.value)
    assert "'decoder'," in str(caught.value)  # as one of all
    assert "embed_tokens" not in str(caught.value)
    with fails("family=3 must be one of ["):
        family_of(3, CHECKPOINT_FAMILIES, CHECKPOINT_TYPES, REASONS)


@pytest.mark.parametrize(
    ("names", "expected"),
    (
        (("clip", "clip_vision_model", "clip_vision"), "clip"),
        (("siglip", "siglip_vision_model", "siglip_vision"), "siglip"),
        (("blip-2", "blip_2", "blip_2_vision_model"), "blip_2"),
        (("qwen3_vl", "qwen3-vl", "qwen3_vl_vision"), "qwen3_vl"),
        (("kosmos-2", "kosmos_2_vision_model"), "kosmos2"),
        (("timm", "timm_naflex"), "timm"),
    ),
)
def test_resizing_by_model_type(names, expected):
    for name in names:
        assert interop.resampling(name) == interop.resampling(expected)


def test_every_family_of_images_is_resized_in_its_way():
    for family, rules in CHECKPOINT_FAMILIES.items():
        if rules.kind == "vision" and family != "dinov3":  # of rotary positions
            assert interop.resampling(family)


def vit():
    prefix, draw = "embeddings.", np.ones
    return {
        f"{prefix}cls_token": draw((1, 1, 4), np.float32),
        f"{prefix}mask_token": draw((1, 4), np.float32),
        f"{prefix}register_tokens": draw((1, 2, 4), np.float32),
        f"{prefix}position_embeddings": draw((1, 5, 4), np.float32),
        f"{prefix}patch_embeddings.projection.weight": draw((4, 3, 2, 2), np.float32),
        f"{prefix}patch_embeddings.projection.bias": draw(4, np.float32),
    }


def test_a_checkpoint_has_the_resampling_of_what_was_asked_for():
    """Names of tensors do not tell: these two models differ in their resizing alone."""
    for name in ("dinov2_with_registers", "tipsv2_vision_model"):
        loaded = load(vit(), name)
        assert loaded.family == "dinov2_with_registers"
        assert loaded.resampling == interop.resampling(name)
    assert load(vit(), name).resampling.method == "bilinear"
    assert load(table(), "llama").resampling is None


@errors
def test_models_that_do_not_resize_say_so():
    with fails("resampling: family='dinov3_vit' has no learned positions"):
        interop.resampling("dinov3_vit")
    with fails("none of them is known to be that of this model"):
        interop.resampling("clip_text_model")
    with fails("near it are ['siglip"):
        interop.resampling("siglp")


def test_sinusoids_by_model_type():
    options = interop.sinusoid_options
    assert options("xglm") == options("nllb-moe") == options("nllb_moe")
    assert options("xglm") == options("fairseq", padding_idx=1)
    assert options("seamless_m4t_v2") == options("fairseq", padding_idx=0)
    assert options("marian") == options("roformer") != options("paper")
    assert options("kimi_k25_vision") == options("kimi_k25")
    grid = interop.grid_sinusoid_options
    assert grid("aimv2_vision_model") == grid("aimv2")


@errors
def test_sinusoids_of_no_model():
    with fails("sinusoid_options: family='llama' must be one of ["):
        interop.sinusoid_options("llama")
    with fails("near it are ['whisper'"):
        interop.sinusoid_options("whispers")


def test_nothing_is_read_where_nothing_is_wrong(monkeypatch):
    monkeypatch.setattr("attnax.interop._model_types._PATH", None)
    assert jax.tree.leaves(load(table(), "mistral").params)


def test_every_name_of_a_row_has_its_value():
    assert by_name([("a b", 1), ("c", 2)]) == {"a": 1, "b": 1, "c": 2}


@pytest.mark.parametrize(
    "rows", ([("a b", 1), ("b", 2)], [("a", 1), ("a", 1)], [("a\n a", 1)])
)
def test_a_name_that_stands_in_a_table_twice_is_an_error(rows):
    with pytest.raises(ValueError, match=r"'[ab]' must stand in the table once"):
        by_name(rows)
