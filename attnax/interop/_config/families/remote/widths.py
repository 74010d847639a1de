"""Widths that several remote models share."""


def kv_channels(context):
    """`kv_channels`, or the share of the hidden size per head."""
    keys = context.keys
    if keys.get("kv_channels") is not None:
        return keys.integer("kv_channels")
    return keys.integer("hidden_size") // keys.integer("num_attention_heads")
