"""What is refused, by name and with both shapes."""

import re

import host
import jax
import ml_dtypes
import numpy as np
import pytest
from helpers import refused

import attnax.functional as F
from attnax import interop
from attnax.interop._checkpoint_families.table import CHECKPOINT_FAMILIES

pytestmark = pytest.mark.errors
load, write = interop.params_from_checkpoint, interop.checkpoint_from_params


def zeros(*names_and_shapes, dtype=np.float32, **shapes):
    pairs = {**dict(names_and_shapes), **shapes}
    return {name: np.zeros(shape, dtype) for name, shape in pairs.items()}


def bert(prefix=""):
    return zeros(
        (f"{prefix}embeddings.word_embeddings.weight", (11, 6)),
        (f"{prefix}embeddings.position_embeddings.weight", (9, 6)),
        (f"{prefix}embeddings.token_type_embeddings.weight", (2, 6)),
        (f"{prefix}embeddings.LayerNorm.weight", (6,)),
        (f"{prefix}embeddings.LayerNorm.bias", (6,)),
    )


def vit(num_positions=10):
    return zeros(
        ("embeddings.patch_embeddings.projection.weight", (6, 3, 5, 4)),
        ("embeddings.patch_embeddings.projection.bias", (6,)),
        ("embeddings.cls_token", (1, 1, 6)),
        ("embeddings.position_embeddings", (1, num_positions, 6)),
    )


def timm(num_positions, num_registers=4):
    return zeros(
        ("patch_embed.proj.weight", (6, 3, 5, 4)),
        ("cls_token", (1, 1, 6)),
        ("reg_token", (1, num_registers, 6)),
        ("pos_embed", (1, num_positions, 6)),
    )


PER_LAYER = "embed_tokens_per_layer.weight"
GPT2 = {"wte.weight": (11, 6), "wpe.weight": (9, 6)}


def fails(message):
    return pytest.raises(ValueError, match=re.escape(message))


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
        "'encoder.embed_tokens.weight' or 'decoder.embed_tokens.weight' must be"
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


@pytest.mark.parametrize(
    ("dtype", "name"),
    (
        (np.int8, "int8"),
        (ml_dtypes.float8_e4m3fn, "float8_e4m3fn"),
        (np.complex64, "complex64"),
        (np.dtype("V2"), "void16"),
        (np.dtype(">f4"), ">f4"),
    ),
)
def test_dtypes_must_be_those_of_floats_that_jax_holds(dtype, name):
    with fails(f"'wte.weight' of dtype {name} must be one of ('bfloat16', 'float16'"):
        load({"wte.weight": np.zeros((3, 2), dtype)}, "gptj")


@pytest.mark.skipif(jax.config.jax_enable_x64, reason="not in 64-bit mode")
def test_float64_is_not_rounded_silently():
    with fails("'wte.weight' of dtype float64 must come with jax_enable_x64"):
        load(zeros(**GPT2, dtype=np.float64), "gpt2")


def test_tensors_must_be_arrays():
    with fails("'wte.weight' of type list must be a NumPy or JAX array"):
        load({"wte.weight": [[1.0]]}, "gptj")


def test_arrays_must_have_no_mask():
    masked = np.ma.masked_array(np.ones((3, 2), np.float32), np.eye(3, 2))
    with fails("'wte.weight' must be an array without a mask; fill it."):
        load({"wte.weight": masked}, "gptj")


def test_names_must_be_strings():
    with refused(
        "params_from_checkpoint: source has the key 3, which must be a string"
    ):
        load({3: np.ones(2)}, "gptj")


@pytest.mark.parametrize("family", (["bert"], None, 3))
def test_families_must_be_strings(family):
    with refused(re.escape(f"family={family!r} must be one of")):
        load({}, family)


def test_sources_must_be_known(tmp_path):
    with fails(f"source='{tmp_path}' must be a .safetensors or .npz file"):
        load(tmp_path, "gpt2")
    model = tmp_path / "model.bin"
    model.touch()
    with fails(f"source='{model}' must be a .safetensors or .npz file"):
        load(model, "gpt2")
    for name in ("folder", "a.safetensors", "a.npz", "a.json"):
        with fails(f"source='{tmp_path / name}' does not exist."):
            load(str(tmp_path / name), "gpt2")
    with refused("source is a list, but must be a mapping of arrays or a path"):
        load([1], "gpt2")


