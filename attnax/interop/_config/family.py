"""The facts of a model type that its code fixes and its config does not tell."""

from collections.abc import Callable
from dataclasses import dataclass, field

from . import layers, widths
from .schemas.flat import flat


@dataclass(frozen=True)
class RopeFamily:
    """The rules of one or several model types.

    Attributes:
        layout: Pairing of the channels, see `attnax.functional.Rope`, or a rule that
            reads it from the config.
        rotary_start: Place of the rotating channels in a head.
        head_dim: Rule from the config to the width that the frequencies are made for.
        reads_fraction: Whether the plain rope reads `partial_rotary_factor`; every
            scaled one does.
        reverse: Whether the model rotates in the opposite direction.
        axes: Axes of text with pictures: a rule from the sections and the number of
            pairs to the axis of each pair, and the sections of a config without any.
            `None` for positions of one axis.
        axial: Rule of pictures from the context, the width and the base to a rope, or
            `None`.
        types: Rope types that the code takes; `None` for all common ones.
        renames: Rope types under names that only this family uses.
        schema: Rule from the config to the parameters of each layer type.
        label: Rule from the type of a layer to the label of its parameters.
        layer_count: The key that counts layers, and how many attentions each layer has.
        layer_types: Rule for the types of layers of a config that does not list them.
        rotates: Rule for the layers that rotate.
        per_layer: Rule from the config and the parameters of a label to the parameters
            of single layers, by index.
        overrides: Rule for the keys of the config that single layers change.
        method: Method of the family, see `methods.py`. Where it returns `None`, or
            there is none, the method of the rope type applies.
        padded: Whether lists with one entry per layer may have further entries, for
            layers that predict more tokens (`num_nextn_predict_layers`).
        elsewhere: Keys that are no error in a config of the family, since its own
            rules or other parts of the model read them.
        variant: Rule from the keys of a config to the rules of another code that the
            model type also stands for, or `None`.
        says: Keys of other engines that the configs hold, each with the one value that
            agrees with the code.
    """

    layout: str | Callable[..., str] = "half"
    rotary_start: str = "leading"
    head_dim: Callable = widths.of_a_head
    reads_fraction: bool = False
    reverse: bool = False
    axes: tuple[Callable, tuple[int, ...] | None] | None = None
    axial: Callable | None = None
    types: tuple[str, ...] | None = None
    renames: dict = field(default_factory=dict)
    schema: Callable = flat
    label: Callable = lambda layer_type: layer_type
    layer_count: tuple[str, int] = ("num_hidden_layers", 1)
    layer_types: Callable = layers.uniform
    rotates: Callable = layers.attending
    per_layer: Callable | None = None
    overrides: Callable = widths.per_layer_config
    method: Callable | None = None
    padded: bool = False
    elsewhere: tuple[str, ...] = ()
    variant: Callable | None = None
    says: dict = field(default_factory=dict)
