"""flax.nnx as a rival. Everything here may be called only if it is `available`."""

import jax


def with_param(make, name: str, value: jax.Array):
    """The module that `make(rngs)` makes, with `value` as its parameter `name`."""
    from flax import nnx

    abstract = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    graph, state = nnx.split(abstract)
    state[name].set_value(value)
    return nnx.merge(graph, state)
