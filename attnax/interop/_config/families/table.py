"""What the code of each model type fixes and its config does not tell.

Read in the source of transformers 5.23: the layout of pairs, where in the head they
stand, how wide the rotating part is, which axes drive it, which layers rotate, and the
names that older configs use. Defaults of missing keys are in `defaults.json`.
"""

from dataclasses import replace
from functools import partial

from .... import functional as F
from .. import layers, schemas, widths
from ..family import Family
from ..methods import TYPES
from . import schemas as own
from .remote import REMOTE, REMOTE_REFUSED


def _mla_layout(context):
    interleaved = context.keys.get("rope_interleave", True)
    return "interleaved_to_half" if interleaved else "half"


# DeepSeek-VL2-tiny and DeepSeek-OCR: Llama's attention in the decoder of DeepSeek-V2.
_LLAMA_IN_DEEPSEEK = Family(head_dim=widths.of_a_share, elsewhere=("qk_rope_head_dim",))


def _without_latents(keys):
    return _LLAMA_IN_DEEPSEEK if keys.get("use_mla", True) is False else None


_PLAIN = Family()
_FRACTION = Family(reads_fraction=True)
_INTERLEAVED = Family(layout="interleaved")
_MLA = Family(
    layout="interleaved_to_half",
    rotary_start="trailing",
    head_dim=widths.of_the_rotary_part,
)
_MLA_HALF = replace(_MLA, layout="half")
_MLA_SWITCH = replace(_MLA, layout=_mla_layout)
_MLA_HEAD = replace(_MLA_SWITCH, head_dim=widths.of_the_rotary_part_alone)
_NOT_PROPORTIONAL = tuple(name for name in TYPES if name != "proportional")
_CHUNKED = (lambda sections, pairs: F.chunked_axes(sections), (16, 24, 24))
_STRIDED = (F.strided_axes, (24, 20, 20))
_GLM_SECTIONS = (8, 12, 12)
_NESTED = Family(schema=schemas.by_layer_type)
_NESTED_FRACTION = replace(_NESTED, reads_fraction=True)
_GLOBAL_AND_LOCAL = partial(
    schemas.by_layer_type,
    thetas={
        "sliding_attention": ("rope_local_base_freq", 10_000.0),
        "full_attention": ("rope_theta", 1_000_000.0),
    },
    scaled=("full_attention",),
)
# The code of the release reads the type under its old name too: transformers 4.50 of
# Gemma 3, 4.53 of Gemma 3n, 4.57 of OLMo 3.
_GEMMA3 = partial(_GLOBAL_AND_LOCAL, old_type=True)
_MODERNBERT = Family(
    schema=partial(
        schemas.by_layer_type,
        thetas={
            "sliding_attention": ("local_rope_theta", 10_000.0),
            "full_attention": ("global_rope_theta", 160_000.0),
        },
        scaled=("full_attention", "sliding_attention"),
    ),
    layer_types=layers.from_first(3, "global_attn_every_n_layers"),
)
_GEMMA4 = Family(
    schema=schemas.by_layer_type,
    layer_types=layers.last_is_full(layers.every(6)),
    overrides=widths.global_head_dim,
)
_PHI3 = Family(
    reads_fraction=True,
    types=("default", "longrope"),
    renames={"su": "longrope", "yarn": "longrope"},
)
_HUNYUAN = Family(
    method=own.ntk_alpha,
)
_MUSE = Family(
    layer_types=layers.from_last(4),
    rotates=layers.where_theta(layers.not_every_fourth_from_last),
)
_GRANITE_SWA = Family(
    layer_types=layers.from_first(4),
    rotates=layers.where_theta(layers.attending),
    per_layer=own.theta_of_layer,
)
_WAV2VEC2 = Family(
    schema=partial(schemas.flat, theta="rotary_embedding_base", fraction=None),
    types=("default",),
    rotates=layers.where_on("position_embeddings_type", "rotary"),
)
_NOMIC = {
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "max_trained_positions": 2048,
}
_GPT_J = Family(
    layout="interleaved",
    head_dim=widths.of_rotary_dim,
    schema=own.base_10000,
    types=("default",),
    elsewhere=("rotary",),
)

# Pictures: half of the head for each of two axes, for positions (row, column). The
# first half turns by the row, unless `axis_order` puts the column first.
_ROWS_COLUMNS = Family(axial=widths.halves())
_COLUMNS_ROWS = Family(axial=widths.halves(axis_order=(1, 0)))
_COLUMNS_ROWS_IN_PLACE = Family(
    axial=widths.halves(axis_order=(1, 0), layout="interleaved")
)
_SAM_MEMORY = replace(
    _COLUMNS_ROWS_IN_PLACE,
    head_dim=widths.of_memory_attention,
    schema=partial(schemas.flat, theta="memory_attention_rope_theta", fraction=None),
    layer_count=("memory_attention_num_layers", 1),
)

