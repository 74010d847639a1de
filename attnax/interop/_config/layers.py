"""Which layers a model has, and which of them rotate queries and keys.

A rule of types goes from the config and the number of layers to one name per layer; a
rule of rotation from the config and those names to one truth value per layer.
"""

from .values import MOST

# Names of older releases, as transformers 5.23 maps them.
_RENAMED = {
    "mamba": "linear_attention",
    "attention": "full_attention",
    "deepseek_sparse_attention": "indexed_attention",
    "qwen_sparse_attention": "indexed_attention",
}
# The names that transformers 5.23 takes.
_NAMES = frozenset(
    """
    full_attention sliding_attention chunked_attention window_attention
    indexed_attention compressed_sparse_attention heavily_compressed_attention
    minimax_m3_sparse conv moe mlp hybrid hybrid_sliding reference_sliding_attention
    linear_attention
    """.split()
)
# Layers that have no attention scores.
_NO_ATTENTION = frozenset(("linear_attention", "conv", "moe", "mlp"))


def layer_types(context):
    """One name per layer, from the config or by the rule of the model's code.

    None at all where neither says how many layers there are.
    """
    keys = context.keys
    given = keys.given("layer_types")
    if given is None:
        given = keys.given("layers_block_type")
    if given is None:
        count = _layer_count(context)
        if count is None:
            return []
        if count > MOST:
            raise context.error(f"the config holds {count} layers, of {MOST} at most")
        types = context.family.layer_types(keys, count)
        if len(types) != count:
            raise context.error(
                f"the config holds {count} layers, and lists that make {len(types)}: "
                f"{types}"
            )
        return types
    if len(given) > MOST:
        raise context.error(f"layer_types holds {len(given)} names, of {MOST} at most")
    types = [current_name(name) for name in given]
    unknown = sorted(set(types) - _NAMES)
    if unknown and context.known:
        raise context.error(
            f"layer_types holds {unknown}; known are {', '.join(sorted(_NAMES))}"
        )
    count = keys.given("num_hidden_layers")
    # Layers that guess several tokens at once follow at the end.
    extra = keys.given("num_nextn_predict_layers", 0) if context.family.padded else 0
    if count is not None and count < len(types) <= count + extra:
        types = types[: int(count)]
    if count is not None and count != len(types):
        raise context.error(
            f"num_hidden_layers={count} must equal the {len(types)} entries of "
            "layer_types"
        )
    return types


def current_name(layer_type: str) -> str:
    """What transformers 5.23 calls a type of layer."""
    return _RENAMED.get(layer_type, layer_type)


def _layer_count(context):
    """How many there are, if it is known."""
    keys = context.keys
    key, times = context.family.layer_count
    both = keys.given("num_hidden_layers") if times > 1 else None
    if both is not None and both % times != 0:
        raise context.error(
            f"num_hidden_layers={both} must be a multiple of {times}, for each layer "
            f"of {context.model_type!r} has {times} attentions"
        )
    count = both if both is not None else keys.get(key)
    return count if count is None else int(count) * (1 if both is not None else times)


# Rules of types.


def uniform(keys, count):
    """Every layer is like the others."""
    return ["full_attention"] * count


def all_of(name):
    """Every layer is of this type."""
    return lambda keys, count: [name] * count


def all_sliding_if_windowed(keys, count):
    """Every layer has the window, if there is one."""
    return [_full_if(keys.null("sliding_window"))] * count


def every(period, key=None, *, special="full_attention", other="sliding_attention"):
    """The last layer of each period is special."""

    def rule(keys, count):
        n = keys.get(key, period) if key else period
        return [other if (i + 1) % n else special for i in range(count)]

    return rule


def from_first(period, key=None):
    """The first layer of each period attends to everything."""

    def rule(keys, count):
        n = keys.get(key, period) if key else period
        return [_full_if(i % n == 0) for i in range(count)]

    return rule


