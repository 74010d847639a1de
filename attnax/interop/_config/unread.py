"""Keys about rotary positions that no rule has read: they are errors."""

from .vocabulary import ELSEWHERE, ROTARY

# Model types that differ from Llama in the axes of their positions only.
SEVERAL_AXES = (
    "'qwen2_5_vl_text', which has them in sections, and 'qwen3_vl_text', which has "
    "them interleaved"
)


def check_all_read(context, params, rope):
    """Raises if a key about rotary positions was not read, unless `rope` agrees.

    A rope made without the key might not be the one that the config describes.
    """
    harmless = {*ELSEWHERE, *context.family.elsewhere}
    for key in params.unread():
        _check_axes(context, params, key)
        value = params.values[key]
        if key not in harmless and not _agrees(context, params, rope, key, value):
            if not context.known:
                raise context.error(
                    f"{params.said(key)}, and how the code of "
                    f"model_type={context.model_type!r} reads it is not known"
                )
            raise context.error(
                f"{params.said(key)}, which the rotary embedding of "
                f"model_type={context.model_type!r} does not read; remove it, or check "
                "rope_type"
            )
    for key in context.keys.unread():
        if key not in ROTARY or key in harmless:
            continue
        value = context.keys.values[key]
        if not _agrees(context, params, rope, key, value):
            raise context.error(
                f"the config holds {key}={value!r}, which the rotary embedding of "
                f"model_type={context.model_type!r} does not read; remove it"
            )


def _check_axes(context, params, key):
    """Raises on sections of axes for a model whose positions have one axis."""
    if str(key).startswith("mrope"):
        raise context.error(
            f"{params.said(key)}, but positions of model_type={context.model_type!r} "
            f"have one axis; models like Llama with several axes are {SEVERAL_AXES}"
        )


def _agrees(context, params, rope, key, value):
    """Whether the value of an unread key is a default, or what `rope` has anyway."""
    width = 2 * rope.rotary_pairs
    if value == context.keys.defaults.get(key):
        return True
    if key == "rotary_dim":
        return value == width
    if key == "qk_rope_head_dim":  # a model without latent attention has no such part
        return value == 0
    if key in ("partial_rotary_factor", "rotary_pct"):
        whole = context.family.head_dim(context)
        return value in (width / whole, width / context.keys.get("head_dim", whole))
    if key in ("rope_theta", "rotary_emb_base"):
        return value == params.values.get("rope_theta")
    if key in ("rope_interleave", "rope_interleaved"):
        return value == (rope.layout in ("interleaved", "interleaved_to_half"))
    return False
