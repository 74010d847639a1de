"""Models whose code lies beside their weights and not in transformers.

A row holds the rules of a model type, the defaults of the keys that they read, other
names of these keys, and where the rules were read. Where a row gives no default, its
config must hold the key.
"""

from dataclasses import dataclass, field, replace

from .... import functional as F
from .. import layers, widths
from ..family import Family
from . import remote_rules as own
from . import schemas as families


@dataclass(frozen=True)
class Remote:
    """The rules of one model type, and where they come from.

    Attributes:
        family: The rules.
        source: Whose code they were read in.
        defaults: What the code takes for a key that is missing.
        aliases: Names of keys in the configs of this type, and what the rules call
            them.
    """

    family: Family
    source: str
    defaults: dict = field(default_factory=dict)
    aliases: dict = field(default_factory=dict)

    def known(self):
        """Defaults and names, as `defaults.json` holds them."""
        return self.defaults | {"aliases": self.aliases}


_HUB = "https://huggingface.co"
_SCALED = ("default", "linear", "dynamic")
_HALF = Family(head_dim=widths.of_a_share, types=_SCALED)
_BASE = {"default_rope_theta": 10_000.0}
_GPT2 = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
}
_LONG = Family(types=("default", "longrope"), renames={"su": "longrope"})
# The class of the config calls both so.
_PHI4 = replace(
    _LONG, reads_fraction=True, renames={"su": "longrope", "yarn": "longrope"}
)
_FALCON = Remote(
    Family(
        schema=families.base_10000,
        types=("default",),
        rotates=layers.where_on("alibi", False, None),
    ),
    f"{_HUB}/tiiuae/falcon-7b, modelling_RW.py",
    aliases={
        "n_embed": "hidden_size",
        "n_head": "num_attention_heads",
        "n_layer": "num_hidden_layers",
    },
)
# Two positions: in the text, and in the block that is being filled.
_CHATGLM1 = Family(
    head_dim=widths.of_a_share,
    schema=families.base_10000,
    types=("default",),
    axial=widths.halves(num_blocks=2),
)

