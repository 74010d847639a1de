"""The parameters that `rope_from_hf` reads, and the layers that have them."""

from .layer_types import current_name


def chosen_layers(context, params, layer_type):
    """The label of the parameters and the layers that have them.

    `None` for a layer type that does not rotate.
    """
    types, family = context.layer_types, context.family
    nested = None not in params
    labels = [family.label(name) if nested else None for name in types]
    rotates = family.rotates(context, types)
    if layer_type is None:
        label = _only_label(context, params)
        return label, [i for i, on in enumerate(rotates) if on and labels[i] in params]
    layer_type = current_name(layer_type)
    if nested and layer_type in params:
        return layer_type, [i for i, label in enumerate(labels) if label == layer_type]
    if layer_type not in types:
        choices = sorted({*filter(None, params), *types})
        raise context.error(f"{layer_type=} must be one of {choices}")
    indices = [i for i, name in enumerate(types) if name == layer_type]
    on = {rotates[i] for i in indices}
    if len(on) > 1:
        raise context.error(
            f"some layers of {layer_type=} rotate and others do not; use ropes_from_hf"
        )
    return (labels[indices[0]], indices) if True in on else None


def _only_label(context, params):
    """The first label; raises if others have other parameters."""
    if not params:
        raise context.error("the config holds rotary parameters of no layer")
    label, *others = params
    if any(not _are_same(params[label], params[other]) for other in others):
        raise context.error(
            f"model_type={context.model_type!r} has rotary parameters by layer "
            f"type; pass layer_type, one of {sorted(params)}"
        )
    return label


def _are_same(one, other):
    return one is not None and other is not None and one.values == other.values
