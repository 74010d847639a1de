"""State dicts of every family: what is read, and the same bits written again."""

import copy
import os
import pickle

import host
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st
from state_dicts import BERT, CASES, D, P, V, after, state

import attnax.functional as F
from attnax import interop
from attnax.interop._checkpoint_families.table import CHECKPOINT_FAMILIES
from attnax.interop._checkpoints.others import EMBEDDINGS

DTYPES = (np.float32, ml_dtypes.bfloat16, np.float16)
named = pytest.mark.parametrize("case", CASES)


def assert_same_tensors(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert isinstance(actual[name], np.ndarray)
        assert actual[name].flags.c_contiguous
        assert_same_bits(actual[name], array)


def test_every_family_has_a_case():
    assert {family for family, _, _ in CASES.values()} == set(CHECKPOINT_FAMILIES)


@named
@pytest.mark.parametrize("dtype", DTYPES)
def test_there_and_back_bit_for_bit(case, dtype):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same, dtype)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    for leaf in jax.tree.leaves((checkpoint.params, checkpoint.head)):
        assert isinstance(leaf, jax.Array) and leaf.dtype == dtype
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


@named
def test_other_tensors_of_the_model_are_not_read(case):
    family, shapes, same = CASES[case]
    others = {
        *("encoder.layer.0.attention.weight", "blocks.0.attn.qkv.weight"),
        *("model.layers.0.self_attn.rotary_emb.inv_freq", "classifier.weight"),
        "Transformer/encoderblock_0/LayerNorm_0/scale",
    }

    class Unread(dict):
        def __getitem__(self, name):
            assert name not in others
            return super().__getitem__(name)

    tensors = state(shapes, same)
    source = Unread(dict.fromkeys(others) | tensors)
    checkpoint = interop.params_from_checkpoint(source, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


@named
def test_layout_is_the_family_s_own_without_a_file(case):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    prefix = checkpoint.prefix.rstrip("./")  # read with or without its separator
    made = checkpoint._replace(tensors=None, prefix=prefix)
    written = interop.checkpoint_from_params(made)
    again = interop.params_from_checkpoint(written, family)
    assert again.prefix == checkpoint.prefix
    for a, b in zip(
        jax.tree.leaves((checkpoint.params, checkpoint.head)),
        jax.tree.leaves((again.params, again.head)),
        strict=True,
    ):
        assert_same_bits(a, b)


@named
def test_the_prefix_may_be_given(case):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same)
    found = interop.params_from_checkpoint(tensors, family)
    for prefix in {found.prefix, found.prefix.rstrip("./")}:
        given = interop.params_from_checkpoint(tensors, family, prefix=prefix)
        assert given.prefix == found.prefix and given.tensors == found.tensors


def test_prefixes_are_those_of_the_whole_model():
    prefixes = {
        "bert, bare": "",
        "bert, whole": "bert.",
        "opt": "model.decoder.",
        "decoder, of a multimodal model": "model.language_model.",
        "big_vision, class token": "params/img/",
        "clip_vision": "vision_model.",
    }
    for case, prefix in prefixes.items():
        family, shapes, same = CASES[case]
        checkpoint = interop.params_from_checkpoint(state(shapes, same), family)
        assert checkpoint.prefix == prefix


def test_tables_of_bert_are_those_of_the_file():
    family, shapes, same = CASES["bert, whole"]
    tensors = state(shapes, same)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    stem, params = "bert.embeddings.", checkpoint.params
    assert_same_bits(params.token.weight, tensors[f"{stem}word_embeddings.weight"])
    assert_same_bits(
        params.positions.weight, tensors[f"{stem}position_embeddings.weight"]
    )
    assert_same_bits(
        params.token_types.weight, tensors[f"{stem}token_type_embeddings.weight"]
    )
    assert checkpoint.head is None
    assert set(checkpoint.extra_tensors) == {
        f"{stem}LayerNorm.weight",
        f"{stem}LayerNorm.bias",
        "cls.predictions.bias",
        "cls.predictions.decoder.bias",
    }
    for name, array in checkpoint.extra_tensors.items():
        assert_same_bits(array, tensors[name])


@pytest.mark.parametrize("case", ("decoder, untied", "gptj", "t5, v1.1", "meta_llama"))
def test_a_head_of_its_own_is_a_table_of_its_own(case):
    family, shapes, _ = CASES[case]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    names = {s.role: s.name for s in checkpoint.tensors}
    assert_same_bits(checkpoint.params.weight, tensors[names["token"]])
    assert_same_bits(checkpoint.head.weight, tensors[names["head"]])


