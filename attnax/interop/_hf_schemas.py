"""The RoPE parameters of a model, by layer type where they differ, from any schema.

Version 5 of transformers has `rope_parameters`, flat or nested by layer type; version 4
has `rope_theta` and `rope_scaling` at the level of the model, and a few models have
names of their own. Precedence is that of transformers 5.23: `rope_scaling` where it is
given, else `rope_parameters`, else the default of the model's code; then, for what
these do not hold, the keys beside them, and the default of the code again.

A schema goes from the context to a dict from labels, which are layer types or `None`
where there is one set for all layers, to parameters, which are `None` where a layer
type does not rotate.
"""

from functools import partial

from .. import functional as F
from ._hf_keys import Keys

_ORIGINAL = "original_max_position_embeddings"


def flat(
    context,
    *,
    theta: str | None = "rope_theta",
    fraction: str | None = "partial_rotary_factor",
    more=None,
):
    """One set of parameters for all layers.

    `theta` and `fraction` are the keys beside it that hold the base and the fraction
    that rotates; `more` are further values that it does not hold itself.
    """
    keys = context.keys
    values, where = _given_or_default(context)
    if nested := [k for k, v in values.items() if isinstance(v, dict)]:
        raise context.error(
            f"{where} is nested by {nested}, but {context.model_type!r} reads one set "
            "of parameters for all layers"
        )
    beside = {"rope_theta": theta, "partial_rotary_factor": fraction}
    layers = (
        {name: keys.defaults.get(f"default_{name}") for name in beside},
        more or {},
        {name: keys.get(key) for name, key in beside.items() if key},
        values,
    )
    values = {k: v for layer in layers for k, v in _without_nulls(layer).items()}
    if _is_scaled(context, values) and keys.given(_ORIGINAL) is not None:
        values[_ORIGINAL] = keys.given(_ORIGINAL)  # it overrides the one inside
    return {None: _with_original_length(context, values, where)}


def by_layer_type(context, *, thetas=None, scaled=(), more=None):
    """A set of parameters per layer type, nested, or from the names of version 4.

    `thetas` gives for each label the old key of its base, or `None`, and its default;
    `scaled` are the labels that an old `rope_scaling` speaks of; `more` gives for each
    label further values that it does not hold itself.
    """
    keys, where = context.keys, "rope_parameters"
    old = keys.given("rope_scaling") if scaled else None
    if old and "rope_type" not in old and old.get("type", "default") != "default":
        raise context.error(
            f"rope_scaling holds type={old['type']!r}, which the code of "
            f"{context.model_type!r} does not read; write rope_type"
        )
    # Where old names are known, the defaults of the code are here, not whole sets.
    nested = dict(keys.given(where, {}) if thetas else keys.get(where, {}))
    # What older releases left beside the layer types, and what stands there only.
    beside = {name: nested.pop(name, None) for name in ("rope_type", "rope_theta")}
    truncate = nested.pop("truncate", None)
    bad = {k: v for k, v in nested.items() if not isinstance(v, dict | None)}
    if bad or (not nested and any(beside.values())):
        raise context.error(
            f"{where}={keys.given(where)} must hold one dict or null for each layer "
            f"type of {context.model_type!r}"
        )
    # Beside parameters that hold their own base it says nothing.
    shared = keys.given("rope_theta")
    out, thetas, more = {}, thetas or {}, more or {}
    for label in dict.fromkeys((*thetas, *more, *nested)):
        if nested.get(label) is None and label not in (*thetas, *more):
            out[label] = None
            continue
        values = _without_nulls(nested.get(label) or {})
        here = f"{where}[{label!r}]" if label in nested else "rope_scaling"
        if label in scaled:
            values.update(_without_nulls(old or {}))
        if values.get("truncate", True) is not True:
            raise context.error(
                f"{here} holds truncate={values['truncate']!r}, which transformers "
                "reads beside the layer types only; move it there"
            )
        if truncate is not None:
            values["truncate"] = truncate
        key, default = thetas.get(label, ("rope_theta", None))
        theta = keys.given(key) if key else None
        theta = theta if theta is not None else default
        theta = theta if theta is not None else shared
        if theta is not None:
            values.setdefault("rope_theta", theta)
        values = {**more.get(label, {}), **values}
        out[label] = _with_original_length(context, values, here)
    return out


