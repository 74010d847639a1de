"""Configs with parts: which there are, which is meant, and what the code fills in."""

import helpers
import numpy as np
import pytest

import attnax.functional as F
from attnax.interop import config_parts, rope_from_hf, ropes_from_hf
from attnax.interop._config.part import tables

HEADS = {"hidden_size": 1024, "num_attention_heads": 16}
LAYERS = {"num_hidden_layers": 3}
SECTIONS = {"rope_type": "default", "mrope_section": [16, 24, 24]}
PIXTRAL = {"model_type": "pixtral", **HEADS}
QWEN3_VISION = {"model_type": "qwen3_vl", "hidden_size": 1024, "num_heads": 16}
OMNI = {
    "model_type": "qwen2_5_omni",
    "token2wav_config": {"dit_config": {"head_dim": 32}, "bigvgan_config": {}},
    "talker_config": {"head_dim": 16, "rope_scaling": {"mrope_section": [2, 3, 3]}},
    "thinker_config": {
        "vision_config": {"hidden_size": 640, "num_heads": 8},
        "audio_config": {},
        "text_config": {**HEADS, "rope_theta": 7e5, "rope_scaling": SECTIONS}
        | {"hidden_size": 2048},
    },
}


def plain(pairs, base=10_000.0):
    return base ** (-np.arange(pairs) / pairs)


def is_plain(rope, pairs, base=10_000.0):
    np.testing.assert_allclose(rope.inv_freq, plain(pairs, base), rtol=1e-14)
    assert (rope.layout, rope.num_axes) == ("half", 1)


def refused(config, message, **kwargs):
    for function in (rope_from_hf, ropes_from_hf):
        with helpers.refused(f"^{function.__name__}: {message}"):
            function(config, **kwargs)


# Which parts there are, and which is meant.


def test_the_language_model_is_meant_and_the_others_have_names():
    text = {"model_type": "qwen3", "head_dim": 64, "rope_theta": 1e6}
    config = {"vision_config": PIXTRAL, "text_config": text, "dtype": "float32"}
    config["model_type"] = "lighton_ocr"
    assert config_parts(config) == ("text", "vision")
    is_plain(rope_from_hf(config), 32, 1e6)
    assert rope_from_hf(config, part="text") == rope_from_hf(config)
    vision = rope_from_hf(config, part="vision")
    assert vision == rope_from_hf(PIXTRAL) != rope_from_hf(config)
    assert vision.num_axes == 2
    ropes = ropes_from_hf(config | {"vision_config": PIXTRAL | LAYERS}, part="vision")
    assert ropes == [vision] * 3


def test_parts_of_parts():
    names = ("thinker.text", "token2wav.dit", "talker", "thinker.vision")
    assert config_parts(OMNI) == names
    text, dit, talker, vision = (rope_from_hf(OMNI, part=name) for name in names)
    assert rope_from_hf(OMNI) == text
    np.testing.assert_allclose(text.inv_freq, plain(64, 7e5), rtol=1e-14)
    assert text.axis_of_pair == (0,) * 16 + (1,) * 24 + (2,) * 24
    is_plain(dit, 16)
    assert talker.axis_of_pair == (0, 0, 1, 1, 1, 2, 2, 2)
    assert vision == F.axial_rope((40, 40))
    talker = OMNI["talker_config"]
    assert rope_from_hf({"model_type": "x", "talker_config": talker} | OMNI) == text


@pytest.mark.parametrize(
    "key",
    "text_config language_config llm_config llm_cfg decoder_config decoder".split(),
)
def test_a_model_that_is_not_known_has_its_language_model_by_its_key(key):
    config = {"model_type": "mine", "tower": PIXTRAL, key: {"model_type": "llama"}}
    name = key.removesuffix("_config").removesuffix("_cfg")
    assert config_parts(config) == (name, "tower")
    is_plain(rope_from_hf(config), 64)


def test_decoders_of_encoder_decoders():
    for name, keys in (
        ("dia", ("encoder_config", "decoder_config")),
        ("t5gemma", ("encoder", "decoder")),
        ("encoder-decoder", ("encoder", "decoder")),
    ):
        model_type = None if name == "dia" else "gemma2"
        encoder, decoder = ({"head_dim": n, "model_type": model_type} for n in (32, 64))
        config = {"model_type": name, keys[0]: encoder, keys[1]: decoder}
        assert config_parts(config) == ("decoder", "encoder")
        is_plain(rope_from_hf(config), 32)
        is_plain(rope_from_hf(config, part="encoder"), 16)


