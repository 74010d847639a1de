"""Sizes of layers and pictures that several rules read."""


def sides(keys, key):
    """The two sides of a size, which is one number or a pair."""
    value = keys.require(key)
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2 or any(side < 1 for side in pair):
        raise keys.error(f"{keys.said(key)}, which must be one or two positive numbers")
    return int(pair[0]), int(pair[1])


def size(keys, key):
    """A positive whole number."""
    value = keys.integer(key)
    if value < 1:
        raise keys.error(f"{keys.said(key)}, which must be positive")
    return value


def head_width(keys, heads="num_attention_heads", width="hidden_size"):
    """The width of a head, by the number of heads and the width of all."""
    num_heads, whole = keys.integer(heads), keys.integer(width)
    if num_heads < 1 or whole < 1 or whole % num_heads:
        raise keys.error(f"{keys.said(heads)}, which must divide {width}={whole}")
    return whole // num_heads


def stages(keys, heads):
    """The numbers of blocks and of heads of each stage."""
    depths, counts = keys.require("depths"), keys.require(heads)
    if not isinstance(counts, list | tuple) or len(counts) != len(depths):
        raise keys.error(
            f"{keys.said(heads)}, which must have one number for each of "
            f"depths={depths}"
        )
    if min(counts, default=1) < 1:
        raise keys.error(f"{keys.said(heads)}, which must be positive numbers")
    return [
        (int(depth), int(count)) for depth, count in zip(depths, counts, strict=True)
    ]
