"""Step-3.5: bases and fractions as lists with one entry per layer."""

from ..family import RopeFamily
from ..schemas.by_layer_type import by_layer_type
from ..schemas.checks import FRACTION, check_same
from ..schemas.given import old_scaling


def parameters(context):
    """Parameters of each layer type, nested or from the lists of the release."""
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
    return {
        name: _of_type(context, name, thetas, fractions, old)
        for name in dict.fromkeys(types)
    }


def _of_type(context, name, thetas, fractions, old):
    """The values of the first layer of a type; full ones are scaled by `old` too."""
    first = context.layer_types.index(name)
    theta = thetas[first] if isinstance(thetas, list) else thetas
    values = {"rope_theta": theta}
    if fractions:
        values[FRACTION] = fractions[first]
    if name == "full_attention":
        if context.keys.given("rope_theta") is not None:
            made = old.get("rope_theta", theta)
            check_same(context, "rope_theta", theta, made)
        values.update(old)
    return context.params(values, "rope_scaling" if old else "rope_theta")


ROWS = (("step3p5", RopeFamily(reads_fraction=True, schema=parameters, padded=True)),)