_TABLE = (
    (
        _PLAIN,
        """
        apertus arcee aria_text bitnet chameleon csm csm_depth_decoder_model
        deepseek_ocr2_encoder dia_decoder dia_encoder diffllama doge
        dots1 emu3_text_model esmc eurobert evolla flex_olmo gemma gradium_phonon_tts
        granite granite4_vision_text granite_docling_text granitemoe granitemoeshared
        gte higgs_audio_v2 hrm_text hy_v3 hyperclovax idefics internlm3 iquestcoder
        jais2 jina_embeddings_v3 kyutai_speech_to_text lasr_encoder llama mimi
        mimi_decoder mimi_encoder ministral3 mistral mixtral moshi neucodec
        olmo olmo2 olmoe pocket_tts pocket_tts_audio_tokenizer
        pocket_tts_audio_tokenizer_decoder pocket_tts_audio_tokenizer_encoder qwen2
        qwen2_moe qwen3 qwen3_moe qwen3_omni_moe_talker_code_predictor seed_oss
        starcoder2 timesfm2_5 voxtral_realtime_encoder voxtral_realtime_text xcodec2
    """,
    ),
    (
        _FRACTION,
        """
        glm4_moe glmasr_encoder nemotron nemotron3_5_transcribe_asr_audio
        minimax_m3_vl_text
        nemotron3_5_transcribe_word_timestamp nemotron3_diarization_audio persimmon phi
        solar_open stablelm
    """,
    ),
    (replace(_PLAIN, head_dim=widths.of_a_share), "deepseek_ocr2_text"),
    (replace(_FRACTION, head_dim=widths.of_a_share), "dots3_note_audio_encoder"),
    (replace(_PLAIN, says={"rotary_percent": 1.0}), "jetmoe"),
    (replace(_PLAIN, says=_NOMIC), "nomic_bert"),
    (replace(_PLAIN, layer_types=layers.all_of("hybrid")), "falcon_h1"),
    (
        replace(_PLAIN, layer_types=layers.all_of("sliding_attention")),
        "muse_glimmer_assistant qwen3_omni_moe.code2wav_config",
    ),
    (replace(_PLAIN, layer_types=layers.all_sliding_if_windowed), "ministral"),
    (
        replace(
            _PLAIN,
            head_dim=widths.of_a_share,
            layer_types=layers.all_of("reference_sliding_attention"),
        ),
        "unlimited_ocr_text",
    ),
    (replace(_PLAIN, layer_types=layers.from_first(4)), "cwm"),
    (
        replace(_PLAIN, layer_types=layers.every(2)),
        "gemma2 gpt_oss t5_gemma_module vaultgemma",
    ),
    (replace(_PLAIN, reverse=True), "nanochat"),
    (
        _INTERLEAVED,
        """
        blt_global_transformer blt_local_decoder blt_local_encoder blt_patcher cohere
        ernie4_5 ernie4_5_moe helium openai_privacy_filter pe_audio_encoder
        pe_audio_video_encoder pe_video_encoder
    """,
    ),
    (
        replace(_FRACTION, layout="interleaved"),
        """
        glm glm4 moonshine moonshine_streaming
    """,
    ),
    # Layers that do not rotate.
    (
        replace(
            _PLAIN,
            layer_types=layers.every(4, "global_attn_every_n_layers"),
            rotates=layers.only("sliding_attention"),
        ),
        "afmoe",
    ),
    (
        replace(
            _INTERLEAVED,
            layer_types=layers.every(4, "sliding_window_pattern"),
            rotates=layers.only("sliding_attention"),
        ),
        "cohere2",
    ),
    (
        replace(
            _INTERLEAVED,
            schema=partial(schemas.flat, names=("rope_parameters",)),
            layer_types=layers.cohere2_moe,
            rotates=layers.sliding_or_dense_prefix,
        ),
        "cohere2_moe",
    ),
    (
        replace(
            _PLAIN,
            layer_types=layers.every(4, "sliding_window_pattern"),
            rotates=layers.sliding_unless_no_window,
        ),
        "exaone4 exaone_moe",
    ),
    (
        replace(
            _PLAIN,
            layer_types=layers.every(5),
            rotates=layers.sliding_unless_no_window,
        ),
        "kolibri1",
    ),
    (
        replace(
            _PLAIN, layer_types=layers.flint, rotates=layers.only("sliding_attention")
        ),
        "flint",
    ),
    (replace(_PLAIN, rotates=layers.where_on("alibi", False, None)), "falcon"),
    (
        replace(
            _PLAIN,
            rotates=layers.not_across(
                "cross_attention_layers", 3, 8, 13, 18, 23, 28, 33, 38
            ),
        ),
        "mllama_text_model",
    ),
    (
        replace(
            _PLAIN,
            schema=partial(schemas.flat, names=()),
            types=("default",),
            rotates=layers.where_on("position_embedding_type", "rotary"),
        ),
        "esm",
    ),
    (replace(_PLAIN, layer_types=layers.smollm3, rotates=layers.by_flags), "smollm3"),
    (
        Family(
            layout="interleaved",
            layer_types=layers.llama4,
            rotates=layers.by_flags,
        ),
        "llama4_text",
    ),
    (_GRANITE_SWA, "granite_swa granitemoe_swa"),
    (_MUSE, "muse_glimmer_text muse_spark_text"),
    (replace(_PLAIN, per_layer=own.unscaled_layers), "molmo2_text"),
    # Layers without attention between those that have it.
    (
        replace(
            _FRACTION,
            schema=own.bamba,
            elsewhere=("attn_rotary_emb",),
            layer_types=layers.listed("attn_layer_indices"),
        ),
        "bamba",
    ),
    (
        replace(
            _PLAIN,
            layer_types=layers.all_of("linear_attention"),
            rotates=layers.where_on("position_embedding_type", "rope"),
        ),
        "granitemoehybrid",
    ),
    (replace(_PLAIN, layer_types=layers.lfm2), "lfm2"),
    (_PLAIN, "lfm2_moe"),
    (
        replace(
            _PLAIN,
            layer_types=layers.every(
                2, special="linear_attention", other="full_attention"
            ),
        ),
        "minimax",
    ),
    (replace(_PLAIN, layer_types=layers.olmo_hybrid), "olmo_hybrid"),
    (
        replace(
            _FRACTION,
            layer_types=layers.every(
                4, "full_attention_interval", other="linear_attention"
            ),
        ),
        "qwen3_next",
    ),
    (
        replace(_FRACTION, types=("default",), layer_types=layers.recurrent_gemma),
        "recurrent_gemma",
    ),
    (
        replace(
            _PLAIN,
            head_dim=widths.of_shared_attention,
            method=own.long_context,
            layer_types=layers.zamba2,
            rotates=layers.where_on("use_mem_rope", True),
        ),
        "zamba2",
    ),
    # Latent attention: a rotary part at the end of each head.
    (
        replace(_MLA, layer_types=layers.all_of("indexed_attention")),
        """
        axk2 deepseek_v32 glm_moe_dsa
    """,
    ),
    (replace(_MLA, layer_types=layers.bailing_hybrid), "bailing_hybrid"),
    (
        replace(
            _MLA,
            head_dim=widths.of_the_rotary_part_alone,
            layer_count=("num_layers", 2),
        ),
        "longcat_flash",
    ),
    (replace(_MLA_HALF, layer_types=layers.all_of("indexed_attention")), "hy_v4"),
    (_MLA_HALF, "minicpm3"),
    (
        replace(_MLA_HALF, layout="interleaved", variant=_without_latents),
        "deepseek_v2",
    ),
    (_MLA_HEAD, "axk1 deepseek_v3 glm4_moe_lite youtu"),
    (
        replace(_MLA_SWITCH, types=_NOT_PROPORTIONAL, schema=own.mistral4),
        "mistral4",
    ),
    (
        replace(
            _MLA,
            layer_types=layers.all_of("indexed_attention"),
            rotates=layers.by_flags,
        ),
        "mistral_large4_text",
    ),
    (
        replace(
            _MLA,
            types=_NOT_PROPORTIONAL,
            schema=own.dots3_note,
            layer_types=layers.dots3_note,
            overrides=widths.dots3_note,
        ),
        "dots3_note_text",
    ),
    (
        Family(
            layout="interleaved",
            rotary_start="trailing",
            reads_fraction=True,
            schema=own.deepseek_v4,
            label=lambda t: "main" if t == "sliding_attention" else "compress",
            layer_types=layers.deepseek_v4,
            padded=True,
        ),
        "deepseek_v4",
    ),
    # Parameters of their own for each type of layer.
    (
        replace(
            _NESTED,
            schema=_GEMMA3,
            layer_types=layers.every(6, "sliding_window_pattern"),
        ),
        "gemma3_text",
    ),
    (
        replace(
            _NESTED,
            schema=_GLOBAL_AND_LOCAL,
            layer_types=layers.every(6, "sliding_window_pattern"),
        ),
        "t5gemma2_text t5gemma2_decoder",
    ),
    (
        replace(_NESTED, schema=_GEMMA3, layer_types=layers.every(5)),
        "gemma3n_text",
    ),
    (
        replace(
            _NESTED,
            schema=partial(
                schemas.by_layer_type,
                thetas={
                    "sliding_attention": (None, 500_000.0),
                    "full_attention": ("rope_theta", 500_000.0),
                },
                scaled=("full_attention",),
                old_type=True,
            ),
            layer_types=layers.every(4),
        ),
        "olmo3",
    ),
    (_MODERNBERT, "modernbert modernbert-decoder"),
    (_GEMMA4, "gemma4_text gemma4_unified_text embedding_gemma2_text"),
    (replace(_GEMMA4, reads_fraction=True), "diffusion_gemma_text"),
    (replace(_NESTED, layer_types=layers.last_is_full(layers.every(6))), "beam"),
    (
        replace(_NESTED, layer_types=layers.every(3), schema=own.ultrabert),
        "ultrabert",
    ),
    (replace(_NESTED, layer_types=layers.lfm3), "lfm3"),
    (_NESTED_FRACTION, "laguna mellum"),
    (
        replace(
            _NESTED_FRACTION,
            layer_types=layers.mimo,
            schema=own.mimo,
        ),
        "mimo_v2_flash",
    ),
    (
        replace(
            _NESTED_FRACTION,
            schema=partial(schemas.by_layer_type, fraction="partial_rotary_factor"),
            layer_types=layers.all_of("hybrid"),
        ),
        "zaya",
    ),
    (
        replace(
            _NESTED_FRACTION,
            schema=own.neomme,
            layer_types=layers.last_is_full(layers.every(6)),
        ),
        "neomme",
    ),
    (replace(_NESTED_FRACTION, schema=own.step3p5, padded=True), "step3p5"),
    # Names of their own.
    (replace(_FRACTION, schema=own.gpt_neox), "gpt_neox gpt_neox_japanese"),
    (replace(_FRACTION, schema=own.minimax_m2), "minimax_m2"),
    (replace(_PLAIN, schema=own.dbrx), "dbrx"),
    (_PHI3, "phi3 phi4_multimodal"),
    (
        replace(
            _PLAIN,
            method=own.longrope_with_two_factors,
            types=("default", "longrope"),
        ),
        "phimoe",
    ),
    (_HUNYUAN, "hunyuan_v1_dense hunyuan_v1_moe"),
    (_GPT_J, "gptj codegen"),
    (
        Family(
            layout="interleaved",
            schema=own.base_10000,
            types=("default",),
            elsewhere=("rotary_value",),
        ),
        "roformer",
    ),
    (_WAV2VEC2, "wav2vec2-bert wav2vec2-conformer"),
    (replace(_WAV2VEC2, head_dim=widths.of_speech_encoder), "seamless_m4t"),
    (
        Family(
            head_dim=widths.of_clvp,
            schema=own.base_10000,
            types=("default",),
            rotates=layers.where_on("use_rotary_embedding", True),
        ),
        "clvp_encoder",
    ),
    # Text with pictures.
    (
        replace(_PLAIN, axes=_CHUNKED, renames={"mrope": "default"}),
        """
        qwen2_vl_text qwen2_5_vl_text
    """,
    ),
    (replace(_PLAIN, axes=_CHUNKED), "qwen2_5_omni_text qwen2_5_omni_talker"),
    (
        replace(_PLAIN, axes=_CHUNKED, says={"rope_is_neox_style": True}),
        "paddleocr_vl_text",
    ),
    (
        replace(_PLAIN, axes=_STRIDED),
        """
        cosmos3_edge_text qwen3_omni_moe_text qwen3_omni_moe_talker_text qwen3_vl_text
        qwen3_vl_moe_text
    """,
    ),
    (replace(_NESTED, axes=_STRIDED), "cohere_compass_text"),
    (
        replace(
            _FRACTION,
            axes=(F.strided_axes, (11, 11, 10)),
            layer_types=layers.every(
                4, "full_attention_interval", other="linear_attention"
            ),
        ),
        "qwen3_5_text qwen3_5_moe_text",
    ),
    (
        replace(
            _FRACTION,
            axes=(F.strided_axes, (11, 11, 10)),
            layer_types=layers.every(
                4,
                "full_attention_interval",
                special="indexed_attention",
                other="linear_attention",
            ),
        ),
        "qwen4_exp_text",
    ),
    (
        replace(_FRACTION, axes=(_CHUNKED[0], _GLM_SECTIONS)),
        """
        glm4v_moe_text glm_image_text
    """,
    ),
    (
        replace(_FRACTION, axes=(_CHUNKED[0], _GLM_SECTIONS), layout="interleaved"),
        """
        glm4v_text glm_ocr_text
    """,
    ),
    (
        replace(
            _PLAIN,
            axes=(lambda sections, pairs: F.alternating_axes(sections), (22, 22, 20)),
            layout="interleaved",
            types=("default",),
        ),
        "ernie4_5_vl_moe_text",
    ),
    # On the first head only, whose channels its attention brings into halves before.
    (_PLAIN, "qwen2_5_omni_dit"),
    # Pictures.
    (
        _ROWS_COLUMNS,
        """
        cohere_compass_vision dots3_note_vision_encoder ernie4_5_vl_moe_vision
        exaone4_5_vision glm4v_vision glm4v_moe_vision glm5_next_vision glm_ocr_vision
        mlcd_vision_model
        paddleocr_vl_vision qwen2_5_omni_vision_encoder qwen2_5_vl_vision qwen3_5_vision
        qwen3_5_moe_vision qwen3_omni_moe_vision_encoder qwen3_vl_vision
        qwen3_vl_moe_vision qwen4_exp_vision video_llama_3_vision
    """,
    ),
    (replace(_ROWS_COLUMNS, layer_types=layers.lfm3_vl), "lfm3_vl_vision"),
    (
        replace(
            _COLUMNS_ROWS,
            layer_types=layers.last_is_full(layers.every(4, other="window_attention")),
        ),
        "muse_glimmer_vision muse_spark_vision",
    ),
    (replace(_ROWS_COLUMNS, head_dim=widths.of_embed_dim), "qwen2_vl_vision"),
    (
        replace(_COLUMNS_ROWS, axial=widths.halves(axis_order=(1, 0), num_blocks=2)),
        "gemma4_vision",
    ),
    (_COLUMNS_ROWS, "step3p5_vision"),
    (
        replace(_COLUMNS_ROWS, axial=widths.halves(axis_order=(1, 0), alternate=True)),
        "kimi_k25_vision",
    ),
    (
        _COLUMNS_ROWS_IN_PLACE,
        "sam3_vit_model llama4_vision_model inkling2_vision",
    ),
    (replace(_ROWS_COLUMNS, axial=widths.halves(shared=True)), "pixtral"),
    (replace(_ROWS_COLUMNS, axial=widths.thirds), "minimax_m3_vl_vision"),
    (_SAM_MEMORY, "edgetam_video sam2_video sam3_tracker_video"),
    (
        Family(
            reads_fraction=True,
            axial=widths.whole_model,
            types=("default",),
            layer_count=("num_attention_layers", 1),
        ),
        "efficientloftr",
    ),
)

