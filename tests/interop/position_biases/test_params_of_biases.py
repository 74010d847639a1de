"""Parameters of position biases from tensors: names, prefixes, and what is refused."""

import re

import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits, refused

from attnax.interop import position_bias_params_from_checkpoint as read

errors = pytest.mark.errors
T5 = {"model_type": "t5", "num_layers": 2, "num_heads": 3}
UMT5 = T5 | {"model_type": "umt5"}
SWIN = {"model_type": "swin", "depths": [2], "num_heads": [2], "window_size": 2}


def t5_table(stack, block=0):
    own = "layer.0.SelfAttention.relative_attention_bias.weight"
    return f"{stack}.block.{block}.{own}"


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def fails(message):
    return pytest.raises(ValueError, match=re.escape(message))


@pytest.mark.parametrize("dtype", (np.float32, np.float16, ml_dtypes.bfloat16))
def test_tables_have_the_bits_of_the_file(dtype):
    tensors = {t5_table("encoder", i): drawn(32, 3).astype(dtype) + i for i in (0, 1)}
    params = read(tensors, UMT5, part="encoder")
    for one, table in zip(params, tensors.values(), strict=True):
        assert_same_bits(one.table, table)


@pytest.mark.parametrize("prefix", ("", "transformer.", "a.b."))
def test_the_prefix_is_found(prefix):
    tensors = {prefix + t5_table("encoder"): drawn(32, 3), "other": drawn(2)}
    (params,) = read(tensors, T5, part="encoder")
    assert_same_bits(params.table, drawn(32, 3))


def test_a_prefix_chooses_one_of_two_models():
    tensors = {
        f"{name}.{t5_table('encoder')}": drawn(32, 3) + i for i, name in enumerate("ab")
    }
    for prefix in ("b", "b."):
        (params,) = read(tensors, T5, part="encoder", prefix=prefix)
        assert_same_bits(params.table, drawn(32, 3) + 1)
    with fails("must be in source once, but stands after each of prefix=['a.', 'b.']"):
        read(tensors, T5, part="encoder")


@pytest.mark.parametrize(
    "own",
    (
        "encoder.layers.0.blocks.{}.attention.self.relative_position_bias_table",
        "swin.encoder.layers.0.blocks.{}.attention.relative_position_bias."
        "relative_position_bias_table",
        "layers.0.blocks.{}.attn.relative_position_bias_table",
    ),
)
def test_swin_has_names_of_files_of_memory_and_of_its_authors(own):
    tensors = {own.format(block): drawn(9, 2) + block for block in (0, 1)}
    index = own.format(0).replace("_bias_table", "_index")
    tensors[index] = np.zeros((4, 4), np.int64)
    params = read(tensors, SWIN)
    assert_same_bits(params[1].table, drawn(9, 2) + 1)


def test_a_table_of_cross_attention_in_old_files_of_t5_is_left_out():
    tensors = {t5_table("decoder"): drawn(32, 3)}
    own = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    tensors[own] = drawn(32, 3) + 1
    (params,) = read(tensors, T5, part="decoder")
    assert_same_bits(params.table, drawn(32, 3))


def test_the_audio_of_gemma_3n_has_a_projection_and_a_scale_in_each_layer():
    config = {
        "model_type": "gemma3n_audio",
        "hidden_size": 16,
        "conf_num_attention_heads": 2,
        "conf_num_hidden_layers": 2,
    }
    stem = "conformer.{}.attention.attn."
    weight = stem + "relative_position_embedding.pos_proj.weight"
    tensors = {weight.format(layer): drawn(16, 16) + layer for layer in (0, 1)}
    scale = stem + "per_dim_scale"
    tensors |= {scale.format(layer): drawn(8) + layer for layer in (0, 1)}
    for layer, params in enumerate(read(tensors, config)):
        assert_same_bits(params.weight, (drawn(16, 16) + layer).reshape(2, 8, 16))
        assert_same_bits(params.per_dim_scale, drawn(8) + layer)


def test_alibi_reads_no_tensor():
    assert read({}, {"model_type": "bloom"}) == ()


@errors
@pytest.mark.parametrize(
    ("tensors", "config", "message"),
    (
        (
            {},
            T5,
            f"{t5_table('encoder')!r} must be in source, alone or after a prefix; "
            "source holds no tensors.",
        ),
        ({"a": drawn(1)}, T5, "after a prefix; the first of 1 names is 'a'."),
        (
            {t5_table("encoder"): drawn(32, 3)},
            UMT5,
            f"{t5_table('encoder', 1)!r} must be in source.",
        ),
        (
            {t5_table("encoder", i): drawn(32, 3) for i in (0, 1)},
            T5,
            f"{t5_table('encoder', 1)!r} must not be there: the config has no such",
        ),
        (
            {t5_table("encoder"): drawn(3, 32)},
            T5,
            f"{t5_table('encoder')!r} of shape (3, 32) must have shape (32, 3) for "
            "T5Bias(num_heads=3,",
        ),
        (
            {t5_table("encoder"): np.ones((32, 3), np.int8)},
            T5,
            f"{t5_table('encoder')!r} of dtype int8 must be one of",
        ),
    ),
)
def test_what_does_not_fit_is_an_error(tensors, config, message):
    with fails(message) as caught:
        read(tensors, config, part="encoder")
    caught.match("^position_bias_params_from_checkpoint: ")


