"""Models whose layers are all alike and whose configs hold the usual keys."""

from .. import widths
from ..family import RopeFamily

ROWS = (
    (
        """
        apertus arcee aria_text bitnet chameleon csm csm_depth_decoder_model
        deepseek_ocr2_encoder dia_decoder dia_encoder diffllama doge dots1
        emu3_text_model esmc eurobert evolla flex_olmo gemma gradium_phonon_tts granite
        granite4_vision_text granite_docling_text granitemoe granitemoeshared gte
        higgs_audio_v2 hrm_text hy_v3 hyperclovax idefics internlm3 iquestcoder jais2
        jina_embeddings_v3 kyutai_speech_to_text lasr_encoder llama mimi mimi_decoder
        mimi_encoder ministral3 mistral mixtral moshi neucodec olmo olmo2 olmoe
        pocket_tts pocket_tts_audio_tokenizer pocket_tts_audio_tokenizer_decoder
        pocket_tts_audio_tokenizer_encoder qwen2 qwen2_moe qwen3 qwen3_moe
        qwen3_omni_moe_talker_code_predictor seed_oss starcoder2 timesfm2_5
        voxtral_realtime_encoder voxtral_realtime_text xcodec2
        """,
        RopeFamily(),
    ),
    (
        # Only the first head rotates, after the attention has reordered it to halves.
        "qwen2_5_omni_dit",
        RopeFamily(),
    ),
    (
        """
        glm4_moe glmasr_encoder minimax_m3_vl_text nemotron
        nemotron3_5_transcribe_asr_audio nemotron3_5_transcribe_word_timestamp
        nemotron3_diarization_audio persimmon phi solar_open stablelm
        """,
        RopeFamily(reads_fraction=True),
    ),
    (
        """
        blt_global_transformer blt_local_decoder blt_local_encoder blt_patcher cohere
        ernie4_5 ernie4_5_moe helium openai_privacy_filter pe_audio_encoder
        pe_audio_video_encoder pe_video_encoder
        """,
        RopeFamily(layout="interleaved"),
    ),
    (
        "glm glm4 moonshine moonshine_streaming",
        RopeFamily(layout="interleaved", reads_fraction=True),
    ),
    ("deepseek_ocr2_text", RopeFamily(head_dim=widths.of_a_share)),
    (
        "dots3_note_audio_encoder",
        RopeFamily(head_dim=widths.of_a_share, reads_fraction=True),
    ),
    ("nanochat", RopeFamily(reverse=True)),
    ("jetmoe", RopeFamily(says={"rotary_percent": 1.0})),
    (
        "nomic_bert",
        RopeFamily(
            says={
                "rotary_emb_fraction": 1.0,
                "rotary_emb_interleaved": False,
                "max_trained_positions": 2048,
            }
        ),
    ),
)
