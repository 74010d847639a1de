"""Keys that must say the same as others, and dicts without some of their keys."""

FRACTION = "partial_rotary_factor"


def check_same(context, key, said, made):
    """Raises if a key that the code overwrites says something else than the code."""
    if said is not None and said != made:
        raise context.error(
            f"the config holds {key}={said!r}, but the code of "
            f"{context.model_type!r} makes it {made!r}; remove it"
        )


def check_new_name(context, where, values):
    """Raises if a type stands under its old name, which newer code does not read."""
    if "rope_type" not in values and values.get("type", "default") != "default":
        raise context.error(
            f"{where} holds type={values['type']!r}, which the code of "
            f"{context.model_type!r} does not read; write rope_type"
        )


def check_beside(context, params, beside, theta_keys, fraction):
    """Raises if a value beside the layer types is that of none of them."""
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
                f"which take precedence, have {name}={made}; keep these"
            )


def without(values, key):
    """The dict without one key."""
    return {k: v for k, v in values.items() if k != key}


def without_nulls(values):
    """The dict without the keys that hold `None`."""
    return {k: v for k, v in values.items() if v is not None}
