"""Two linear functions as JAX primitives, each the transpose of the other.

Automatic differentiation would transpose a read of slices to a scatter, which is slow
and adds everything up in one long sum. Where both ways have a good form of their own,
this is how JAX gets to know them.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec


class Linear(NamedTuple):
    """A linear function of one array, whose leading axes are a batch.

    Attributes:
        label: The name of the primitive in a program.
        function: The function of the array, with settings by keyword.
        type: The type of the result, of the same arguments with a type for the array.
        on_cpu: The function in a form that is faster on CPUs, if there is one.
    """

    label: str
    function: Callable[..., Any]
    type: Callable[..., Any]
    on_cpu: Callable[..., Any] | None = None


def linear_pair(one: Linear, other: Linear, settings: tuple[str, ...]):
    """The primitives of two functions that are each other's transpose."""
    first, second = (_primitive(linear, settings) for linear in (one, other))
    ad.deflinear2(first, lambda ct, _, **given: [second.bind(ct, **given)])
    ad.deflinear2(second, lambda ct, _, **given: [first.bind(ct, **given)])
    return first, second


def with_last_axes(array, num_axes, last, dtype):
    """The type of `array` with other last axes, which are not sharded."""
    lead = array.ndim - num_axes
    mesh, spec = array.sharding.mesh, array.sharding.spec
    spec = spec[:lead] if mesh.explicit_axes else (None,) * lead
    sharding = NamedSharding(mesh, PartitionSpec(*spec, *(None,) * len(last)))
    return array.update(
        shape=(*array.shape[:lead], *last), dtype=dtype, sharding=sharding
    )


def _primitive(linear, settings):
    primitive = Primitive(linear.label)
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=settings))
    primitive.def_abstract_eval(linear.type)
    batching.primitive_batchers[primitive] = functools.partial(_batch, primitive)
    for function, platform in ((linear.function, None), (linear.on_cpu, "cpu")):
        if function is not None:
            lowering = mlir.lower_fun(function, multiple_results=False)
            mlir.register_lowering(primitive, lowering, platform=platform)
    return primitive


def _batch(primitive, args, axes, **settings):
    return primitive.bind(jnp.moveaxis(args[0], axes[0], 0), **settings), 0
