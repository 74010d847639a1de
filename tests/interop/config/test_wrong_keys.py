"""Keys and types that no code reads: each is named, and nothing wrong is offered."""

import json

import pytest

from attnax.interop import rope_from_hf, ropes_from_hf
from attnax.interop._config import part, vocabulary, wrong_keys

LLAMA = {"model_type": "llama", "hidden_size": 256, "num_attention_heads": 4}


def refused(config, message, **kwargs):
    with pytest.raises(ValueError, match=f"^rope_from_hf: .*{message}"):
        rope_from_hf(config, **kwargs)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("rope_tetha", "rope_theta"),
        ("rope_thetas", "rope_theta"),
        ("ropetheta", "rope_theta"),
        ("ropeTheta", "rope_theta"),
        ("RoPE_Scaling", "rope_scaling"),
        ("rope_scalling", "rope_scaling"),
        ("rope_scalings", "rope_scaling"),
        ("rope_parametres", "rope_parameters"),
        ("rope_params", "rope_theta, rope_scaling, rope_parameters and others"),
        ("rotary", "is not known|known are rope_theta"),
        ("partial_rotary_facter", "partial_rotary_factor"),
        ("head_dims", "head_dim"),
        ("hiden_size", "hidden_size"),
        ("num_attention_head", "num_attention_heads"),
        ("layers_types", "layer_types"),
    ],
)
def test_a_misspelt_key_is_an_error_that_names_the_one_meant(key, meant):
    refused(LLAMA | {key: 64}, f"holds {key}=64.*({meant})")
    assert rope_from_hf(LLAMA | {key: None}) == rope_from_hf(LLAMA)
    refused({"model_type": "mine", key: 64}, f"{key}=64.*({meant})", layout="half")


@pytest.mark.errors
@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("facter", "factor"),
        ("beta_fats", "beta_fast"),
        ("original_max_position_embedding", "original_max_position_embeddings"),
        ("rope_tetha", "rope_theta"),
        ("ropetype", "rope_type"),
        ("ropeType", "rope_type"),
    ],
)
def test_a_misspelt_key_among_the_parameters_too(key, meant):
    for where in ("rope_scaling", "rope_parameters"):
        scaling = {"rope_type": "linear", "factor": 2.0, key: 8.0}
        refused(LLAMA | {where: scaling}, f"{where} holds {key}=8.0; write {meant},")
    scaling = {"rope_type": "linear", "facotr": 2.0}
    refused(LLAMA | {"rope_scaling": scaling}, "holds facotr=2.0; write factor")


def test_no_key_that_is_read_or_looks_like_one_is_taken_for_misspelt():
    similar = part.tables()["similar_keys"]
    known = vocabulary.ROTARY | vocabulary.STRUCTURE | set(vocabulary.FOREIGN)
    assert not known & set(similar) and all(map(wrong_keys.misspelt, similar))
    for key in similar:
        assert rope_from_hf(LLAMA | {key: [8]}) == rope_from_hf(LLAMA)
    # Of fields that all configs have, or that stand in many of them.
    common = """
        architectures attention_bias attention_dropout auto_map bos_token_id dtype
        eos_token_id hidden_act initializer_range intermediate_size model_type
        num_key_value_heads num_labels pad_token_id position_ids quantization_config
        rms_norm_eps tie_word_embeddings torch_dtype transformers_version use_cache
        vocab_size v_head_dim n_embed max_length problem_type _sliding_window_pattern
    """.split()
    assert not any(wrong_keys.misspelt(k) for k in set(common) - set(similar))


def test_letters_that_are_changed_put_in_left_out_and_swapped_are_edits():
    for one, other, edits in (
        ("rope_theta", "rope_theta", 0),
        ("rope_tetha", "rope_theta", 2),
        ("rope_theeta", "rope_theta", 1),
        ("rope_hteta", "rope_theta", 1),
        ("rope_thta", "rope_theta", 1),
        ("rope__theta", "rope_theta", 1),
        ("rope-theta", "rope_theta", 1),
        ("orpe_thtea", "rope_theta", 2),
    ):
        assert wrong_keys._edits(one, other, 2) == edits
    assert wrong_keys._edits("abcdefghij", "rope_theta", 2) > 2


