"""Rules of what is passed on to JAX: random keys, shardings and precisions."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from .settings import type_of


def check_key(key) -> None:
    """Raises unless `key` is one random key of JAX, typed or of raw uint32 words."""
    if not isinstance(key, jax.Array):
        found = type_of(key)
    elif jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 0:
        return
    elif key.dtype == jnp.uint32 and key.ndim == 1:
        return
    else:
        found = f"an array of shape {key.shape} and dtype {key.dtype}"
    raise ValueError(
        f"key is {found}, but must be one random key; make it with jax.random.key, and "
        "use jax.vmap for several."
    )


def check_out_sharding(out_sharding, kinds=(NamedSharding, PartitionSpec)) -> None:
    """Raises unless `out_sharding` is one of `kinds` or `None`."""
    if out_sharding is not None and not isinstance(out_sharding, kinds):
        # JAX may call the class of a PartitionSpec P.
        names = "a NamedSharding"
        if PartitionSpec in kinds:
            names += ", a PartitionSpec"
        raise ValueError(f"{out_sharding=} must be {names} or None.")


def check_axis_name(axis_name) -> None:
    """Raises unless `axis_name` is that of a mapped axis, or a tuple of several."""
    try:
        hash(axis_name)  # an empty list would be no axis
        jax.lax.axis_size(axis_name)
    except (NameError, TypeError, ValueError):
        raise ValueError(
            f"{axis_name=} must be the name of an axis of jax.shard_map or jax.vmap "
            "around the call."
        ) from None


def check_precision(precision) -> None:
    """Raises unless JAX knows `precision` as that of a matrix product."""
    try:
        known = precision is None or _is_known_to_jax(precision)
    except TypeError:  # it has no hash
        known = False
    if not known:
        raise ValueError(f"{precision=} must be a precision of jax.lax.dot_general.")


@functools.lru_cache(maxsize=64)
def _is_known_to_jax(precision):
    """Whether a product of this precision can be traced, which takes 0.3 ms."""
    vector = jax.ShapeDtypeStruct((1,), jnp.float32)
    try:
        jax.eval_shape(lambda x: lax.dot(x, x, precision=precision), vector)
    except (TypeError, ValueError):
        return False
    return True
