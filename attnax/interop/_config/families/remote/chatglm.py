"""ChatGLM: half of each head rotates; the first model rotates by two positions."""

from ... import widths
from ...family import RopeFamily
from ...schemas.flat import base_10000
from ..vision import halves
from .record import HUB, Remote

_GLM4_VOCABULARY = 151_552


def parameters(context):
    """Parameters with a base of 10000 times `rope_ratio`, from ChatGLM3 on."""
    keys = context.keys
    if keys.get("original_rope", True) is not True:
        raise context.error(
            "original_rope=False is not read by any released code of 'chatglm'; "
            "remove it"
        )
    ratio = keys.number("rope_ratio", 1.0)
    name = str(keys.get("_name_or_path", "")).lower().replace("-", "")
    is_later = keys.get("padded_vocab_size") == _GLM4_VOCABULARY or "glm3" in name
    if ratio != 1.0 and not is_later:
        # https://github.com/ztxz16/fastllm/issues/374
        raise context.error(
            f"the config holds rope_ratio={ratio}, by which ChatGLM2-32k divides "
            "positions and ChatGLM3 multiplies the base, and nothing here tells which "
            "it is: write _name_or_path='chatglm3' for the latter, or remove "
            "rope_ratio and divide the frequencies of the rope by it for the former"
        )
    return {None: context.params({"rope_theta": 10_000.0 * ratio}, "rope_ratio")}


# ChatGLM-6B has a position in the text and one in the block that is being filled.
_FIRST = RopeFamily(
    head_dim=widths.of_a_share,
    schema=base_10000,
    types=("default",),
    axial=halves(num_blocks=2),
)

ROWS = (
    (
        "chatglm",
        Remote(
            RopeFamily(
                layout="interleaved",
                head_dim=lambda context: widths.kv_channels(context) // 2,
                schema=parameters,
                types=("default",),
                elsewhere=("rope_ratio",),
                variant=lambda keys: (
                    _FIRST if keys.get("position_encoding_2d") else None
                ),
            ),
            f"{HUB}/THUDM/chatglm-6b, {HUB}/THUDM/chatglm3-6b and "
            f"{HUB}/THUDM/glm-4-9b, modeling_chatglm.py",
            {"kv_channels": 128, "hidden_size": 4096, "num_attention_heads": 32},
            {"num_layers": "num_hidden_layers"},
        ),
    ),
)
