"""Every record of a bias with empty batches and lengths, and with symbolic ones."""

import bias_cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jaxtyping import config

import attnax.functional as F

EMPTY = ((0, 3, 5), (2, 0, 5), (2, 3, 0))


def resized(case, batch, q_len, k_len, make):
    """The positions and contents of a case with other sizes, made by `make`."""
    sizes = {"q": (batch, q_len), "k": (batch, k_len)}
    content = {
        name: jax.tree.map(
            lambda x, size=sizes[name]: make((*size, *x.shape[2:]), x.dtype), arrays
        )
        for name, arrays in case.content.items()
    }
    positions = [make(size, np.dtype(np.int32)) for size in sizes.values()]
    return *positions, content


def applied(case):
    return lambda params, q, k, content: F.apply_position_bias(
        case.bias, params, q, k, **content
    )


@pytest.mark.parametrize("name", bias_cases.RECORDS)
def test_empty_batches_and_lengths(name):
    """Forward and back, in one program."""
    case = bias_cases.case(name, batch=(2,))

    def of(params, *tokens):
        out, back = jax.vjp(lambda p: applied(case)(p, *tokens), params)
        return out, back(jnp.ones_like(out))

    for sizes in EMPTY:
        arrays = resized(case, *sizes, np.zeros)
        out, (gradient,) = jax.eval_shape(of, case.params, *arrays)
        batch, q_len, k_len = sizes
        assert out.shape == (batch, case.bias.num_heads, q_len, k_len)
        assert jax.tree.structure(gradient) == jax.tree.structure(case.params)


@pytest.fixture
def _without_the_hook():
    """The hook cannot compare symbols with sizes that it has bound."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", before)


@pytest.mark.usefixtures("_without_the_hook")
@pytest.mark.parametrize("name", bias_cases.RECORDS)
def test_batches_and_lengths_may_be_symbols(name):
    case = bias_cases.case(name, batch=(2,))
    sizes = export.symbolic_shape("b, q, k")
    arrays = resized(case, *sizes, jax.ShapeDtypeStruct)
    of = jax.jit(lambda *tokens: applied(case)(case.params, *tokens))
    (out,) = export.export(of)(*arrays).out_avals
    assert out.shape == (sizes[0], case.bias.num_heads, *sizes[1:])