def unknown(context):
    """Whatever the config holds, of a model type that is not in the table."""
    values, _ = _given(context)
    if any(isinstance(v, dict) for v in values.values()):
        return by_layer_type(context)
    return flat(context)


# Names and rules of single families.

gpt_neox = partial(flat, theta="rotary_emb_base", fraction="rotary_pct")


def base_10000(context):
    """No parameters at all: the base is written in the code."""
    return {None: Keys({"rope_theta": 10_000.0}, "the code of the model")}


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
        more = {"partial_rotary_factor": keys.given("rotary_dim") / head_dim}
    return flat(context, more=more)


def mistral4(context):
    """The fraction is that of the rotary part of a latent head."""
    keys = context.keys
    rotary = keys.integer(context, "qk_rope_head_dim")
    whole = rotary + keys.integer(context, "qk_nope_head_dim")
    return flat(context, more={"partial_rotary_factor": rotary / whole})


def neomme(context):
    """Full layers rotate a quarter of each head, sliding ones all of it."""
    return by_layer_type(
        context,
        thetas={
            "sliding_attention": ("rope_theta", 10_000.0),
            "full_attention": ("rope_theta", 1_000_000.0),
        },
        more={
            "sliding_attention": {"partial_rotary_factor": 1.0},
            "full_attention": {"partial_rotary_factor": 0.25},
        },
    )


def mimo(context):
    """Where it says nothing, about a third of each head rotates."""
    labels = context.keys.get("rope_parameters", {})
    return by_layer_type(
        context,
        more={k: {"partial_rotary_factor": 0.334} for k, v in labels.items() if v},
    )


def ultrabert(context):
    """`rope_theta` may be a list with one base per layer."""
    keys = context.keys
    thetas = keys.given("rope_theta")
    if not isinstance(thetas, list) or keys.given("rope_parameters") is not None:
        return by_layer_type(context)
    by_type = dict(zip(context.layer_types, thetas, strict=False))
    return {k: Keys({"rope_theta": v}, "rope_theta") for k, v in by_type.items()}


def step3p5(context):
    """`rope_theta` and `partial_rotary_factors` may be lists with one per layer."""
    keys, types = context.keys, context.layer_types
    nested = keys.given("rope_parameters") or {}
    if all(isinstance(nested.get(name), dict) for name in types):
        keys.ignore("rope_theta", "partial_rotary_factors", "rope_scaling")
        return by_layer_type(context)
    thetas = keys.given("rope_theta", keys.defaults["default_rope_theta"])
    fractions, old = keys.given("partial_rotary_factors"), keys.given("rope_scaling")
    out = {}
    for name in dict.fromkeys(types):
        first = types.index(name)
        theta = thetas[first] if isinstance(thetas, list) else thetas
        values = {"rope_theta": theta}
        if fractions:
            values["partial_rotary_factor"] = fractions[first]
        if name == "full_attention":
            values.update(_without_nulls(old or {}))
        out[name] = _with_original_length(context, values, "rope_theta")
    return out


def deepseek_v4(context):
    """Sliding layers are `main`; the others, `compress`, have a base of their own."""
    keys = context.keys
    head_dim = keys.integer(context, "head_dim")
    fraction = keys.given("partial_rotary_factor")
    if fraction is None and keys.given("qk_rope_head_dim") is not None:
        fraction = keys.given("qk_rope_head_dim") / head_dim
    main, compress = keys.get("rope_theta"), keys.get("compress_rope_theta")
    more = {"partial_rotary_factor": 64 / 512 if fraction is None else fraction}
    values, where = _given(context)
    if {"main", "compress"} <= values.keys():
        thetas = {"main": ("rope_theta", main), "compress": ("rope_theta", main)}
        both = {"main": more, "compress": more}
        return by_layer_type(context, thetas=thetas, more=both)
    values = _without_nulls(values)
    if values.get("rope_type", values.get("type")) == "yarn":
        values.setdefault("attention_factor", 1.0)
    scaled = {**values, "rope_theta": compress, **more}
    return {
        "main": Keys({"rope_theta": main, **more}, "rope_theta"),
        "compress": _with_original_length(context, scaled, where),
    }