def from_last(period):
    """Counted from the last layer, each period begins with one that is full."""
    return lambda keys, count: [
        _full_if((count - 1 - i) % period == 0) for i in range(count)
    ]


def last_is_full(rule):
    """As `rule` says, but the last layer attends to everything."""
    return lambda keys, count: [*rule(keys, count)[:-1], "full_attention"]


def cohere2_moe(keys, count):
    """Dense layers at the start have a period of their own."""
    dense = keys.get("first_k_dense_replace", 0)
    first = every(keys.get("prefix_dense_sliding_window_pattern", 1))
    rest = every(keys.get("sliding_window_pattern", 4))
    return first(keys, dense) + rest(keys, count - dense)


def lfm3_vl(keys, count):
    """Two convolutions, then attention in turn with them."""
    return ["conv" if i < 2 or i % 2 else "full_attention" for i in range(count)]


def flint(keys, count):
    """The first two, every fourth after them, and the last are full."""
    return [_full_if(i < 2 or i % 4 == 1 or i == count - 1) for i in range(count)]


def mimo(keys, count):
    """The first and every sixth are full, unless `hybrid_layer_pattern` says more."""
    pattern = keys.given("hybrid_layer_pattern")
    if pattern is not None:
        return [_full_if(sliding == 0) for sliding in pattern]
    return [_full_if(i == 0 or (i + 1) % 6 == 0) for i in range(count)]


def lfm3(keys, count):
    """Convolutions, and of every four layers one sliding and one full."""
    types = ["conv"] * count
    for i in range(count):
        if i % 4 == 2 or (i % 4 == 0 and i > 0):
            types[i] = _full_if(i % 4 == 2)
    return types


def listed(key):
    """`key` lists the layers that attend; the others are linear."""

    def rule(keys, count):
        indices = frozenset(keys.get(key) or ())
        names = ("linear_attention", "full_attention")
        return [names[i in indices] for i in range(count)]

    return rule


def lfm2(keys, count):
    """Convolutions except at the indices that are listed; without a list, none."""
    indices = frozenset(keys.get("full_attn_idxs", range(count)))
    return ["full_attention" if i in indices else "conv" for i in range(count)]


def olmo_hybrid(keys, count):
    """Every fourth layer attends, or else the last."""
    types = every(4, other="linear_attention")(keys, count)
    return types if "full_attention" in types else [*types[:-1], "full_attention"]


def recurrent_gemma(keys, count):
    """`block_types`, over and over."""
    blocks = keys.get("block_types", ("recurrent", "recurrent", "attention"))
    names = {"recurrent": "linear_attention", "attention": "sliding_attention"}
    if not blocks or set(blocks) - set(names):
        raise keys.error(f"block_types={blocks} must be of {list(names)}")
    return [names[blocks[i % len(blocks)]] for i in range(count)]


def zamba2(keys, count):
    """54 layers, of which every sixth and some more are hybrid."""
    gaps = (*(6,) * 7, 4, 3)  # layers without attention before each hybrid one
    types = []
    for gap in gaps:
        types += ["linear_attention"] * (gap - (gap == 6 and bool(types))) + ["hybrid"]
    return types + ["linear_attention"] * 2


def bailing_hybrid(keys, count):
    """The last layer of each group attends."""
    return every(6, "layer_group_size", other="linear_attention")(keys, count)


def llama4(keys, count):
    """Layers that rotate attend in chunks."""
    flags = keys.given("no_rope_layers") or _flags(keys, count)
    return ["chunked_attention" if flag else "full_attention" for flag in flags]


def smollm3(keys, count):
    """Layers that do not rotate may have a window."""
    flags = keys.given("no_rope_layers") or _flags(keys, count)
    window = keys.get("use_sliding_window", False) and keys.get("sliding_window")
    return [_full_if(flag or not window) for flag in flags]


