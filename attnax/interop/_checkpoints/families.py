"""The families that are known, by name."""

from .tensors import (
    ONE_TOKEN,
    PATCH_OIHW,
    REGISTERS,
    TABLE,
    TOKENS,
    VIT_POSITIONS,
    Family,
    Tensor,
    bert,
    decoder,
    head,
    mask,
    norm,
    patches,
    positions,
    rest,
    siglip,
    token,
    tower,
    vit,
)

TEXT = {
    "bert": bert("cls.predictions."),
    "clip_text": tower(),
    "gpt2": Family(
        "text",
        ("wte.", "wpe."),
        (token("wte.weight"), positions("wpe.weight"), *head("lm_head")),
        tied=True,
    ),
    "opt": Family(
        "text",
        ("embed_tokens.", "embed_positions.", "project_in.", "project_out."),
        (
            token("embed_tokens.weight", axes=("vocab_size token_width",)),
            positions("embed_positions.weight"),
            rest("project_in.weight", axes="d_model token_width", required=False),
            rest("project_out.weight", axes="token_width d_model", required=False),
            *head("lm_head", axes="head_size token_width"),
        ),
        tied=True,
    ),
    "roberta": bert("lm_head."),
    "siglip_text": tower(),
    "siglip2_text": tower(),
}

TOKEN = {
    "bloom": decoder(
        "word_embeddings",
        "lm_head",
        extra=norm("word_embeddings_layernorm"),
        tied=True,
    ),
    "decoder": decoder("embed_tokens", "lm_head"),
    "falcon": decoder("word_embeddings", "lm_head"),
    "gpt_neox": decoder("embed_in", "lm_head", "embed_out"),
    "gptj": decoder("wte", "lm_head"),
    "meta_llama": decoder("tok_embeddings", "output"),
    "t5": Family(
        "token",
        # Longer than its tensors: the towers of BART and OPT have `embed_positions`.
        ("shared.", "encoder.embed_", "decoder.embed_"),
        (
            token(
                "shared.weight",
                "encoder.embed_tokens.weight",
                "decoder.embed_tokens.weight",
                axes=TABLE,
                copies=True,
            ),
            *head("lm_head"),
        ),
    ),
}

VISION = {
    "big_vision": Family(
        "vision",
        ("embedding/", "pos_embedding", "cls", "patchln_"),
        (
            *patches(
                "embedding/kernel",
                "embedding/bias",
                ("patch_height patch_width channels d_model",),
            ),
            Tensor("class", ("cls",), ONE_TOKEN, required=False),
            positions(
                "pos_embedding",
                "1 num_positions d_model",
                "Transformer/pos_embedding",
                "Transformer/posembed_input/pos_embedding",
                required=False,
            ),
        ),
        without_position=None,
        separator="/",
    ),
    "big_vision_naflex": Family(
        "vision",
        ("embedding/", "pos_embedding", "cls", "patchln_"),
        (
            *patches("embedding/kernel", "embedding/bias", ("patch_dim d_model",)),
            positions("pos_embedding", "grid_rows grid_columns d_model"),
        ),
        separator="/",
    ),
    "clip_vision": Family(
        "vision",
        ("embeddings.",),
        (
            Tensor("patch", ("embeddings.patch_embedding.weight",), (PATCH_OIHW,)),
            Tensor("class", ("embeddings.class_embedding",), ("d_model",)),
            positions("embeddings.position_embedding.weight"),
            *norm("pre_layrnorm", required=False),
        ),
    ),
    "deit": vit(
        Tensor("distillation", ("embeddings.distillation_token",), ONE_TOKEN),
        VIT_POSITIONS,
        mask("1 1 d_model"),
    ),
    "dinov2": vit(VIT_POSITIONS, mask("1 d_model")),
    "dinov2_hub": Family(
        "vision",
        ("patch_embed.",),
        (
            *patches("patch_embed.proj.weight", "patch_embed.proj.bias", (PATCH_OIHW,)),
            Tensor("class", ("cls_token",), ONE_TOKEN),
            Tensor("registers", ("register_tokens",), TOKENS, required=False),
            positions("pos_embed", "1 num_positions d_model"),
            mask("1 d_model", "mask_token"),
        ),
        without_position=("registers",),
    ),
    "dinov2_with_registers": vit(
        REGISTERS, VIT_POSITIONS, mask("1 d_model"), without_position=("registers",)
    ),
    "dinov3": vit(
        REGISTERS,
        mask("1 1 d_model"),
        patch="embeddings.patch_embeddings",
        without_position=("registers",),
    ),
    "siglip_vision": siglip(PATCH_OIHW),
    "siglip2_vision": siglip("d_model patch_dim"),
    "timm": Family(
        "vision",
        ("patch_embed.", "pos_embed", "cls_token", "dist_token", "reg_token"),
        (
            *patches(
                "patch_embed.proj.weight",
                "patch_embed.proj.bias",
                (PATCH_OIHW,),
                bias_required=False,
            ),
            Tensor("class", ("cls_token",), ONE_TOKEN, required=False),
            Tensor("distillation", ("dist_token",), ONE_TOKEN, required=False),
            Tensor("registers", ("reg_token",), TOKENS, required=False),
            positions("pos_embed", "1 num_positions d_model", required=False),
            *norm("norm_pre", required=False),
        ),
        without_position=None,
    ),
    "timm_naflex": Family(
        "vision",
        ("embeds.",),
        (
            *patches(
                "embeds.proj.weight",
                "embeds.proj.bias",
                ("d_model patch_dim", PATCH_OIHW),
                bias_required=False,
            ),
            Tensor("class", ("embeds.cls_token",), ONE_TOKEN, required=False),
            Tensor("registers", ("embeds.reg_token",), TOKENS, required=False),
            positions("embeds.pos_embed", "1 grid_rows grid_columns d_model"),
            *norm("norm_pre", required=False),
        ),
        without_position=("class", "registers"),
    ),
    "vit": vit(VIT_POSITIONS, mask("1 1 d_model")),
}

FAMILIES = TEXT | TOKEN | VISION