def test_copies_must_be_equal():
    tensors = zeros(
        ("shared.weight", (11, 6)), ("encoder.embed_tokens.weight", (11, 6))
    )
    message = (
        "'encoder.embed_tokens.weight' of shape (11, 6) and dtype float32 must equal "
        "'shared.weight' of shape (11, 6) and dtype float32, bit for bit."
    )
    for value in (1.0, -0.0):
        tensors["encoder.embed_tokens.weight"][10, 5] = value
        with fails(message):
            load(tensors, "t5")
    tensors |= zeros(("encoder.embed_tokens.weight", (11, 6)), dtype=np.float16)
    with fails(message.replace("float32", "float16", 1)):
        load(tensors, "t5")


@pytest.mark.parametrize(
    ("family", "tied"), (("gpt2", None), ("gpt2", True), ("decoder", True))
)
def test_tied_heads_must_be_equal(family, tied):
    names = GPT2 if family == "gpt2" else {"embed_tokens.weight": (11, 6)}
    tensors = zeros(**names) | {"lm_head.weight": np.ones((12, 6), np.float16)}
    message = (
        "'lm_head.weight' of shape (12, 6) and dtype float16 must equal the token "
        f"table '{next(iter(names))}' of shape (11, 6) and dtype float32, bit for bit, "
        "for a tied head; pass tied=False"
    )
    with fails(message):
        load(tensors, family, tied=tied)


def test_untied_heads_must_be_there():
    with fails("a head must be there for tied=False"):
        load(zeros(**GPT2), "gpt2", tied=False)
    with fails("'lm_head.weight' of shape (11, 7) must have shape (head_size, 6)."):
        load(zeros(**GPT2) | zeros(("lm_head.weight", (11, 7))), "gpt2")
    with fails("tied=True must be None for family='vit', which has no head"):
        load(vit(), "vit", tied=True)


def test_heads_must_be_clear():
    heads = zeros(("lm_head.weight", (11, 6)), ("embed_out.weight", (11, 6)))
    with fails("only one of ['lm_head.weight', 'embed_out.weight'] must be there"):
        load(zeros(("gpt_neox.embed_in.weight", (11, 6))) | heads, "gpt_neox")


def test_narrow_tables_need_a_projection():
    tensors = zeros(
        ("embed_tokens.weight", (11, 4)), ("embed_positions.weight", (9, 6))
    )
    message = (
        "'embed_tokens.weight' of shape (11, 4) must have shape (11, 6), without a "
        "project_in.weight."
    )
    with fails(message):
        load(tensors, "opt")
    message = "'project_in.weight' of shape (4, 6) must have shape (6, 4)."
    with fails(message):
        load(tensors | zeros(("project_in.weight", (4, 6))), "opt")
    both = zeros(("project_in.weight", (6, 4)), ("project_out.weight", (4, 6)))
    projected = load(tensors | both, "opt")
    for name, other in (("in", "out"), ("out", "in")):
        one = f"project_{name}.weight"
        message = f"'{one}' must come with a project_{other}.weight."
        with fails(f"params_from_checkpoint: {message}"):
            load(tensors | {one: both[one]}, "opt")
        with fails(f"checkpoint_from_params: {message}"):
            write(projected._replace(extra_tensors={one: both[one]}))


def test_texts_have_no_patches():
    for given in ({"patch_size": 4}, {"grid": (2, 3)}):
        with fails("must be None for family='gpt2'"):
            load(zeros(**GPT2), "gpt2", **given)


def test_patch_sizes_must_be_those_of_the_kernel():
    name = "embeddings.patch_embeddings.projection.weight"
    with fails(
        f"'{name}' of shape (6, 3, 5, 4) must have shape (d_model, channels, 4, 5)."
    ):
        load(vit(), "vit", patch_size=(4, 5))
    linear = zeros(("embeds.proj.weight", (6, 60)), ("embeds.pos_embed", (1, 2, 3, 6)))
    message = (
        "'embeds.proj.weight' of shape (6, 60) must have patch_dim a multiple of 16"
    )
    with fails(message):
        load(linear, "timm_naflex", patch_size=4)
    for size in (0, 8.0, True, (1.5, 2), (2, 2, 2)):
        with refused(re.escape(f"patch_size={size} must be")):
            load(linear, "timm_naflex", patch_size=size)
    message = "'embeds.pos_embed' of shape (1, 2, 3, 6) must have shape (1, 3, 2, 6)."
    with fails(message):
        load(linear, "timm_naflex", grid=(3, 2))


