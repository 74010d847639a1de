"""Functions of one score as functions of all scores."""

from collections.abc import Callable
from typing import Any, SupportsFloat

import jax
import jax.numpy as jnp

from ..._checks import number
from ..._public import public


@public
def lift_score_mod(
    score_mod: Callable[..., Any], *, scale: SupportsFloat
) -> Callable[[Any], Any]:
    """Returns a function of all scores at once, for kernels in the style of tokamax.

    Flex attention of PyTorch scales the scores and then calls
    `score_mod(score, batch, head, q_index, k_index)`. That of tokamax calls
    `score_mod(scores)` once, with products of queries and keys that nothing has scaled,
    and without indices. The result here scales them and makes the indices.

    Args:
        score_mod: A function such as `position_bias_score_mod` returns.
        scale: Factor on the products of queries and keys, such as `head_dim ** -0.5`.

    Returns:
        A function of `scores`, `(batch, num_heads, q_len, k_len)` or without the batch
        axis, in which case `score_mod` gets the batch 0. Its result has the same shape.

    Raises:
        ValueError: If `scale` is not a finite number. The result raises one if scores
            have fewer than 3 axes or more than 4.

    Example:
        >>> bias = AlibiBias(1, form="signed")
        >>> score_mod = position_bias_score_mod(bias, None, [2], range(3))
        >>> lift_score_mod(score_mod, scale=0.5)(jnp.ones((1, 1, 3)))
        Array([[[0.4921875 , 0.49609375, 0.5       ]]], dtype=float32)

    Reference:
        Dong et al., Flex Attention, 2024, section 3.
        https://arxiv.org/abs/2412.05496
    """
    if not callable(score_mod):
        raise TypeError(
            f"score_mod is a {type(score_mod).__name__}, but must be a function."
        )
    scale = number("scale", scale)

    def of_scores(scores):
        if scores.ndim not in (3, 4):
            raise ValueError(
                f"lift_score_mod: scores.shape={scores.shape} must be "
                "(batch, num_heads, q_len, k_len), or without the batch axis."
            )
        indices = [
            jax.lax.broadcasted_iota(jnp.int32, scores.shape, axis)
            for axis in range(scores.ndim)
        ]
        batch = indices.pop(0) if scores.ndim == 4 else jnp.zeros((), jnp.int32)
        return score_mod(scores * scale, batch, *indices)

    return of_scores
