"""What single families read in their configs: layers, switches, and what is refused."""

import re

import pytest

import attnax.functional as F
from attnax.interop import position_bias_from_hf
from attnax.interop._position_biases.families.table import BIAS_FAMILIES
from attnax.interop._position_biases.parts import tables

errors = pytest.mark.errors
DEBERTA = {"model_type": "deberta", "relative_attention": True}
DEBERTA_V3 = DEBERTA | {
    "model_type": "deberta-v2",
    "hidden_size": 768,
    "num_attention_heads": 12,
    "pos_att_type": "p2c|c2p",
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}
INKLING = {"model_type": "inkling_text", "num_hidden_layers": 6}


def bias_of(config, layer=0, part=None):
    (term,) = position_bias_from_hf(config, part=part).layers[layer].terms
    return term.bias


def scale_of(config):
    return position_bias_from_hf(config).layers[0].scale


def sides(biases):
    return [layer.terms[0].bias.window[0] for layer in biases.layers]


def test_beit_adds_a_table_of_each_layer_and_one_of_all():
    switches = ("use_relative_position_bias", "use_shared_relative_position_bias")
    own, shared = ({"model_type": "beit", name: True} for name in switches)
    assert position_bias_from_hf(own).num_params == 12
    assert position_bias_from_hf(shared).num_params == 1
    both = position_bias_from_hf(own | shared)
    assert [t.params_index for t in both.layers[2].terms] == [3, 1]
    assert both.layers[2].terms[0].bias == F.WindowBias(
        12, (14, 14), num_prefix_tokens=1
    )


def test_layoutlm_divides_with_the_scores_from_version_3_on():
    config = {"has_spatial_attention_bias": False}
    assert bias_of(config | {"model_type": "layoutlmv2"}).factor == 1.0
    assert bias_of(config | {"model_type": "layoutlmv3"}).factor == 1 / 8


def test_layoutlmv3_with_boxes_alone_adds_nothing():
    config = {"has_relative_attention_bias": False}
    assert len(bias_of(config | {"model_type": "layoutlmv2"}).biases) == 2
    assert position_bias_from_hf(config | {"model_type": "layoutlmv3"}) is None


def test_udop_has_the_three_tables_of_its_code_if_the_config_lists_none():
    first, *boxes = bias_of({"model_type": "udop"}, part="encoder").biases
    assert first == F.T5Bias(16, bidirectional=True)
    assert [(b.coordinate, b.scale, b.max_distance) for b in boxes] == [
        ("center_x", 100, 100),
        ("center_y", 100, 100),
    ]


def test_mpt_has_the_exponent_of_its_config():
    inner = {"alibi_bias_max": 16, "softmax_scale": 0.5}
    config = {"model_type": "mpt", "attn_config": inner}
    assert bias_of(config).max_bias == 16
    assert scale_of(config) == 0.5


@pytest.mark.parametrize("model_type", ("bloom", "falcon"))
def test_bloom_has_its_width_under_an_old_name(model_type):
    config = {"model_type": model_type, "n_embed": 1024, "num_attention_heads": 16}
    config |= {"alibi": True} if model_type == "falcon" else {}
    assert scale_of(config) == 1 / 8
    assert scale_of(config | {"hidden_size": 64}) == 1 / 8


def test_windows_of_swin_v2_are_no_larger_than_their_grids():
    config = {"model_type": "swinv2", "image_size": 64, "window_size": 8}
    config |= {"pretrained_window_sizes": [12, 12, 12, 6]}
    biases = position_bias_from_hf(config)
    assert sides(biases) == [8] * 4 + [4] * 6 + [2] * 2
    assert biases.layers[-1].terms[0].bias.pretrained_window == (6, 6)
    assert {layer.scale for layer in biases.layers} == {None}
    swin2sr = position_bias_from_hf({"model_type": "swin2sr", "image_size": 6})
    assert set(sides(swin2sr)) == {6}


def test_levit_counts_its_stages_and_what_lies_between():
    biases = position_bias_from_hf({"model_type": "levit"})
    assert sides(biases) == [14] * 5 + [7] * 5 + [4] * 4
    heads = [layer.terms[0].bias.num_heads for layer in biases.layers]
    assert heads == [4] * 4 + [8] + [8] * 4 + [16] + [12] * 4
    config = {"model_type": "levit", "down_ops": [["Subsample", 16, 6, 4, 2, 3], [""]]}
    assert sides(position_bias_from_hf(config)) == [14] * 5 + [5] * 8


