"""Channels of a bias that is the product of two factors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attnax.functional._biases.core.channels import Kernel, product_channels

SCALE = float(np.float32(0.3))


def factors():
    rng = np.random.default_rng(0)
    shapes = (2, 3, 4), (1, 5, 4)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def largest_error(kernel, **options):
    """The error of the products, relative to the sum of their magnitudes."""
    q, k = factors()
    channels = jax.jit(lambda q, k: product_channels(q, k, kernel, **options))(q, k)
    assert all(t.dtype == kernel.dtype for t in channels)
    of_q, of_k, q, k = (np.asarray(t, np.float64) for t in (*channels, q, k))
    error = SCALE * np.einsum("hqc,gkc->hqk", of_q, of_k)
    error -= np.einsum("hqc,gkc->hqk", q, k)
    sums = np.einsum("hqc,gkc->hqk", np.abs(q), np.abs(k))
    return np.abs(error / sums).max(), of_q.shape[-1]


@pytest.mark.parametrize("dtype, half", [("bfloat16", 2.0**-8), ("float16", 2.0**-11)])
def test_pieces_leave_what_they_do_not_hold(dtype, half):
    kernel = Kernel(SCALE, jnp.dtype(dtype), False, None)
    one, width = largest_error(kernel)
    assert width == 4 and half / 8 < one <= 2 * half
    two, width = largest_error(kernel._replace(pieces=2))
    # A rest of each factor, the product of both rests, and float32.
    assert width == 3 * 4 and two <= 3 * half**2 + 2.0**-23


def test_pieces_are_rounded_and_not_cast():
    """Some backends drop a cast there and back, and then nothing is left to split."""
    kernel = Kernel(SCALE, jnp.dtype("bfloat16"), False, 2)
    program = jax.make_jaxpr(lambda q, k: product_channels(q, k, kernel))(*factors())
    assert str(program).count("reduce_precision") == 2


def test_keys_that_the_dtype_holds_are_not_split():
    kernel = Kernel(SCALE, jnp.dtype("bfloat16"), False, 2)
    _, width = largest_error(kernel, exact_keys=True)
    assert width == 2 * 4


def test_float32_needs_no_pieces():
    error, width = largest_error(Kernel(SCALE, jnp.dtype("float32"), False, 2))
    assert width == 4 and error <= 2.0**-23  # the division by the scale


def test_gradients_are_those_of_the_factors():
    kernel = Kernel(SCALE, jnp.dtype("bfloat16"), False, 2)

    def total(q, k):
        of_q, of_k = product_channels(q, k, kernel)
        wide = (t.astype(jnp.float32) for t in (of_q, of_k))
        return SCALE * jnp.einsum("hqc,gkc->", *wide, precision="highest")

    q, k = factors()
    of_q, of_k = jax.jit(jax.grad(total, (0, 1)))(q, k)
    # Cotangents pass through bfloat16, which is the dtype of the channels: two pieces
    # round each to 8 bits.
    for actual, other in ((of_q, k), (of_k, q)):
        expected = np.broadcast_to(other.sum((0, 1)), actual.shape)
        magnitude = 2 * np.abs(other).sum((0, 1)).max()
        assert np.abs(actual - expected).max() <= 4 * 2.0**-8 * magnitude
