"""What the comparison with transformers found: one test for each mistake."""

import pytest

from attnax.interop import rope_from_hf, ropes_from_hf


def rotates(config):
    return [rope is not None for rope in ropes_from_hf(config)]


def test_null_is_no_window_where_the_default_has_one():
    config = {"model_type": "exaone4", "layer_types": ["full_attention"] * 3}
    assert rotates(config) == [False] * 3
    assert rotates(config | {"sliding_window": None}) == [True] * 3


def test_layers_that_attend_to_pictures_do_not_rotate():
    config = {"model_type": "mllama_text_model", "num_hidden_layers": 5}
    assert rotates(config) == [True, True, True, False, True]
    assert rotates(config | {"cross_attention_layers": [0]}) == [False] + [True] * 4


def test_a_base_that_the_code_sets_itself_is_the_default():
    rope = rope_from_hf({"model_type": "muse_spark_text"})
    assert rope.inv_freq[1] == pytest.approx(500_000.0 ** (-2 / 64))


@pytest.mark.parametrize(
    ("model_type", "layer_type"),
    [
        ("cwm", "sliding_attention"),
        ("falcon_h1", "hybrid"),
        ("gpt_oss", "sliding_attention"),
        ("lfm3_vl_vision", "full_attention"),
        ("ministral", "sliding_attention"),
        ("muse_glimmer_assistant", "sliding_attention"),
        ("muse_glimmer_vision", "window_attention"),
        ("qwen3_omni_moe.code2wav_config", "sliding_attention"),
        ("unlimited_ocr_text", "reference_sliding_attention"),
    ],
)
def test_layers_have_the_names_of_transformers(model_type, layer_type):
    config = {"model_type": model_type}
    rope = rope_from_hf(config, layer_type=layer_type)
    assert rope == rope_from_hf(config)


def test_convolutions_of_a_picture_do_not_rotate():
    assert rotates({"model_type": "lfm3_vl_vision", "num_hidden_layers": 5}) == [
        *(False, False, True, False, True)
    ]


@pytest.mark.parametrize("model_type", ("t5gemma2_text", "modernbert"))
def test_an_old_name_that_transformers_does_not_read_is_refused(model_type):
    scaling = {"factor": 8.0, "type": "linear"}
    with pytest.raises(ValueError, match=r"type='linear'.*does not read; write"):
        ropes_from_hf({"model_type": model_type, "rope_scaling": scaling})
    scaling = {"factor": 8.0, "rope_type": "linear"}
    assert ropes_from_hf({"model_type": model_type, "rope_scaling": scaling})


def test_the_base_that_dbrx_does_not_read_must_not_differ():
    config = {"model_type": "dbrx", "attn_config": {"rope_theta": 500_000.0}}
    with pytest.raises(ValueError, match="attn_config holds rope_theta=500000"):
        rope_from_hf(config)
    rope = rope_from_hf(config | {"rope_theta": 500_000.0})
    assert rope.inv_freq[1] == pytest.approx(500_000.0 ** (-2 / 128))


def test_the_coordinates_of_atoms_are_refused_by_name():
    with pytest.raises(ValueError, match="coordinates of atoms"):
        rope_from_hf({"model_type": "esmfold2.atom_encoder"})
