"""Inkling: profiles by distance, in layers with a window and in full ones."""

from ....functional import ProfileBias, ProfileBiasParams
from ..._config.values import shown
from ..family import BiasFamily
from ..sizes import size
from ..stack import Layer, Source, Stack, Tensor, Use

_SLIDING, _FULL = "hybrid_sliding", "hybrid"


def _kinds(keys):
    """The type of each layer; every sixth is full if the config does not list them."""
    count = keys.integer("num_hidden_layers")
    given = keys.get("layer_types")
    local = _local(keys, count)
    if None not in (given, local) and list(given) != local:
        raise keys.error(
            f"{keys.said('layer_types')}, which contradicts "
            f"local_layer_ids={shown(keys.get('local_layer_ids'))}; remove one of them"
        )
    given = local if given is None else given
    if given is None:
        given = [_FULL if (n + 1) % 6 == 0 else _SLIDING for n in range(count)]
    if len(given) != count or not set(given) <= {_SLIDING, _FULL}:
        raise keys.error(
            f"{keys.said('layer_types')}, which must have {_SLIDING!r} or {_FULL!r} "
            f"for each of {count} layers"
        )
    return given


def _local(keys, count):
    """The types of layers by `local_layer_ids`, if the class reads the key."""
    if "local_layer_ids" not in keys.defaults or keys.get("local_layer_ids") is None:
        return None
    local = keys.get("local_layer_ids")
    return [_SLIDING if number in local else _FULL for number in range(count)]


def inkling(*, clipped, scale):
    """A bank of profiles in each layer; `clipped` weights have a learned scale.

    `scale` is the power of the width of a head on the scores.
    """

    def rule(keys):
        biases = {kind: _bias(keys, kind, clipped) for kind in (_SLIDING, _FULL)}
        layers = []
        for number, kind in enumerate(_kinds(keys)):
            bias = biases[kind]
            use = Use(bias, _source(bias, number, clipped))
            width = size(keys, "swa_head_dim" if kind == _SLIDING else "head_dim")
            layers.append(Layer((use,), width**scale))
        return Stack(tuple(layers))

    return rule


def _bias(keys, kind, clipped):
    sliding = kind == _SLIDING
    heads = keys.integer(
        "swa_num_attention_heads" if sliding else "num_attention_heads"
    )
    extent = keys.integer("sliding_window_size" if sliding else "rel_extent")
    floor = keys.get("log_scaling_n_floor")
    return ProfileBias(
        heads,
        keys.integer("d_rel"),
        extent,
        max_norm=keys.number("rel_l2_clip_threshold") if clipped else None,
        floor=None if sliding or floor is None else keys.number("log_scaling_n_floor"),
        alpha=keys.number("log_scaling_alpha", 0.1),
    )


def _source(bias, layer, clipped):
    names = tuple(f"layers.{layer}.{part}." for part in ("attn", "self_attn"))
    shape = (bias.num_profiles, bias.extent)
    bank = Tensor("bank", tuple(n + "rel_logits_proj.proj" for n in names), shape)
    if not clipped:
        return Source(ProfileBiasParams, (bank,))
    shape = (bias.num_heads, bias.num_profiles)
    scale = Tensor("scale", tuple(n + "rel_l2_clip.scale" for n in names), shape)
    return Source(ProfileBiasParams, (bank, scale))


ROWS = (
    (
        "inkling_text",
        BiasFamily({"decoder": inkling(clipped=False, scale=-1)}, "Inkling"),
    ),
    (
        "inkling2_text",
        BiasFamily({"decoder": inkling(clipped=True, scale=-0.5)}, "Inkling"),
    ),
)