def test_one_part_with_rotary_positions_is_taken():
    text = {"model_type": "llama", "hidden_size": 512, "num_attention_heads": 8}
    llava = {"model_type": "llava", "text_config": text, "vision_config": {}}
    assert rope_from_hf(llava) == rope_from_hf(text)
    unnamed = {"hidden_size": 512, "num_attention_heads": 8}  # llama by default
    assert rope_from_hf(llava | {"text_config": unnamed}) == rope_from_hf(text)
    assert config_parts(llava) == ("text",)
    ctc = {"model_type": "lasr_ctc", "encoder_config": {"hidden_size": 1024}}
    is_plain(rope_from_hf(ctc), 64)


def test_rope_at_its_own_level_is_what_is_meant():
    depth = {"rope_theta": 7.0, "head_dim": 32}
    config = {"model_type": "csm", "depth_decoder_config": depth, "codec_config": {}}
    is_plain(rope_from_hf(config), 32, 500_000.0)
    assert config_parts(config) == ("depth_decoder", "codec")
    is_plain(rope_from_hf(config, part="depth_decoder"), 16, 7.0)
    own = {"model_type": "mine", "rope_theta": 1e4, "head_dim": 64}
    config = own | {"text_config": {"model_type": "llama"}}
    is_plain(rope_from_hf(config, layout="half"), 32)
    assert config_parts(config) == ()
    config = own | {"draft_config": {"model_type": "llama", "rope_theta": 5e5}}
    assert config_parts(config) == ("draft",)
    is_plain(rope_from_hf(config, part="draft"), 64, 5e5)


def test_a_language_model_beside_another_rotation():
    """That of Music Flamingo goes by time stamps and is refused alone."""
    text = {"model_type": "qwen2", "head_dim": 64}
    config = {"model_type": "musicflamingo", "rope_parameters": {"rope_theta": 1200}}
    refused(config, "model_type='musicflamingo': its angles come from time stamps")
    is_plain(rope_from_hf(config | {"text_config": text}), 32)


def test_a_config_without_parts():
    assert config_parts({"model_type": "llama", "rope_scaling": {"factor": 2}}) == ()
    assert config_parts({}) == ()
    assert config_parts({"model_type": "bert"}) == ()


# Keys of the text at the level of the whole.


def test_flat_configs_of_pictures_and_text_mean_the_text():
    values = {"type": "mrope", "mrope_section": [16, 24, 24]}
    config = {"model_type": "qwen2_vl", "rope_theta": 1e6, "rope_scaling": values}
    config |= {"hidden_size": 8192, "num_attention_heads": 64, "vision_config": {}}
    axes = F.chunked_axes((16, 24, 24))
    expected = F.Rope(F.default_inv_freq(128, 1e6), axis_of_pair=axes)
    assert rope_from_hf(config) == rope_from_hf(config, part="text") == expected
    assert config_parts(config) == ("text", "vision")
    assert rope_from_hf(config, part="vision") == F.axial_rope((40, 40))


def test_the_first_release_of_glm_4_1v():
    config = {
        "model_type": "glm4v",
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_hidden_layers": 40,
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "default", "mrope_section": [8, 12, 12]},
        "vocab_size": 151552,
        "vision_config": {"hidden_size": 1536, "num_heads": 12, "depth": 24},
    }
    rope, *others = ropes_from_hf(config)
    assert others == [rope] * 39
    np.testing.assert_allclose(rope.inv_freq, plain(32), rtol=1e-14)
    assert rope.axis_of_pair == (0,) * 8 + (1,) * 12 + (2,) * 12
    assert rope.layout == "interleaved"
    vision = ropes_from_hf(config, part="vision")
    assert vision == [F.axial_rope((64, 64))] * 24


@pytest.mark.parametrize(
    ("config", "pairs", "base"),
    [
        ({"model_type": "gemma3", "rope_theta": 5e5, "head_dim": 128}, 64, 5e5),
        ({"model_type": "llava", "vocab_size": 9} | HEADS, 32, 1e4),
        ({"model_type": "fuyu", "rope_theta": 25_000, **HEADS}, 16, 25_000),
        ({"model_type": "step3p7", "rope_theta": 7e4, "head_dim": 64}, 32, 7e4),
    ],
)
def test_other_flat_configs(config, pairs, base):
    full = {"layer_type": "full_attention"} if "head_dim" in config else {}
    if config["model_type"] == "step3p7":
        config = config | {"layer_types": ["full_attention"]}
    is_plain(rope_from_hf(config, **full), pairs, base)
    assert config_parts(config) == ("text",)


