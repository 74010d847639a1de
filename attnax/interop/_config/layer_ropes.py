"""The parameters and the ropes of the layers of a model."""

from .layers import current_name
from .one_rope import rope_of_layer
from .values import MOST_FREQUENCIES


class LayerRopes:
    """Makes the rope of each layer, once for layers that are alike."""

    def __init__(self, context, params, seq_len, layout):
        self.context, self.params = context, params
        self.seq_len, self.layout = seq_len, layout
        self._changes = context.changes() if context.layer_types else {}
        rule = context.family.per_layer
        self._own = {
            label: rule(context, shared) if rule and shared is not None else {}
            for label, shared in params.items()
        }
        self._made, self._distinct, self._pairs = {}, {}, 0

    def of_all_layers(self):
        """One rope per layer, in order; `None` for a layer that does not rotate."""
        context, params = self.context, self.params
        rotates = context.family.rotates(context, context.layer_types)
        ropes = []
        for index, label in enumerate(_labels(context, params)):
            on = rotates[index] and params.get(label) is not None
            ropes.append(self.rope(label, index) if on else None)
        return ropes

    def rope(self, label, index):
        """The rope of a layer with these parameters; `index` may be `None`."""
        values = self._own[label].get(index, self.params[label])
        changes = self._changes.get(index, {})
        key = id(values), repr(changes)
        if key not in self._made:
            layer = self.context.changed(changes)
            rope = rope_of_layer(layer, values, self.seq_len, self.layout)
            self._made[key] = self._distinct.setdefault(rope, rope)
            self._count(rope)
        return self._made[key]

    def _count(self, rope):
        self._pairs += rope.rotary_pairs if rope else 0
        if self._pairs > MOST_FREQUENCIES:
            raise self.context.error(
                f"the layers have more than {MOST_FREQUENCIES} frequencies of their "
                "own in all"
            )


def chosen_layers(context, params, layer_type):
    """The label of the parameters and the layers that have them.

    `None` for a layer type that does not rotate.
    """
    types, family = context.layer_types, context.family
    labels, rotates = _labels(context, params), family.rotates(context, types)
    if layer_type is None:
        label = _only_label(context, params)
        return label, [i for i, on in enumerate(rotates) if on and labels[i] in params]
    layer_type = current_name(layer_type)
    if None not in params and layer_type in params:
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


def _labels(context, params):
    """The label of the parameters of each layer."""
    nested = None not in params
    return [
        context.family.label(name) if nested else None for name in context.layer_types
    ]
