"""Rules that say which layers a model has, and which of them rotate.

A rule of types takes the config and the number of layers and returns one name per
layer. A rule of rotation takes the context and those names and returns whether each
layer rotates queries and keys.
"""

# Layers that have no attention scores.
_NO_ATTENTION = frozenset(("linear_attention", "conv", "moe", "mlp"))

# Rules of types.


def uniform(keys, count):
    """Every layer is full."""
    return ["full_attention"] * count


def all_of(layer_type):
    """Every layer is of this type."""
    return lambda keys, count: [layer_type] * count


def every(period, key=None, *, special="full_attention", other="sliding_attention"):
    """The last layer of each period is special; `key` may hold the period."""

    def rule(keys, count):
        n = keys.get(key, period) if key else period
        return [other if (i + 1) % n else special for i in range(count)]

    return rule


def from_first(period, key=None):
    """The first layer of each period is full; `key` may hold the period."""

    def rule(keys, count):
        n = keys.get(key, period) if key else period
        return [full_if(i % n == 0) for i in range(count)]

    return rule


def last_is_full(rule):
    """The last layer is full; `rule` gives the types of the others."""
    return lambda keys, count: [*rule(keys, count)[:-1], "full_attention"]


# Rules of rotation.


def attending(context, types):
    """The layers that have attention rotate."""
    return [name not in _NO_ATTENTION for name in types]


def only(*names):
    """The layers of these types rotate."""
    return lambda context, types: [name in names for name in types]


def where_on(key, *values):
    """No layer rotates unless `key` has one of `values`."""

    def rule(context, types):
        on = context.keys.get(key) in values
        return [on and rotates for rotates in attending(context, types)]

    return rule


def by_flags(context, types):
    """`no_rope_layers` holds a 1 for each layer that rotates."""
    default = rope_flags(context.keys, len(types))
    flags = context.keys.given("no_rope_layers") or default
    return [bool(flag) for flag in one_per_layer(context, types, flags)]


# For rules that single families add.


def full_if(full):
    """The type of a layer that is full or slides."""
    return "full_attention" if full else "sliding_attention"


def rope_flags(keys, count):
    """`no_rope_layers` of a config without it."""
    interval = keys.get("no_rope_layer_interval", 4)
    return [int((i + 1) % interval != 0) for i in range(count)]


def one_per_layer(context, types, values):
    """`values`; raises unless there is one for each layer."""
    if len(values) != len(types):
        raise context.error(
            f"a list of {len(values)} entries must have one for each of the "
            f"{len(types)} layers: {list(values)}"
        )
    return values
