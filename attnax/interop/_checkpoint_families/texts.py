"""Families of texts whose embeddings have positions."""

from .family import CheckpointFamily, Tensor
from .tensors import extra, head, norm, positions, token


def _text(family, namespaces, *tensors, **facts):
    return CheckpointFamily(family, "text", namespaces, tensors, **facts)


def _bert(family, head_prefix, **facts):
    """BERT, or a model that descends from it."""
    project = "embeddings_project"  # only a small ELECTRA has it
    return _text(
        family,
        ("embeddings.",),
        token("embeddings.word_embeddings.weight"),
        positions("embeddings.position_embeddings.weight"),
        Tensor(
            "token_types",
            ("embeddings.token_type_embeddings.weight",),
            ("num_token_types d_model",),
        ),
        *norm("embeddings.LayerNorm"),
        extra(f"{project}.weight", axes="projected_width d_model", required=False),
        extra(f"{project}.bias", axes="projected_width", required=False),
        *head(f"{head_prefix}decoder"),
        extra(f"{head_prefix}bias", axes="head_size", required=False, beside=True),
        tied=True,
        **facts,
    )


def _tower(family, **facts):
    """The text tower of CLIP, SigLIP or SigLIP 2."""
    return _text(
        family,
        ("embeddings.",),
        token("embeddings.token_embedding.weight"),
        positions("embeddings.position_embedding.weight"),
        **facts,
    )


TEXTS = (
    _bert(
        "bert",
        "cls.predictions.",
        models="BERT, ELECTRA",
        types="""
            albert align_text_model bert big_bird chinese_clip_text_model convbert dpr
            electra ernie flava_text_model splinter
        """,
    ),
    _bert(
        "roberta",
        "lm_head.",
        models="RoBERTa, XLM-R",
        types="""
            altclip_text_model bridgetower_text_model camembert clap_text_model
            data2vec-text roberta roberta-prelayernorm xlm-roberta xmod
        """,
    ),
    _text(
        "gpt2",
        ("wte.", "wpe."),
        token("wte.weight"),
        positions("wpe.weight"),
        *head("lm_head"),
        tied=True,
        models="GPT-2, GPT-Neo",
        types="gpt-sw3 gpt2 gpt_bigcode gpt_neo imagegpt",
    ),
    _text(
        "opt",
        ("embed_tokens.", "embed_positions.", "project_in.", "project_out."),
        token("embed_tokens.weight", axes="vocab_size token_width"),
        positions("embed_positions.weight"),
        extra("project_in.weight", axes="d_model token_width", required=False),
        extra("project_out.weight", axes="token_width d_model", required=False),
        *head("lm_head", axes="head_size token_width"),
        tied=True,
        models="OPT",
        types="opt",
    ),
    _tower(
        "clip_text",
        models="the text tower of CLIP",
        types="""
            aimv2_text_model clip_text_model clipseg_text_model groupvit_text_model
            metaclip_2_text_model owlv2_text_model owlvit_text_model xclip_text_model
        """,
    ),
    _tower(
        "siglip_text",
        models="the text tower of SigLIP",
        types="siglip_text_model",
    ),
    _tower(
        "siglip2_text",
        models="the text tower of SigLIP 2",
        types="siglip2_text_model",
    ),
)
