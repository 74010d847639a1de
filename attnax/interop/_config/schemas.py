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

ORIGINAL = "original_max_position_embeddings"
FRACTION = "partial_rotary_factor"
_NAMES = ("rope_scaling", "rope_parameters")


def flat(
    context,
    *,
    theta: str | None = "rope_theta",
    fraction: str | None = FRACTION,
    more=None,
    names: tuple[str, ...] = _NAMES,
):
    """One set of parameters for all layers.

    `theta` and `fraction` are the keys beside it that hold the base and the fraction
    that rotates; `more` are further values that it does not hold itself; `names` are
    those it goes by.
    """
    keys = context.keys
    given, where = given_parameters(context, names)
    values = keys.defaults.get(where, {}) if given is None else given
    if nested := [k for k, v in values.items() if isinstance(v, dict)]:
        raise context.error(
            f"{where} is nested by {nested}, but {context.model_type!r} reads one set "
            "of parameters for all layers"
        )
    beside = {"rope_theta": theta, FRACTION: fraction}
    layers = (
        {name: keys.defaults.get(f"default_{name}") for name in beside},
        more or {},
        {name: keys.get(key) for name, key in beside.items() if key},
        values,
    )
    values = {k: v for layer in layers for k, v in without_nulls(layer).items()}
    holder = where if given is not None else f"the code of {context.model_type!r}"
    for name, key in beside.items():
        if key and keys.given(key) not in (None, values.get(name)):
            raise context.error(
                f"the config holds {key}={keys.given(key)!r}, but {holder}, which goes "
                f"before it, has {name}={values[name]!r}; keep one in {where}"
            )
    if where == "rope_scaling" and "rope_parameters" in names:
        _check_repeats(context, values)
    if _is_scaled(context, values) and keys.get(ORIGINAL) is not None:
        values[ORIGINAL] = keys.get(ORIGINAL)  # it overrides the one inside
    params = with_original_length(context, values, where)
    for name, key in beside.items():
        if name not in (given or {}) and key and keys.given(key) is not None:
            params.spelled[name] = ("the config", key)
    return {None: params}


def by_layer_type(
    context,
    *,
    thetas=None,
    scaled=(),
    old_type: bool = False,
    more=None,
    shared: str | None = "rope_theta",
    fraction: str | None = None,
    labels_known: bool = True,
):
    """A set of parameters per layer type, nested, or from the names of version 4.

    `thetas` gives for each label the old key of its base, or `None`, and its default;
    `scaled` are the labels that an old `rope_scaling` speaks of, and `old_type` says
    whether its type may stand under the name `type`; `more` gives for each label
    further values that it does not hold itself; `shared` and `fraction` are the keys
    beside it that hold the base and the fraction of every label; `labels_known` says
    whether the types of the layers are known.
    """
    keys, where = context.keys, "rope_parameters"
    old = old_scaling(context, old_type) if scaled else {}
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
    if not thetas:
        _check_local_base(context, nested)
    out, thetas, more = {}, thetas or {}, more or {}
    olds = {key for key, _ in thetas.values() if key} | ({shared} if shared else set())
    common = keys.given(shared) if shared else None
    if common is None:
        common = keys.defaults.get("default_rope_theta")
    for label in dict.fromkeys((*thetas, *more, *nested)):
        if nested.get(label) is None and label not in (*thetas, *more):
            out[label] = None
            continue
        values = without_nulls(nested.get(label) or {})
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
            values.setdefault(FRACTION, keys.given(fraction))
        values = {**more.get(label, {}), **values}
        out[label] = with_original_length(context, values, here)
    check_beside(context, out, beside, sorted(olds), fraction)
    if labels_known:
        _check_labels(context, out, nested)
    if not out:
        raise context.error(
            f"{where} must hold one dict or null for each layer type of "
            f"{context.model_type!r}"
        )
    return out