BEIT = {"model_type": "beit", "num_hidden_layers": 1, "num_attention_heads": 2}
BEIT |= {"image_size": 4, "patch_size": 2, "hidden_size": 4}
OWN, SHARED = ("use_relative_position_bias", "use_shared_relative_position_bias")
TABLE = "relative_position_bias.relative_position_bias_table"
BEIT_OWN = f"encoder.layer.0.attention.attention.{TABLE}"
DEBERTA = {"model_type": "deberta-v2", "hidden_size": 2, "num_attention_heads": 1}
DEBERTA |= {"num_hidden_layers": 1, "max_position_embeddings": 2}
DEBERTA |= {"relative_attention": True, "pos_att_type": "c2p"}
DEBERTA_TENSORS = {"encoder.rel_embeddings.weight": drawn(4, 2)} | {
    f"encoder.layer.0.attention.self.pos_key_proj.{part}": drawn(*shape)
    for part, shape in (("weight", (2, 2)), ("bias", (2,)))
}


@pytest.mark.parametrize(
    "name",
    (
        f"encoder.{TABLE}",
        f"beit.encoder.{TABLE}",
        "beit.shared_position_bias.relative_position_bias_table",
        f"backbone.beit.encoder.{TABLE}",
    ),
)
def test_the_shared_table_of_beit_is_found_after_the_prefix_of_a_head(name):
    tensors = {name: drawn(12, 2), "classifier.weight": drawn(2)}
    (params,) = read(tensors, BEIT | {SHARED: True})
    assert_same_bits(params.table, drawn(12, 2))


@errors
@pytest.mark.parametrize("prefix", ("", "beit.", "deberta."))
@pytest.mark.parametrize(
    ("config", "tensors", "other"),
    (
        (BEIT, {}, BEIT_OWN),
        (BEIT, {}, f"encoder.{TABLE}"),
        (BEIT | {OWN: True}, {BEIT_OWN: drawn(12, 2)}, f"encoder.{TABLE}"),
        (BEIT | {SHARED: True}, {f"encoder.{TABLE}": drawn(12, 2)}, BEIT_OWN),
        (DEBERTA, DEBERTA_TENSORS, "encoder.LayerNorm.weight"),
        (
            DEBERTA,
            DEBERTA_TENSORS,
            "encoder.layer.0.attention.self.pos_query_proj.weight",
        ),
        (
            DEBERTA | {"relative_attention": False},
            {},
            "encoder.rel_embeddings.weight",
        ),
        (
            {"model_type": "layoutlmv3", "has_relative_attention_bias": False},
            {},
            "encoder.rel_pos_bias.weight",
        ),
        (
            {"model_type": "sam_vision_model", "use_rel_pos": False},
            {},
            "layers.3.attn.rel_pos_w",
        ),
    ),
)
def test_tensors_of_what_the_config_turns_off_are_errors(
    config, tensors, other, prefix
):
    tensors = {prefix + name: array for name, array in tensors.items()}
    assert len(read(tensors, config)) == (1 if tensors else 0)
    tensors[prefix + other] = drawn(12, 2)
    with fails(f"{prefix + other!r} must not be there: the config turns off"):
        read(tensors, config)


def test_parts_of_the_table_of_deberta_that_are_not_read_may_be_there():
    tensors = {"encoder.rel_embeddings.weight": drawn(4, 2)}
    assert read(tensors, DEBERTA | {"pos_att_type": "none"}) == ()


@errors
def test_a_checkpoint_of_another_window_says_how_to_read_it():
    name = "layers.0.blocks.{}.attn.relative_position_bias_table"
    tensors = {name.format(block): drawn(9, 2) for block in (0, 1)}
    with fails(
        f"{name.format(0)!r} of shape (9, 2) must have shape (25, 2) for WindowBias("
        "num_heads=2, window=(3, 3), num_prefix_tokens=0); read a "
        "checkpoint of another size with its own config, and resize its table with "
        "resize_relative_table."
    ):
        read(tensors, SWIN | {"window_size": 3})


@errors
def test_arguments_are_checked():
    tensors = {t5_table("encoder"): drawn(32, 3)}
    with refused("source is an int, but must be a mapping of arrays or a path"):
        read(3, T5, part="encoder")
    with refused("prefix=3 must be a string, or None"):
        read(tensors, T5, part="encoder", prefix=3)
    with fails("'a.encoder.block.0."):
        read(tensors, T5, part="encoder", prefix="a")
    with fails("several parts of this model have position biases"):
        read(tensors, T5)
