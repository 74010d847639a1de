"""The position biases of models: layers, shared parameters, parts, and keys refused."""

import pickle
import re

import jax
import numpy as np
import pytest
from helpers import refused

import attnax.functional as F
from attnax import interop
from attnax.interop import position_bias_from_hf

errors = pytest.mark.errors
T5 = {"model_type": "t5", "num_layers": 3, "num_heads": 2}
SWIN = {"model_type": "swin", "depths": [1, 2], "num_heads": [2, 4], "embed_dim": 8}


def places(biases):
    return [[term.params_index for term in layer.terms] for layer in biases.layers]


def fails(message):
    return pytest.raises(ValueError, match=re.escape(message))


def test_t5_shares_the_table_of_the_first_layer_and_does_not_scale():
    biases = position_bias_from_hf(T5, part="encoder")
    assert places(biases) == [[0]] * 3
    assert {layer.scale for layer in biases.layers} == {1.0}
    (bias,) = {term.bias for layer in biases.layers for term in layer.terms}
    assert bias == F.T5Bias(2, bidirectional=True)


def test_umt5_has_a_table_in_each_layer():
    biases = position_bias_from_hf(T5 | {"model_type": "umt5"}, part="decoder")
    assert places(biases) == [[0], [1], [2]]
    assert biases.num_params == 3


def test_a_decoder_may_have_its_own_number_of_layers():
    more = {"num_decoder_layers": 5}
    assert len(position_bias_from_hf(T5 | more, part="decoder").layers) == 5
    assert len(position_bias_from_hf(T5 | more, part="encoder").layers) == 3


def test_a_config_of_the_first_t5_has_no_largest_distance():
    (term,) = position_bias_from_hf(T5, part="decoder").layers[0].terms
    assert (term.bias.num_buckets, term.bias.max_distance) == (32, 128)


def test_the_blocks_of_longt5_have_a_table_of_their_own():
    config = T5 | {"model_type": "longt5"}
    config["encoder_attention_type"] = "transient-global"
    terms = position_bias_from_hf(config, part="encoder").layers[2].terms
    assert [(t.params_index, t.kind) for t in terms] == [
        (0, "scores"),
        (1, "block_scores"),
    ]


def test_swin_has_a_table_in_each_block_and_its_heads_in_each_stage():
    biases = position_bias_from_hf(SWIN)
    assert places(biases) == [[0], [1], [2]]
    assert [layer.terms[0].bias.num_heads for layer in biases.layers] == [2, 4, 4]
    assert [layer.scale for layer in biases.layers] == [0.5, 0.5, 0.5]


def test_a_part_of_a_config_is_named_by_its_key():
    config = {"model_type": "mask2former", "backbone_config": SWIN}
    biases = position_bias_from_hf(config)
    assert (biases.part, biases.model_type) == ("backbone", "swin")
    assert biases.layers == position_bias_from_hf(SWIN, part="vision").layers


def test_a_part_that_the_config_lacks_is_that_of_the_code():
    biases = position_bias_from_hf({"model_type": "maskformer"})
    assert [layer.terms[0].bias.num_heads for layer in biases.layers[::8]] == [
        4,
        16,
        16,
    ]


def test_parts_of_parts_have_dots():
    config = {"model_type": "musicgen", "text_encoder": T5}
    biases = position_bias_from_hf(config, part="text_encoder.encoder")
    assert biases.layers == position_bias_from_hf(T5, part="encoder").layers


def test_musicgen_encodes_its_text_and_decodes_none():
    for model_type in ("musicgen", "musicgen_melody"):
        config = {"model_type": model_type, "text_encoder": T5}
        assert position_bias_from_hf(config).part == "text_encoder.encoder"
        with fails("part='text_encoder.decoder' must be one of ['text_encoder.enc"):
            position_bias_from_hf(config, part="text_encoder.decoder")


def test_pp_chart2table_has_the_vision_of_got_ocr2():
    one, other = (
        position_bias_from_hf({"model_type": model_type})
        for model_type in ("pp_chart2table", "got_ocr2")
    )
    assert (one.part, one.layers) == ("vision", other.layers)


@pytest.mark.parametrize(
    ("config", "parts"),
    (
        (T5, ("encoder", "decoder")),
        (SWIN, ("vision",)),
        ({"model_type": "mask2former", "backbone_config": SWIN}, ("backbone",)),
        ({"model_type": "mask2former"}, ("backbone",)),
        ({"model_type": "musicgen", "text_encoder": T5}, ("text_encoder.encoder",)),
        ({"model_type": "deepseek_ocr2"}, ("vision.sam",)),
        ({"model_type": "falcon"}, ("decoder",)),
        ({"model_type": "llama"}, ()),
    ),
)
def test_parts_are_listed(config, parts):
    assert interop.position_bias_parts(config) == parts


