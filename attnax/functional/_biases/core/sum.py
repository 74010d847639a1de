"""The sum of several position biases."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from ...._checks import type_of
from ...._dtypes import compute_dtype
from ...._public import public
from .channels import side_by_side
from .content import float_dtypes, in_one_dtype
from .distances import of_rank
from .record import PositionBias, check_bias, set_fields


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class SumBias(PositionBias):
    """The sum of several position biases of one attention.

    Parameters are a tuple of those of each bias, in order. All biases that read
    something of the queries read the same `q` of `apply_position_bias`, and all that
    read something of the keys the same `k`. The sum is rounded once.

    LayoutLMv2 and UDOP add biases of the order of the tokens and of their boxes, see
    `BoxBias`.

    Args:
        biases: Records of biases with equal numbers of heads, at least one.

    Raises:
        TypeError: If one of `biases` is not a record of a position bias.
        ValueError: If there is none, if their heads differ, or if they read different
            things.

    Example:
        >>> of_places = T5Bias(12, bidirectional=True)
        >>> sides = (BoxBias(12, 64, 256, coordinate=c) for c in ("left", "bottom"))
        >>> len(SumBias([of_places, *sides]).biases)
        3

    Reference:
        Xu et al., LayoutLMv2, 2021, eq. 3. https://arxiv.org/abs/2012.14740
    """

    biases: tuple[PositionBias, ...]
    num_heads: int = field(init=False, repr=False)

    @public
    def __init__(self, biases: Sequence[PositionBias]):
        if not isinstance(biases, Sequence) or isinstance(biases, str) or not biases:
            raise ValueError(
                f"biases is {type_of(biases)}, but must be records of biases in a list "
                "or a tuple, at least one."
            )
        for index, bias in enumerate(biases):
            check_bias(bias, f"biases[{index}]")
        _check_agree(biases)
        set_fields(self, biases=tuple(biases), num_heads=biases[0].num_heads)

    @property
    def _bounds(self):
        return _common(bias._bounds for bias in self.biases)

    @property
    def _k_bounds(self):
        return _common(bias._k_bounds for bias in self.biases)

    @property
    def _reads(self):
        reads = {}
        for bias in self.biases:
            reads |= bias._reads
        return reads

    def _init(self, key, init_std, dtype):
        keys = jax.random.split(key, len(self.biases))
        return tuple(
            bias._init(one, init_std, dtype)
            for bias, one in zip(self.biases, keys, strict=True)
        )

    def _check(self, params, argument="params"):
        if not isinstance(params, tuple) or len(params) != len(self.biases):
            raise ValueError(
                f"{argument} must be a tuple of the parameters of {len(self.biases)} "
                f"biases, not {type_of(params)}."
            )
        for n, (bias, own) in enumerate(zip(self.biases, params, strict=True)):
            bias._check(own, f"{argument}[{n}]")

    def _parts(self, params, content):
        """Each bias with its parameters and what it reads."""
        for bias, own in zip(self.biases, params, strict=True):
            read = {name: None for name in ("q", "k") if name not in bias._reads}
            yield bias, own, content._replace(**read)

    def _matrix(self, params, pairs, content, dtype):
        read = (params, content.q, content.k)
        wide = compute_dtype(dtype, *float_dtypes(read))
        terms = [
            bias._matrix(own, pairs, read, wide)
            for bias, own, read in self._parts(params, content)
        ]
        rank = max(term.ndim for term in terms)
        total = of_rank(terms[0], rank)
        for term in terms[1:]:
            total = total + of_rank(term, rank)
        return total.astype(dtype)

    def _score(self, params, pairs, content):
        terms = [
            bias._score(own, pairs, read)
            for bias, own, read in self._parts(params, content)
        ]

        def bias(batch, head, q_index, k_index):
            values = [term(batch, head, q_index, k_index) for term in terms]
            return functools.reduce(jnp.add, in_one_dtype(values))

        return bias

    def _channels(self, params, pairs, content, kernel):
        parts = [
            bias._channels(own, pairs, read, kernel)
            for bias, own, read in self._parts(params, content)
        ]
        return tuple(side_by_side(side) for side in zip(*parts, strict=True))


def _common(bounds):
    """The numbers that lie in all of several bounds, as bounds."""
    lows, highs = zip(*bounds, strict=True)
    return max(lows), min(highs)


def _check_agree(biases):
    first, *others = biases
    read = dict(first._reads)
    for bias in others:
        if bias.num_heads != first.num_heads:
            raise ValueError(
                f"biases must have equal numbers of heads, not {first.num_heads} and "
                f"{bias.num_heads}."
            )
        for name, kind in bias._reads.items():
            known = read.setdefault(name, kind)
            # Two kinds of equal sizes are equal tuples.
            if (type(known), known) != (type(kind), kind):
                raise ValueError(
                    f"biases must read the same of {name}, not {known} and {kind}."
                )
