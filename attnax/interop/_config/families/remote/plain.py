"""Remote models whose configs hold the usual keys."""

from ..... import functional as F
from ... import layers, widths
from ...family import RopeFamily
from ...schemas.flat import base_10000
from .record import BASE, GPT2_NAMES, HUB, SCALED, Remote

_FALCON = Remote(
    RopeFamily(
        schema=base_10000,
        types=("default",),
        rotates=layers.where_on("alibi", False, None),
    ),
    f"{HUB}/tiiuae/falcon-7b, modelling_RW.py",
    aliases={
        "n_embed": "hidden_size",
        "n_head": "num_attention_heads",
        "n_layer": "num_hidden_layers",
    },
)

ROWS = (
    ("RefinedWeb RefinedWebModel", _FALCON),
    (
        "deepseek",
        Remote(
            RopeFamily(head_dim=widths.of_a_share, types=SCALED),
            f"{HUB}/deepseek-ai/deepseek-moe-16b-base, modeling_deepseek.py",
            BASE | {"max_position_embeddings": 2048},
        ),
    ),
    (
        "exaone",
        Remote(
            RopeFamily(head_dim=widths.of_a_share),
            f"{HUB}/LGAI-EXAONE/EXAONE-3.0-7.8B-Instruct, modeling_exaone.py",
            BASE | {"max_position_embeddings": 2048},
            {"num_layers": "num_hidden_layers"},
        ),
    ),
    (
        "internlm2",
        Remote(
            RopeFamily(head_dim=widths.of_a_share, types=SCALED),
            f"{HUB}/internlm/internlm2-7b, modeling_internlm2.py",
            BASE | {"max_position_embeddings": 2048},
        ),
    ),
    (
        "mimo",
        Remote(
            RopeFamily(),
            f"{HUB}/XiaomiMiMo/MiMo-7B-Base, modeling_mimo.py",
            BASE | {"max_position_embeddings": 32768},
        ),
    ),
    (
        "minicpmv",
        Remote(
            RopeFamily(),
            f"{HUB}/openbmb/MiniCPM-V-2_6 and {HUB}/openbmb/MiniCPM-V-4, "
            "modeling_minicpmv.py",
            BASE,
        ),
    ),
    (
        "molmo",
        Remote(
            RopeFamily(head_dim=widths.of_a_share, types=("default",)),
            f"{HUB}/allenai/Molmo-7B-D-0924, modeling_molmo.py",
            BASE,
        ),
    ),
    (
        "orion",
        Remote(
            RopeFamily(head_dim=widths.of_a_share, types=SCALED),
            f"{HUB}/OrionStarAI/Orion-14B-Base, modeling_orion.py",
            BASE | {"max_position_embeddings": 4096},
        ),
    ),
    (
        "phi-msft",
        Remote(
            RopeFamily(
                head_dim=widths.of_rotary_dim, schema=base_10000, types=("default",)
            ),
            f"{HUB}/microsoft/phi-1_5, modeling_phi.py",
            {"rotary_dim": 32},
            GPT2_NAMES,
        ),
    ),
    (
        "phi3_v",
        Remote(
            RopeFamily(types=("default", "longrope"), renames={"su": "longrope"}),
            f"{HUB}/microsoft/Phi-3-vision-128k-instruct, modeling_phi3_v.py",
            BASE
            | {
                "max_position_embeddings": 4096,
                "original_max_position_embeddings": 4096,
            },
        ),
    ),
    (
        "phi4mm",
        Remote(
            RopeFamily(
                reads_fraction=True,
                types=("default", "longrope"),
                # The class of the config gives both names to one type.
                renames={"su": "longrope", "yarn": "longrope"},
            ),
            f"{HUB}/microsoft/Phi-4-multimodal-instruct, modeling_phi4mm.py",
            BASE
            | {
                "max_position_embeddings": 4096,
                "original_max_position_embeddings": 4096,
            },
        ),
    ),
    (
        "qwen3_asr_text",
        Remote(
            RopeFamily(axes=(F.strided_axes, (24, 20, 20))),
            "https://github.com/QwenLM/Qwen3-ASR, modeling_qwen3_asr.py",
            BASE,
        ),
    ),
)