@pytest.mark.errors
def test_a_part_by_the_name_of_the_whole_is_not_taken_for_the_text():
    message = r"the config holds hidden_size=1024, .*'qwen3_vl' reads in its parts; "
    refused(QWEN3_VISION, message + "write keys of the text into text_config, and tho")
    refused({"model_type": "mistral3", "head_dim": 8}, "the config holds head_dim=8")
    tower = {"model_type": "gemma3", "rope_theta": 1e4, "patch_size": 14}
    refused(
        tower, "the config holds rope_theta=10000.0, which the code .* in its parts"
    )
    config = {"model_type": "mine", "vision_config": QWEN3_VISION}
    assert rope_from_hf(config) == F.axial_rope((32, 32))
    config = {"model_type": "vlm", "text_config": {"model_type": "hyperclovax"}}
    config["vision_config"] = {"model_type": "qwen2_5_vl", "hidden_size": 640}
    assert rope_from_hf(config, part="vision") == F.axial_rope((20, 20))
    config = {"model_type": "cosmos3_omni", "text_config": {}}
    config["vision_config"] = QWEN3_VISION | {"model_type": "cosmos3_vision"}
    assert rope_from_hf(config, part="vision") == F.axial_rope((32, 32))


@pytest.mark.errors
def test_what_stands_above_is_compared_with_parts_that_the_config_holds():
    """Not with the vision that the code fills in, which has the same parameters."""
    filled = tables()["sub_configs"]["lighton_ocr"]["vision_config"]["init"]
    above = {"rope_parameters": filled["rope_parameters"]}
    config = {"model_type": "lighton_ocr", "text_config": {"model_type": "qwen3"}}
    rope_from_hf(config)
    message = r"the config holds rope_parameters=.* in config\['text_config'\]: write"
    refused(config | above, message)


def test_a_whole_model_under_the_key_of_a_text_is_whole():
    text = {"model_type": "qwen2_5_vl_text", "rope_theta": 5e5, "hidden_size": 512}
    text |= {"num_attention_heads": 4}
    whole = {"model_type": "qwen2_5_vl", "text_config": text}
    config = {"model_type": "mine", "text_config": whole}
    assert config_parts(config) == ("text.text",)
    assert rope_from_hf(config) == rope_from_hf(whole) == rope_from_hf(text)


# Parts under other keys, and without a type.


def test_keys_of_releases_that_the_code_has_renamed():
    decoder = {"model_type": "qwen2", "rope_theta": 1e6, **HEADS}
    config = {"model_type": "vibevoice", "decoder_config": decoder}
    is_plain(rope_from_hf(config), 32, 1e6)
    assert config_parts(config) == ("decoder",)
    text = {"model_type": "deepseek_v2", "qk_rope_head_dim": 0, **HEADS}
    config = {"model_type": "unlimited_ocr", "language_config": text}
    is_plain(rope_from_hf(config), 32)


def test_parts_without_a_type_are_read():
    text = {"head_dim": 64, "rope_theta": 5e6, "num_hidden_layers": 28}
    config = {"model_type": "qwen3_asr", "thinker_config": {"text_config": text}}
    assert config_parts(config) == ("thinker.text",)
    ropes = ropes_from_hf(config)
    is_plain(ropes[0], 32, 5e6)
    assert len(ropes) == 28
    config["thinker_config"]["model_type"] = "qwen3_asr_thinker"
    assert ropes_from_hf(config) == ropes


@pytest.mark.errors
def test_parts_that_nobody_knows_are_refused():
    config = {"model_type": "mine", "wrapped": {"inner": {"rope_theta": 5e6}}}
    refused(config, r"config\['wrapped'\]\['inner'\]: model_type=None is not in the t")
    config = {"model_type": "qwen3_asr", "thinker_config": {"rope_theta": 5e6}}
    refused(config, r"config\['thinker_config'\]: model_type=None is not in the table")
    config = {"model_type": "mine", "language_config": {"hidden_size": 8}}
    refused(config, r"config\['language_config'\]: model_type=None is not in the tabl")


