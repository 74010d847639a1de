"""What a rule says about a stack: biases, and the tensors of their parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...functional._biases.core.record import PositionBias
from ...functional._biases.core.table import TableBiasParams
from .record import BiasTerm, LayerBias


def as_stored(array):
    """The array itself."""
    return array


def transposed(array):
    """The array with its two axes swapped, as a file of `(num_heads, rows)` needs."""
    return np.swapaxes(array, 0, 1)


class Tensor(NamedTuple):
    """A tensor of a checkpoint.

    Attributes:
        field: Argument of the parameters that it becomes.
        names: Names relative to the prefix; the first that the file holds is read.
        shape: Its shape in the file; `None` for an axis of any length.
        form: Function from the array of the file to the parameter.
    """

    field: str
    names: tuple[str, ...]
    shape: tuple[int | None, ...]
    form: Callable[[np.ndarray], np.ndarray] = as_stored


class Source(NamedTuple):
    """The tensors that hold one set of parameters.

    Attributes:
        make: Function from the fields to the parameters.
        tensors: The tensors.
    """

    make: Callable[..., Any]
    tensors: tuple[Tensor, ...]


class Use(NamedTuple):
    """A bias in a layer, with the source of its parameters; `None` if it has none."""

    bias: PositionBias
    source: Source | None = None
    kind: str = "scores"


class Layer(NamedTuple):
    """The biases of a layer, and the factor on products of queries and keys."""

    uses: tuple[Use, ...]
    scale: float | None


class Stack(NamedTuple):
    """The layers of a stack.

    Attributes:
        layers: The layers; none if the config turns the biases of all off.
        without: Names of tensors, as in `Tensor`, of the biases that the config turns
            off. A number between dots stands for every number.
    """

    layers: tuple[Layer, ...]
    without: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[Source, PositionBias]:
        """The different sources, in the order of the layers, each with a bias."""
        uses = (use for layer in self.layers for use in layer.uses)
        return {use.source: use.bias for use in uses if use.source}

    @property
    def layer_biases(self) -> tuple[LayerBias, ...]:
        """The layers as the user sees them."""
        places = {source: place for place, source in enumerate(self.sources)}
        return tuple(
            LayerBias(
                tuple(
                    BiasTerm(use.bias, use.source and places[use.source], use.kind)
                    for use in layer.uses
                ),
                layer.scale,
            )
            for layer in self.layers
        )


def table(*names, rows, num_heads, form=as_stored) -> Source:
    """A table of biases, of shape `(rows, num_heads)` or, `transposed`, the reverse."""
    shape = (num_heads, rows) if form is transposed else (rows, num_heads)
    return Source(TableBiasParams, (Tensor("table", names, shape, form),))


def uniform(bias, source, scale, count) -> Stack:
    """A stack of layers that share a bias and its parameters."""
    return Stack((Layer((Use(bias, source),), scale),) * count)
