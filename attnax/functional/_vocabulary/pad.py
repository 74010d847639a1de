"""Tables and head biases with rows of zeros, so that devices can share them."""

from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._checks import positive_integer
from ..._public import public
from .placed import in_sharding_of
from .resize import check_rows, padded_rows


@public
def pad_vocabulary(
    weight: Float[Array | np.ndarray, "num_rows ..."], multiple: SupportsIndex
) -> Float[Array, "padded_rows ..."]:
    """Returns a table, or the bias of a head, with rows of zeros up to a multiple.

    Pass the number of tokens as `valid_vocab_size` to the functions that read the
    table: the rows of zeros are then no tokens.

    Args:
        weight: A table `(num_rows, d_model)` or a bias `(num_rows,)`.
        multiple: Number that divides the rows of the result, such as that of the
            devices. Positive.

    Returns:
        An array of the same dtype, with fewer than `multiple` rows more. It is sharded
        as `weight` is.

    Raises:
        ValueError: If `weight` is neither a table nor a bias of real floats,
            `multiple` is not a positive integer, or the shards of `weight` do not
            divide the rows.

    Example:
        >>> pad_vocabulary(jnp.ones((5, 2)), 4).shape
        (8, 2)

    Reference:
        Shoeybi et al., Megatron-LM, 2019, section 3. https://arxiv.org/abs/1909.08053
    """
    check_rows("weight", weight)
    multiple = positive_integer("multiple", multiple)
    total = -(-weight.shape[0] // multiple) * multiple
    padded = lambda weight: padded_rows(weight, total)
    return in_sharding_of(weight, padded, total, jnp.asarray(weight))
