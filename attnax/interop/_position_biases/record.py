"""The position biases of the layers of a model, as a static record."""

from dataclasses import dataclass

import jax

from ...functional._biases.core.record import PositionBias


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
            or whose scores are no plain products; the documentation of the model type
            says what they are.
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
    """

    model_type: str
    part: str
    layers: tuple[LayerBias, ...]

    @property
    def num_params(self) -> int:
        """Number of different sets of parameters."""
        places = {term.params_index for layer in self.layers for term in layer.terms}
        return len(places - {None})

    def __repr__(self):
        biases = {repr(term.bias) for layer in self.layers for term in layer.terms}
        text = biases.pop() if len(biases) == 1 else f"{len(biases)} biases"
        return (
            f"ModelBiases({self.model_type!r}, {self.part!r}, {len(self.layers)} "
            f"layers: {text}, {self.num_params} sets of parameters)"
        )