def test_layers_of_sam_have_windows_unless_the_config_lists_them():
    config = {"model_type": "sam_vision_model", "global_attn_indexes": [1]}
    config |= {"num_hidden_layers": 3}
    layers = position_bias_from_hf(config).layers
    grids = [layer.terms[0].bias.q_grid for layer in layers]
    assert grids == [(14, 14), (64, 64), (14, 14)]
    whole = position_bias_from_hf(config | {"window_size": 0}).layers
    assert {layer.terms[0].bias.q_grid for layer in whole} == {(64, 64)}


def test_layers_of_vitdet_have_windows_if_the_config_lists_them():
    config = {"model_type": "vitdet", "use_relative_position_embeddings": True}
    config |= {"image_size": [224, 112], "window_size": 7, "window_block_indices": [0]}
    layers = position_bias_from_hf(config).layers[:2]
    assert [layer.terms[0].bias.q_grid for layer in layers] == [(7, 7), (14, 7)]


def test_deberta_counts_the_terms_of_its_scale():
    config = DEBERTA | {"pos_att_type": "c2p|p2c"}
    bias = bias_of(config)
    assert bias == F.DisentangledBias(12, 64, max_distance=512)
    assert scale_of(config) == pytest.approx((3 * 64) ** -0.5)
    one = bias_of(DEBERTA | {"pos_att_type": "C2P", "max_relative_positions": 100})
    assert (one.position_to_content, one.max_distance) == (False, 100)
    assert one.factor == pytest.approx((2 * 64) ** -0.5)


def test_deberta_v3_has_buckets():
    assert bias_of(DEBERTA_V3) == F.DisentangledBias(
        12, 64, max_distance=512, num_buckets=256
    )


@pytest.mark.parametrize("terms", (None, [], "none"))
def test_deberta_without_terms_has_no_bias(terms):
    assert position_bias_from_hf(DEBERTA | {"pos_att_type": terms}) is None
    off = DEBERTA_V3 | {"relative_attention": False}
    assert position_bias_from_hf(off) is None


@pytest.mark.parametrize(
    ("model_type", "kind", "record"),
    (
        ("wav2vec2-bert", "relative_key", F.RelativeKeyBias),
        ("wav2vec2-bert", "relative", F.TransformerXLBias),
        ("wav2vec2-bert", "rotary", None),
        ("wav2vec2-bert", None, None),
        ("wav2vec2-conformer", "relative", F.TransformerXLBias),
        ("wav2vec2-conformer", "rotary", None),
        ("seamless_m4t_v2", "relative_key", F.RelativeKeyBias),
        ("seamless_m4t_v2", None, None),
    ),
)
def test_encoders_of_speech_have_the_kind_of_their_config(model_type, kind, record):
    config = {"model_type": model_type, "position_embeddings_type": kind}
    biases = position_bias_from_hf(config)
    if record is None:
        assert biases is None
    else:
        assert isinstance(biases.layers[0].terms[0].bias, record)


def test_vits_has_values_beside_its_keys():
    biases = position_bias_from_hf({"model_type": "vits"})
    assert [(t.kind, t.params_index) for t in biases.layers[1].terms] == [
        ("scores", 2),
        ("values", 3),
    ]
    assert position_bias_from_hf({"model_type": "vits", "window_size": None}) is None


def test_the_audio_of_gemma_3n_looks_to_both_sides():
    """The left context of the config counts the query itself."""
    config = {
        "model_type": "gemma3n_audio",
        "hidden_size": 16,
        "conf_num_attention_heads": 2,
        "conf_num_hidden_layers": 1,
        "conf_attention_context_left": 5,
        "conf_attention_context_right": 3,
    }
    assert bias_of(config) == F.GemmaAudioBias(2, 8, 16, left=4, right=3)


def test_layers_of_funnel_that_run_again_share_their_parameters():
    config = {"model_type": "funnel", "block_sizes": [1, 2], "block_repeats": [2, 1]}
    layers = position_bias_from_hf(config, part="encoder").layers
    assert [layer.terms[0].params_index for layer in layers] == [0, 0, 1, 2]


