"""Families of images."""

from .family import CheckpointFamily, Tensor
from .tensors import (
    PATCH_OIHW,
    mask,
    norm,
    one_token,
    patches,
    positions,
    registers,
)


def _vision(family, namespaces, *tensors, **facts):
    return CheckpointFamily(family, "vision", namespaces, tensors, **facts)


def _vit(family, *tensors, patch="embeddings.patch_embeddings.projection", **facts):
    """An image model of Hugging Face that descends from its ViT."""
    return _vision(
        family,
        ("embeddings.",),
        *patches(f"{patch}.weight", f"{patch}.bias"),
        one_token("class", "embeddings.cls_token"),
        *tensors,
        **facts,
    )


def _siglip(family, kernel_axes, **facts):
    stem = "embeddings.patch_embedding"
    return _vision(
        family,
        ("embeddings.",),
        *patches(f"{stem}.weight", f"{stem}.bias", (kernel_axes,)),
        positions("embeddings.position_embedding.weight"),
        **facts,
    )


_VIT_POSITIONS = positions(
    "embeddings.position_embeddings", axes="1 num_positions d_model"
)
_VIT_MASK = mask("embeddings.mask_token", "1 1 d_model")
_DINOV2_MASK = mask("embeddings.mask_token", "1 d_model")
_REGISTERS = registers("embeddings.register_tokens")

IMAGES = (
    _vit(
        "vit",
        _VIT_POSITIONS,
        _VIT_MASK,
        models="ViT of Hugging Face",
        types="""
            flava_image_model internvl_vision qianfan_ocr_vision vit vit_mae vit_msn
        """,
    ),
    _vit(
        "deit",
        one_token("distillation", "embeddings.distillation_token"),
        _VIT_POSITIONS,
        _VIT_MASK,
        models="DeiT",
        types="deit",
    ),
    _vit("dinov2", _VIT_POSITIONS, _DINOV2_MASK, models="DINOv2", types="dinov2"),
    _vit(
        "dinov2_with_registers",
        _REGISTERS,
        _VIT_POSITIONS,
        _DINOV2_MASK,
        without_position=("registers",),
        models="DINOv2 with registers",
        types="dinov2_with_registers tipsv2_vision_model",
    ),
    _vision(
        "dinov2_hub",
        ("patch_embed.",),
        *patches("patch_embed.proj.weight", "patch_embed.proj.bias"),
        one_token("class", "cls_token"),
        registers("register_tokens", required=False),
        positions("pos_embed", axes="1 num_positions d_model"),
        mask("mask_token", "1 d_model"),
        without_position=("registers",),
        models="DINOv2 as its authors name it",
    ),
    _vit(
        "dinov3",
        _REGISTERS,
        _VIT_MASK,
        patch="embeddings.patch_embeddings",
        without_position=("registers",),
        models="DINOv3, whose positions are rotary",
        types="dinov3_vit",
    ),
    _vision(
        "clip_vision",
        ("embeddings.",),
        Tensor("patch", ("embeddings.patch_embedding.weight",), (PATCH_OIHW,)),
        Tensor("class", ("embeddings.class_embedding",), ("d_model",)),
        positions("embeddings.position_embedding.weight"),
        *norm("pre_layrnorm", required=False),
        models="CLIP",
        types="""
            altclip_vision_model chinese_clip_vision_model clip_vision_model
            clipseg_vision_model git_vision_model kosmos_2_vision_model
            metaclip_2_vision_model owlv2_vision_model owlvit_vision_model
            xclip_vision_model
        """,
    ),
    _vision(
        "blip_vision",
        ("embeddings.",),
        *patches(
            "embeddings.patch_embedding.weight", "embeddings.patch_embedding.bias"
        ),
        one_token("class", "embeddings.class_embedding"),
        positions("embeddings.position_embedding", axes="1 num_positions d_model"),
        models="BLIP, BLIP-2, InstructBLIP",
        types="""
            blip_2_vision_model blip_vision_model instructblip_vision_model
            instructblipvideo_vision_model
        """,
    ),
    _siglip(
        "siglip_vision",
        PATCH_OIHW,
        models="SigLIP, and SigLIP 2 of a fixed size",
        types="""
            granite_docling_vision idefics2_vision idefics3_vision janus_vision_model
            phi4_multimodal_vision siglip_vision_model smolvlm_vision
        """,
    ),
    _siglip(
        "siglip2_vision",
        "d_model patch_dim",
        models="SigLIP 2 (NaFlex)",
        types="siglip2_vision_model",
    ),
    _vision(
        "timm",
        ("patch_embed.", "pos_embed", "cls_token", "dist_token", "reg_token"),
        *patches(
            "patch_embed.proj.weight", "patch_embed.proj.bias", bias_required=False
        ),
        one_token("class", "cls_token", required=False),
        one_token("distillation", "dist_token", required=False),
        registers("reg_token", required=False),
        positions("pos_embed", axes="1 num_positions d_model", required=False),
        *norm("norm_pre", required=False),
        without_position=None,
        models="timm",
    ),
    _vision(
        "timm_naflex",
        ("embeds.",),
        *patches(
            "embeds.proj.weight",
            "embeds.proj.bias",
            ("d_model patch_dim", PATCH_OIHW),
            bias_required=False,
        ),
        one_token("class", "embeds.cls_token", required=False),
        registers("embeds.reg_token", required=False),
        positions("embeds.pos_embed", axes="1 grid_rows grid_columns d_model"),
        *norm("norm_pre", required=False),
        without_position=("class", "registers"),
        models="NaFlex of timm",
    ),
    _vision(
        "big_vision",
        ("embedding/", "pos_embedding", "cls", "patchln_"),
        *patches(
            "embedding/kernel",
            "embedding/bias",
            ("patch_height patch_width channels d_model",),
        ),
        one_token("class", "cls", required=False),
        positions(
            "pos_embedding",
            "Transformer/pos_embedding",
            "Transformer/posembed_input/pos_embedding",
            axes="1 num_positions d_model",
            required=False,
        ),
        without_position=None,
        separator="/",
        models="big_vision",
    ),
    _vision(
        "big_vision_naflex",
        ("embedding/", "pos_embedding", "cls", "patchln_"),
        *patches("embedding/kernel", "embedding/bias", ("patch_dim d_model",)),
        positions("pos_embedding", axes="grid_rows grid_columns d_model"),
        separator="/",
        models="NaFlex of big_vision",
    ),
)