def _check_local_base(context, nested):
    """An old name of the base of sliding layers may only repeat it."""
    said = context.keys.given("rope_local_base_freq")
    if said is not None:
        sliding = nested.get("sliding_attention") or {}
        check_same(context, "rope_local_base_freq", said, sliding.get("rope_theta"))


def unknown(context):
    """Whatever the config holds, of a model type that is not in the table."""
    values, _ = given_parameters(context)
    if any(isinstance(v, dict) for v in (values or {}).values()):
        listed = context.keys.given("layer_types") is not None
        return by_layer_type(context, labels_known=listed)
    return flat(context)


def given_parameters(context, names=_NAMES):
    """What the config holds, or `None`, and its name.

    Empty `rope_parameters` are there and keep the default of the code away.
    """
    for name in names:
        values = context.keys.given(name)
        if values or (values is not None and name == "rope_parameters"):
            return values, name
    return None, "rope_parameters"


def without_repetition(part):
    """The config without a `rope_scaling` that is `rope_parameters` word for word."""
    same = part.get("rope_scaling") == part.get("rope_parameters") is not None
    return without(part, "rope_scaling") if same else part


def _check_repeats(context, values):
    """What stands in `rope_parameters`, after `rope_scaling`, says the same."""
    made = {"rope_type": values.get("type", "default"), **values}
    made |= {"type": made["rope_type"]}
    other = without_nulls(context.keys.given("rope_parameters") or {})
    for key, said in other.items():
        if said != made.get(key):
            raise context.error(
                f"rope_parameters holds {key}={said!r}, but rope_scaling, which goes "
                f"before it, makes that {made.get(key)!r}; write all of it in one of "
                "the two"
            )


def old_scaling(context, old_type=False):
    """`rope_scaling`, whose type may stand under `type` only if `old_type` is true."""
    old = without_nulls(context.keys.given("rope_scaling") or {})
    if not old_type:
        check_new_name(context, "rope_scaling", old)
    return old


def check_new_name(context, where, values):
    """Code that does not know the old name of the type takes the plain one for it."""
    if "rope_type" not in values and values.get("type", "default") != "default":
        raise context.error(
            f"{where} holds type={values['type']!r}, which the code of "
            f"{context.model_type!r} does not read; write rope_type"
        )


def check_beside(context, params, beside, theta_keys, fraction):
    """What stands beside the layer types says what one of them has."""
    given, defaults = context.keys.given, {"rope_type": "default"}
    said = [("the config", key, "rope_theta", given(key)) for key in theta_keys]
    if fraction:
        said.append(("the config", fraction, FRACTION, given(fraction)))
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
    extra = sorted(nested.keys() - usual)
    if types and extra:
        raise context.error(
            f"rope_parameters holds {extra}, which no layer of "
            f"{context.model_type!r} is; its layer types are {sorted(usual)}"
        )


def check_same(context, key, said, made):
    """A key that the code overrides may only say what the code makes."""
    if said is not None and said != made:
        raise context.error(
            f"the config holds {key}={said!r}, but the code of "
            f"{context.model_type!r} makes it {made!r}; remove it"
        )


def without(values, name):
    return {k: v for k, v in values.items() if k != name}


def without_nulls(values):
    return {k: v for k, v in values.items() if v is not None}


def with_original_length(context, values, where):
    """Scaled methods take the trained length from the served one if need be."""
    if _is_scaled(context, values):
        length = context.keys.get("max_position_embeddings")
        if length is not None:
            values.setdefault(ORIGINAL, length)
        said, made = context.keys.given(ORIGINAL), values.get(ORIGINAL)
        if said not in (None, made):
            raise context.error(
                f"the config holds {ORIGINAL}={said!r}, but {where}, which is all that "
                f"the code of {context.model_type!r} reads here, makes it {made!r}; "
                f"write it in {where}"
            )
    return context.params(values, where)


def _is_scaled(context, values):
    """Whether the method needs the trained length among its parameters."""
    kind = values.get("rope_type", values.get("type"))
    scaled = ("llama3", "yarn", "longrope")
    return isinstance(kind, str) and context.family.renames.get(kind, kind) in scaled