def test_grids_must_fill_the_table():
    name = "embeddings.position_embeddings"
    message = (
        f"'{name}' of shape (1, 7, 6) must have shape (1, 1 + side * side, 6); pass "
        "grid=(rows, columns)."
    )
    with fails(message):
        load(vit(7), "vit")
    with fails(f"'{name}' of shape (1, 10, 6) must have shape (1, 1 + 2 * 3, 6)."):
        load(vit(10), "vit", grid=(2, 3))
    with fails(
        "'pos_embed' of shape (1, 8, 6) must have shape (1, 5 + 2 * 3, 6) or (1"
    ):
        load(timm(8), "timm", grid=(2, 3))
    with fails(f"'{name}' of shape (1, 1, 6) must have shape (1, 1 + side * side, 6)"):
        load(vit(1), "vit")
    with refused("grid=3 must be"):
        load(vit(10), "vit", grid=3)
    with refused(r"grid=\(3.0, 3\) must be"):
        load(vit(10), "vit", grid=(3.0, 3))


def test_tokens_must_be_known_to_have_positions_or_not():
    message = (
        "'pos_embed' of shape (1, 9, 6) must have only one of the shapes "
        "(1, 5 + side * side, 6) or (1, side * side, 6); pass grid=(rows, columns)."
    )
    with fails(message):
        load(timm(9), "timm")
    assert load(timm(9), "timm", grid=(2, 2)).params.tokens_without_position is None
    assert load(timm(9), "timm", grid=(3, 3)).params.tokens_with_position is None


def test_tokens_must_have_one_dtype():
    half = zeros(("reg_token", (1, 4, 6)), dtype=np.float16)
    message = "{'cls_token': 'float32', 'reg_token': 'float16'} must be one dtype"
    with fails(message):
        load(timm(30) | half, "timm")


def test_parameters_must_be_those_of_the_family():
    table = F.TokenEmbeddingParams(host.ones((3, 2)))
    message = "checkpoint.params is a TokenEmbeddingParams, but must be an "
    with fails(f"{message}attnax.functional.TextEmbeddingParams"):
        write(interop.EmbeddingCheckpoint("bert", table))


def vision(before=1, behind=0, num_positions=7, patch_dim=60, **others):
    rows = lambda n: host.ones((n, 6)) if n else None
    table = F.LearnedPositionalEmbeddingParams(host.ones((num_positions, 6)))
    params = F.VisionEmbeddingParams(
        patch=F.PatchEmbeddingParams(host.ones((patch_dim, 6)), host.ones(6)),
        positions=table if num_positions else None,
        tokens_with_position=rows(before),
        tokens_without_position=rows(behind),
    )
    options = {"family": "vit", "patch_size": (5, 4), "grid": (2, 3)} | others
    return interop.EmbeddingCheckpoint(params=params, **options)


def test_parameters_must_fit_the_file():
    assert write(vision())["embeddings.position_embeddings"].shape == (1, 7, 6)
    for made, message in (
        (
            vision(before=2, num_positions=8),
            "tokens_with_position and tokens_without_position have 2 rows, but must "
            "have one for each of ['class']",
        ),
        (
            vision(before=0, num_positions=6),
            "have 0 rows, but must have one for each of ['class']",
        ),
        (
            vision(before=0, behind=1, num_positions=6),
            "tokens_without_position has 1 rows, but must have 0: a file with o",
        ),
        (
            vision(before=2, family="dinov2_with_registers", num_positions=8),
            "tokens_without_position has 0 rows, but must have 1",
        ),
        (
            vision(before=1, behind=1, family="timm"),
            "tokens_without_position has 1 rows, but must have 0",
        ),
        (
            vision(num_positions=8),
            "params.positions.weight.shape=(8, 6) must have 1 + rows * columns rows "
            "for grid=(2, 3)",
        ),
        (vision(grid=None), "must have 1 + rows * columns rows for grid=None"),
        (vision(patch_size=None), "patch_size=None must be that of the patches"),
        (vision(patch_dim=61), "weight.shape=(61, 6) must have a multiple of 5 x 4"),
        (
            vision(family="dinov3"),
            "family='dinov3' must have a tensor for every parameter, but has none for "
            "['positions']",
        ),
    ):
        with fails(message):
            write(made)


