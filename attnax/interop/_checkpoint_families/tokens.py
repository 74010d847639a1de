"""Families of texts whose embedding is one table."""

from .family import CheckpointFamily
from .tensors import head, norm, token


def _one_table(family, stem, *heads, extras=(), **facts):
    tensors = (token(f"{stem}.weight"), *head(*heads), *extras)
    return CheckpointFamily(family, "token", (f"{stem}.",), tensors, **facts)


_DECODER_TYPES = """
    afmoe apertus arcee aria aria_text axk1 axk2 bailing_hybrid bamba beam
    bitnet cohere cohere2 cohere2_moe cohere_compass cohere_compass_text
    cosmos3_edge cosmos3_edge_text cwm deepseek_ocr2_text deepseek_v2
    deepseek_v3 deepseek_v32 diffllama doge dots1 dots3_note dots3_note_text
    emu3 emu3_text_model ernie4_5 ernie4_5_moe ernie4_5_vl_moe
    ernie4_5_vl_moe_text esmc eurobert exaone4 exaone_moe flex_olmo flint glm
    glm4 glm4_moe glm4_moe_lite glm4v glm4v_moe glm4v_moe_text glm4v_text
    glm_image_text glm_moe_dsa glm_ocr glm_ocr_text gpt_oss helium
    hunyuan_v1_dense hunyuan_v1_moe hunyuan_vl hunyuan_vl_text hy_v3 internlm3
    iquestcoder jais2 jamba jetmoe kimi_linear kolibri1 laguna lfm2 lfm2_moe
    lfm3 llama llama4 llama4_text longcat_flash mellum mimo_v2_flash minimax
    minimax_m2 minimax_m3_vl minimax_m3_vl_text ministral ministral3 mistral
    mistral4 mistral_large4 mistral_large4_text mixtral mllama mllama_text_model
    molmo2 molmo2_text nemotron olmo olmo2 olmo3 olmo_hybrid olmoe
    openai_privacy_filter paddleocr_vl paddleocr_vl_text persimmon phi phi3
    phi4_multimodal phimoe qwen2 qwen2_5_omni_text qwen2_5_omni_thinker
    qwen2_5_vl qwen2_5_vl_text qwen2_moe qwen2_vl qwen2_vl_text qwen3 qwen3_5
    qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next
    qwen3_omni_moe_text qwen3_omni_moe_thinker qwen3_vl qwen3_vl_moe
    qwen3_vl_moe_text qwen3_vl_text seed_oss smollm3 solar_open stablelm
    starcoder2 step3p5 step3p7 ultrabert unlimited_ocr unlimited_ocr_text
    voxtral_realtime_text youtu zamba zamba2
"""
# The code of these comes with their files.
_DECODER_TYPES_OF_OWN_CODE = """
    baichuan deepseek hunyuan internlm mimo nemotron-nas orion qwen3_asr_text
    xverse
"""

TOKENS = (
    _one_table(
        "decoder",
        "embed_tokens",
        "lm_head",
        models="Llama, Mistral, Qwen, Gemma, Phi and all others of Hugging Face with "
        "`embed_tokens`",
        types=_DECODER_TYPES + _DECODER_TYPES_OF_OWN_CODE,
    ),
    _one_table(
        "meta_llama",
        "tok_embeddings",
        "output",
        models="Llama as Meta names it",
        types="internlm2",
    ),
    _one_table(
        "gpt_neox",
        "embed_in",
        "lm_head",
        "embed_out",
        models="GPT-NeoX, Pythia",
        types="gpt_neox gpt_neox_japanese",
    ),
    _one_table(
        "gptj",
        "wte",
        "lm_head",
        models="GPT-J, MPT",
        types="codegen dbrx exaone gptj mpt qwen",
    ),
    _one_table(
        "bloom",
        "word_embeddings",
        "lm_head",
        extras=norm("word_embeddings_layernorm"),
        tied=True,
        models="BLOOM",
        types="bloom",
    ),
    _one_table(
        "falcon",
        "word_embeddings",
        "lm_head",
        models="Falcon",
        types="falcon RefinedWeb RefinedWebModel",
    ),
    CheckpointFamily(
        "t5",
        "token",
        # Not only "encoder." and "decoder.": a BART or an OPT has `embed_positions`.
        ("shared.", "encoder.embed_", "decoder.embed_"),
        (
            token(
                "shared.weight",
                "encoder.embed_tokens.weight",
                "decoder.embed_tokens.weight",
                copies=True,
            ),
            *head("lm_head"),
        ),
        models="T5",
        types="longt5 mt5 switch_transformers t5 umt5",
    ),
)
