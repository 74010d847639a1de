"""What single families do to the parameters of RoPE, each in its own way.

Schemas as in `schemas`, then what single layers change, then methods of scaling.
"""

from functools import partial

from .... import functional as F
from ..methods import longrope_factors
from ..schemas import (
    FRACTION,
    by_layer_type,
    check_beside,
    check_new_name,
    check_same,
    flat,
    given_parameters,
    old_scaling,
    with_original_length,
    without,
    without_nulls,
)

# From the config to the parameters of each layer type.

gpt_neox = partial(flat, theta="rotary_emb_base", fraction="rotary_pct")


def base_10000(context):
    """No parameters at all: the base is written in the code."""
    return {None: context.params({"rope_theta": 10_000.0}, "the code of the model")}


def dbrx(context):
    """The base inside `attn_config` is written in every config and read by no code."""
    params = flat(context)
    inner = (context.keys.given("attn_config") or {}).get("rope_theta")
    theta = params[None].number(context, "rope_theta")
    if inner is not None and inner != theta:
        raise context.error(
            f"attn_config holds rope_theta={inner}, but the code of 'dbrx' reads the "
            f"one at the top level, which is {theta}; write there what you mean"
        )
    return params


def minimax_m2(context):
    """`rotary_dim` stands for the fraction of `head_dim`."""
    keys = context.keys
    more = {}
    if keys.given("rotary_dim") is not None:
        head_dim = keys.integer(context, "head_dim")
        more = {FRACTION: keys.given("rotary_dim") / head_dim}
    return flat(context, more=more)


def bamba(context):
    """Half of a head rotates, whatever stands beside the parameters."""
    keys = context.keys
    half = keys.defaults["default_partial_rotary_factor"]
    check_same(context, FRACTION, keys.given(FRACTION), half)
    width = half * context.family.head_dim(context)
    check_same(context, "attn_rotary_emb", keys.given("attn_rotary_emb"), width)
    return flat(context, fraction=None)


def mistral4(context):
    """The fraction is that of the rotary part of a latent head."""
    keys = context.keys
    rotary = keys.integer(context, "qk_rope_head_dim")
    whole = rotary + keys.integer(context, "qk_nope_head_dim")
    check_same(context, "head_dim", keys.given("head_dim"), whole)
    given, _ = given_parameters(context)
    for said in (keys.given(FRACTION), (given or {}).get(FRACTION)):
        check_same(context, FRACTION, said, rotary / whole)
    params = flat(context, fraction=None)[None]
    return {None: context.params(without(params.values, FRACTION), params.where)}


def neomme(context):
    """Full layers rotate a quarter of each head, sliding ones all of it."""
    for params in (context.keys.given("rope_parameters") or {}).values():
        if isinstance(params, dict):
            check_new_name(context, "rope_parameters", params)
    return by_layer_type(
        context,
        thetas={
            "sliding_attention": ("rope_theta", 10_000.0),
            "full_attention": ("rope_theta", 1_000_000.0),
        },
        more={
            "sliding_attention": {FRACTION: 1.0},
            "full_attention": {FRACTION: 0.25},
        },
    )


def mimo(context):
    """Where it says nothing, about a third of each head rotates.

    Its released configs hold names that the code does not read, and what it does.
    """
    keys, third = context.keys, {FRACTION: 0.334}
    labels = keys.get("rope_parameters", {})
    nested = {k: v for k, v in labels.items() if isinstance(v, dict)}
    plain = [k for k, v in nested.items() if v.get("rope_type") == "default"]
    out = by_layer_type(context, more=dict.fromkeys(plain, third))
    for label, params in out.items():
        if params:
            said = keys.given(FRACTION)
            check_same(context, FRACTION, said, params.values.get(FRACTION, 1.0))
            if label == "sliding_attention":
                said = keys.given("swa_rope_theta")
                check_same(context, "swa_rope_theta", said, params.get("rope_theta"))
    return out


def ultrabert(context):
    """`rope_theta` may be a list with one base per layer."""
    keys = context.keys
    if keys.given("rope_parameters") is not None or keys.get("rope_theta") is None:
        return by_layer_type(context, shared=None)
    thetas = keys.given("rope_theta")
    if not isinstance(thetas, list):
        raise context.error(
            f"the config holds rope_theta={thetas!r}, which the code of "
            f"{context.model_type!r} takes as a list with one base per layer"
        )
    by_type = dict(zip(context.layer_types, thetas, strict=False))
    return {
        k: context.params({"rope_theta": v}, "rope_theta") for k, v in by_type.items()
    }


def step3p5(context):
    """`rope_theta` and `partial_rotary_factors` may be lists with one per layer."""
    keys, types = context.keys, context.layer_types
    nested = keys.given("rope_parameters") or {}
    if nested:
        if not all(isinstance(nested.get(name), dict) for name in types):
            raise context.error(
                f"rope_parameters={nested} must hold one dict for each of the layer "
                f"types {sorted(set(types))}"
            )
        return by_layer_type(context, shared=None)
    thetas = keys.given("rope_theta", keys.defaults["default_rope_theta"])
    fractions, old = keys.given("partial_rotary_factors"), old_scaling(context)
    for key, listed in (("rope_theta", thetas), ("partial_rotary_factors", fractions)):
        if isinstance(listed, list) and len(listed) < len(types):
            raise context.error(
                f"the config holds {len(listed)} {key} for {len(types)} layers"
            )
    out = {}
    for name in dict.fromkeys(types):
        first = types.index(name)
        theta = thetas[first] if isinstance(thetas, list) else thetas
        values = {"rope_theta": theta}
        if fractions:
            values[FRACTION] = fractions[first]
        if name == "full_attention":
            if keys.given("rope_theta") is not None:
                made = old.get("rope_theta", theta)
                check_same(context, "rope_theta", theta, made)
            values.update(old)
        out[name] = context.params(values, "rope_scaling" if old else "rope_theta")
    return out


