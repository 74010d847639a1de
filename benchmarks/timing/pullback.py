"""The backward pass of a function, as a function of its own."""

from collections.abc import Callable

import jax


def pullback(function: Callable, argument: int = 0) -> Callable:
    """Returns the gradient towards one argument, given a last one: the cotangent.

    Where the function is linear in that argument, XLA drops the forward pass.
    """

    def backward(*args):
        *args, cotangent = args
        of_one = lambda t: function(*args[:argument], t, *args[argument + 1 :])
        (gradient,) = jax.vjp(of_one, args[argument])[1](cotangent)
        return gradient

    return backward
