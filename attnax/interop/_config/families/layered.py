"""Models with layers of several kinds, some of which do not rotate."""

from functools import partial

from .. import layers, widths
from ..family import RopeFamily
from ..layers import check_one_per_layer, full_if
from ..schemas.flat import flat

# Layer types.


def all_sliding_if_windowed(keys, count):
    """Every layer slides if the config has a window (Ministral)."""
    return [full_if(keys.null("sliding_window"))] * count


def cohere2_moe(keys, count):
    """The dense layers at the start have a period of their own."""
    dense = keys.get("first_k_dense_replace", 0)
    first = layers.every(keys.get("prefix_dense_sliding_window_pattern", 1))
    rest = layers.every(keys.get("sliding_window_pattern", 4))
    return first(keys, dense) + rest(keys, count - dense)


def flint(keys, count):
    """The first two layers, every fourth after them, and the last are full."""
    return [full_if(i < 2 or i % 4 == 1 or i == count - 1) for i in range(count)]


def llama4(keys, count):
    """Layers that rotate attend in chunks."""
    flags = keys.given("no_rope_layers") or layers.rope_flags(keys, count)
    return ["chunked_attention" if flag else "full_attention" for flag in flags]


def smollm3(keys, count):
    """Layers that do not rotate slide if the config has a window."""
    flags = keys.given("no_rope_layers") or layers.rope_flags(keys, count)
    window = keys.get("use_sliding_window", False) and keys.get("sliding_window")
    return [full_if(flag or not window) for flag in flags]


def full_from_last(period):
    """Counted from the last layer, each period begins with a full layer (Muse)."""
    return lambda keys, count: [
        full_if((count - 1 - i) % period == 0) for i in range(count)
    ]


# Layers that rotate.


def sliding_unless_no_window(context, types):
    """Sliding layers rotate; without a window, every layer does."""
    keys = context.keys
    if keys.null("sliding_window") or keys.get("sliding_window") is None:
        return layers.attending(context, types)
    return layers.only("sliding_attention")(context, types)


def sliding_or_dense_prefix(context, types):
    """Sliding layers rotate, and dense ones unless they have a period of their own."""
    keys = context.keys
    if keys.get("prefix_dense_sliding_window_pattern", 1) != 1:
        return layers.only("sliding_attention")(context, types)
    kinds = keys.given("mlp_layer_types")
    if kinds is None:
        dense = keys.get("first_k_dense_replace", 0)
        kinds = ["dense" if i < dense else "sparse" for i in range(len(types))]
    check_one_per_layer(context, "mlp_layer_types", kinds)
    pairs = zip(types, kinds, strict=True)
    return [name == "sliding_attention" or kind == "dense" for name, kind in pairs]


def not_across(key, *default):
    """Layers that `key` lists attend to pictures and do not rotate."""

    def rule(context, types):
        others = frozenset(context.keys.get(key, default))
        return [index not in others for index in range(len(types))]

    return rule


def where_theta(rule):
    """Layers with a nonzero `layer_rope_theta` rotate; without the key, `rule` says."""

    def changed(context, types):
        thetas = context.keys.given("layer_rope_theta")
        if thetas is None:
            return rule(context, types)
        check_one_per_layer(context, "layer_rope_theta", thetas)
        return [bool(theta) for theta in thetas]

    return changed


def not_every_fourth_from_last(context, types):
    """Counted from the last layer, the first of every four does not rotate (Muse)."""
    return [(len(types) - 1 - i) % 4 != 0 for i in range(len(types))]


# Parameters of single layers.


def theta_of_layer(context, params):
    """Parameters of each layer with its base from `layer_rope_theta`."""
    thetas = context.keys.given("layer_rope_theta") or ()
    own = {theta: params.changed(rope_theta=theta) for theta in set(thetas)}
    return {index: own[theta] for index, theta in enumerate(thetas)}


def unscaled_layers(context, params):
    """Plain parameters of the layers that `rope_scaling_layers` does not list."""
    scaled = context.keys.given("rope_scaling_layers")
    if scaled is None:
        return {}
    plain = context.params({"rope_theta": params.get("rope_theta")}, params.where)
    others = set(range(len(context.layer_types))) - set(scaled)
    return dict.fromkeys(others, plain)


ROWS = (
    (
        "muse_glimmer_assistant qwen3_omni_moe.code2wav_config",
        RopeFamily(layer_types=layers.all_of("sliding_attention")),
    ),
    (
        "unlimited_ocr_text",
        RopeFamily(
            head_dim=widths.of_a_share,
            layer_types=layers.all_of("reference_sliding_attention"),
        ),
    ),
    ("ministral", RopeFamily(layer_types=all_sliding_if_windowed)),
    ("cwm", RopeFamily(layer_types=layers.from_first(4))),
    (
        "gemma2 gpt_oss t5_gemma_module vaultgemma",
        RopeFamily(layer_types=layers.every(2)),
    ),
    (
        "afmoe",
        RopeFamily(
            layer_types=layers.every(4, "global_attn_every_n_layers"),
            rotates=layers.only("sliding_attention"),
        ),
    ),
    (
        "cohere2",
        RopeFamily(
            layout="interleaved",
            layer_types=layers.every(4, "sliding_window_pattern"),
            rotates=layers.only("sliding_attention"),
        ),
    ),
    (
        "cohere2_moe",
        RopeFamily(
            layout="interleaved",
            schema=partial(flat, names=("rope_parameters",)),
            layer_types=cohere2_moe,
            rotates=sliding_or_dense_prefix,
        ),
    ),
    (
        "exaone4 exaone_moe",
        RopeFamily(
            layer_types=layers.every(4, "sliding_window_pattern"),
            rotates=sliding_unless_no_window,
        ),
    ),
    (
        "kolibri1",
        RopeFamily(layer_types=layers.every(5), rotates=sliding_unless_no_window),
    ),
    (
        "flint",
        RopeFamily(layer_types=flint, rotates=layers.only("sliding_attention")),
    ),
    ("falcon", RopeFamily(rotates=layers.where_on("alibi", False, None))),
    (
        "mllama_text_model",
        RopeFamily(
            rotates=not_across("cross_attention_layers", 3, 8, 13, 18, 23, 28, 33, 38)
        ),
    ),
    ("smollm3", RopeFamily(layer_types=smollm3, rotates=layers.by_flags)),
    (
        "llama4_text",
        RopeFamily(layout="interleaved", layer_types=llama4, rotates=layers.by_flags),
    ),
    (
        "granite_swa granitemoe_swa",
        RopeFamily(
            layer_types=layers.from_first(4),
            rotates=where_theta(layers.attending),
            per_layer=theta_of_layer,
        ),
    ),
    (
        "muse_glimmer_text muse_spark_text",
        RopeFamily(
            layer_types=full_from_last(4),
            rotates=where_theta(not_every_fourth_from_last),
        ),
    ),
    ("molmo2_text", RopeFamily(per_layer=unscaled_layers)),
)
