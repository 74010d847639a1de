"""Configurations as they were published, 413 of them: the right answer, or a reason.

`answers` in `hf_configs.json.gz` are those of the configurations that transformers 5.23
reads, by its own code; `ROWS` has the others, each with where its answer is known from.
"""

import gzip
import json
import pathlib
from typing import NamedTuple

import numpy as np
import pytest

from attnax.interop import config_parts, rope_from_hf, ropes_from_hf

FOLDER = pathlib.Path(__file__).parents[2] / "golden"
PUBLISHED = json.loads(gzip.decompress((FOLDER / "hf_configs.json.gz").read_bytes()))
RECORDS = PUBLISHED["configs"]
READ = [record for record in RECORDS if "answers" in record]
OTHERS = [record for record in RECORDS if "answers" not in record]


class Answer(NamedTuple):
    """A rope, as the frequencies of its first and its last pair say it.

    Attributes:
        pairs: How many turn.
        base: Of their geometric progression.
        layers: How many there are, or one sign for each, "-" where it does not rotate.
        first: What the first frequency is divided by.
        last: What the last is divided by.
        factors: The key of the config's `rope_scaling` that lists all divisors.
        length: In tokens, where the frequencies depend on it.
        layer_type: Where there are several.
        layout: See `attnax.functional.Rope`.
        place: See `rotary_start` of `attnax.functional.Rope`.
        axes: How many coordinates a position has.
        factor: On cos and sin.
    """

    pairs: int
    base: float
    layers: int | str
    first: float = 1.0
    last: float = 1.0
    factors: str = ""
    length: int | None = None
    layer_type: str | None = None
    layout: str = "half"
    place: str = "leading"
    axes: int = 1
    factor: float = 1.0


def interleaved(*args, **settings):
    return Answer(*args, layout="interleaved", **settings)


def latent(*args, **settings):
    return Answer(*args, layout="interleaved_to_half", place="trailing", **settings)


# A reason: a pattern of the error.
NONE = "model_type='{}' has no rotary positions"
UNKNOWN = "model_type='{}' is not in the table of models with rotary positions"
LENGTH = "depend on the length: pass seq_len, up to {}"
LONG = (1 + np.log(131_072 / 4096) / np.log(4096)) ** 0.5  # of LongRoPE from 4096 on