def test_full_layers_of_inkling_have_a_longer_reach_and_a_temperature():
    layers = position_bias_from_hf(INKLING | {"log_scaling_n_floor": 9}).layers
    found = [
        (layer.terms[0].bias.extent, layer.terms[0].bias.floor) for layer in layers
    ]
    assert found == [(512, None)] * 5 + [(1024, 9.0)]
    assert layers[0].scale == 1 / 128
    listed = position_bias_from_hf(
        INKLING | {"local_layer_ids": [0, 1, 2, 4, 5]}
    ).layers
    assert listed[3].terms[0].bias.extent == 1024
    second = {"model_type": "inkling2_text", "num_hidden_layers": 1}
    full = second | {"local_layer_ids": []}  # its class does not know the key
    assert bias_of(full) == bias_of(second)
    assert scale_of(second) == 128**-0.5
    assert bias_of(second).max_norm == 8.0


@errors
@pytest.mark.parametrize(
    ("config", "message"),
    (
        ({"model_type": "vits", "window_size": 0}, "window_size=0, which must be posi"),
        (
            {"model_type": "granite_speech_encoder", "context_size": 600},
            "context_size=600, which must be positive and at most max_pos_emb=512",
        ),
        (DEBERTA | {"talking_head": True}, "talking_head=True, which must be False"),
        (
            DEBERTA_V3 | {"attention_head_size": 32},
            "attention_head_size=32, which must be 64",
        ),
        (
            {"model_type": "wav2vec2-bert", "position_embeddings_type": "relativ"},
            "position_embeddings_type='relativ', which must be 'relative_key', 'relat",
        ),
        (
            {"model_type": "gemma4_audio", "attention_context_right": 2},
            "the code of 'gemma4_audio' counts distances that are true for",
        ),
        (
            INKLING | {"layer_types": ["hybrid"]},
            "layer_types=['hybrid'], which must have 'hybrid_sliding' or 'hybrid'",
        ),
        (
            INKLING | {"layer_types": ["hybrid"] * 6, "local_layer_ids": [0]},
            "layer_types=['hybrid', 'hybrid', 'hybrid', 'hybrid', 'hybrid', 'hybrid'], "
            "which contradicts local_layer_ids=[0]; remove one of them",
        ),
        (
            DEBERTA | {"pos_att_type": "c2p|pc2"},
            "pos_att_type='c2p|pc2', whose names must be among ['c2p', 'p2c', 'none']",
        ),
        (
            DEBERTA_V3 | {"pos_att_type": ["C2P"]},
            "pos_att_type=['C2P'], whose names must be among ['c2p', 'p2c', 'none']",
        ),
        (
            DEBERTA_V3 | {"norm_rel_ebd": "layernorm"},
            "norm_rel_ebd='layernorm', whose names must be among ['layer_norm', 'none'",
        ),
        (
            {"model_type": "mpt", "attn_config": {"alibi_bias_maks": 16}},
            "attn_config holds alibi_bias_maks=16; write alibi_bias_max, if that is",
        ),
        (
            {"model_type": "mpt", "attn_config": {"qk_gn": True}},
            "attn_config holds qk_gn=True, which the code of transformers ignores",
        ),
        (
            {"model_type": "swin", "num_heads": [3] * 4, "num_attention_heads": [1]},
            "the config holds num_heads=[3, 3, 3, 3] and num_attention_heads=[1], "
            "which are two names of one setting; remove one of them",
        ),
        (
            {"model_type": "swinv2", "pretrained_window_sizes": [7]},
            "pretrained_window_sizes=[7], which must have one number for each stage",
        ),
        (
            {"model_type": "swinv2", "pretrained_window_sizes": [1, 0, 0, 0]},
            "a window of 1 has no differences to divide by",
        ),
        (
            {"model_type": "swin", "depths": [2**16, 1]},
            "must be a list of whole numbers, at most 65536 in all",
        ),
        (
            {"model_type": "bloom", "n_layer": 2**16 + 1},
            "n_layer=65537 must be a positive whole number, at most 65536",
        ),
        (
            {"model_type": "levit", "key_dim": [16]},
            "key_dim=[16], which must have one number for each stage",
        ),
        (
            {"model_type": "levit", "down_ops": [["Subsample", 16, 0, 4, 2, 2]]},
            "whose 'Subsample' must have the width of a head, the number of heads, two",
        ),
        (
            {"model_type": "levit", "mlp_ratio": [2, 2, -1]},
            "mlp_ratio=[2, 2, -1] must be a list of whole numbers",
        ),
        ({"model_type": "levit", "patch_size": 0}, "patch_size=0, which must be posi"),
        ({"model_type": "swin", "embed_dim": 95}, "3 heads must divide 95, the width"),
        ({"model_type": "swin", "num_heads": [0] * 4}, "must be positive numbers"),
        ({"model_type": "cpmant", "dim_head": 0}, "dim_head=0, which must be positive"),
        (
            {"model_type": "funnel", "block_repeats": [1]},
            "several parts of this model have position biases; pass part, one of",
        ),
        (
            {"model_type": "xlnet", "attn_type": "both"},
            "attn_type='both', which must be 'bi' or 'uni'",
        ),
        (
            {"model_type": "xlnet", "d_head": 3},
            "d_head=3, which must be 64",
        ),
        (
            {"model_type": "beit", "use_rel_pos": True},
            "use_rel_pos=True, which the position biases of model_type='beit' do not",
        ),
        (
            {"model_type": "sam_vision_model", "hidden_size": 100},
            "num_attention_heads=12, which must divide hidden_size=100",
        ),
        (
            {
                "model_type": "pp_doclayout_v2",
                "reading_order_config": {"has_relative_attention_bias": True},
            },
            "config['reading_order_config']: the config holds has_relative_attention_b",
        ),
        ({"model_type": "esmfold2"}, "it adds vectors to pairs of residues"),
    ),
)
def test_what_no_code_does_is_refused(config, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        position_bias_from_hf(config)
    caught.match("^position_bias_from_hf: ")


@errors
def test_udop_needs_an_entry():
    config = {"model_type": "udop", "relative_bias_args": []}
    with pytest.raises(ValueError, match="which must have at least one entry"):
        position_bias_from_hf(config, part="encoder")


@errors
@pytest.mark.parametrize(
    ("entry", "message"),
    (
        ({"type": []}, "type=[], which must be one of ['1d', 'horizontal'"),
        ({"type": "2d"}, "type='2d', which must be one of ['1d', 'horizontal'"),
        ({"type": "1d", "num_heads": 3}, "num_heads=3, which must be 16"),
        ({"type": "1d", "expand": True}, "expand=True, which must be False"),
        ({"type": "1d", "shift": 3}, "shift=3, which the code does not read"),
        ({"type": "1d", "scaling_factor": 2}, "scale=2.0 must be 1 for coordinate="),
        ({}, "an entry of relative_bias_args must hold 'type'"),
    ),
)
def test_entries_of_udop_are_checked(entry, message):
    config = {"model_type": "udop", "relative_bias_args": [entry]}
    with pytest.raises(ValueError, match=re.escape(message)):
        position_bias_from_hf(config, part="encoder")


# Switches without which a model type has no bias.
SWITCHES = {
    "falcon": {"alibi": True},
    "beit": {"use_relative_position_bias": True},
    "data2vec-vision": {"use_shared_relative_position_bias": True},
    "vitdet": {"use_relative_position_embeddings": True},
    "deberta": {"relative_attention": True, "pos_att_type": "c2p"},
    "deberta-v2": {"relative_attention": True, "pos_att_type": "p2c"},
}


@errors
@pytest.mark.slow  # thousands of calls
@pytest.mark.parametrize("model_type", BIAS_FAMILIES)
def test_every_value_gives_biases_or_an_error_by_name(model_type):
    known = tables()["models"][model_type]
    keys = {*known, *known.get("aliases", {})} - {"aliases"}
    for key in sorted(keys):
        for value in (
            0,
            -1,
            3,
            2**40,
            1.5,
            True,
            "x",
            [],
            [1],
            [2, -1],
            [{}],
            {"a": 1},
        ):
            config = SWITCHES.get(model_type, {}) | {key: value}
            for part in BIAS_FAMILIES[model_type].stacks:
                try:
                    position_bias_from_hf(
                        {"model_type": model_type} | config, part=part
                    )
                except ValueError as error:
                    assert str(error).startswith("position_bias_from_hf: "), (
                        key,
                        value,
                    )
