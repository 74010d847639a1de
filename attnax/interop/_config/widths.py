"""How wide the rotating part of a head is, by rules of a model's code.

A rule goes from the config to the width that the frequencies are made for; one for
pictures goes on to the rope of two or three axes.
"""

from functools import partial

from ... import functional as F

# Of the text widths.


def of_a_head(context):
    """`head_dim`, or what hidden size and heads make of it."""
    keys = context.keys
    if keys.get("head_dim") is not None and not keys.null("head_dim"):
        return keys.integer(context, "head_dim")
    return _of_hidden_size(context)


def of_a_share(context):
    """What hidden size and heads make, which `head_dim` may repeat."""
    return _same_as_head_dim(context, _of_hidden_size(context))


def of_the_rotary_part(context):
    """`qk_rope_head_dim`: the part of a latent head that rotates."""
    return context.keys.integer(context, "qk_rope_head_dim")


def of_the_rotary_part_alone(context):
    """The same, where the code sets `head_dim` to it, which may repeat it."""
    return _same_as_head_dim(context, of_the_rotary_part(context))


def of_rotary_dim(context):
    """`rotary_dim`, or the whole head where it is null."""
    head_dim = of_a_head(context)
    if context.keys.get("rotary_dim") is None:
        return head_dim
    rotary_dim = context.keys.integer(context, "rotary_dim")
    if rotary_dim > head_dim:
        raise context.error(f"{rotary_dim=} must be at most {head_dim=}")
    return rotary_dim


def of_shared_attention(context):
    """Twice the usual width: the input is two hidden states side by side."""
    keys = context.keys
    if keys.given("head_dim") is not None:
        return keys.integer(context, "head_dim")
    hidden_size = keys.integer(context, "hidden_size")
    return 2 * hidden_size // keys.integer(context, "num_attention_heads")


def of_embed_dim(context):
    """`embed_dim` over the heads; `hidden_size` is that of the text."""
    keys = context.keys
    width = keys.integer(context, "embed_dim")
    return width // keys.integer(context, "num_attention_heads")


def of_speech_encoder(context):
    """The hidden size over the heads of the speech encoder."""
    keys = context.keys
    width = keys.integer(context, "hidden_size")
    return width // keys.integer(context, "speech_encoder_attention_heads")


def of_clvp(context):
    """Half of the projection over the heads, and 32 at least."""
    keys = context.keys
    width = keys.integer(context, "projection_dim")
    return max(width // (2 * keys.integer(context, "num_attention_heads")), 32)


def of_memory_attention(context):
    """The heads of the attention to memories in video segmentation."""
    names = ("hidden_size", "downsample_rate", "num_attention_heads")
    hidden_size, rate, heads = (
        context.keys.integer(context, f"memory_attention_{name}") for name in names
    )
    return hidden_size // (rate * heads)


def _of_hidden_size(context):
    keys = context.keys
    hidden_size = keys.integer(context, "hidden_size")
    return hidden_size // keys.integer(context, "num_attention_heads")


def _same_as_head_dim(context, width):
    said = context.keys.given("head_dim")
    if said not in (None, width):
        raise context.error(
            f"the config holds head_dim={said!r}, but the other sizes of "
            f"model_type={context.model_type!r} make it {width}; remove it"
        )
    return width


# Pictures: a rope of several axes from a width and a base.


def halves(**settings):
    """Half of the width for each of two axes."""
    return partial(_halves, **settings)


def _halves(context, width, base, **settings):
    return F.axial_rope((width // 2, width - width // 2), base, **settings)


def thirds(context, width, base):
    """A third for time, row and column, each rounded down to pairs."""
    return F.axial_rope((2 * (width // 3 // 2),) * 3, base)


def whole_model(context, width, base):
    """Rows and columns in turn over the whole width of the model, before the heads."""
    return F.axial_rope((width, width), base, alternate=True, layout="interleaved")


# What single layers change.


def per_layer_config(context, types):
    """`per_layer_config`, by index."""
    given = context.keys.given("per_layer_config") or {}
    outside = [index for index in given if int(index) >= len(types)]
    if outside:
        raise context.error(
            f"per_layer_config holds layers {outside}, of {len(types)} layers"
        )
    return {int(index): values for index, values in given.items()}


def global_head_dim(context, types):
    """Full layers have wider heads (Gemma 4)."""
    keys = context.keys
    if keys.given("per_layer_config") is not None:
        return per_layer_config(context, types)
    wide = {"head_dim": keys.given("global_head_dim", 512)}
    return {i: wide for i, name in enumerate(types) if name == "full_attention"}


def dots3_note(context, types):
    """Sliding layers have heads of their own widths."""
    keys = context.keys
    if keys.given("per_layer_config") is not None:
        return per_layer_config(context, types)
    head_dim = keys.given("swa_head_dim", 256)
    nope = keys.given("swa_qk_nope_head_dim", 192)
    rotary = keys.given("swa_qk_rope_head_dim", head_dim - nope)
    narrow = {"head_dim": head_dim, "qk_rope_head_dim": rotary}
    return {i: narrow for i, name in enumerate(types) if name == "sliding_attention"}