def test_tied_tells_a_head_that_happens_to_be_equal():
    family, shapes, same = CASES["falcon"]
    tensors = state(shapes, same)
    assert interop.params_from_checkpoint(tensors, family, tied=True).head is None
    own = interop.params_from_checkpoint(tensors, family, tied=False)
    assert_same_bits(own.head.weight, tensors["lm_head.weight"])
    assert_same_tensors(interop.checkpoint_from_params(own), tensors)


@pytest.mark.parametrize(
    ("case", "extra"),
    (
        ("bert, whole", {}),
        ("roberta", {}),
        ("gpt2, whole", {}),
        ("opt", {}),
        ("bloom", {"lm_head.weight": (V, D)}),
    ),
)
def test_tied_families_insist_on_it(case, extra):
    family, shapes, _ = CASES[case]
    with pytest.raises(ValueError, match="must equal the token table"):
        interop.params_from_checkpoint(state(shapes | extra), family)


def test_biases_are_those_of_the_head():
    shapes = after("bert.", BERT) | {"cls.predictions.decoder.weight": (V + 2, D)}
    shapes |= {"cls.predictions.bias": (V + 2,)}
    tensors = state(shapes)
    own = interop.params_from_checkpoint(tensors, "bert", tied=False)
    assert_same_tensors(interop.checkpoint_from_params(own), tensors)


def test_a_tied_family_may_be_told_not_to_be():
    shapes = CASES["gpt2, whole"][1]
    tensors = state(shapes)
    own = interop.params_from_checkpoint(tensors, "gpt2", tied=False)
    assert_same_bits(own.head.weight, tensors["lm_head.weight"])
    assert_same_tensors(interop.checkpoint_from_params(own), tensors)


@pytest.mark.parametrize(
    ("case", "before", "behind", "grid"),
    (
        ("vit", ["vit.embeddings.cls_token"], [], (3, 3)),
        (
            "deit",
            ["deit.embeddings.cls_token", "deit.embeddings.distillation_token"],
            [],
            (3, 3),
        ),
        (
            "dinov2_with_registers",
            ["embeddings.cls_token"],
            ["embeddings.register_tokens"],
            (3, 3),
        ),
        ("dinov2_hub", ["cls_token"], [], (3, 3)),
        ("dinov2_hub, registers", ["cls_token"], ["register_tokens"], (3, 3)),
        ("dinov3", ["embeddings.cls_token"], ["embeddings.register_tokens"], None),
        ("clip_vision", ["vision_model.embeddings.class_embedding"], [], (3, 3)),
        ("siglip_vision", [], [], (3, 3)),
        ("timm", ["cls_token"], [], (3, 3)),
        ("timm, no_embed_class", [], ["cls_token", "reg_token"], (5, 5)),
        ("timm, registers with positions", ["cls_token", "reg_token"], [], (5, 5)),
        ("timm, distilled", ["cls_token", "dist_token"], [], (2, 2)),
        (
            "timm_naflex, convolution",
            [],
            ["embeds.cls_token", "embeds.reg_token"],
            (3, 5),
        ),
        ("big_vision, class token", [], ["params/img/cls"], (3, 3)),
        ("big_vision, old", ["cls"], [], (3, 3)),
        ("big_vision_naflex", [], [], (3, 5)),
    ),
)
def test_tokens_stand_where_the_family_has_them(case, before, behind, grid):
    family, shapes, _ = CASES[case]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    assert checkpoint.grid == grid
    for actual, names in (
        (checkpoint.params.tokens_with_position, before),
        (checkpoint.params.tokens_without_position, behind),
    ):
        if names:
            rows = [tensors[name].reshape(-1, D) for name in names]
            assert_same_bits(actual, np.concatenate(rows))
        else:
            assert actual is None


@pytest.mark.parametrize(
    ("case", "order"),
    (
        ("timm", (2, 3, 1, 0)),  # OIHW
        ("timm_naflex, convolution", (2, 3, 1, 0)),
        ("timm_naflex", (1, 0)),
        ("siglip2_vision", (1, 0)),
        ("big_vision", (0, 1, 2, 3)),
        ("big_vision_naflex", (0, 1)),
    ),
)
def test_kernels_become_rows_of_row_column_channel(case, order):
    family, shapes, _ = CASES[case]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    kernel = tensors[next(s.name for s in checkpoint.tensors if s.role == "patch")]
    expected = kernel.transpose(order).reshape(-1, D)
    assert_same_bits(checkpoint.params.patch.weight, expected)
    sides = {(2, 3, 1, 0): kernel.shape[2:], (0, 1, 2, 3): kernel.shape[:2]}
    assert checkpoint.patch_size == sides.get(order)


def test_patch_size_of_a_linear_layer_is_what_it_is_told():
    family, shapes, _ = CASES["timm_naflex"]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family, patch_size=(5, 2))
    assert checkpoint.patch_size == (5, 2)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 5),
    patch=st.sampled_from(((1, 1), (2, 3), (5, 2))),
    channels=st.integers(1, 3),
    width=st.integers(1, 4),
    registers=st.integers(0, 3),
    with_positions=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
