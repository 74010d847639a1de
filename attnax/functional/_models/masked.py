"""Replaces masked patches by one learned token."""

import jax.numpy as jnp

from ..._checks import bool_array, check_one_per_token
from ..._sharding import per_row, sharding_beside, spread


def replace_masked(x, masked, mask_token):
    """Returns `x` with `mask_token` in place of the patches where `masked` is True."""
    if mask_token is None:
        raise ValueError("masked must come with params.mask_token, which is None.")
    masked = bool_array("masked", masked)
    what = "the batch and the patches of image"
    check_one_per_token("masked", masked.shape, x.shape[:-1], what)
    masked = jnp.asarray(masked)
    masked = masked.reshape((1,) * (x.ndim - 1 - masked.ndim) + masked.shape)
    mask_token = spread(mask_token.astype(x.dtype), sharding_beside(x, ()))
    mask_token = mask_token.reshape((1,) * (x.ndim - 1) + mask_token.shape)
    return jnp.where(per_row(masked, x), mask_token, x)