def test_widths_must_agree_when_written():
    made = vision()
    wide = made.params._replace(tokens_with_position=host.ones((1, 7)))
    message = (
        "checkpoint_from_params: 'embeddings.cls_token' of shape (1, 1, 7) must have "
        "shape (1, 1, 6)."
    )
    with fails(message):
        write(made._replace(params=wide))
    tables = [F.TokenEmbeddingParams(host.ones((n, 6))) for n in (11, 2)]
    wide = F.LearnedPositionalEmbeddingParams(host.ones((9, 7)))
    params = F.TextEmbeddingParams(tables[0], wide, tables[1])
    message = (
        "checkpoint_from_params: 'embeddings.position_embeddings.weight' of shape "
        "(9, 7) must have shape (num_positions, 6)."
    )
    with fails(message):
        write(interop.EmbeddingCheckpoint("bert", params))
    params = F.TextEmbeddingParams(tables[0], wide, None)
    with fails("'embed_tokens.weight' of shape (11, 6) must have shape (11, 7)"):
        write(interop.EmbeddingCheckpoint("opt", params))


def changed(checkpoint, **tables):
    tables = {
        name: type_of(host.zeros(shape)) for name, (type_of, shape) in tables.items()
    }
    return checkpoint._replace(params=checkpoint.params._replace(**tables))


def test_what_is_in_rest_must_fit_what_is_written():
    token, learned = F.TokenEmbeddingParams, F.LearnedPositionalEmbeddingParams
    heads = {"cls.predictions.decoder.weight": (11, 6), "cls.predictions.bias": (11,)}
    whole = load(bert("bert.") | zeros(**heads), "bert")
    with fails("'cls.predictions.bias' of shape (11,) must have shape (13,)."):
        write(changed(whole, token=(token, (13, 6))))
    tables = {"token": (token, (11, 5)), "token_types": (token, (2, 5))}
    narrow = changed(whole, positions=(learned, (9, 5)), **tables)
    with fails("'bert.embeddings.LayerNorm.weight' of shape (6,) must have shape (5,)"):
        write(narrow)
    opt = zeros(
        ("embed_tokens.weight", (11, 4)),
        ("embed_positions.weight", (9, 6)),
        ("project_in.weight", (6, 4)),
        ("project_out.weight", (4, 6)),
    )
    with fails("'project_in.weight' of shape (6, 4) must have shape (6, 3)."):
        write(changed(load(opt, "opt"), token=(token, (11, 3))))
    heads = zeros(("lm_head.weight", (12, 6)), ("lm_head.bias", (12,)))
    own = load(zeros(("wte.weight", (11, 6))) | heads, "gptj")
    with fails("'lm_head.bias' of shape (12,) must have shape (13,)."):
        write(own._replace(head=token(host.zeros((13, 6)))))
    with fails("'lm_head.bias' of shape (12,) must have shape (11,)."):
        write(own._replace(head=None))
    with fails("'wte.bias' of shape (6,) must not be there"):
        write(own._replace(extra_tensors=own.extra_tensors | zeros(("wte.bias", (6,)))))
    with fails("'lm_head.bias' of type list must be a NumPy or JAX array"):
        write(own._replace(extra_tensors={"lm_head.bias": [0.0] * 12}))


def test_rest_must_not_replace_a_parameter():
    checkpoint = load(zeros(**GPT2), "gpt2")
    with fails(
        "'wte.weight' must not be in extra_tensors, since it is in the parameters."
    ):
        write(checkpoint._replace(extra_tensors=zeros(("wte.weight", (11, 6)))))


def made_of_nothing(family):
    """Parameters of a family without what its files must have."""
    token, learned = F.TokenEmbeddingParams, F.LearnedPositionalEmbeddingParams
    tables = [token(host.ones((11, 6))), learned(host.ones((9, 6)))]
    types = token(host.ones((2, 6)))
    return {
        "gpt2": F.TextEmbeddingParams(tables[0], None, None),
        "bert": F.TextEmbeddingParams(*tables, types),
        "roberta": F.TextEmbeddingParams(*tables, None),
        "bloom": tables[0],
    }[family]


@pytest.mark.parametrize(
    ("family", "name", "shape"),
    (
        ("gpt2", "'a.wpe.weight'", "(num_positions, 6)"),
        (
            "bert",
            "'a.embeddings.LayerNorm.weight' or 'a.embeddings.LayerNorm.gamma'",
            "(6,)",
        ),
        (
            "roberta",
            "'a.embeddings.token_type_embeddings.weight'",
            "(num_token_types, 6)",
        ),
        (
            "bloom",
            "'a.word_embeddings_layernorm.weight' or "
            "'a.word_embeddings_layernorm.gamma'",
            "(6,)",
        ),
    ),
)
def test_files_of_texts_are_written_whole(family, name, shape):
    made = interop.EmbeddingCheckpoint(family, made_of_nothing(family), prefix="a")
    message = (
        f"checkpoint_from_params: {name} must be there, of shape {shape}, with "
        "prefix='a.'; put it in params or extra_tensors, or take another family."
    )
    with fails(message):
        write(made)