# What the code fills in: transformers 5.23, `cls().get_text_config()`.
FILLED = [
    ("mistral3", 64, 1e9, 40),
    ("voxtral", 64, 1e8, 30),
    ("voxtral_realtime", 64, 1e6, 26),
    ("got_ocr2", 32, 1e6, 24),
    ("pp_chart2table", 32, 1e6, 24),
    ("lighton_ocr", 64, 1e6, 28),
    ("moss_transcribe_diarize", 64, 1e6, 28),
    ("fun_asr_nano", 64, 1e4, 28),
    ("qwen3_asr", 64, 1e4, 28),
    ("glmasr", 64, 1e4, 28),
    ("fast_vlm", 64, 1e4, 28),
    ("paligemma", 128, 1e4, 18),
    ("colpali", 128, 1e4, 18),
    ("idefics2", 64, 1e4, 32),
]


@pytest.mark.parametrize(("name", "pairs", "base", "count"), FILLED)
def test_a_missing_language_model_has_the_values_of_the_code(name, pairs, base, count):
    config = {"model_type": name}
    ropes = ropes_from_hf(config)
    is_plain(ropes[0], pairs, base)
    assert ropes == [ropes[0]] * count
    key = "vlm_config" if name == "colpali" else "text_config"
    assert ropes_from_hf(config | {key: None}) == ropes
    assert config_parts(config) == config_parts(config | {key: None}) == ()


@pytest.mark.parametrize(
    ("name", "given", "pairs", "base", "count"),
    [
        ("mistral3", {}, 64, 1e4, 32),  # the defaults of Mistral, not of the whole
        ("lighton_ocr", {"head_dim": 64}, 32, 1e4, 32),
        ("voxtral", {}, 64, 1e8, 30),  # these fill up what is there
        ("voxtral", {"num_hidden_layers": 2, "rope_theta": 5e5}, 64, 5e5, 2),
        ("voxtral", {"rope_parameters": {"rope_theta": 3e5}}, 64, 3e5, 30),
        ("voxtral", {"rope_parameters": {"rope_type": "default"}}, 64, 1e8, 30),
        ("voxtral_realtime", {"head_dim": 64}, 32, 1e6, 26),
        ("glmasr", {"num_hidden_layers": 2}, 64, 1e4, 2),
    ],
)
def test_a_language_model_that_is_there(name, given, pairs, base, count):
    config = {"model_type": name, "text_config": given}
    ropes = ropes_from_hf(config)
    is_plain(ropes[0], pairs, base)
    assert ropes == [ropes[0]] * count
    assert config_parts(config) == ("text",)


def test_other_parts_are_filled_in_by_their_name():
    """As transformers does; none is offered that the config does not hold."""
    text = {"model_type": "ministral3"}
    config = {"model_type": "mistral3", "text_config": text}
    assert config_parts(config) == ("text",)
    assert (
        ropes_from_hf(config, part="vision")
        == [F.axial_rope((32, 32), shared=True)] * 24
    )
    # Gemma 4 does without.
    config = {"model_type": "gemma4", "text_config": {}, "vision_config": None}
    refused(config, r"part='vision' must be one of \['text'\], ", part="vision")
    config["vision_config"] = {"head_dim": 32}
    assert rope_from_hf(config, part="vision").num_axes == 2


# Errors.


@pytest.mark.errors
def test_a_choice_without_a_language_model():
    config = {"model_type": "blt", "encoder_config": {}, "global_config": {}}
    refused(
        config,
        "several parts of a model of model_type='blt' have rotary positions, and none "
        r"is the language model; pass part, one of \['encoder', 'global'\]\.",
    )
    # One stands in the config, and the code fills in the others.
    refused({"model_type": "blt", "encoder_config": {}}, r"several .*\['encoder'\]")
    assert rope_from_hf(config, part="global").layout == "interleaved"
    refused(
        {"model_type": "blt"},
        ".*'blt' holds no part with rotary positions, and the",
    )


@pytest.mark.errors
def test_a_text_without_rotary_positions_does_not_fall_to_the_pictures():
    bert = {"model_type": "bert", **HEADS}
    config = {"model_type": "mine", "text_config": bert, "vision_config": PIXTRAL}
    assert config_parts(config) == ("vision",)
    message = (
        r"config\['text_config'\]: the language model, with model_type='bert', has no "
        r"rotary positions; for those of another part pass part, one of \['vision'\]\."
    )
    refused(config, message)
    assert rope_from_hf(config, part="vision") == rope_from_hf(PIXTRAL)
    config["text_config"] = {"model_type": "theirs"}
    refused(config, r".*'theirs', has no rotary positions that are known; for those of")
    backbone = {"vision_config": {"backbone_config": {"hidden_size": 512}}}
    for parts in ({}, {"text_config": {}}, {"text_config": bert}):
        message = "model_type='clip' has no rotary positions in transformers"
        refused({"model_type": "clip", "vision_config": {}, **parts}, message)
    sam = {"model_type": "sam3", **backbone}
    refused(sam, r".*'clip_text_model', has no .* one of \['vision.backbone'\]")