# Each by its own model type.
REMOTE = {
    "baichuan": Remote(
        Family(schema=own.baichuan, head_dim=widths.of_a_share, types=("default",)),
        f"{_HUB}/baichuan-inc/Baichuan2-7B-Base, modeling_baichuan.py",
    ),
    "chatglm": Remote(
        Family(
            layout="interleaved",
            head_dim=own.half_of_kv_channels,
            schema=own.chatglm,
            types=("default",),
            elsewhere=("rope_ratio",),
            variant=lambda keys: _CHATGLM1 if own.is_first_chatglm(keys) else None,
        ),
        f"{_HUB}/THUDM/chatglm-6b, {_HUB}/THUDM/chatglm3-6b and "
        f"{_HUB}/THUDM/glm-4-9b, modeling_chatglm.py",
        {"kv_channels": 128, "hidden_size": 4096, "num_attention_heads": 32},
        {"num_layers": "num_hidden_layers"},
    ),
    "deepseek": Remote(
        _HALF,
        f"{_HUB}/deepseek-ai/deepseek-moe-16b-base, modeling_deepseek.py",
        _BASE | {"max_position_embeddings": 2048},
    ),
    "exaone": Remote(
        replace(_HALF, types=None),
        f"{_HUB}/LGAI-EXAONE/EXAONE-3.0-7.8B-Instruct, modeling_exaone.py",
        _BASE | {"max_position_embeddings": 2048},
        {"num_layers": "num_hidden_layers"},
    ),
    "hunyuan": Remote(
        Family(
            schema=own.hunyuan,
            types=_SCALED,
            method=families.ntk_alpha,
            elsewhere=("use_mla",),
        ),
        f"{_HUB}/tencent/Hunyuan-A13B-Instruct, modeling_hunyuan.py",
        _BASE | {"max_position_embeddings": 2048},
        {"attention_head_dim": "head_dim"},
    ),
    "internlm": Remote(
        replace(_HALF, schema=own.internlm, elsewhere=("rotary",)),
        f"{_HUB}/internlm/internlm-7b, modeling_internlm.py",
        {"max_position_embeddings": 2048},
    ),
    "internlm2": Remote(
        _HALF,
        f"{_HUB}/internlm/internlm2-7b, modeling_internlm2.py",
        _BASE | {"max_position_embeddings": 2048},
    ),
    "mimo": Remote(
        Family(),
        f"{_HUB}/XiaomiMiMo/MiMo-7B-Base, modeling_mimo.py",
        _BASE | {"max_position_embeddings": 32768},
    ),
    "minicpm": Remote(
        replace(_HALF, types=(*_SCALED, "longrope"), method=own.minicpm),
        f"{_HUB}/openbmb/MiniCPM-2B-sft-bf16 and {_HUB}/openbmb/MiniCPM4-8B, "
        "modeling_minicpm.py",
        _BASE | {"max_position_embeddings": 2048},
    ),
    "minicpmv": Remote(
        Family(),
        f"{_HUB}/openbmb/MiniCPM-V-2_6 and {_HUB}/openbmb/MiniCPM-V-4, "
        "modeling_minicpmv.py",
        _BASE,
    ),
    "minimax_m3": Remote(
        Family(reads_fraction=True, schema=own.minimax_m3),
        "transformers 5.23, modeling_minimax_m3_vl.py",
    ),
    "molmo": Remote(
        replace(_HALF, types=("default",)),
        f"{_HUB}/allenai/Molmo-7B-D-0924, modeling_molmo.py",
        _BASE,
    ),
    "nemotron-nas": Remote(
        replace(_HALF, types=None, schema=own.nemotron_nas, layer_types=own.blocks),
        f"{_HUB}/nvidia/Llama-3_3-Nemotron-Super-49B-v1, modeling_decilm.py",
        _BASE | {"max_position_embeddings": 2048},
    ),
    "orion": Remote(
        _HALF,
        f"{_HUB}/OrionStarAI/Orion-14B-Base, modeling_orion.py",
        _BASE | {"max_position_embeddings": 4096},
    ),
    "phi-msft": Remote(
        Family(
            head_dim=widths.of_rotary_dim,
            schema=families.base_10000,
            types=("default",),
        ),
        f"{_HUB}/microsoft/phi-1_5, modeling_phi.py",
        {"rotary_dim": 32},
        _GPT2,
    ),
    "phi3_v": Remote(
        _LONG,
        f"{_HUB}/microsoft/Phi-3-vision-128k-instruct, modeling_phi3_v.py",
        _BASE
        | {"max_position_embeddings": 4096, "original_max_position_embeddings": 4096},
    ),
    "phi3small": Remote(
        replace(
            _LONG,
            head_dim=widths.of_a_share,
            schema=own.phi3small,
            method=families.longrope_with_two_factors,
            elsewhere=("rope_embedding_base", "rope_position_scale"),
        ),
        f"{_HUB}/microsoft/Phi-3-small-128k-instruct, modeling_phi3_small.py",
        {"rope_embedding_base": 1_000_000.0, "max_position_embeddings": 8192},
    ),
    "phi4mm": Remote(
        _PHI4,
        f"{_HUB}/microsoft/Phi-4-multimodal-instruct, modeling_phi4mm.py",
        _BASE
        | {"max_position_embeddings": 4096, "original_max_position_embeddings": 4096},
    ),
    "qwen": Remote(
        Family(
            head_dim=own.kv_channels,
            reads_fraction=True,
            schema=own.qwen,
            types=("default", "dynamic"),
            method=own.qwen_ntk,
            elsewhere=("use_dynamic_ntk",),
        ),
        f"{_HUB}/Qwen/Qwen-7B, modeling_qwen.py",
        {
            "hidden_size": 4096,
            "kv_channels": 128,
            "num_attention_heads": 32,
            "rotary_emb_base": 10_000.0,
            "rotary_pct": 1.0,
            "use_dynamic_ntk": True,
        },
        _GPT2,
    ),
    "qwen3_asr_text": Remote(
        Family(axes=(F.strided_axes, (24, 20, 20))),
        "https://github.com/QwenLM/Qwen3-ASR, modeling_qwen3_asr.py",
        _BASE,
    ),
    "RefinedWeb": _FALCON,
    "RefinedWebModel": _FALCON,
    "xverse": Remote(
        Family(schema=own.xverse, head_dim=widths.of_a_share, types=("default",)),
        f"{_HUB}/xverse/XVERSE-7B, modeling_xverse.py",
        _BASE,
    ),
    "yuan": Remote(
        Family(
            head_dim=own.of_the_projection,
            schema=own.yuan,
            types=("default",),
            elsewhere=("rotary_base", "rotary_percent"),
        ),
        f"{_HUB}/IEITYuan/Yuan2-2B-hf, yuan_hf_model.py",
    ),
}

# Models that rotate by something else than whole positions, and what to do.
REMOTE_REFUSED = {
    "falcon_perception": "the second half of each head turns by fractional coordinates "
    "in directions that differ from head to head; the first half is that of "
    "default_inv_freq(head_dim // 2, rope_theta)",
}
