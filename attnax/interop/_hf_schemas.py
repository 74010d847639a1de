"""The RoPE parameters of a model, by layer type where they differ, from any schema.

Version 5 of transformers has `rope_parameters`, flat or nested by layer type; version 4
has `rope_theta` and `rope_scaling` at the level of the model, and a few models have
names of their own. Precedence is that of transformers 5.23: `rope_scaling` where it is
given, else `rope_parameters`, else the default of the model's code; then, for what
these do not hold, the keys beside them, and the default of the code again. A key beside
them that says something else than what goes before it is an error.

A schema goes from the context to a dict from labels, which are layer types or `None`
where there is one set for all layers, to parameters, which are `None` where a layer
type does not rotate.
"""

from functools import partial

from .. import functional as F
from ._hf_keys import Keys

_ORIGINAL = "original_max_position_embeddings"
_FRACTION = "partial_rotary_factor"
_NAMES = ("rope_scaling", "rope_parameters")


def flat(
    context,
    *,
    theta: str | None = "rope_theta",
    fraction: str | None = _FRACTION,
    more=None,
    names: tuple[str, ...] = _NAMES,
):
    """One set of parameters for all layers.

    `theta` and `fraction` are the keys beside it that hold the base and the fraction
    that rotates; `more` are further values that it does not hold itself; `names` are
    those it goes by.
    """
    keys = context.keys
    given, where = _given(context, names)
    values = keys.defaults.get(where, {}) if given is None else given
    if nested := [k for k, v in values.items() if isinstance(v, dict)]:
        raise context.error(
            f"{where} is nested by {nested}, but {context.model_type!r} reads one set "
            "of parameters for all layers"
        )
    beside = {"rope_theta": theta, _FRACTION: fraction}
    layers = (
        {name: keys.defaults.get(f"default_{name}") for name in beside},
        more or {},
        {name: keys.get(key) for name, key in beside.items() if key},
        values,
    )
    values = {k: v for layer in layers for k, v in _without_nulls(layer).items()}
    holder = where if given is not None else f"the code of {context.model_type!r}"
    for name, key in beside.items():
        if key and keys.given(key) not in (None, values.get(name)):
            raise context.error(
                f"the config holds {key}={keys.given(key)!r}, but {holder}, which goes "
                f"before it, has {name}={values[name]!r}; keep one in {where}"
            )
    if _is_scaled(context, values) and keys.given(_ORIGINAL) is not None:
        values[_ORIGINAL] = keys.given(_ORIGINAL)  # it overrides the one inside
    params = _with_original_length(context, values, where)
    for name, key in beside.items():
        if name not in (given or {}) and key and keys.given(key) is not None:
            params.spelled[name] = ("the config", key)
    return {None: params}


def by_layer_type(
    context,
    *,
    thetas=None,
    scaled=(),
    more=None,
    shared: str | None = "rope_theta",
    fraction: str | None = None,
    labels_known: bool = True,
):
    """A set of parameters per layer type, nested, or from the names of version 4.

    `thetas` gives for each label the old key of its base, or `None`, and its default;
    `scaled` are the labels that an old `rope_scaling` speaks of; `more` gives for each
    label further values that it does not hold itself; `shared` and `fraction` are the
    keys beside it that hold the base and the fraction of every label; `labels_known`
    says whether the types of the layers are.
    """
    keys, where = context.keys, "rope_parameters"
    old = _old_scaling(context) if scaled else {}
    # Where old names are known, the defaults of the code are here, not whole sets.
    nested = dict(keys.given(where, {}) if thetas else keys.get(where, {}))
    # What some releases left beside the layer types, and what stands there only.
    beside = {name: nested.pop(name, None) for name in ("rope_type", "rope_theta")}
    truncate = nested.pop("truncate", None)
    bad = {k: v for k, v in nested.items() if not isinstance(v, dict | None)}
    if bad or (not nested and any(beside.values())):
        raise context.error(
            f"{where}={keys.given(where)} must hold one dict or null for each layer "
            f"type of {context.model_type!r}"
        )
    out, thetas, more = {}, thetas or {}, more or {}
    olds = {key for key, _ in thetas.values() if key} | ({shared} if shared else set())
    common = keys.given(shared) if shared else None
    if common is None:
        common = keys.defaults.get("default_rope_theta")
    for label in dict.fromkeys((*thetas, *more, *nested)):
        if nested.get(label) is None and label not in (*thetas, *more):
            out[label] = None
            continue
        values = _without_nulls(nested.get(label) or {})
        here = f"{where}[{label!r}]" if label in nested else "rope_scaling"
        if label in scaled:
            values.update(old)
        if values.get("truncate", True) is not True:
            raise context.error(
                f"{here} holds truncate={values['truncate']!r}, which transformers "
                "reads beside the layer types only; move it there"
            )
        if truncate is not None:
            values["truncate"] = truncate
        key, default = thetas.get(label, (shared, None))
        theta = keys.given(key) if key else None
        theta = theta if theta is not None else default
        theta = theta if theta is not None else common
        if theta is not None:
            values.setdefault("rope_theta", theta)
        if fraction and keys.given(fraction) is not None:
            values.setdefault(_FRACTION, keys.given(fraction))
        values = {**more.get(label, {}), **values}
        out[label] = _with_original_length(context, values, here)
    _check_beside(context, out, beside, sorted(olds), fraction)
    if labels_known:
        _check_labels(context, out, nested)
    return out


