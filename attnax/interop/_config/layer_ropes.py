"""The ropes of the layers of a model; layers that are alike share one."""

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
        for index, name in enumerate(context.layer_types):
            label = context.family.label(name) if None not in params else None
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