def test_vision_of_any_size(
    rows, columns, patch, channels, width, registers, with_positions, dtype
):
    prefix = (1 + registers) * with_positions
    shapes = {
        "patch_embed.proj.weight": (width, channels, *patch),
        "patch_embed.proj.bias": (width,),
        "cls_token": (1, 1, width),
        "reg_token": (1, registers, width),
        "pos_embed": (1, prefix + rows * columns, width),
    }
    tensors = state(shapes, dtype=dtype)
    checkpoint = interop.params_from_checkpoint(tensors, "timm", grid=(rows, columns))
    assert checkpoint.grid == (rows, columns)
    assert checkpoint.patch_size == patch
    assert (checkpoint.params.tokens_without_position is None) == with_positions
    assert checkpoint.params.positions.weight.shape == shapes["pos_embed"][1:]
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


@given(
    sizes=st.tuples(*[st.integers(1, 6)] * 4),
    dtype=st.sampled_from(DTYPES),
    tied=st.booleans(),
)
def test_text_of_any_size(sizes, dtype, tied):
    vocab_size, num_positions, num_types, width = sizes
    shapes = {
        "embeddings.word_embeddings.weight": (vocab_size, width),
        "embeddings.position_embeddings.weight": (num_positions, width),
        "embeddings.token_type_embeddings.weight": (num_types, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        "lm_head.decoder.weight": (vocab_size, width),
    }
    same = ("embeddings.word_embeddings.weight", "lm_head.decoder.weight")
    tensors = state(shapes, same if tied else (), dtype)
    checkpoint = interop.params_from_checkpoint(tensors, "roberta", tied=tied)
    assert (checkpoint.head is None) == tied
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


def test_buffers_are_dropped():
    family, shapes, same = CASES["bert, whole"]
    tensors = state(shapes, same)
    buffers = {
        "bert.embeddings.position_ids": np.arange(P)[None],
        "bert.embeddings.token_type_ids": np.zeros((1, P), np.int64),
    }
    checkpoint = interop.params_from_checkpoint(tensors | buffers, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


def test_arrays_of_the_mapping_are_copied():
    # JAX takes memory over as it is where it starts at a multiple of 64 bytes.
    memory = np.zeros(4096 * 8 * 4 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    table = memory[start:][: 4096 * 8 * 4].view(np.float32).reshape(4096, 8)
    table[:] = 1.0
    checkpoint = interop.params_from_checkpoint({"wte.weight": table}, "gptj")
    table[:] = 2.0
    assert float(checkpoint.params.weight.max()) == 1.0


def test_what_is_the_caller_s_is_copied():
    family, shapes, _ = CASES["bert, bare"]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    for name, array in checkpoint.extra_tensors.items():
        assert not np.shares_memory(array, tensors[name])


def test_what_is_the_caller_s_may_be_jax_arrays():
    family, shapes, _ = CASES["bert, bare"]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    rest = {
        name: jnp.asarray(array) for name, array in checkpoint.extra_tensors.items()
    }
    written = interop.checkpoint_from_params(checkpoint._replace(extra_tensors=rest))
    assert_same_tensors(written, tensors)


@pytest.mark.parametrize("case", ("bert, whole", "gpt2, bare", "dinov3"))
def test_checkpoints_are_pickled_and_copied(case):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same)
    read = interop.params_from_checkpoint(tensors, family)
    made = interop.EmbeddingCheckpoint(
        "gptj", F.TokenEmbeddingParams(host.ones((V, D)))
    )
    for checkpoint in (read, made):
        for again in (
            pickle.loads(pickle.dumps(checkpoint)),
            copy.copy(checkpoint),
            copy.deepcopy(checkpoint),
        ):
            assert type(again) is interop.EmbeddingCheckpoint
            assert again.tensors == checkpoint.tensors
            assert_same_tensors(
                interop.checkpoint_from_params(again),
                interop.checkpoint_from_params(checkpoint),
            )


def test_names_of_all_embeddings_are_known():
    names = {
        part
        for family in CHECKPOINT_FAMILIES.values()
        for tensor in family.tensors
        if not tensor.beside and family.separator == "."
        for name in tensor.names
        for part in name.split(".")[:-1] or [name]
    }
    # Of a longer name, or what stands after one of the others.
    inner = {"projection", "proj", "LayerNorm", "encoder", "decoder"}
    assert names - inner <= EMBEDDINGS


@pytest.mark.errors  # runs where no annotation refuses them first
@pytest.mark.parametrize("grid", ([3, 3], (np.int64(3), 3)))
def test_grids_are_tuples_of_ints(grid):
    family, shapes, _ = CASES["vit"]
    tensors = state(shapes)
    if os.environ.get("ATTNAX_TYPE_CHECKING", "1") == "0":
        checkpoint = interop.params_from_checkpoint(tensors, family, grid=grid)
        assert type(checkpoint.grid) is tuple and checkpoint.grid == (3, 3)
        assert {type(side) for side in checkpoint.grid} == {int}
    checkpoint = interop.params_from_checkpoint(tensors, family)
    changed = checkpoint._replace(patch_size=4, grid=grid)
    assert_same_tensors(interop.checkpoint_from_params(changed), tensors)


def test_a_vocabulary_grows_with_all_that_goes_with_it():
    family, shapes, same = CASES["bert, whole"]
    checkpoint = interop.params_from_checkpoint(state(shapes, same), family)
    table = F.TokenEmbeddingParams(host.ones((V + 2, D)))
    params = checkpoint.params._replace(token=table)
    extra = dict(checkpoint.extra_tensors)
    for name in ("cls.predictions.bias", "cls.predictions.decoder.bias"):
        extra[name] = np.zeros(V + 2, np.float32)
    grown = checkpoint._replace(params=params, extra_tensors=extra)
    written = interop.checkpoint_from_params(grown)
    assert written["cls.predictions.decoder.weight"].shape == (V + 2, D)
    interop.params_from_checkpoint(written, family)


def test_any_array_of_numpy_or_jax_is_read():
    expected = np.arange(66, dtype=np.float32).reshape(V, D)
    for table in (np.asfortranarray(expected), jnp.asarray(expected)):
        checkpoint = interop.params_from_checkpoint({"wte.weight": table}, "gptj")
        assert_same_bits(checkpoint.params.weight, expected)
        written = interop.checkpoint_from_params(checkpoint)
        assert_same_tensors(written, {"wte.weight": expected})


def test_what_is_the_caller_s_is_written_in_row_order_too():
    family, shapes, _ = CASES["opt, projected"]
    tensors = state(shapes)
    columns = {name: np.asfortranarray(array) for name, array in tensors.items()}
    checkpoint = interop.params_from_checkpoint(columns, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


def test_a_distillation_token_is_not_guessed():
    family, shapes, _ = CASES["timm, distilled"]
    checkpoint = interop.params_from_checkpoint(state(shapes), family)
    written = interop.checkpoint_from_params(checkpoint._replace(tensors=None))
    assert "dist_token" not in written
    assert written["reg_token"].shape == (1, 1, D)


def test_other_parameters_are_written_as_the_file_had_them():
    family, shapes, _ = CASES["deit"]
    checkpoint = interop.params_from_checkpoint(state(shapes), family)
    params = jax.tree.map(lambda leaf: jnp.ones_like(leaf), checkpoint.params)
    rows = jnp.full((2 + 4 * 5, D), 2.0)
    params = params._replace(positions=params.positions._replace(weight=rows))
    changed = checkpoint._replace(params=params, grid=(4, 5))
    written = interop.checkpoint_from_params(changed)
    assert written.keys() == shapes.keys()
    assert written["deit.embeddings.position_embeddings"].shape == (1, 22, D)
    again = interop.params_from_checkpoint(written, family, grid=(4, 5))
    assert_same_bits(again.params.positions.weight, rows)


def test_registers_may_have_a_dtype_of_their_own():
    family, shapes, _ = CASES["dinov2_with_registers"]
    tensors = state(shapes)
    name = "embeddings.register_tokens"
    tensors |= state({name: shapes[name]}, dtype=ml_dtypes.bfloat16)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


def test_what_the_file_did_not_hold_gets_its_usual_name():
    family, shapes, _ = CASES["vit"]
    checkpoint = interop.params_from_checkpoint(state(shapes), family)
    params = checkpoint.params._replace(mask_token=host.ones(D))
    written = interop.checkpoint_from_params(checkpoint._replace(params=params))
    assert written["vit.embeddings.mask_token"].shape == (1, 1, D)
    params = checkpoint.params._replace(mask_token=None)
    written = interop.checkpoint_from_params(checkpoint._replace(params=params))
    assert written.keys() == shapes.keys()


def test_parameters_made_here_are_written_by_the_usual_names():
    params = F.TokenEmbeddingParams(weight=host.ones((V, D)))
    made = interop.EmbeddingCheckpoint("decoder", params, params, prefix="model.")
    written = interop.checkpoint_from_params(made)
    assert written.keys() == {"model.embed_tokens.weight", "lm_head.weight"}


@pytest.mark.skipif(not jax.config.jax_enable_x64, reason="needs 64-bit mode")
@named
def test_float64_is_kept_in_64_bit_mode(case):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same, np.float64)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)
