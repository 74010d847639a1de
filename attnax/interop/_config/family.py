"""What a model type's code fixes and its config does not tell."""

from collections.abc import Callable
from dataclasses import dataclass, field

from . import layers, schemas, widths


@dataclass(frozen=True)
class Family:
    """The rules of one or several model types.

    Attributes:
        layout: How channels are paired, see `attnax.functional.Rope`, or a rule.
        rotary_start: Where the rotating channels of a head stand.
        head_dim: From the config to the width that the frequencies are made for.
        reads_fraction: Whether the plain rope reads `partial_rotary_factor` too; all
            scaled ones do.
        reverse: Whether it turns the other way.
        axes: For text with pictures: from the sections and the number of pairs to the
            axis of each pair, and the sections where the config has none.
        axial: For pictures: from the width and the base to a rope.
        types: The types of rope that the code takes; `None` is all.
        renames: Types under names that only this family uses.
        schema: From the config to the parameters of each layer type.
        label: From the type of a layer to the label of its parameters.
        layer_count: The key that counts layers, and how many each stands for.
        layer_types: The types of layers where the config does not list them.
        rotates: Which of the layers rotate.
        per_layer: From the config and the parameters of a label to those that single
            layers have themselves, by index.
        overrides: Keys of the config that single layers change.
        method: Makes frequencies and attention factor where the common methods do not.
        padded: Lists with one entry per layer may go on for layers that guess further
            tokens, `num_nextn_predict_layers`.
        elsewhere: Keys of these names are left to other parts of the model.
        variant: From the keys of a config to the rules of another code that the model
            type stands for too, or `None`.
        says: Names of other engines that its configs hold, each with the one value that
            its code stands for.
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
    schema: Callable = schemas.flat
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
