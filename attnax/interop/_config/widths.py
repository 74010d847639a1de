"""Rules for the width of a head, and for what single layers change of it.

A rule takes the context and returns the width that the frequencies are made for.
"""


def share(width="hidden_size", heads="num_attention_heads"):
    """The width that one key holds, over the number of heads that another holds."""
    return lambda context: context.keys.integer(width) // context.keys.integer(heads)


_of_hidden_size = share()


def of_a_head(context):
    """`head_dim`, or the share of the hidden size per head."""
    keys = context.keys
    if keys.get("head_dim") is not None and not keys.null("head_dim"):
        return keys.integer("head_dim")
    return _of_hidden_size(context)


def of_a_share(context):
    """The share of the hidden size per head, which `head_dim` may repeat."""
    return same_as_head_dim(context, _of_hidden_size(context))


def of_rotary_dim(context):
    """`rotary_dim`, or the whole head where it is null."""
    head_dim = of_a_head(context)
    if context.keys.get("rotary_dim") is None:
        return head_dim
    rotary_dim = context.keys.integer("rotary_dim")
    if rotary_dim > head_dim:
        raise context.error(f"{rotary_dim=} must be at most {head_dim=}")
    return rotary_dim


def kv_channels(context):
    """`kv_channels`, or the share of the hidden size per head."""
    if context.keys.get("kv_channels") is not None:
        return context.keys.integer("kv_channels")
    return _of_hidden_size(context)


def same_as_head_dim(context, width):
    """`width`; raises if the config holds another `head_dim`."""
    said = context.keys.given("head_dim")
    if said not in (None, width):
        raise context.error(
            f"the config holds head_dim={said!r}, but the other sizes of "
            f"model_type={context.model_type!r} make it {width}; remove it"
        )
    return width


def per_layer_config(context, types):
    """The keys that `per_layer_config` changes, by the index of the layer."""
    given = context.keys.given("per_layer_config") or {}
    outside = [index for index in given if int(index) >= len(types)]
    if outside:
        raise context.error(
            f"per_layer_config holds the layers {outside}, but the model has "
            f"{len(types)} layers"
        )
    return {int(index): values for index, values in given.items()}
