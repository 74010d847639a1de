"""The parameters of a model type that is not in the tables."""

from .by_layer_type import by_layer_type
from .flat import flat
from .given import given_parameters


def unknown(context):
    """Parameters by layer type if the config nests them, and one set otherwise."""
    values, _ = given_parameters(context)
    if any(isinstance(v, dict) for v in (values or {}).values()):
        listed = context.keys.given("layer_types") is not None
        return by_layer_type(context, labels_known=listed)
    return flat(context)
