"""The type of each layer of a model, from its config."""

from .values import MOST

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
        raise context.error(f"the config holds {count} layers, of {MOST} at most")
    types = context.family.layer_types(context.keys, count)
    if len(types) != count:
        raise context.error(
            f"the config holds {count} layers, and lists that make {len(types)}: "
            f"{types}"
        )
    return types


def _listed(context, given):
    """The types in the config's list, which must have one for each layer."""
    if len(given) > MOST:
        raise context.error(f"layer_types holds {len(given)} names, of {MOST} at most")
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