@errors
def test_parts_of_what_is_not_known_are_not_listed():
    with fails("position_bias_parts: model_type='dinat': its biases are for keys"):
        interop.position_bias_parts({"model_type": "dinat"})


def test_the_record_says_what_transformers_has_otherwise():
    falcon = {"model_type": "falcon", "alibi": True}
    assert "adds the bias twice" in position_bias_from_hf(falcon).differs
    assert position_bias_from_hf(SWIN).differs is None


def test_models_without_position_biases_have_none():
    assert position_bias_from_hf({"model_type": "llama"}) is None
    assert position_bias_from_hf({"model_type": "esm"}) is None
    bert = {"model_type": "bert", "position_embedding_type": "absolute"}
    assert position_bias_from_hf(bert | {"alibi": False, "d_rel": None}) is None
    vision = {"model_type": "pix2struct_vision_model"}
    vision |= {"relative_attention_num_buckets": 32}  # a key of its class
    assert position_bias_from_hf(vision) is None
    # The code takes one class, whatever the part says.
    bark = {"model_type": "bark", "semantic_config": {"model_type": "semantic"}}
    assert position_bias_from_hf(bark) is None
    dino = {"model_type": "grounding-dino", "position_embedding_type": "sine"}
    assert position_bias_from_hf(dino | {"backbone_config": SWIN}) is not None
    assert position_bias_from_hf({"model_type": "falcon"}) is None
    tensors = {"model.embed_tokens.weight": np.ones((2, 2), np.float32)}
    read = interop.position_bias_params_from_checkpoint
    assert read(tensors, {"model_type": "llama"}) == ()


def test_falcon_divides_its_biases_with_the_scores():
    config = {"model_type": "falcon", "alibi": True, "num_hidden_layers": 2}
    layer = position_bias_from_hf(config).layers[1]
    assert layer.terms[0].bias.factor == layer.scale == 64**-0.5
    assert layer.terms[0].params_index is None


def test_the_record_is_static():
    biases = position_bias_from_hf(T5, part="encoder")
    assert jax.tree.leaves(biases) == []
    assert hash(biases) == hash(position_bias_from_hf(T5, part="encoder"))
    assert pickle.loads(pickle.dumps(biases)) == biases
    assert repr(biases) == (
        "ModelBiases('t5', 'encoder', 3 layers: T5Bias(num_heads=2, num_buckets=32, "
        "max_distance=128, bidirectional=True, factor=1.0), 1 set of parameters)"
    )


def test_the_terms_of_a_layer_come_with_their_parameters_by_kind():
    config = T5 | {"model_type": "longt5"}
    config["encoder_attention_type"] = "transient-global"
    biases = position_bias_from_hf(config, part="encoder")
    (layer,) = {layer.terms for layer in biases.layers}
    assert biases.terms(("a", "b"), 2) == ((layer[0].bias, "a"),)
    assert biases.terms(["a", "b"], 0, kind="block_scores") == ((layer[1].bias, "b"),)
    assert biases.terms(("a", "b"), 0, kind="values") == ()
    bloom = position_bias_from_hf({"model_type": "bloom", "n_layer": 2})
    assert bloom.terms((), 1) == ((F.AlibiBias(8, form="key"), None),)


@errors
def test_the_terms_of_a_layer_need_the_parameters_of_its_model():
    biases = position_bias_from_hf(T5, part="encoder")
    for params in ((), (1, 2)):
        number = len(params)
        with fails(f"ModelBiases.terms: params is a tuple of {number}, but must be a "):
            biases.terms(params, 0)
    with refused("params is an int, but must be a tuple of 1 set of parameters"):
        biases.terms(1, 0)
    for layer in (-1, 3):
        with fails(f"layer={layer} must be an integer in [0, 2]"):
            biases.terms((1,), layer)
    with fails("kind='score' must be 'scores', 'block_scores' or 'values'"):
        biases.terms((1,), 0, kind="score")