def dots3_note(context):
    """Sliding layers have a base of their own; the fraction follows from the widths."""
    keys, types = context.keys, dict.fromkeys(context.layer_types)
    sliding = keys.given("swa_rope_theta", 50_000.0)
    base = keys.given("rope_theta", keys.defaults["default_rope_theta"])
    values, where = _given(context)
    out = {}
    for name in types:
        own = values
        if any(isinstance(v, dict) for v in values.values()):
            own = values.get(name) or {}
        own = _without_nulls(own)
        if not values and name == "sliding_attention":
            own["rope_theta"] = sliding
        own.setdefault("rope_theta", base)
        out[name] = _with_original_length(context, own, where)
        # It is made anew from the widths, whatever it holds.
        out[name].ignore("partial_rotary_factor")
    return out


# Parameters of single layers.


def theta_of_layer(context, index, params):
    """The base of layer `index` from `layer_rope_theta`."""
    thetas = context.keys.given("layer_rope_theta")
    if thetas is None or not thetas[index]:
        return params
    return params.changed(rope_theta=thetas[index])


def unscaled_layers(context, index, params):
    """Layers that `rope_scaling_layers` does not list keep the plain frequencies."""
    scaled = context.keys.given("rope_scaling_layers")
    if scaled is None or index in scaled:
        return params
    return Keys({"rope_theta": params.get("rope_theta")}, params.where)


# Methods of single families: `None` is to go on with the common ones.


def ntk_alpha(context, params, kind, rotary_dim, seq_len):
    """Hunyuan's `dynamic` with `alpha` depends on no length."""
    if kind != "dynamic" or not params.get("alpha"):
        return None
    # Its configs hold these too, and its code does not read them.
    params.ignore("factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim")
    base, alpha = (params.number(context, name) for name in ("rope_theta", "alpha"))
    return F.ntk_inv_freq(rotary_dim, base, factor=alpha), 1.0


def phimoe(context, params, kind, rotary_dim, seq_len):
    """PhiMoE: the short factors at every length, and a factor on cos and sin by it."""
    if kind != "longrope":
        return None
    base = params.number(context, "rope_theta")
    original = params.integer(context, _ORIGINAL)
    if seq_len is None:
        raise context.error(
            f"{params.where} has rope_type='longrope', which depends on the length: "
            f"pass seq_len, up to {original} or beyond"
        )
    params.ignore("long_factor", "factor", "attention_factor")
    names = ("short_mscale", "long_mscale")
    short, long = (params.number(context, name) for name in names)
    factors = params.require(context, "short_factor")
    inv_freq = F.longrope_inv_freq(rotary_dim, base, factors=factors)
    return inv_freq, long if seq_len > original else short


def _given(context):
    """What the config holds, and its name."""
    for name in ("rope_scaling", "rope_parameters"):
        values = context.keys.given(name)
        if values:
            return values, name
    return {}, "rope_parameters"


def _given_or_default(context):
    """What the config holds, else the default of the code."""
    values, where = _given(context)
    return values or context.keys.defaults.get(where, {}), where


def _without_nulls(values):
    return {k: v for k, v in values.items() if v is not None}


def _with_original_length(context, values, where):
    """Scaled methods take the trained length from the served one if need be."""
    length = context.keys.get("max_position_embeddings")
    if _is_scaled(context, values) and length is not None:
        values.setdefault(_ORIGINAL, length)
    return Keys(values, where)


def _is_scaled(context, values):
    """Whether the method needs the trained length among its parameters."""
    kind = values.get("rope_type", values.get("type"))
    return context.family.renames.get(kind, kind) in ("llama3", "yarn", "longrope")
