"""Model types that have no family of checkpoints, and the reason for each.

The tensors of these models look like those of a family, but their embedding differs
from it. Each reason is the end of a sentence that begins with the name of the type.
"""

from .._model_types import by_name


def _scaled(factor, rounded="; scale_dtype says how the factor is rounded"):
    return (
        f"multiplies its tokens by {factor}, which no tensor tells: read it with "
        f"family='decoder' and pass scale to apply_token_embedding{rounded}"
    )


def _joined(names, text):
    return (
        names,
        "joins models of other types: pass the model_type of its text_config, such as "
        f"{text!r}, or of its vision_config",
    )


def _towers(model_type, *towers):
    return model_type, f"has two towers: pass {' or '.join(map(repr, towers))}"


_PER_LAYER = (
    "has tables for each of its layers, or may have, and multiplies its tokens by the "
    "root of d_model; family='decoder' reads a file without tables of the layers"
)
_NORMED = "normalizes its tokens before the first layer, which no family does"
_STREAMS = (
    "gives its layers several streams, each of which begins with the tokens: read the "
    "table with family='decoder'"
)
_FROM_2 = (
    "counts its positions from 2: read it with family='bert' and pass positions + 2 "
    "to apply_text_embedding"
)
_SUMMED = (
    "adds sinusoids, which no file holds, to tokens that may have a factor: read the "
    "table with family='decoder', or 't5' where it is called `shared`, and take the "
    "rest from sinusoid_options"
)
_CODES = "adds tables of several codes at each position, for which there is no family"
_BESIDE = "has more in its embedding than the tensors of family='bert'"

_ROWS = (
    (
        "embedding_gemma2 embedding_gemma2_text gemma gemma2 gemma3 gemma3_text "
        "shieldgemma2 vaultgemma t5gemma2_text",
        _scaled("the root of d_model"),
    ),
    (
        "paligemma colpali",
        _scaled("the root of d_model where its text is Gemma's"),
    ),
    (
        "biogpt blenderbot",
        "multiplies its tokens by the root of d_model where scale_embedding of its "
        "config is true; otherwise its names are those of family='opt'",
    ),
    (
        "t5gemma",
        "multiplies its tokens by the root of d_model: read it with family='t5' and "
        "pass scale to apply_token_embedding",
    ),
    (
        "rembert",
        "counts its positions from 0, while its names are those of family='roberta', "
        "which reads them",
    ),
    (
        "recurrent_gemma",
        _scaled(
            "the root of d_model, rounded to bfloat16",
            ", with scale_dtype=jnp.bfloat16",
        ),
    ),
    (
        "falcon_h1 granite granite4_vision_text granite_docling granite_docling_text "
        "granite_swa granitemoe granitemoe_swa granitemoehybrid granitemoeshared "
        "hyperclovax",
        _scaled("embedding_multiplier of its config"),
    ),
    ("minicpm minicpm3", _scaled("scale_emb of its config")),
    ("minicpmv", _scaled("scale_emb of its config, where that has it")),
    ("phi3small", _scaled("mup_embedding_multiplier of its config")),
    (
        "diffusion_gemma diffusion_gemma_text gemma3n gemma3n_text gemma4 gemma4_text "
        "gemma4_unified gemma4_unified_text",
        _PER_LAYER,
    ),
    (
        "colmodernvbert funnel inkling2_text inkling_text modernbert "
        "modernbert-decoder modernvbert muse_glimmer muse_glimmer_text muse_spark "
        "muse_spark_text nanochat neomme pe_audio",
        _NORMED,
    ),
    ("deepseek_v4 glm5_next glm5_next_text hy_v4", _STREAMS),
    ("mra nystromformer yoso", _FROM_2),
    (
        "canary cohere_asr kosmos-2 kosmos-2.5 kosmos_2_text_model "
        "kosmos_2_5_text_model m2m_100 nllb-moe seamless_m4t seamless_m4t_v2 "
        "hrm_text marian pegasus speech_to_text xglm",
        _SUMMED,
    ),
    ("csm gradium_phonon_tts higgs_audio_v2 kyutai_speech_to_text moshi", _CODES),
    ("bros lilt longformer luke lxmert squeezebert", _BESIDE),
    ("idefics molmo", "has a second table, of added tokens, which no family has"),
    ("zaya", "changes its tokens before the first layer, which no family does"),
    _joined(
        "deepseek_vl deepseek_vl_hybrid glmasr idefics3 janus llava llava_next "
        "llava_next_video smolvlm video_llava vipllava voxtral",
        "llama",
    ),
    _joined("idefics2 mistral3", "mistral"),
    _joined(
        "audioflamingo3 got_ocr2 internvl llava_onevision musicflamingo ovis2 "
        "pp_chart2table qwen2_audio vibevoice vibevoice_asr video_llama_3",
        "qwen2",
    ),
    _joined(
        "fun_asr_nano lighton_ocr moss_transcribe_diarize qianfan_ocr qwen3_asr",
        "qwen3",
    ),
    _joined("minicpm_ocr minicpmv4_6 minicpmv4_7", "qwen3_5_text"),
    _joined("aya_vision cohere2_vision", "cohere2"),
    _joined("colqwen2", "qwen2_vl"),
    _joined("cosmos3_omni", "qwen3_vl_text"),
    _joined("exaone4_5", "exaone4"),
    _joined("fuyu", "persimmon"),
    _joined("glm46v glmga", "glm4v_text"),
    _joined("granite_speech granite_speech_plus", "granite"),
    _joined("hyperclovax_vision_v2", "hyperclovax"),
    _joined("kimi_k25", "deepseek_v3"),
    _joined("lfm2_vl", "lfm2"),
    _joined("lfm3_vl", "lfm3"),
    _joined("ultravbert", "ultrabert"),
    _joined("voxtral_realtime", "voxtral_realtime_text"),
    _joined("blip-2 instructblip instructblipvideo", "opt"),
    _towers("aimv2", "aimv2_text_model"),
    _towers("align", "align_text_model"),
    _towers("bridgetower", "bridgetower_text_model"),
    _towers("clap", "clap_text_model"),
    _towers("groupvit", "groupvit_text_model"),
    _towers("altclip", "altclip_text_model", "altclip_vision_model"),
    _towers("chinese_clip", "chinese_clip_text_model", "chinese_clip_vision_model"),
    _towers("clip", "clip_text_model", "clip_vision_model"),
    _towers("clipseg", "clipseg_text_model", "clipseg_vision_model"),
    _towers("flava", "flava_text_model", "flava_image_model"),
    _towers("metaclip_2", "metaclip_2_text_model", "metaclip_2_vision_model"),
    _towers("owlv2", "owlv2_text_model", "owlv2_vision_model"),
    _towers("owlvit", "owlvit_text_model", "owlvit_vision_model"),
    _towers("siglip", "siglip_text_model", "siglip_vision_model"),
    _towers("siglip2", "siglip2_text_model", "siglip2_vision_model"),
    _towers("xclip", "xclip_text_model", "xclip_vision_model"),
)
REASONS: dict[str, str] = by_name(_ROWS)