def unknown(context):
    """Whatever the config holds, of a model type that is not in the table."""
    values, _ = _given(context)
    if any(isinstance(v, dict) for v in (values or {}).values()):
        listed = context.keys.given("layer_types") is not None
        return by_layer_type(context, labels_known=listed)
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
        more = {_FRACTION: keys.given("rotary_dim") / head_dim}
    return flat(context, more=more)


def bamba(context):
    """Half of a head rotates, whatever stands beside the parameters."""
    keys = context.keys
    half = keys.defaults["default_partial_rotary_factor"]
    _check_same(context, _FRACTION, keys.given(_FRACTION), half)
    width = half * context.family.head_dim(context)
    _check_same(context, "attn_rotary_emb", keys.given("attn_rotary_emb"), width)
    return flat(context, fraction=None)


def mistral4(context):
    """The fraction is that of the rotary part of a latent head."""
    keys = context.keys
    rotary = keys.integer(context, "qk_rope_head_dim")
    whole = rotary + keys.integer(context, "qk_nope_head_dim")
    _check_same(context, "head_dim", keys.given("head_dim"), whole)
    given, _ = _given(context)
    for said in (keys.given(_FRACTION), (given or {}).get(_FRACTION)):
        _check_same(context, _FRACTION, said, rotary / whole)
    params = flat(context, fraction=None)[None]
    return {None: Keys(_without(params.values, _FRACTION), params.where)}


def neomme(context):
    """Full layers rotate a quarter of each head, sliding ones all of it."""
    for params in (context.keys.given("rope_parameters") or {}).values():
        if isinstance(params, dict):
            _check_new_name(context, "rope_parameters", params)
    return by_layer_type(
        context,
        thetas={
            "sliding_attention": ("rope_theta", 10_000.0),
            "full_attention": ("rope_theta", 1_000_000.0),
        },
        more={
            "sliding_attention": {_FRACTION: 1.0},
            "full_attention": {_FRACTION: 0.25},
        },
    )


def mimo(context):
    """Where it says nothing, about a third of each head rotates.

    Its released configs hold names that the code does not read, and what it does.
    """
    keys, third = context.keys, {_FRACTION: 0.334}
    labels = keys.get("rope_parameters", {})
    nested = {k: v for k, v in labels.items() if isinstance(v, dict)}
    plain = [k for k, v in nested.items() if v.get("rope_type") == "default"]
    out = by_layer_type(context, more=dict.fromkeys(plain, third))
    for label, params in out.items():
        if params:
            said = keys.given(_FRACTION)
            _check_same(context, _FRACTION, said, params.values.get(_FRACTION, 1.0))
            if label == "sliding_attention":
                said = keys.given("swa_rope_theta")
                _check_same(context, "swa_rope_theta", said, params.get("rope_theta"))
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
    return {k: Keys({"rope_theta": v}, "rope_theta") for k, v in by_type.items()}


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
    fractions, old = keys.given("partial_rotary_factors"), _old_scaling(context)
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
            values[_FRACTION] = fractions[first]
        if name == "full_attention":
            values.update(old)
        out[name] = Keys(values, "rope_scaling" if old else "rope_theta")
    return out


def _main_and_compress(context):
    """Sliding layers are `main`; the others, `compress`, have a base of their own."""
    keys = context.keys
    head_dim = keys.integer(context, "head_dim")
    fraction = keys.given(_FRACTION)
    if fraction is None and keys.given("qk_rope_head_dim") is not None:
        fraction = keys.given("qk_rope_head_dim") / head_dim
    main, compress = keys.get("rope_theta"), keys.get("compress_rope_theta")
    more = {_FRACTION: 64 / 512 if fraction is None else fraction}
    given, where = _given(context)
    values = given or {}
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


