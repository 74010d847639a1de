"""Models whose code is not in transformers: golden values from the formulas."""

import math

import numpy as np
import pytest

from attnax.interop import rope_from_hf, ropes_from_hf
from attnax.interop._config.families import table as families
from attnax.interop._config.families.table import REMOTE


def plain(width, base=10_000.0, divisors=1.0):
    """Frequencies of a progression, from the paper: `base ** (-2 i / width)`."""
    exponents = np.arange(0, width, 2, dtype=np.float64) / width
    return 1.0 / (divisors * np.float64(base) ** exponents)


def ntk(width, base, alpha):
    """The base times a power of alpha, so that the slowest pair is alpha slower."""
    return plain(width, base * alpha ** (width / (width - 2)))


def dynamic(width, base, factor, ratio):
    """Dynamic NTK at `ratio` times the trained length."""
    return ntk(width, base, factor * ratio - (factor - 1.0))


def llama3(width, base, factor, low, high, original):
    """Llama 3.1, band by band."""
    out = plain(width, base)
    for i, frequency in enumerate(out):
        turns = original * frequency / (2.0 * math.pi)
        share = min(max((turns - low) / (high - low), 0.0), 1.0)
        out[i] = share * frequency + (1.0 - share) * frequency / factor
    return out


def longrope_factor(ratio, original):
    return math.sqrt(1.0 + math.log(ratio) / math.log(original))


