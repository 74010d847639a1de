"""Computes once what many consumers read, where XLA would compute it in each."""

import jax.numpy as jnp
from jax import lax


def pinned(compute, placeholder, *args):
    """`compute(*args)`, kept from being made again in its consumers.

    XLA's CPU backend pulls cheap elementwise code into every kernel that reads its
    result, so cos and sin would be made again for each head and each layer. No fusion
    crosses a `cond`, so `compute` runs in a branch of one. An optimization barrier
    hides from XLA that the predicate is always true. A barrier on the result is not
    enough: jax 0.10 removes it before fusion.

    The integer arguments pass through the same barrier. XLA hoists a barrier with no
    operand from a loop out of that loop, once per call, and then no longer merges
    equal calls.

    Args:
        compute: The function whose result many consumers read.
        placeholder: The branch that is never taken. It must be cheap and return the
            types of `compute`, with the same sharding and varying axes.
        *args: Arrays, the arguments of both functions.
    """

    def guarded(*args):
        # Only integers: the tangents of floats, zeros included, would pass the barrier
        # too.
        held = [jnp.issubdtype(arg.dtype, jnp.integer) for arg in args]
        integers = (arg for arg, is_held in zip(args, held, strict=True) if is_held)
        always, *integers = lax.optimization_barrier((jnp.asarray(True), *integers))
        integers = iter(integers)
        args = [
            next(integers) if is_held else arg
            for arg, is_held in zip(args, held, strict=True)
        ]
        return lax.cond(always, compute, placeholder, *args)

    def barrier(*args):
        # On accelerators a `cond` would wait for the host.
        return lax.optimization_barrier(compute(*args))

    return lax.platform_dependent(*args, cpu=guarded, default=barrier)


def zeros_per_pair(positions, per_pair):
    """The placeholder for a function that makes cos and sin."""
    zero = positions.astype(jnp.float32) * jnp.zeros_like(per_pair[0], jnp.float32)
    return zero, zero
