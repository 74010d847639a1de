"""The forgetting bias: what the gates of the tokens in between have left."""

from dataclasses import dataclass
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np

from ...._checks import positive_integer
from ...._public import public
from ..core.channels import pieces_of
from ..core.content import PerHead, in_one_dtype
from ..core.entries import entry_at
from ..core.record import PositionBias, set_fields
from .exact_sums import difference_of_pairs


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class ForgettingBias(PositionBias):
    """The bias of the Forgetting Transformer, also called data-dependent ALiBi.

    For a query at `i` and a key at `j` before it, it is the sum of the log gates of the
    tokens after `j`, up to `i` itself. It has no parameters of its own: `q` and `k` are
    the sums of `cumulate_log_gates` of the queries and of the keys, `(*batch, seq_len,
    num_heads, 2)`. Positions only tell how many there are: what counts is the order of
    the tokens.

    The mask is not optional: the bias of a key after the query is positive, and it
    grows with the distance. Attention masks these keys, and those of other documents,
    before its softmax.

    Args:
        num_heads: Number of query heads. Positive.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> sums = cumulate_log_gates(jnp.full((3, 1), -0.5))
        >>> bias = ForgettingBias(1)
        >>> apply_position_bias(bias, None, [2], range(3), q=sums[2:], k=sums)
        Array([[[-1. , -0.5,  0. ]]], dtype=float32)

    Reference:
        Lin et al., Forgetting Transformer: Softmax Attention with a Forget Gate, 2025,
        the section on the forgetting bias. https://arxiv.org/abs/2503.02130
    """

    num_heads: int

    @public
    def __init__(self, num_heads: SupportsIndex):
        set_fields(self, num_heads=positive_integer("num_heads", num_heads))

    @property
    def _reads(self):
        return {name: PerHead(self.num_heads, 2) for name in ("q", "k")}

    def _matrix(self, params, pairs, content, dtype):
        q, k = in_one_dtype((content.q, content.k))
        q, k = q[..., :, None, :], k[..., None, :, :]
        biases = difference_of_pairs(*((x[..., 0], x[..., 1]) for x in (q, k)))
        batch = jnp.broadcast_shapes(biases.shape[:-3], pairs.batch)
        biases = jnp.broadcast_to(biases, (*batch, *biases.shape[-3:]))
        return biases.astype(dtype)

    def _score(self, params, pairs, content):
        q, k = (entry_at(x, 3) for x in in_one_dtype((content.q, content.k)))

        def bias(batch, head, q_index, k_index):
            of_q, of_k = q(batch, head, q_index), k(batch, head, k_index)
            return difference_of_pairs(*((x[..., 0], x[..., 1]) for x in (of_q, of_k)))

        return bias

    def _channels(self, params, pairs, content, kernel):
        # One side has a number and the other one has 1. Both numbers are the same but
        # for a power of two, so that equal sums cancel.
        power = 2.0 ** round(-np.log2(kernel.scale))
        count = kernel.pieces or (1 if jnp.finfo(kernel.dtype).bits >= 32 else 3)
        q, k = (
            _pieces(x / x.dtype.type(kernel.scale * power), kernel.dtype, count)
            for x in content[:2]
        )
        one = kernel.dtype.type(1)
        q, ones = kernel.dtype.type(power) * q, jnp.full_like(k, one)
        return (
            jnp.concatenate([q, jnp.full_like(q, kernel.dtype.type(power))], -1),
            jnp.concatenate([ones, -k], -1),
        )


def _pieces(pairs, dtype, count):
    """Sums as numbers of `dtype`: `count` for the first of a pair, and the second."""
    first = pieces_of(pairs[..., 0], dtype, count)
    return jnp.stack([*first, pairs[..., 1].astype(dtype)], -1)
