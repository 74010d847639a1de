"""Masked patches, each replaced by the same learned token."""

import jax.numpy as jnp

from ..._checks import bool_array, broadcasts_to
from ..._sharding import per_row, sharding_beside, spread


def replace_masked(x, masked, mask_token):
    """`x` with `mask_token` in place of the patches where `masked`."""
    if mask_token is None:
        raise ValueError("masked must come with params.mask_token.")
    shape, masked = x.shape[:-1], bool_array("masked", masked)
    if masked.shape[-1:] != shape[-1:] or not broadcasts_to(masked.shape, shape):
        raise ValueError(f"{masked.shape=} must broadcast to {shape}.")
    masked = jnp.asarray(masked)
    masked = masked.reshape((1,) * (x.ndim - 1 - masked.ndim) + masked.shape)
    mask_token = spread(mask_token.astype(x.dtype), sharding_beside(x, ()))
    mask_token = mask_token.reshape((1,) * (x.ndim - 1) + mask_token.shape)
    return jnp.where(per_row(masked, x), mask_token, x)
