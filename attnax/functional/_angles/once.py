"""What many consumers read is made once, where none of them can make it again."""

import jax.numpy as jnp
from jax import lax


def pinned(function, never, *args):
    """`function(*args)`, kept from being made again in its consumers.

    XLA's CPU backend pulls cheap elementwise code into every kernel that reads its
    result, per head and per layer. No fusion crosses a `cond`. A barrier on the result
    itself is removed too early on jax 0.10, but it hides the predicate long enough.
    Integers pass the same barrier: one without operands of a loop is moved out of it,
    one per call, and then calls that are equal no longer look so.
    `never(*args)` is the branch that is not taken: cheap, and of the type of the real
    result, its sharding and varying axes included.
    """

    def guarded(*args):
        # Not floats: their tangents would pass it too, zeros and all.
        held = [jnp.issubdtype(arg.dtype, jnp.integer) for arg in args]
        integers = (arg for arg, is_held in zip(args, held, strict=True) if is_held)
        always, *integers = lax.optimization_barrier((jnp.asarray(True), *integers))
        integers = iter(integers)
        args = [
            next(integers) if is_held else arg
            for arg, is_held in zip(args, held, strict=True)
        ]
        return lax.cond(always, function, never, *args)

    def barrier(*args):
        # A `cond` would make accelerators wait for the host.
        return lax.optimization_barrier(function(*args))

    return lax.platform_dependent(*args, cpu=guarded, default=barrier)


def zeros_per_pair(positions, per_pair):
    """The branch not taken where `function` makes cos and sin."""
    zero = positions.astype(jnp.float32) * jnp.zeros_like(per_pair[0], jnp.float32)
    return zero, zero
