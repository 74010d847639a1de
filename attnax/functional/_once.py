"""What many consumers read is made once, where none of them can make it again."""

import jax.numpy as jnp
from jax import lax


def made_once(function, never, *args):
    """`function(*args)`, kept from being made again in its consumers.

    XLA's CPU backend pulls cheap elementwise code into every kernel that reads its
    result, per head and per layer. No fusion crosses a `cond`. A barrier on the result
    itself is removed too early on jax 0.10, but it hides the predicate long enough.
    `args` pass the same barrier, so that a loop over positions keeps it: moved out of
    the loop, once for every call, it would tell equal calls apart.
    `never(*args)` is the branch that is not taken: cheap, and of the type of the real
    result, its sharding and varying axes included.
    """

    def guarded(*args):
        always, *args = lax.optimization_barrier((jnp.asarray(True), *args))
        return lax.cond(always, function, never, *args)

    def barrier(*args):
        # A `cond` would make accelerators wait for the host.
        return lax.optimization_barrier(function(*args))

    return lax.platform_dependent(*args, cpu=guarded, default=barrier)


def zeros_per_pair(positions, per_pair):
    """The branch not taken where `function` makes cos and sin."""
    zero = positions.astype(jnp.float32) * jnp.zeros_like(per_pair[0], jnp.float32)
    return zero, zero