SIZES = {"hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 2}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
SHORT, LONG = [1.0 + i / 64 for i in range(48)], [1.0 + i for i in range(48)]
PHI3 = {
    "hidden_size": 3072,
    "num_attention_heads": 32,
    "num_hidden_layers": 2,
    "max_position_embeddings": 131_072,
    "original_max_position_embeddings": 4096,
}
SU = {"type": "su", "short_factor": SHORT, "long_factor": LONG}
CHATGLM = {"kv_channels": 128, "num_layers": 2, "seq_length": 8192}
QWEN = SIZES | {
    "kv_channels": 128,
    "rotary_emb_base": 10_000,
    "rotary_pct": 1.0,
    "seq_length": 2048,
    "use_dynamic_ntk": True,
}
PHI = {"n_embd": 2048, "n_head": 32, "n_layer": 2, "n_positions": 2048}
MINICPM4 = {
    "rope_type": "longrope",
    "short_factor": [1.0 + i / 64 for i in range(64)],
    "long_factor": [2.0 + i for i in range(64)],
    "original_max_position_embeddings": 8192,
}
PHI3SMALL = {
    "type": "su",
    "short_factor": [1.0 + i / 64 for i in range(64)],
    "long_factor": [2.0 + i for i in range(64)],
    "short_mscale": 1.0,
    "long_mscale": 1.25,
    "original_max_position_embeddings": 8192,
}
HUNYUAN = {
    "type": "dynamic",
    "alpha": 1000.0,
    "factor": 1.0,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
}
GTE = {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 2}
# The model type, its config, the length; frequencies, layout and attention factor.
GOLDEN = [
    ("baichuan", SIZES | {"max_position_embeddings": 4096}, None, plain(128)),
    ("chatglm", CHATGLM, None, plain(64), "interleaved"),
    ("chatglm", SIZES | {"kv_channels": 256}, None, plain(128), "interleaved"),
    (
        "chatglm",
        CHATGLM | {"rope_ratio": 500, "padded_vocab_size": 151_552},
        None,
        plain(64, 10_000 * 500),
        "interleaved",
    ),
    (
        "chatglm",
        CHATGLM | {"rope_ratio": 50, "_name_or_path": "THUDM/chatglm3-6b-32k"},
        None,
        plain(64, 10_000 * 50),
        "interleaved",
    ),
    ("deepseek", SIZES | {"rope_theta": 10_000}, None, plain(128)),
    (
        "deepseek",
        SIZES | {"rope_scaling": {"type": "linear", "factor": 4.0}},
        None,
        plain(128) / 4.0,
    ),
    (
        "exaone",
        {
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "num_layers": 2,
            "head_dim": 128,
            "rope_theta": 1e6,
            "rope_scaling": LLAMA3,
        },
        None,
        llama3(128, 1e6, 8.0, 1.0, 4.0, 8192),
    ),
    (
        "hunyuan",
        SIZES | {"attention_head_dim": 128, "use_mla": False, "rope_scaling": HUNYUAN},
        None,
        ntk(128, 1e4, 1000.0),
    ),
    (
        "internlm",
        SIZES | {"rotary": {"base": 5e5, "type": "origin"}},
        None,
        plain(128, 5e5),
    ),
    ("internlm", SIZES, 2048, plain(128)),
    ("internlm", SIZES, 8192, dynamic(128, 1e4, 1.0, 4.0)),
    ("internlm2", SIZES | {"rope_theta": 1e6}, None, plain(128, 1e6)),
    (
        "internlm2",
        SIZES
        | {"rope_theta": 1e6, "max_position_embeddings": 32_768}
        | {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
        131_072,
        dynamic(128, 1e6, 2.0, 4.0),
    ),
    ("mimo", SIZES | {"rope_theta": 640_000}, None, plain(128, 640_000)),
    (
        "minicpm",
        {"hidden_size": 2304, "num_attention_heads": 36, "num_hidden_layers": 2},
        None,
        plain(64),
    ),
    (
        "minicpm",
        SIZES | {"max_position_embeddings": 32_768, "rope_scaling": MINICPM4},
        8193,
        plain(128, divisors=np.array(MINICPM4["long_factor"])),
        "half",
        longrope_factor(4, 8192),
    ),
    (
        "minicpmv",
        {"hidden_size": 3584, "num_attention_heads": 28, "num_hidden_layers": 2}
        | {"rope_theta": 1e6, "version": 2.6},
        None,
        plain(128, 1e6),
    ),
    (
        "minimax_m3",
        {"head_dim": 128, "num_hidden_layers": 2, "rotary_dim": 64, "rope_theta": 5e6}
        | {"partial_rotary_factor": 0.5},
        None,
        plain(64, 5e6),
    ),
    (
        "molmo",
        {"hidden_size": 3584, "num_attention_heads": 28, "num_hidden_layers": 2}
        | {"rope_theta": 1e6},
        None,
        plain(128, 1e6),
    ),
    (
        "nemotron-nas",
        SIZES | {"rope_theta": 5e5, "rope_scaling": LLAMA3},
        None,
        llama3(128, 5e5, 8.0, 1.0, 4.0, 8192),
    ),
    ("new", GTE | {"rope_theta": 5e5}, None, plain(64, 5e5)),
    # gte-large-en-v1.5: fixed NTK, another base and a divisor of all pairs.
    (
        "new",
        GTE | {"rope_theta": 160_000, "rope_scaling": {"factor": 2.0, "type": "ntk"}},
        None,
        plain(64, 2 * 160_000, 2.0 ** (2 / 64)),
    ),
    (
        "orion",
        {"hidden_size": 5120, "num_attention_heads": 40, "num_hidden_layers": 2},
        None,
        plain(128),
    ),
    ("phi-msft", PHI | {"rotary_dim": 32}, None, plain(32)),
    (
        "phi3_v",
        PHI3 | {"rope_scaling": SU},
        4096,
        plain(96, divisors=np.array(SHORT)),
        "half",
        longrope_factor(32, 4096),
    ),
    (
        "phi3_v",
        {"hidden_size": 3072, "num_attention_heads": 32, "num_hidden_layers": 2}
        | {"rope_scaling": SU},
        4097,
        plain(96, divisors=np.array(LONG)),
    ),
    (
        "phi3_v",
        PHI3 | {"rope_scaling": SU},
        4097,
        plain(96, divisors=np.array(LONG)),
        "half",
        longrope_factor(32, 4096),
    ),
    ("phi3small", SIZES | {"rope_embedding_base": 1e6}, None, plain(128, 1e6)),
    (
        "phi3small",
        SIZES | {"max_position_embeddings": 131_072, "rope_scaling": PHI3SMALL},
        131_072,
        plain(128, 1e6, divisors=np.array(PHI3SMALL["long_factor"])),
        "half",
        1.25,
    ),
    (
        "phi4mm",
        PHI3
        | {"num_attention_heads": 24, "partial_rotary_factor": 0.75}
        | {"rope_scaling": SU | {"type": "yarn"}},
        131_072,
        plain(96, divisors=np.array(LONG)),
        "half",
        longrope_factor(32, 4096),
    ),
    ("qwen", QWEN | {"use_dynamic_ntk": False}, None, plain(128)),
    ("qwen", QWEN, 2048, plain(128)),
    ("qwen", QWEN, 2049, ntk(128, 1e4, 3.0)),
    ("qwen", QWEN, 4096, ntk(128, 1e4, 3.0)),
    ("qwen", QWEN, 4097, ntk(128, 1e4, 7.0)),
    ("qwen", QWEN, 8192, ntk(128, 1e4, 7.0)),
    (
        "qwen3_asr_text",
        {"head_dim": 128, "num_hidden_layers": 2, "rope_theta": 1e6},
        None,
        plain(128, 1e6),
    ),
    ("RefinedWeb", {"hidden_size": 8192, "n_head": 128, "n_layer": 2}, None, plain(64)),
    ("RefinedWeb", {"n_embed": 4096, "n_head": 128, "n_layer": 2}, None, plain(32)),
    (
        "RefinedWebModel",
        {"hidden_size": 4544, "n_head": 71, "n_layer": 2, "alibi": False},
        None,
        plain(64),
    ),
    ("xverse", SIZES | {"max_position_embeddings": 8192}, None, plain(128)),
    (
        "yuan",
        {"hidden_size": 2048, "num_attention_heads": 32, "num_hidden_layers": 2},
        None,
        plain(64),
    ),
    (
        "yuan",
        {"hidden_size": 2048, "num_attention_heads": 16, "num_hidden_layers": 2}
        | {"attention_projection_size": 4096},
        None,
        plain(256),
    ),
]


def config_of(name):
    return next(c | {"model_type": n} for n, c, *_ in GOLDEN if n == name)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case[0])
def test_golden_values(case):
    name, config, seq_len, expected, *more = case
    layout, factor = (*more, *("half", 1.0)[len(more) :])
    ropes = ropes_from_hf(config | {"model_type": name}, seq_len=seq_len)
    assert len(ropes) == 2 and ropes[0] is ropes[1]
    assert (ropes[0].layout, ropes[0].rotary_start) == (layout, "leading")
    # The same formula in another order: a few roundings in float64.
    np.testing.assert_allclose(ropes[0].inv_freq, expected, rtol=1e-13, atol=0.0)
    assert ropes[0].attention_factor == pytest.approx(factor, rel=1e-14)


def test_the_first_chatglm_turns_by_two_positions():
    config = SIZES | {"model_type": "chatglm", "position_encoding_2d": True}
    rope = rope_from_hf(config)
    # Each half of a head in halves of its own: by the position, then in the block.
    assert (rope.axis_of_pair, rope.num_blocks) == ((0,) * 32 + (1,) * 32, 2)
    expected = np.concatenate((plain(64), plain(64)))
    np.testing.assert_allclose(rope.inv_freq, expected, rtol=1e-13)


def test_the_text_of_qwen3_asr_has_its_axes_in_turn():
    rope = rope_from_hf(config_of("qwen3_asr_text"))
    assert rope.axis_of_pair == (0, 1, 2) * 20 + (0,) * 4


def test_every_row_has_a_golden_value_and_a_source():
    assert {name for name, *_ in GOLDEN} == set(REMOTE)
    assert not set(REMOTE) & set(families.IN_TRANSFORMERS)
    for name, row in REMOTE.items():
        assert row.source.startswith(("https://", "transformers 5.23")), name


def test_layers_of_nemotron_nas_without_attention_do_not_rotate():
    ways = ({"no_op": True}, {"n_heads_in_group": 8}, {"replace_with_linear": True})
    config = config_of("nemotron-nas") | {
        "num_hidden_layers": 3,
        "block_configs": [{"attention": way} for way in ways],
    }
    assert [rope is not None for rope in ropes_from_hf(config)] == [False, True, False]


def test_falcon_with_a_bias_rotates_nowhere():
    config = config_of("RefinedWebModel") | {"alibi": True}
    assert ropes_from_hf(config) == [None, None]


@pytest.mark.errors
@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("baichuan", {"max_position_embeddings": None}, "which has ALiBi"),
        ("baichuan", {"hidden_size": 5120, "num_attention_heads": 40}, "has ALiBi"),
        ("chatglm", {"rope_ratio": 16}, "ChatGLM2-32k divides positions"),
        ("chatglm", {"original_rope": False}, "original_rope=False is not read"),
        ("hunyuan", {"use_mla": True}, "use_mla=True, but the code"),
        ("hunyuan", {"position_embedding_xdrope": True}, "xdrope=True, but the code"),
        ("internlm", {"rotary": {"type": "linear"}}, "must be a dict with a type of"),
        ("internlm", {"rotary": {"type": "origin", "bse": 1}}, "rotary holds .'bse'"),
        ("internlm", {"rotary": {"type": "origin"}}, "rotary must hold 'rope_theta'"),
        (
            "internlm",
            {"rotary": {"type": ["dynamic"]}},
            "must be a dict with a type of",
        ),
        ("internlm", {"rotary": 3}, "rotary=3 must be a dict with a type of"),
        ("nemotron-nas", {"block_configs": [1, 1]}, "block_configs=.* must be a list"),
        ("nemotron-nas", {"block_configs": [{}]}, "2 layers, but its lists describe 1"),
        ("minicpm", {"rope_scaling": MINICPM4 | {"factor": 1.0}}, "holds factor=1.0"),
        ("molmo", {"rope_scaling": LLAMA3}, "rope_type='llama3', which the code of"),
        ("nemotron-nas", {"position_embedding_type": "yarn"}, "makes it 'rope'"),
        ("new", {"position_embedding_type": "absolute"}, "makes it 'rope'"),
        ("new", {"rope_theta": None}, "must hold 'rope_theta'"),
        ("phi3small", {"rope_position_scale": 2.0}, "rope_position_scale=2.0, but"),
        ("phi3_v", {"rope_scaling": SU | {"type": "yarn"}}, "rope_type='yarn', which"),
        ("qwen", {"use_dynamic_ntk": True}, "pass seq_len, up to 2048"),
        ("qwen", {"use_dynamic_ntk": None}, "pass seq_len, up to 2048"),
        ("xverse", {"max_position_embeddings": 16_384}, "a base and a scaling of its"),
        ("yuan", {"rotary_percent": 0.5}, "rotary_percent=0.5, which the code of Yuan"),
    ],
)
def test_what_a_row_cannot_know_is_refused(name, changes, message):
    with pytest.raises(ValueError, match=f"^rope_from_hf: .*{message}"):
        rope_from_hf(config_of(name) | changes)


@pytest.mark.errors
def test_models_that_turn_by_something_else_are_refused():
    for name in ("falcon_perception",):
        with pytest.raises(ValueError, match=f"{name}'.*fractional coordinates"):
            rope_from_hf({"model_type": name, "head_dim": 128})