# Keys of the config, answers or a reason, and where they are known from.
ROWS = (
    # What transformers 5.23 does otherwise than the release, or not at all.
    (
        {"model_type": "kimi_k2", "max_position_embeddings": 131_072},
        latent(32, 5e4, 61, last=32.0),
        "YaRN by 32; moonshotai/Kimi-K2-Instruct, modeling_deepseek.py",
    ),
    (
        {"model_type": "kimi_k2", "max_position_embeddings": 262_144},
        latent(32, 5e4, 61, last=64.0),
        "YaRN by 64; moonshotai/Kimi-K2-Thinking, modeling_deepseek.py",
    ),
    (
        {"model_type": "kimi_k2", "max_position_embeddings": None},
        latent(32, 1e4, 61),
        "a template without values; moonshotai/Kimi-K2-Instruct, "
        "configuration_deepseek.py",
    ),
    (
        {"model_type": "llama", "hidden_size": None},
        Answer(64, 1e4, 32),
        "a template without values; transformers 5.23, configuration_llama.py",
    ),
    (
        {"model_type": "glm4v"},
        interleaved(32, 1e4, 40, axes=3),
        "text at the level of the whole; transformers 4.53, modeling_glm4v.py",
    ),
    (
        {"model_type": "vibevoice"},
        Answer(64, 1e6, 28),
        "microsoft/VibeVoice, modeling_vibevoice.py: decoder_config is Qwen2's",
    ),
    (
        {"model_type": "vibepod"},
        Answer(64, 1e6, 28),
        "microsoft/VibeVoice, modeling_vibevoice.py: decoder_config is Qwen2's",
    ),
    (
        {"model_type": "mistral3", "text_config": None},
        Answer(64, 1e9, 40),
        "transformers 5.23, configuration_mistral3.py",
    ),
    (
        {"model_type": "qwen3_asr"},
        Answer(64, 1e6, 28, axes=3),
        "QwenLM/Qwen3-ASR, modeling_qwen3_asr.py",
    ),
    (
        {"model_type": "gemma3", "head_dim": 256, "sliding_window": 512},
        (
            Answer(128, 1e4, 26, layer_type="sliding_attention"),
            Answer(128, 1e6, 26, layer_type="full_attention"),
        ),
        "Gemma3ForCausalLM: transformers 5.23, configuration_gemma3.py, the text's",
    ),
    (
        {"model_type": "gemma3", "head_dim": 128, "hidden_size": 5376},
        (
            Answer(64, 1e4, 62, layer_type="sliding_attention"),
            Answer(64, 1e6, 62, first=8.0, last=8.0, layer_type="full_attention"),
        ),
        "transformers 4.50, modeling_gemma3.py, reads type where rope_type is missing",
    ),
    (
        {"model_type": "gemma3", "sliding_window": None, "head_dim": 256},
        (
            Answer(128, 1e4, 26, layer_type="sliding_attention"),
            Answer(128, 1e6, 26, layer_type="full_attention"),
        ),
        "transformers 4.50, modeling_gemma3.py; the factor is 1",
    ),
    (
        {"model_type": "gemma4_text"},
        Answer(128, 1e4, 2, layer_type="sliding_attention"),
        "transformers 5.23, configuration_gemma4.py, where the base is 1e4 anyway",
    ),
    (
        {"model_type": "dbrx", "n_layers": 48},
        Answer(64, 1e4, 48),
        "transformers 5.23, modeling_dbrx.py",
    ),
    (
        {"model_type": "dbrx", "max_seq_len": 32_768, "n_layers": 40},
        "attn_config holds rope_theta=500000, but the code of 'dbrx' reads the one",
        "transformers 5.23 reads 1e4, databricks/dbrx-instruct means 5e5",
    ),
    (
        {"model_type": "dbrx", "n_layers": 4},
        "attn_config holds rope_theta=500000, but the code of 'dbrx' reads the one",
        "transformers 5.23 reads 1e4, databricks/dbrx-instruct means 5e5",
    ),
    (
        {"model_type": "phi3", "hidden_size": 5120},
        (
            LENGTH.format(4096),
            Answer(64, 1e4, 40, factors="short_factor", length=4096, factor=LONG),
            Answer(64, 1e4, 40, factors="long_factor", length=16_384, factor=LONG),
        ),
        "microsoft/Phi-3-medium-128k-instruct, modeling_phi3.py",
    ),
    (
        {"model_type": "phi3", "hidden_size": 3072},
        (
            LENGTH.format(4096),
            Answer(48, 1e4, 32, factors="short_factor", length=4096, factor=LONG),
            Answer(48, 1e4, 32, factors="long_factor", length=16_384, factor=LONG),
        ),
        "microsoft/Phi-3-mini-128k-instruct, modeling_phi3.py",
    ),
    (
        {"model_type": "qwen3_moe"},
        "rope_scaling=1.0 must be a dict",
        "a number of another engine; transformers has a dict",
    ),
    (
        {"model_type": "gptj"},
        "rope_scaling={'rope_type': 'gptj'}, which the rotary embedding of",
        "a type of another engine; transformers 5.23, modeling_gptj.py",
    ),
    # Drafts of a Llama for the positions of a model of pictures.
    (
        {"model_type": "llama"}
        | {"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}},
        "unknown rope_type='mrope'; write 'default' with mrope_section, for a model",
        "transformers 5.23, modeling_llama.py, has one axis",
    ),
    (
        {"model_type": "llama", "rope_theta": 5_000_000},
        "mrope_interleaved=True, but positions of model_type='llama' have one axis",
        "transformers 5.23, modeling_llama.py, has one axis",
    ),
    (
        {"model_type": "llama", "transformers_version": "5.0.0", "head_dim": 64},
        r"rope_parameters holds rope_theta=500000\.0, but rope_scaling, which takes",
        "transformers 5.23 takes rope_scaling alone, and a base of 1e4",
    ),
    # Language models of known code in models that transformers does not know.
    (
        {"model_type": "maira2"},
        (
            LENGTH.format(4096),
            Answer(48, 1e4, 1, factors="short_factor", length=4096),
            Answer(48, 1e4, 1, factors="long_factor", length=4097),
        ),
        "microsoft/maira-2: Phi-3; the served length is the trained one",
    ),
    (
        {"model_type": "multi_modality"},
        Answer(64, 1e4, 24),
        "deepseek-ai/Janus-1.3B, modeling_vlm.py: language_config is Llama's",
    ),
    (
        {"model_type": "locateanything"},
        Answer(64, 1e6, 36),
        "nvidia/LocateAnything: text_config is Qwen2's",
    ),
    (
        {"model_type": "llava_llama"},
        Answer(64, 1e4, 32),
        "Efficient-Large-Model/VILA1.5-3b: llm_cfg is Llama's",
    ),
    (
        {"model_type": "internvl_chat"},
        (
            LENGTH.format(512),
            Answer(64, 1e6, 24, length=512),
            Answer(64, 1e6, 24, length=1024, last=3.0),
        ),
        "internlm/internlm2-chat-1_8b, modeling_internlm2.py: 2 * 1024 / 512 - 1",
    ),
    # Models whose code lies beside their weights.
    (
        {"model_type": "minimax_m3"},
        Answer(32, 5e6, 60),
        "transformers 5.23, modeling_minimax_m3_vl.py",
    ),
    (
        {"model_type": "nemotron-nas"},
        Answer(64, 5e5, "{blocks}", last=8.0),
        "nvidia/Llama-3_3-Nemotron-Super-49B-v1, modeling_decilm.py",
    ),
    (
        {"model_type": "baichuan", "max_position_embeddings": None},
        "which has ALiBi and no rotary positions",
        "baichuan-inc/Baichuan2-13B-Base, modeling_baichuan.py",
    ),
    (
        {"model_type": "baichuan", "hidden_size": 4096},
        Answer(64, 1e4, 32),
        "baichuan-inc/Baichuan2-7B-Base, modeling_baichuan.py",
    ),
    (
        {"model_type": "chatglm", "num_layers": 1},
        interleaved(32, 1e4, 1),
        "THUDM/chatglm3-6b, modeling_chatglm.py: half of 128, base 1e4 * rope_ratio",
    ),
    (
        {"model_type": "chatglm", "num_layers": 28},
        interleaved(32, 1e4, 28),
        "THUDM/chatglm2-6b, modeling_chatglm.py",
    ),
    (
        {"model_type": "chatglm", "num_layers": 40, "rope_ratio": None},
        interleaved(32, 1e4, 40),
        "THUDM/glm-4-9b, modeling_chatglm.py",
    ),
    (
        {"model_type": "chatglm", "rope_ratio": 500},
        interleaved(32, 5e6, 40),
        "THUDM/glm-4-9b-chat, modeling_chatglm.py",
    ),
    (
        {"model_type": "deepseek"},
        Answer(64, 1e4, 28),
        "deepseek-ai/deepseek-moe-16b-base, modeling_deepseek.py",
    ),
    (
        {"model_type": "exaone"},
        Answer(64, 1e6, 32, last=8.0),
        "LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct, modeling_exaone.py",
    ),
    (
        {"model_type": "falcon_perception"},
        "second half of each head turns by fractional coordinates",
        "tiiuae/Falcon-Perception",
    ),
    (
        {"model_type": "hunyuan"},
        Answer(64, 1e4, 32, last=1000.0),
        "tencent/Hunyuan-A13B-Instruct, modeling_hunyuan.py: alpha is 1000",
    ),
    (
        {"model_type": "internlm2", "rope_scaling": None},
        Answer(64, 1e6, 32),
        "internlm/internlm2-7b, modeling_internlm2.py",
    ),
    (
        {"model_type": "internlm2", "pretraining_tp": 1},
        (
            LENGTH.format(32_768),
            Answer(64, 1e6, 32, length=32_768),
            Answer(64, 1e6, 32, length=131_072, last=7.0),
        ),
        "internlm/internlm2_5-7b, modeling_internlm2.py: 2 * 4 - 1",
    ),
    (
        {"model_type": "minicpm", "num_hidden_layers": 32},
        (
            LENGTH.format(32_768),
            Answer(64, 1e4, 32, factors="short_factor", length=32_768),
            Answer(64, 1e4, 32, factors="long_factor", length=32_769),
        ),
        "openbmb/MiniCPM4-8B, modeling_minicpm.py",
    ),
    (
        {"model_type": "minicpm", "max_position_embeddings": 65_536},
        (
            LENGTH.format(65_536),
            Answer(32, 1e6, 40, length=65_536),
            Answer(32, 1e6, 40, length=131_072, last=5.0),
        ),
        "openbmb/MiniCPM-2B-128k, modeling_minicpm.py: 4 * 2 - 3",
    ),
    (
        {"model_type": "minicpm", "max_position_embeddings": 4096},
        Answer(32, 1e4, 40),
        "openbmb/MiniCPM-MoE-8x2B, modeling_minicpm.py",
    ),
    (
        {"model_type": "minicpmv", "version": 2.6},
        Answer(64, 1e6, 28),
        "openbmb/MiniCPM-V-2_6, modeling_minicpmv.py: Qwen2's",
    ),
    (
        {"model_type": "minicpmv", "version": 4.0},
        (
            LENGTH.format(32_786),
            Answer(64, 1e4, 32, factors="short_factor", length=32_768),
            Answer(64, 1e4, 32, factors="long_factor", length=65_536),
        ),
        "openbmb/MiniCPM-V-4, modeling_minicpmv.py: Llama's, factor is 1",
    ),
    (
        {"model_type": "orion"},
        Answer(64, 1e4, 40),
        "OrionStarAI/Orion-14B-Base, modeling_orion.py",
    ),
    (
        {"model_type": "phi-msft", "n_layer": 24},
        Answer(16, 1e4, 24),
        "microsoft/phi-1_5, modeling_phi.py",
    ),
    (
        {"model_type": "phi-msft", "n_layer": 32},
        Answer(16, 1e4, 32),
        "microsoft/phi-2, modeling_phi.py",
    ),
    (
        {"model_type": "phi3_v"},
        (
            LENGTH.format(4096),
            Answer(48, 1e4, 32, factors="short_factor", length=4096, factor=LONG),
            Answer(48, 1e4, 32, factors="long_factor", length=4097, factor=LONG),
        ),
        "microsoft/Phi-3-vision-128k-instruct, modeling_phi3_v.py",
    ),
    (
        {"model_type": "phi4mm"},
        (
            LENGTH.format(4096),
            Answer(48, 1e4, 1, factors="short_factor", length=4096, factor=LONG),
            Answer(48, 1e4, 1, factors="long_factor", length=4097, factor=LONG),
        ),
        "microsoft/Phi-4-multimodal-instruct, modeling_phi4mm.py: 3/4 of 128",
    ),
    (
        {"model_type": "qwen", "kv_channels": 128, "num_hidden_layers": 1},
        (
            LENGTH.format(8192),
            Answer(64, 1e4, 1, length=8192),
            Answer(64, 1e4, 1, length=8193, last=3.0),
            Answer(64, 1e4, 1, length=131_072, last=31.0),
        ),
        "Qwen/Qwen-7B, modeling_qwen.py: 2 ** ceil(log2(length / 8192) + 1) - 1",
    ),
    (
        {"model_type": "qwen", "n_layer": 32},
        (
            LENGTH.format(2048),
            Answer(64, 1e4, 32, length=2048),
            Answer(64, 1e4, 32, length=4096, last=3.0),
        ),
        "Qwen/Qwen-7B, modeling_qwen.py",
    ),
    (
        {"model_type": "qwen", "num_hidden_layers": 40},
        (
            LENGTH.format(2048),
            Answer(64, 1e4, 40, length=2048),
            Answer(64, 1e4, 40, length=8192, last=7.0),
        ),
        "Qwen/Qwen-14B, modeling_qwen.py",
    ),
    (
        {"model_type": "qwen", "num_hidden_layers": 80},
        Answer(64, 1e6, 80),
        "Qwen/Qwen-72B, modeling_qwen.py: use_dynamic_ntk is off",
    ),
    (
        {"model_type": "qwen", "hidden_size": None, "kv_channels": None}
        | {"n_layer": None, "num_hidden_layers": None},
        "num_hidden_layers is missing|pass seq_len|must hold",
        "scales of a cache, not a model",
    ),
    (
        {"model_type": "RefinedWebModel"},
        Answer(32, 1e4, 32),
        "tiiuae/falcon-7b, modelling_RW.py",
    ),
    (
        {"model_type": "xverse"},
        Answer(64, 1e4, 32),
        "xverse/XVERSE-7B, modeling_xverse.py",
    ),
    (
        {"model_type": "yuan", "num_hidden_layers": 1},
        Answer(32, 1e4, 1),
        "IEITYuan/Yuan2-2B-hf, yuan_hf_model.py",
    ),
    (
        {"model_type": "yuan", "num_hidden_layers": 24},
        Answer(32, 1e4, 24),
        "IEITYuan/Yuan2-2B-hf, yuan_hf_model.py",
    ),
    # Nothing rotates, in transformers 5.23.
    *(
        ({"model_type": name}, NONE.format(name), f"transformers 5.23, {name}")
        for name in """
            bert bloom clip_vision_model gpt2 gpt_bigcode gpt_neo mobilebert mpt
            nemotron_h opt segformer t5 vit whisper inkling_mm_model
        """.split()
    ),
    (
        {"model_type": "clip"},
        NONE.format("clip"),
        "transformers 5.23, modeling_clip.py",
    ),
    # Models that are not of Hugging Face, other files, and names that stand for none.
    *(
        ({"model_type": name}, UNKNOWN.format(name), "no model type of transformers")
        for name in """
            LTXVideoTransformerModel ONNX chatterbox deepseek_ref flux
            gemma4_audio_projector gemma4_vision_projector gla qwen-1_8b-chat samba
            some_moe tarsier2 transformer wan
        """.split()
    ),
    (
        {"model_type": "Reasoning_V3"},
        r"config\['llm_config'\]: " + UNKNOWN.format("multi_h"),
        "a model type that was made up for a test",
    ),
    (
        {"model_type": "some_vl_model"},
        r"config\['language_config'\]: model_type=None is not in the table",
        "a model type that was made up for a test",
    ),
)


def name(record):
    config = record["config"]
    return f"{config['model_type']}, {record['source']}"


def frequencies(rope):
    return [abs(frequency) for frequency in rope.inv_freq]


def seen(rope):
    """What `answers` say of a rope."""
    values = frequencies(rope)
    settings = (rope.layout, rope.rotary_start, rope.num_axes, rope.attention_factor)
    return [rope.rotary_pairs, max(values), min(values), *settings]


SETTINGS, NUMBERS = (0, 3, 4, 5), (1, 2, 6)


def signs(ropes):
    return "".join("-" if rope is None else "+" for rope in ropes)


def close(values):
    # One formula in float64, whose powers may differ by a rounding.
    return pytest.approx(values, rel=1e-13)


@pytest.mark.parametrize("record", READ, ids=name)
def test_configs_that_transformers_reads(record):
    config = record["config"]
    for part, length, by_layer_type, layers in record["answers"]:
        where = {"part": part, "seq_len": length}
        ropes = ropes_from_hf(config, **where)
        assert signs(ropes) == layers
        for layer_type, expected in by_layer_type.items():
            rope = rope_from_hf(config, layer_type=layer_type or None, **where)
            made = seen(rope)
            assert [made[i] for i in SETTINGS] == [expected[i] for i in SETTINGS]
            assert [made[i] for i in NUMBERS] == close([expected[i] for i in NUMBERS])
        if part in config_parts(config)[:1]:
            assert ropes_from_hf(config, seq_len=length) == ropes


def test_no_part_is_offered_that_a_config_does_not_hold():
    for record in RECORDS:
        for part in config_parts(record["config"]):
            level = record["config"]
            for short in part.split("."):
                keys = [short, f"{short}_config", f"{short}_cfg"]
                held = [level[key] for key in keys if level.get(key)]
                assert held or part == "text", name(record)
                level = held[0] if held else level


def fits(config, keys):
    return all(config.get(key) == value for key, value in keys.items())


def rows_of(record):
    return [row for row in ROWS if fits(record["config"], row[0])]


def test_every_other_config_has_one_row_and_every_row_a_config():
    for record in OTHERS:
        assert len(rows_of(record)) == 1, name(record)
    for row in ROWS:
        assert any(fits(record["config"], row[0]) for record in OTHERS), row
        assert row[2], row


@pytest.mark.parametrize("record", OTHERS, ids=name)
def test_other_configs(record):
    config = record["config"]
    [(_, answers, _)] = rows_of(record)
    for answer in answers if type(answers) is tuple else (answers,):
        if isinstance(answer, str):
            refused(config, answer)
        else:
            check(config, answer)


def refused(config, message):
    layer_type = None if config.get("layer_types") is None else config["layer_types"][0]
    with pytest.raises(ValueError, match=f"^rope_from_hf: .*{message}"):
        rope_from_hf(config, layer_type=layer_type)
    with pytest.raises(ValueError, match=f"^ropes_from_hf: .*{message}"):
        ropes_from_hf(config)


def check(config, answer):
    ropes = ropes_from_hf(config, seq_len=answer.length)
    layers = answer.layers
    if isinstance(layers, str):
        off = [block["attention"].get("no_op") for block in config["block_configs"]]
        layers = "".join("-" if no_op else "+" for no_op in off)
    assert signs(ropes) == (layers if isinstance(layers, str) else "+" * layers)
    settings = {"layer_type": answer.layer_type, "seq_len": answer.length}
    rope = rope_from_hf(config, **settings)
    assert rope in ropes
    divisors = np.array([answer.first, answer.last])
    if answer.factors:
        language = config.get("text_config", config)
        divisors = np.array(language["rope_scaling"][answer.factors])[[0, -1]]
    ends = answer.base ** -np.array([0.0, (answer.pairs - 1) / answer.pairs])
    values = frequencies(rope)
    assert [values[0], values[-1]] == close(list(ends / divisors))
    assert rope.rotary_pairs == answer.pairs
    assert (rope.layout, rope.rotary_start) == (answer.layout, answer.place)
    assert rope.num_axes == answer.axes
    assert rope.attention_factor == close(answer.factor)
