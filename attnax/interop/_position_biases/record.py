"""The position biases of the layers of a model, as a static record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import jax

from ..._checks import choice, integer, type_of
from ..._public import public
from ...functional._biases.core.record import PositionBias

# What a term can be added to.
KINDS = ("scores", "block_scores", "values")


@jax.tree_util.register_static
@dataclass(frozen=True)
class BiasTerm:
    """A bias of a layer, and where its parameters are.

    Attributes:
        bias: Settings of the bias, a record of `attnax.functional`.
        params_index: Place of its parameters in what
            `position_bias_params_from_checkpoint` returns. Terms with the same place
            share them. `None` for a bias without parameters.
        kind: What it is added to: `"scores"` of queries and keys; `"block_scores"` of
            queries and the summaries of blocks, which are further keys of LongT5
            (`attnax.functional.global_blocks`); or `"values"`, for the values by
            distance of VITS (`attnax.functional.apply_relative_values`).
    """

    bias: PositionBias
    params_index: int | None
    kind: str = "scores"


@jax.tree_util.register_static
@dataclass(frozen=True)
class LayerBias:
    """The position biases of an attention.

    Attributes:
        terms: Its biases; empty for a layer without one. The sum of those of one kind
            is added after `scale` is applied.
        scale: Factor of the model on the products of queries and keys, the `scale` of
            `jax.nn.dot_product_attention`. `None` for a model whose factor is learned,
            or whose scores are no plain products: see docs/interop/biases.md.
    """

    terms: tuple[BiasTerm, ...]
    scale: float | None


@jax.tree_util.register_static
@dataclass(frozen=True)
class ModelBiases:
    """The position biases of a stack of layers, without parameters.

    Attributes:
        model_type: Model type whose code reads the part of the config.
        part: Name of the part: a stack such as `"encoder"`, or a part of a config such
            as `"vision"`, with a dot between levels.
        layers: One entry per attention, in order.
        differs: What the code of transformers 5.23 has otherwise, where it is at fault
            and the biases are those of the publication; `None` if nothing.
    """

    model_type: str
    part: str
    layers: tuple[LayerBias, ...]
    differs: str | None = None

    @property
    def num_params(self) -> int:
        """Number of different sets of parameters."""
        places = {term.params_index for layer in self.layers for term in layer.terms}
        return len(places - {None})

    @property
    def _sets(self):
        """The number of sets of parameters, in words."""
        number = self.num_params
        return f"{number} set{'s' * (number != 1)} of parameters"

    @public
    def terms(
        self, params: Sequence[Any], layer: SupportsIndex, *, kind: str = "scores"
    ) -> tuple[tuple[PositionBias, Any], ...]:
        """Returns the biases of a layer, each with its parameters.

        Args:
            params: What `position_bias_params_from_checkpoint` returns for the same
                config and part, or other parameters in the same order.
            layer: Number of the layer, from 0.
            kind: What the biases are added to: `"scores"`, `"block_scores"` or
                `"values"`, see `BiasTerm`.

        Returns:
            Pairs of a bias and its parameters, which are `None` for a bias that has
            none. Empty for a layer without biases of that kind.

        Raises:
            ValueError: If `params` has another number of entries than `num_params`; if
                there is no such layer or kind.

        Example:
            >>> from attnax.interop import position_bias_from_hf
            >>> biases = position_bias_from_hf({"model_type": "bloom"})
            >>> [(bias, params)] = biases.terms((), 0)
            >>> apply_position_bias(bias, params, range(3), range(3)).shape
            (8, 3, 3)
        """
        listed = isinstance(params, list | tuple)
        if not listed or len(params) != self.num_params:
            what = f"a tuple of {len(params)}" if listed else type_of(params)
            raise ValueError(
                f"params is {what}, but must be a tuple of {self._sets}, as "
                "position_bias_params_from_checkpoint returns it."
            )
        choice("kind", kind, KINDS)
        layer = integer("layer", layer, 0, len(self.layers) - 1)
        return tuple(
            (t.bias, None if t.params_index is None else params[t.params_index])
            for t in self.layers[layer].terms
            if t.kind == kind
        )

    def __repr__(self):
        biases = {repr(term.bias) for layer in self.layers for term in layer.terms}
        text = biases.pop() if len(biases) == 1 else f"{len(biases)} biases"
        return (
            f"ModelBiases({self.model_type!r}, {self.part!r}, {len(self.layers)} "
            f"layers: {text}, {self._sets})"
        )