@pytest.mark.errors
@pytest.mark.parametrize(
    ("config", "part", "message"),
    [
        (OMNI, "text", r"part='text' must be one of \['thinker.text', 'token2wav.dit'"),
        (OMNI, "", "part='' must be one of "),
        (OMNI, "thinker", "part='thinker' must be one of "),
        (OMNI, "thinker.audio", "part='thinker.audio' must be one of "),
        (OMNI, 3, "part=3 must be a name"),
        ({"model_type": "llama"}, "text", "part='text' must be None, for .* 'llama'"),
        ({"model_type": "llama"}, "", "part='' must be None, for the config of mod"),
        (QWEN3_VISION, "vision_config", "part='vision_config' must be None"),
    ],
)
def test_names_that_are_no_parts(config, part, message):
    refused(config, message.replace(".* 'llama'", ".*'llama'"), part=part)


@pytest.mark.errors
def test_what_stands_above_the_parts_must_stand_in_one():
    config = {"model_type": "qwen3_vl", "text_config": {}, "vision_config": {}}
    message = r"the config holds rope_theta=5.0, .*config\['text_config'\] or config"
    for part in (None, "text", "vision"):
        refused(config | {"rope_theta": 5.0}, message, part=part)
        same = {"rope_theta": 5.0, "text_config": {"rope_theta": 5.0}}
        assert rope_from_hf(config | same, part=part)
    talker = OMNI["talker_config"] | {"rope_theta": 2.0}
    assert rope_from_hf(OMNI | {"talker_config": talker}) == rope_from_hf(OMNI)
    refused(OMNI | {"rope_theta": 2.0}, "the config holds rope_theta=2.0, which the c")
    refused(
        config | {"rope_tetha": 5.0}, "the config holds rope_tetha=5.0; write rope_"
    )
    scaling = {"rope_scalling": {"rope_type": "linear", "factor": 2.0}}
    refused(config | scaling, "the config holds rope_scalling=.*; write rope_scaling")
    assert config_parts(config | scaling) == ("text", "vision")


@pytest.mark.errors
def test_a_part_under_a_misspelt_key_is_not_passed_over():
    text = {"head_dim": 64, "rope_theta": 5e6}
    config = {"model_type": "qwen3_vl", "text_confg": text, "vision_config": {}}
    refused(config, "the config holds text_confg and no text_config, and the code of m")


@pytest.mark.errors
def test_configs_of_a_wrong_kind():
    deep = {"rope_theta": 1e4}
    for _ in range(2000):
        deep = {"a": deep}
    for function in (config_parts, rope_from_hf, ropes_from_hf):
        name = function.__name__
        with helpers.refused(f"^{name}: config is a list, but must be"):
            function([1])
        with pytest.raises(
            ValueError, match=f"^{name}: .*text_config=3 must be a dict"
        ):
            function({"model_type": "llava", "text_config": 3})
        with pytest.raises(ValueError, match=f"^{name}: .*a'.: .* nested too deeply"):
            function(deep)
        typed = {"model_type": "qwen3_vl", "text_config": {"model_type": ["x"]}}
        assert function(typed)  # where the code takes one class, its name is not read


# The table.


def test_of_what_stands_in_no_config_nothing_is_offered():
    for name, specs in tables()["sub_configs"].items():
        assert config_parts({"model_type": name}) == ()
        assert config_parts({"model_type": name, **dict.fromkeys(specs)}) == ()
        held = config_parts({"model_type": name, **{key: {} for key in specs}})
        assert len(set(held)) == len(held)
        for key, spec in specs.items():
            assert ("init" in spec) >= ("merged" in spec), (name, key)
        assert sum("language" in spec for spec in specs.values()) <= 1


@pytest.mark.slow  # a walk over all models with parts
def test_every_part_has_a_rope_or_a_reason():
    for name, specs in tables()["sub_configs"].items():
        config = {"model_type": name, **{key: {} for key in specs}}
        for part in (None, *config_parts(config)):
            try:
                rope_from_hf(config, part=part)
            except ValueError as error:
                assert str(error).startswith("rope_from_hf: "), name
