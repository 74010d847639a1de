"""A set of parameters for each layer type."""

from .checks import FRACTION, check_beside, check_same, without_nulls
from .given import old_scaling, with_original_length

_WHERE = "rope_parameters"


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
    """A set of parameters per layer type, nested or from the keys of version 4.

    Args:
        context: The part of the config, with its rules.
        thetas: Old key of the base, or `None`, and its default, by label.
        scaled: Labels that an old `rope_scaling` applies to.
        old_type: Whether an old `rope_scaling` may name its type `type`.
        more: Values for what the config does not hold, by label.
        shared: The key beside the parameters that holds the base of every label.
        fraction: The key beside the parameters that holds the fraction of every label.
        labels_known: Whether the types of the layers are known.
    """
    keys = context.keys
    old = old_scaling(context, old_type) if scaled else {}
    # Where old names are known, the defaults of the code are here, not whole sets.
    nested = dict(keys.given(_WHERE, {}) if thetas else keys.get(_WHERE, {}))
    # What some releases left beside the layer types, and what stands there only.
    beside = {name: nested.pop(name, None) for name in ("rope_type", "rope_theta")}
    outside = without_nulls({"truncate": nested.pop("truncate", None)})
    common = {FRACTION: keys.given(fraction)} if fraction else {}
    _check_nested(context, nested, beside)
    if not thetas:
        _check_local_base(context, nested)
    thetas, more, out = thetas or {}, more or {}, {}
    for label in dict.fromkeys((*thetas, *more, *nested)):
        if nested.get(label) is None and label not in (*thetas, *more):
            out[label] = None
            continue
        here = f"{_WHERE}[{label!r}]" if label in nested else "rope_scaling"
        own = without_nulls(nested.get(label) or {})
        own |= old if label in scaled else {}
        _check_truncate(context, own, here)
        theta = _theta(keys, thetas.get(label, (shared, None)), shared)
        beneath = more.get(label, {}) | without_nulls(common | {"rope_theta": theta})
        out[label] = with_original_length(context, beneath | own | outside, here)
    olds = {key for key, _ in thetas.values() if key} | ({shared} if shared else set())
    check_beside(context, out, beside, sorted(olds), fraction)
    if labels_known:
        _check_labels(context, out, nested)
    if not out:
        raise _not_nested(context)
    return out


def _theta(keys, key_and_default, shared):
    """The base from outside a label's own parameters, or `None`."""
    key, default = key_and_default
    found = (
        keys.given(key) if key else None,
        default,
        keys.given(shared) if shared else None,
        keys.defaults.get("default_rope_theta"),
    )
    return next((theta for theta in found if theta is not None), None)


def _check_nested(context, nested, beside):
    bad = {k: v for k, v in nested.items() if not isinstance(v, dict | None)}
    if bad or (not nested and any(beside.values())):
        raise _not_nested(context)


def _not_nested(context):
    return context.error(
        f"{_WHERE}={context.keys.given(_WHERE)} must hold one dict or null for each "
        f"layer type of {context.model_type!r}"
    )


def _check_truncate(context, values, here):
    if values.get("truncate", True) is not True:
        raise context.error(
            f"{here} holds truncate={values['truncate']!r}, which transformers "
            "reads beside the layer types only; move it there"
        )


def _check_local_base(context, nested):
    """Raises unless an old name of the base of sliding layers repeats it."""
    said = context.keys.given("rope_local_base_freq")
    if said is not None:
        sliding = nested.get("sliding_attention") or {}
        check_same(context, "rope_local_base_freq", said, sliding.get("rope_theta"))


def _check_labels(context, params, nested):
    """Raises unless layer types that rotate have entries, and entries layer types."""
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