def deepseek_v4(context):
    """Sliding layers are `main`; the others, `compress`, have a base of their own.

    `qk_rope_head_dim` stands for the fraction, or repeats the width that it makes.
    """
    out = _main_and_compress(context)
    head_dim = context.keys.integer(context, "head_dim")
    said = context.keys.given("qk_rope_head_dim")
    for params in filter(None, out.values()):
        made = int(head_dim * params.number(context, FRACTION))
        check_same(context, "qk_rope_head_dim", said, made)
    return out


def _main_and_compress(context):
    keys = context.keys
    head_dim = keys.integer(context, "head_dim")
    fraction = keys.given(FRACTION)
    if fraction is None and keys.given("qk_rope_head_dim") is not None:
        fraction = keys.given("qk_rope_head_dim") / head_dim
    main, compress = keys.get("rope_theta"), keys.get("compress_rope_theta")
    more = {FRACTION: 64 / 512 if fraction is None else fraction}
    given, where = given_parameters(context)
    values = given or {}
    if {"main", "compress"} <= values.keys():
        thetas = {"main": ("rope_theta", main), "compress": ("rope_theta", main)}
        both = {"main": more, "compress": more}
        return by_layer_type(context, thetas=thetas, more=both)
    values = without_nulls(values)
    # The code puts its own in their place.
    check_same(context, FRACTION, values.get(FRACTION), more[FRACTION])
    if values.get("rope_theta") != main:
        check_same(context, "rope_theta", values.get("rope_theta"), compress)
    if values.get("rope_type", values.get("type")) == "yarn":
        values.setdefault("attention_factor", 1.0)
    scaled = {**values, "rope_theta": compress, **more}
    return {
        "main": context.params({"rope_theta": main, **more}, "rope_theta"),
        "compress": with_original_length(context, scaled, where),
    }


def dots3_note(context):
    """Sliding layers have a base of their own; the fraction follows from the widths."""
    keys, types = context.keys, dict.fromkeys(context.layer_types)
    sliding = keys.given("swa_rope_theta", 50_000.0)
    base = keys.given("rope_theta", keys.defaults["default_rope_theta"])
    given, where = given_parameters(context)
    out = {}
    for name in types:
        own = given or {}
        if any(isinstance(v, dict) for v in own.values()):
            own = own.get(name) or {}
        layer = context.at(context.layer_types.index(name))
        widths = ("qk_rope_head_dim", "head_dim")
        rotary, whole = (layer.keys.integer(layer, width) for width in widths)
        check_same(context, FRACTION, own.get(FRACTION), rotary / whole)
        own = without(without_nulls(own), FRACTION)
        if given is None and name == "sliding_attention":
            own["rope_theta"] = sliding
        own.setdefault("rope_theta", base)
        out[name] = with_original_length(context, own, where)
        if name == "sliding_attention":
            said = keys.given("swa_rope_theta")
            check_same(context, "swa_rope_theta", said, own["rope_theta"])
    check_beside(context, out, {}, ["rope_theta"], None)
    return out


# Parameters of single layers.


def theta_of_layer(context, params):
    """The base of a layer from `layer_rope_theta`."""
    thetas = context.keys.given("layer_rope_theta") or ()
    own = {theta: params.changed(rope_theta=theta) for theta in set(thetas)}
    return {index: own[theta] for index, theta in enumerate(thetas)}


def unscaled_layers(context, params):
    """Layers that `rope_scaling_layers` does not list keep the plain frequencies."""
    scaled = context.keys.given("rope_scaling_layers")
    if scaled is None:
        return {}
    plain = context.params({"rope_theta": params.get("rope_theta")}, params.where)
    others = set(range(len(context.layer_types))) - set(scaled)
    return dict.fromkeys(others, plain)


# Methods of single families: `None` is to go on with the common ones.


def ntk_alpha(context, params, kind, rotary_dim, seq_len):
    """Hunyuan's `dynamic` with `alpha` depends on no length."""
    if kind != "dynamic" or not params.get("alpha"):
        return None
    # Its configs hold these too, and its code does not read them.
    params.ignore("factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim")
    base, alpha = (params.number(context, name) for name in ("rope_theta", "alpha"))
    return F.ntk_inv_freq(rotary_dim, base, factor=alpha), 1.0


def long_context(context, params, kind, rotary_dim, seq_len):
    """Zamba 2: `use_long_context` enlarges the base, as in the code of its release.

    transformers 5.23 still says so in a warning and has lost the change.
    """
    if not context.keys.get("use_long_context"):
        return None
    if kind != "default":
        raise context.error(
            f"the config holds use_long_context=True and {params.where} with "
            f"rope_type={kind!r}; keep one of the two"
        )
    base = params.number(context, "rope_theta")
    return F.ntk_inv_freq(rotary_dim, base, factor=8.0), 1.0


def longrope_with_two_factors(context, params, kind, rotary_dim, seq_len):
    """LongRoPE with a factor on cos and sin of its own for either length.

    As in the released code of PhiMoE and Phi-3-small: transformers 5.23 has lost the
    length there and takes the short factors for every one.
    """
    if kind != "longrope":
        return None
    base = params.number(context, "rope_theta")
    _, chosen, is_long = longrope_factors(context, params, rotary_dim, seq_len)
    params.ignore("factor", "attention_factor")
    names = ("short_mscale", "long_mscale")
    factors = [params.number(context, name) for name in names]
    return F.longrope_inv_freq(rotary_dim, base, factors=chosen), factors[is_long]