@errors
@pytest.mark.parametrize(
    ("config", "part", "message"),
    (
        (T5, None, "several parts of this model have position biases; pass part, one"),
        (T5, "vision", "part='vision' must be one of ['encoder', 'decoder']"),
        (
            {"model_type": "llama"},
            "text",
            "part='text' must be None, for the config of",
        ),
        ({"model_type": "t55"}, None, "model_type='t55' is none of transformers 5.23"),
        ({}, None, "model_type=None is none of transformers 5.23"),
        ({"model_type": "dinat"}, None, "model_type='dinat': its biases are for keys"),
        (
            T5 | {"num_heads": 0},
            "encoder",
            "num_heads=0 must be a positive integer",
        ),
        (
            T5 | {"num_heads": "2"},
            "encoder",
            "num_heads='2' must be a whole number or a list of whole numbers",
        ),
        (
            T5 | {"relative_attention_num_buckets": 8.5},
            "encoder",
            "relative_attention_num_buckets=8.5 must be a positive whole number",
        ),
        (
            T5 | {"max_bucket_distance": 8},
            "encoder",
            "the config holds max_bucket_distance=8, which the position biases of "
            "model_type='t5' do not read; remove it",
        ),
        (
            T5 | {"relative_atention_num_buckets": 8},
            "encoder",
            "the config holds relative_atention_num_buckets=8; write "
            "relative_attention_num_buckets, if that is meant, or remove it",
        ),
        (
            {"model_type": "mask2former", "use_rel_pos": True, "backbone_config": SWIN},
            None,
            "the config holds use_rel_pos=True, which is not read here: write the key "
            "into config['backbone_config'], or remove it",
        ),
        (
            {"model_type": "mask2former", "backbone_config": 3},
            None,
            "backbone_config=3 must be a dict or null",
        ),
        (
            {"model_type": "mask2former", "backbone_config": SWIN | {"depths": [1]}},
            None,
            "config['backbone_config']: the config holds num_heads=[2, 4], which must",
        ),
        (
            T5 | {"model_type": "longt5", "encoder_attention_type": "global"},
            "encoder",
            "encoder_attention_type='global', which must be one of ['local', 'trans",
        ),
        (
            {"model_type": "mpnet", "relative_attention_num_buckets": 8},
            None,
            "relative_attention_num_buckets=8, which must be at least 32",
        ),
        ({"model_type": "bros"}, None, "model_type='bros': its biases are products of"),
        (
            {"model_type": "esm", "is_folding_model": True},
            None,
            "model_type='esm': with is_folding_model it adds vectors to pairs of",
        ),
        (
            {"model_type": "layoutxlm"},
            None,
            "transformers has no code of its own for it: write model_type='layoutlmv2'",
        ),
        (
            {"model_type": "oneformer", "backbone_config": {"model_type": "dinat"}},
            None,
            "config['backbone_config']: model_type='dinat': its biases are for keys of",
        ),
        (
            {"model_type": "mask2former", "backbone_config": {"model_type": "dinat"}},
            "backbone",
            "config['backbone_config']: model_type='dinat': its biases are for keys of",
        ),
        (
            {"model_type": "sam3_video"},
            None,
            "config['detector_config']: model_type='sam3': the biases of its decoder",
        ),
        (
            {"model_type": "vision-encoder-decoder", "encoder": {"model_type": "t55"}},
            None,
            "config['encoder']: model_type='t55' is none of transformers 5.23",
        ),
        (
            {"model_type": "llama", "alibi": True},
            None,
            "the config holds alibi=True, which the code of model_type='llama' does "
            "not read; remove it",
        ),
        (
            {"model_type": "llava", "text_config": {"model_type": "gpt2", "d_rel": 4}},
            None,
            "config['text_config']: the config holds d_rel=4, which the code of",
        ),
        (
            {"model_type": "bert", "position_embedding_type": "relative_key"},
            None,
            "the config holds position_embedding_type='relative_key', which the code",
        ),
        (
            SWIN | {"position_embedding_type": "alibi"},
            None,
            "position_embedding_type='alibi', which the position biases of model_type=",
        ),
        (
            SWIN | {"window_sise": 12},
            None,
            "the config holds window_sise=12; write window_size, if that is meant, or",
        ),
        (
            T5 | {"num_head": 12},
            "encoder",
            "the config holds num_head=12; write num_heads, if that is meant, or",
        ),
        (
            {"model_type": "mask2former", "backbone_conf": {"model_type": "swin"}},
            None,
            "the config holds backbone_conf={'model_type': 'swin'}; write "
            "backbone_config, if that is meant, or remove it",
        ),
        (
            {"model_type": "mpt", "attn_config": {"alibi": False}},
            None,
            "attn_config holds alibi=False, which the code of transformers ignores",
        ),
    ),
)
def test_what_is_not_understood_is_an_error(config, part, message):
    with fails(message) as caught:
        position_bias_from_hf(config, part=part)
    caught.match("^position_bias_from_hf: ")


@errors
def test_arguments_of_wrong_kinds_are_refused():
    with refused("part=3 must be a name"):
        position_bias_from_hf(T5, part=3)
    with refused("config is an int, but must be a dict as in config.json"):
        position_bias_from_hf(3)
