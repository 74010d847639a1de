"""Rules of settings that are passed on to JAX: shardings and precisions."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec


def check_out_sharding(out_sharding, kinds=(NamedSharding, PartitionSpec)) -> None:
    """Raises unless `out_sharding` is one of `kinds` or `None`."""
    if out_sharding is not None and not isinstance(out_sharding, kinds):
        names = ", ".join(f"a {kind.__name__}" for kind in kinds)
        raise ValueError(f"{out_sharding=} must be {names} or None.")


def check_precision(precision) -> None:
    """Raises unless JAX knows `precision` as that of a matrix product."""
    if precision is None:
        return
    vector = jax.ShapeDtypeStruct((1,), jnp.float32)
    try:
        jax.eval_shape(lambda x: lax.dot(x, x, precision=precision), vector)
    except (TypeError, ValueError) as error:
        message = f"{precision=} must be a precision of jax.lax.dot_general."
        raise ValueError(message) from error