@pytest.mark.errors
def test_types_without_rotary_positions_are_named_whatever_their_config_holds():
    types = (
        "bert bloom clip_vision_model gpt2 mamba nemotron_h opt t5 vit whisper".split()
    )
    for model_type in (*types, "gpt-sw3"):
        for layout in (None, "half"):
            message = "has no rotary positions in transformers.$"
            refused(
                {"model_type": model_type, "rope_theta": 1e4}, message, layout=layout
            )
    config = {"model_type": "xlm-roberta", "auto_map": {"AutoModel": "x"}}
    refused(config, "auto_map names code of its own, which is not known")
    assert not set(part.tables()["without_rotary"]) & set(part.tables()["models"])


@pytest.mark.errors
@pytest.mark.parametrize(
    "key",
    (
        *("kv_channels", "rotary", "original_rope", "position_encoding_2d"),
        *(
            "rope_ratio",
            "use_dynamic_ntk",
            "rotary_base",
            "rotary_dim",
            "mrope_section",
        ),
    ),
)
def test_of_code_that_is_not_known_no_key_is_explained_away(key):
    config = {"model_type": "mine", "head_dim": 128, key: 2}
    refused(config, f"{key}=2, and how the code of .*'mine' reads", layout="half")


@pytest.mark.errors
def test_what_code_that_is_not_known_makes_of_parameters_is_not_guessed():
    scaling = {"rope_type": "default", "rope_theta": 1e4, "alpha": 1000.0}
    config = {"model_type": "mine", "head_dim": 128, "rope_scaling": scaling}
    refused(config, "alpha=1000.0, and how the code of .* is not known", layout="half")
    refused(config, "Read its own code", layout=None)


@pytest.mark.errors
def test_axes_are_not_offered_to_a_model_that_has_none():
    sections = {"mrope_section": [16, 8, 8]}
    refused(LLAMA | {"rope_scaling": {"type": "mrope"} | sections}, "several axes")
    refused(LLAMA | {"rope_scaling": {"type": "default"} | sections}, "have one axis")


@pytest.mark.errors
def test_parameters_that_stand_twice():
    scaling = {"rope_type": "linear", "factor": 2.0}
    twice = LLAMA | {"rope_scaling": scaling}
    once = rope_from_hf(twice)
    assert rope_from_hf(twice | {"rope_parameters": scaling}) == once
    part = {"rope_type": "linear", "rope_theta": 10_000.0}
    assert rope_from_hf(twice | {"rope_parameters": part}) == once
    # Removing the second would leave the wrong base.
    other = {"rope_parameters": {"rope_type": "linear", "rope_theta": 5e5}}
    message = "rope_parameters holds rope_theta=500000.0, but rope_scaling, which takes"
    refused(twice | other, f"{message} precedence, makes that 10000.0; write all of it")
    nested = {"full_attention": {"rope_type": "default", "rope_theta": 1e6}}
    nested |= {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
    config = {"model_type": "gemma3_text", "rope_parameters": nested}
    assert ropes_from_hf(config | {"rope_scaling": nested}) == ropes_from_hf(config)


@pytest.mark.errors
def test_an_original_length_that_is_not_read_is_an_error():
    yarn = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6}
    nested = {"full_attention": yarn, "sliding_attention": {"rope_theta": 1e4}}
    config = {"model_type": "gemma3_text", "num_hidden_layers": 6}
    config |= {"rope_parameters": nested, "max_position_embeddings": 4096}
    ropes = ropes_from_hf(config)
    length = {"original_max_position_embeddings": 4096}
    assert ropes_from_hf(config | length) == ropes
    with pytest.raises(
        ValueError, match=r"=1024, but rope_parameters\['full_att.*4096"
    ):
        ropes_from_hf(config | {"original_max_position_embeddings": 1024})


def test_an_old_name_of_the_base_may_repeat_it():
    config = {"model_type": "gemma4_text", "num_hidden_layers": 2}
    same = {"rope_local_base_freq": 10_000.0}
    assert ropes_from_hf(config | same) == ropes_from_hf(config)
    with pytest.raises(ValueError, match=r"rope_local_base_freq=20000\.0, but"):
        ropes_from_hf(config | {"rope_local_base_freq": 20_000.0})


def test_lists_of_transformers_are_sorted_and_say_each_once():
    for name in ("without_rotary", "similar_keys"):
        listed = part.tables()[name]
        assert listed == sorted(set(listed)) and json.dumps(listed)