# By model type, as transformers knows it, and with the models whose code it has not.
IN_TRANSFORMERS = {name: family for family, names in _TABLE for name in names.split()}
FAMILIES = IN_TRANSFORMERS | {name: row.family for name, row in REMOTE.items()}
# Model types that stand for the code of another.
SAME_CODE = {
    "EvollaModel": "evolla",
    "exaone4_5_text": "exaone4",
    "gpt-sw3": "gpt2",
    "kimi_k2": "deepseek_v3",
    "mlcd": "mlcd_vision_model",
    "vlm": "hyperclovax_vision_v2",
}
# A model type of which nothing is known but what its config says.
UNKNOWN = Family(reads_fraction=True, schema=schemas.unknown)

_BY_COORDINATES = (
    "its angles come from fractional coordinates: use normalized_coordinates and "
    "normalized_cos_sin of attnax.functional"
)
# What rotates by something else than integer positions, and what to do.
REFUSED = REMOTE_REFUSED | {
    "dinov3_vit": _BY_COORDINATES,
    "eomt_dinov3": _BY_COORDINATES,
    "sapiens2": _BY_COORDINATES,
    "hunyuan_vl_text": "its rotary embedding, as transformers writes it, is no "
    "rotation, for the two channels of a pair take their angles from different axes: "
    "on text, where all axes are equal, it is a Rope of ntk_inv_freq",
    "vjepa2": "its rotary embedding is no rotation, for the two channels of a pair "
    "turn by different frequencies",
    "musicflamingo": "its angles come from time stamps: use rope_cos_sin with "
    "numerics='float32'",
    "esmfold2.atom_encoder": "its angles come from the coordinates of atoms: "
    "use rope_cos_sin with numerics='float32' and axis_of_pair",
    "lightglue": "its angles are learned from keypoints: use apply_rope with their cos "
    "and sin",
}