def deepseek_v4(context):
    """As above; `qk_rope_head_dim` may repeat the width that rotates."""
    out = _main_and_compress(context)
    for params in out.values():
        head_dim = context.keys.integer(context, "head_dim")
        made = int(head_dim * params.number(context, _FRACTION))
        said = context.keys.given("qk_rope_head_dim")
        _check_same(context, "qk_rope_head_dim", said, made)
    return out


def dots3_note(context):
    """Sliding layers have a base of their own; the fraction follows from the widths."""
    keys, types = context.keys, dict.fromkeys(context.layer_types)
    sliding = keys.given("swa_rope_theta", 50_000.0)
    base = keys.given("rope_theta", keys.defaults["default_rope_theta"])
    given, where = _given(context)
    out = {}
    for name in types:
        own = given or {}
        if any(isinstance(v, dict) for v in own.values()):
            own = own.get(name) or {}
        layer = context.at(context.layer_types.index(name))
        widths = ("qk_rope_head_dim", "head_dim")
        rotary, whole = (layer.keys.integer(layer, width) for width in widths)
        _check_same(context, _FRACTION, own.get(_FRACTION), rotary / whole)
        own = _without(_without_nulls(own), _FRACTION)
        if given is None and name == "sliding_attention":
            own["rope_theta"] = sliding
        own.setdefault("rope_theta", base)
        out[name] = _with_original_length(context, own, where)
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


def _given(context, names=_NAMES):
    """What the config holds, or `None`, and its name.

    Empty `rope_parameters` are there and keep the default of the code away.
    """
    for name in names:
        values = context.keys.given(name)
        if values or (values is not None and name == "rope_parameters"):
            return values, name
    return None, "rope_parameters"


def _old_scaling(context):
    """`rope_scaling` where the code takes its type under the new name only."""
    old = _without_nulls(context.keys.given("rope_scaling") or {})
    _check_new_name(context, "rope_scaling", old)
    return old


def _check_new_name(context, where, values):
    """Code that does not know the old name of the type takes the plain one for it."""
    if "rope_type" not in values and values.get("type", "default") != "default":
        raise context.error(
            f"{where} holds type={values['type']!r}, which the code of "
            f"{context.model_type!r} does not read; write rope_type"
        )


def _check_beside(context, params, beside, theta_keys, fraction):
    """What stands beside the layer types says what one of them has."""
    given, defaults = context.keys.given, {"rope_type": "default"}
    said = [("the config", key, "rope_theta", given(key)) for key in theta_keys]
    if fraction:
        said.append(("the config", fraction, _FRACTION, given(fraction)))
    # transformers itself writes these two inside, whatever the layer types have.
    written = {"rope_type": "default", "rope_theta": 10_000.0}
    said += [
        ("rope_parameters", name, name, value)
        for name, value in beside.items()
        if value != written[name]
    ]
    for place, key, name, value in said:
        made = [p.values.get(name, defaults.get(name)) for p in params.values() if p]
        if value not in (None, *made):
            raise context.error(
                f"{place} holds {key}={value!r}, but the parameters by layer type, "
                f"which go before it, have {name}={made}; keep these"
            )


def _check_labels(context, params, nested):
    """Each layer type that rotates has its entry, and each entry its layer type."""
    family, types = context.family, context.layer_types
    rotates = family.rotates(context, types)
    needed = {family.label(name) for name, on in zip(types, rotates, strict=True) if on}
    if missing := sorted(needed - params.keys()):
        raise context.error(
            f"rope_parameters must hold an entry for the layer types {missing}, which "
            "is null where they do not rotate"
        )
    usual = {"full_attention", "sliding_attention", *map(family.label, types)}
    usual |= context.keys.defaults.get("rope_parameters", {}).keys()
    unknown = sorted(nested.keys() - usual)
    if types and unknown:
        raise context.error(
            f"rope_parameters holds {unknown}, which no layer of "
            f"{context.model_type!r} is; its layer types are {sorted(usual)}"
        )


def _check_same(context, key, said, made):
    """A key that the code overrides may only say what the code makes."""
    if said is not None and said != made:
        raise context.error(
            f"the config holds {key}={said!r}, but the code of "
            f"{context.model_type!r} makes it {made!r}; remove it"
        )


def _without(values, name):
    return {k: v for k, v in values.items() if k != name}


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
    scaled = ("llama3", "yarn", "longrope")
    return isinstance(kind, str) and context.family.renames.get(kind, kind) in scaled