def test_files_of_images_are_written_whole():
    made = vision()
    patch = made.params.patch._replace(bias=None)
    for params, name in (
        (made.params._replace(patch=patch), "patch_embeddings.projection.bias"),
        (made.params._replace(positions=None), "position_embeddings"),
    ):
        with fails(f"checkpoint_from_params: 'embeddings.{name}' must be there, of "):
            write(made._replace(params=params))


@pytest.mark.parametrize(
    ("family", "before", "side", "role"),
    (
        ("dinov2_with_registers", 1, "tokens_without_position", "registers"),
        ("dinov3", 1, "tokens_without_position", "registers"),
    ),
)
def test_tokens_must_be_there(family, before, side, role):
    made = vision(before=before, family=family)
    if family == "dinov3":
        made = made._replace(params=made.params._replace(positions=None))
    message = (
        f"{side}=None must hold the {role}; pass an array of 0 rows if there are none"
    )
    with fails(message):
        write(made)
    none = made.params._replace(tokens_without_position=host.ones((0, 6)))
    written = write(made._replace(params=none))
    assert written["embeddings.register_tokens"].shape == (1, 0, 6)


def test_sizes_must_be_integers_when_written():
    with refused("patch_size=8.0 must be"):
        write(vision(patch_size=8.0))
    with refused(r"grid=\(2.0, 3\) must be"):
        write(vision(grid=(2.0, 3)))


@pytest.mark.parametrize(
    ("option", "message"),
    (
        ({"prefix": 3}, "prefix=3 must be a string, or None"),
        ({"tied": "no"}, "tied='no' must be True or False"),
        ({"follow_links": "no"}, "follow_links='no' must be True or False"),
        ({"patch_size": "4"}, "patch_size='4' must be a positive integer or"),
        ({"grid": 3}, r"grid=3 must be \(rows, columns\), of positive integers"),
    ),
)
def test_options_are_of_their_kinds(option, message):
    family = "vit" if option.keys() & {"patch_size", "grid"} else "bert"
    tensors = vit() if family == "vit" else bert()
    with refused(f"params_from_checkpoint: {message}"):
        load(tensors, family, **option)


@pytest.mark.parametrize(
    ("field", "message"),
    (
        ({"prefix": None}, "checkpoint.prefix=None must be a string"),
        ({"head": 3}, "checkpoint.head is a int, but must be an attnax.functional.Tok"),
        ({"extra_tensors": []}, "checkpoint.extra_tensors is a list, but must be a ma"),
        ({"extra_tensors": {3: 0}}, "checkpoint.extra_tensors has the key 3, which mu"),
        ({"tensors": "wte"}, "checkpoint.tensors is a str, but must be what params_fr"),
    ),
)
def test_fields_are_of_their_kinds(field, message):
    made = interop.EmbeddingCheckpoint(
        "gptj", F.TokenEmbeddingParams(host.ones((3, 2)))
    )
    with refused(f"checkpoint_from_params: {message}"):
        write(made._replace(**field))
    with refused("checkpoint_from_params: checkpoint is a dict, but must be an attnax"):
        write(made._asdict())


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed", ({"family": "siglip_vision"}, {"family": "timm"}, {"prefix": "vit."})
)
def test_a_layout_is_of_its_family_and_prefix(changed):
    weights = {
        "embeddings.cls_token": host.ones((1, 1, 4)),
        "embeddings.position_embeddings": host.ones((1, 5, 4)),
        "embeddings.patch_embeddings.projection.weight": host.ones((4, 3, 2, 2)),
        "embeddings.patch_embeddings.projection.bias": host.ones(4),
    }
    checkpoint = interop.params_from_checkpoint(weights, "vit")
    message = "checkpoint_from_params: tensors has 'embeddings.*set tensors=None"
    with pytest.raises(ValueError, match=message):
        interop.checkpoint_from_params(checkpoint._replace(**changed))
    if "prefix" in changed:
        checkpoint = checkpoint._replace(tensors=None, **changed)
        names = interop.checkpoint_from_params(checkpoint)
        assert set(names) == {f"vit.{name}" for name in weights}
