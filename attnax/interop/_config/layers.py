"""The types of the layers of a model, and the rules of families about them.

A rule of types takes the config and the number of layers and returns one name per
layer. A rule of rotation takes the context and those names and returns whether each
layer rotates queries and keys.
"""

from .values import MOST

# Layers that have no attention scores.
_NO_ATTENTION = frozenset(("linear_attention", "conv", "moe", "mlp"))
# Names of older releases, and those that transformers 5.23 maps them to.
_RENAMED = {
    "mamba": "linear_attention",
    "attention": "full_attention",
    "deepseek_sparse_attention": "indexed_attention",
    "qwen_sparse_attention": "indexed_attention",
}
# The names that transformers 5.23 accepts.
_NAMES = frozenset(
    """
    full_attention sliding_attention chunked_attention window_attention
    indexed_attention compressed_sparse_attention heavily_compressed_attention
    minimax_m3_sparse conv moe mlp hybrid hybrid_sliding reference_sliding_attention
    linear_attention
    """.split()
)

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
    flags = context.keys.given("no_rope_layers")
    if not flags:
        flags = rope_flags(context.keys, len(types))
    check_one_per_layer(context, "no_rope_layers", flags)
    return [bool(flag) for flag in flags]


# For rules that single families add.


def full_if(full):
    """The type of a layer that is full or slides."""
    return "full_attention" if full else "sliding_attention"


def rope_flags(keys, count):
    """The `no_rope_layers` that the code makes for a config without them."""
    interval = keys.get("no_rope_layer_interval", 4)
    return [int((i + 1) % interval != 0) for i in range(count)]


def check_one_per_layer(context, key, values):
    """Raises unless the list under `key` has one entry for each layer."""
    count = len(context.layer_types)
    if len(values) != count:
        raise context.error(
            f"the config holds {len(values)} {key} for {count} layers: {list(values)}"
        )


# The layers of one config.


def layer_types(context):
    """One name per layer, from the config or by the rule of the model's code.

    Empty where neither says how many layers there are.
    """
    given = context.keys.given("layer_types")
    if given is None:
        given = context.keys.given("layers_block_type")
    return _by_rule(context) if given is None else _listed(context, given)


def _by_rule(context):
    """The types of the layers of a config that does not list them."""
    count = _layer_count(context)
    if count is None:
        return []
    if count > MOST:
        raise context.error(
            f"the config holds {count} layers, but must hold at most {MOST}"
        )
    types = context.family.layer_types(context.keys, count)
    if len(types) != count:
        raise context.error(
            f"the config holds {count} layers, but its lists describe {len(types)}: "
            f"{types}"
        )
    return types


def _listed(context, given):
    """The types in the config's list, which must have one for each layer."""
    if len(given) > MOST:
        raise context.error(
            f"layer_types holds {len(given)} names, but must hold at most {MOST}"
        )
    types = [current_name(name) for name in given]
    unknown = sorted(set(types) - _NAMES)
    if unknown and context.known:
        raise context.error(
            f"layer_types holds {unknown}; known are {', '.join(sorted(_NAMES))}"
        )
    count = context.keys.given("num_hidden_layers")
    if count is None:
        return types
    # Layers that predict further tokens follow at the end.
    padded = context.family.padded
    extra = context.keys.given("num_nextn_predict_layers", 0) if padded else 0
    if count < len(types) <= count + extra:
        types = types[: int(count)]
    if count != len(types):
        raise context.error(
            f"num_hidden_layers={count} must equal the {len(types)} entries of "
            "layer_types"
        )
    return types


def current_name(layer_type: str) -> str:
    """The name of a layer type in transformers 5.23."""
    return _RENAMED.get(layer_type, layer_type)


def _layer_count(context):
    """The number of attentions of the model, or `None` if it is not known."""
    key, times = context.family.layer_count
    attentions = context.keys.given("num_hidden_layers") if times > 1 else None
    if attentions is None:
        layers = context.keys.get(key)
        return None if layers is None else int(layers) * times
    if attentions % times != 0:
        raise context.error(
            f"num_hidden_layers={attentions} must be a multiple of {times}, for each "
            f"layer of {context.model_type!r} has {times} attentions"
        )
    return int(attentions)