def deepseek_v4(keys, count):
    """Two strongly compressed layers, then in turn."""
    ratios = keys.given("compress_ratios")
    if ratios is not None:
        if set(ratios) - set(_BY_RATIO):
            raise keys.error(f"compress_ratios={ratios} must be of {list(_BY_RATIO)}")
        return [_BY_RATIO[ratio] for ratio in ratios][:count]
    types = ["heavily_compressed_attention"] * min(count, 2)
    names = ("heavily_compressed_attention", "compressed_sparse_attention")
    return types + [names[i % 2] for i in range(max(count - 2, 0))]


def dots3_note(keys, count):
    """The first two and every fourth after them are indexed, or else full."""
    full = "full_attention" if keys.get("use_dsa") is False else "indexed_attention"
    if not keys.get("use_sliding_window", True):
        return [full] * count
    return [full if i < 2 or i % 4 == 1 else "sliding_attention" for i in range(count)]


# Rules of rotation.


def attending(context, types):
    """The layers that have attention rotate."""
    return [name not in _NO_ATTENTION for name in types]


def only(*names):
    """The layers of these types rotate."""
    return lambda context, types: [name in names for name in types]


def sliding_unless_no_window(context, types):
    """Sliding layers rotate, and all of them in a model without a window."""
    keys = context.keys
    if keys.null("sliding_window") or keys.get("sliding_window") is None:
        return attending(context, types)
    return only("sliding_attention")(context, types)


def sliding_or_dense_prefix(context, types):
    """Sliding layers, and the dense ones at the start if they have no period."""
    keys = context.keys
    if keys.get("prefix_dense_sliding_window_pattern", 1) != 1:
        return only("sliding_attention")(context, types)
    kinds = keys.given("mlp_layer_types")
    if kinds is None:
        dense = keys.get("first_k_dense_replace", 0)
        kinds = ["dense" if i < dense else "sparse" for i in range(len(types))]
    pairs = zip(types, _one_per_layer(context, types, kinds), strict=True)
    return [name == "sliding_attention" or kind == "dense" for name, kind in pairs]


def not_across(key, *default):
    """`key` lists the layers that attend to something else than their own tokens."""

    def rule(context, types):
        others = frozenset(context.keys.get(key, default))
        return [index not in others for index in range(len(types))]

    return rule


def where_on(key, *values):
    """No layer rotates unless `key` has one of `values`."""

    def rule(context, types):
        on = context.keys.get(key) in values
        return [on and rotates for rotates in attending(context, types)]

    return rule


def by_flags(context, types):
    """`no_rope_layers` holds a 1 for each layer that rotates."""
    default = _flags(context.keys, len(types))
    flags = context.keys.given("no_rope_layers") or default
    return [bool(flag) for flag in _one_per_layer(context, types, flags)]


def where_theta(rule):
    """`layer_rope_theta` is not 0; without it, the layers of `rule` rotate."""

    def changed(context, types):
        thetas = context.keys.given("layer_rope_theta")
        if thetas is None:
            return rule(context, types)
        return [bool(theta) for theta in _one_per_layer(context, types, thetas)]

    return changed


def not_every_fourth_from_last(context, types):
    """Counted from the last layer, the first of every four does not rotate."""
    return [(len(types) - 1 - i) % 4 != 0 for i in range(len(types))]


def _full_if(full):
    return "full_attention" if full else "sliding_attention"


def _flags(keys, count):
    interval = keys.get("no_rope_layer_interval", 4)
    return [int((i + 1) % interval != 0) for i in range(count)]


def _one_per_layer(context, types, values):
    if len(values) != len(types):
        raise context.error(
            f"a list of {len(values)} entries must have one for each of the "
            f"{len(types)} layers: {list(values)}"
        )
    return values


_BY_RATIO = {
    0: "sliding_attention",
    4: "compressed_sparse_attention",
    128: "heavily_compressed_attention",
}
