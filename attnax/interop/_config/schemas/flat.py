"""One set of parameters for all layers."""

from .checks import FRACTION, without_nulls
from .given import (
    NAMES,
    ORIGINAL,
    given_parameters,
    needs_original_length,
    with_original_length,
)


def base_10000(context):
    """Parameters of code that reads none: the base is 10000."""
    return {None: context.params({"rope_theta": 10_000.0}, "the code of the model")}


def flat(
    context,
    *,
    theta: str | None = "rope_theta",
    fraction: str | None = FRACTION,
    more=None,
    names: tuple[str, ...] = NAMES,
):
    """One set of parameters for all layers.

    Args:
        context: The part of the config, with its rules.
        theta: The key beside the parameters that holds the base.
        fraction: The key beside the parameters that holds the fraction of channels that
            rotate.
        more: Values for what neither the parameters nor these keys hold.
        names: Keys that the code takes the parameters from, first to last.
    """
    keys = context.keys
    given, where = given_parameters(context, names)
    _check_flat(context, given, where)
    beside = {
        name: key for name, key in (("rope_theta", theta), (FRACTION, fraction)) if key
    }
    sources = (
        {
            name: keys.defaults.get(f"default_{name}")
            for name in ("rope_theta", FRACTION)
        },
        more or {},
        {name: keys.get(key) for name, key in beside.items()},
        keys.defaults.get(where, {}) if given is None else given,
    )
    values = {k: v for source in sources for k, v in without_nulls(source).items()}
    _check_beside(context, values, beside, where, given is not None)
    if where == "rope_scaling" and "rope_parameters" in names:
        _check_repeats(context, values)
    if needs_original_length(context, values) and keys.get(ORIGINAL) is not None:
        values[ORIGINAL] = keys.get(ORIGINAL)  # it overrides the one inside
    params = with_original_length(context, values, where)
    for name, key in beside.items():
        if name not in (given or {}) and keys.given(key) is not None:
            params.spelled[name] = ("the config", key)
    return {None: params}


def flat_with_rotary_dim(context):
    """One set of parameters, whose fraction may be given as `rotary_dim`.

    Where both are given, `rotary_dim` stays unread, so that another width is an error.
    """
    keys = context.keys
    given, _ = given_parameters(context)
    fractions = keys.given(FRACTION), (given or {}).get(FRACTION)
    if fractions != (None, None) or keys.given("rotary_dim") is None:
        return flat(context)
    width = context.family.head_dim(context)
    return flat(context, more={FRACTION: keys.given("rotary_dim") / width})


def _check_flat(context, given, where):
    values = context.keys.defaults.get(where, {}) if given is None else given
    if nested := [k for k, v in values.items() if isinstance(v, dict)]:
        raise context.error(
            f"{where} is nested by {nested}, but {context.model_type!r} reads one set "
            "of parameters for all layers"
        )


def _check_beside(context, values, beside, where, is_given):
    """Raises if a key beside the parameters says something else than they do."""
    holder = where if is_given else f"the code of {context.model_type!r}"
    for name, key in beside.items():
        said = context.keys.given(key)
        if said not in (None, values.get(name)):
            raise context.error(
                f"the config holds {key}={said!r}, but {holder}, which takes "
                f"precedence, has {name}={values[name]!r}; keep one in {where}"
            )


def _check_repeats(context, values):
    """Raises if `rope_parameters` contradicts `rope_scaling`, which has precedence."""
    made = {"rope_type": values.get("type", "default"), **values}
    made |= {"type": made["rope_type"]}
    other = without_nulls(context.keys.given("rope_parameters") or {})
    for key, said in other.items():
        if said != made.get(key):
            raise context.error(
                f"rope_parameters holds {key}={said!r}, but rope_scaling, which takes "
                f"precedence, makes that {made.get(key)!r}; write all of it in one of "
                "the two"
            )
