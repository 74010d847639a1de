"""The product of hidden states and a table of tokens, with its own gradient."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from ..._dtypes import compute_dtype


def dtype_of_product(x, weight):
    """The default dtype in which hidden states and a table are multiplied."""
    narrow = jnp.finfo(x).bits == 16 and jnp.finfo(weight).bits > 16
    return x if narrow or x == weight else compute_dtype(x, weight)


# The rule takes no tangent through the rounding of an operand. So the gradient of a
# float32 table is added up in float32 and never rounded. Automatic differentiation
# would round it to the dtype of the operand first.
@partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4, 5))
def logits_product(x, weight, operand, accumulation, precision, out_sharding):
    """`x @ weight.T` of operands in dtype `operand`, in dtype `accumulation`."""
    x, weight = x.astype(operand), weight.astype(operand)
    return _product(x, weight, accumulation, precision, out_sharding)


def _jvp(operand, accumulation, precision, out_sharding, primals, tangents):
    out = logits_product(*primals, operand, accumulation, precision, out_sharding)
    x, weight = (primal.astype(operand) for primal in primals)
    dx, dweight = tangents
    parts = []
    if not isinstance(dx, SymbolicZero):
        parts.append((_widened(dx, operand), weight))
    if not isinstance(dweight, SymbolicZero):
        parts.append((x, _widened(dweight, operand)))
    products = []
    for a, b in parts:
        sums = compute_dtype(accumulation, a.dtype, b.dtype)
        product = _product(a, b, sums, precision, out_sharding)
        products.append(product.astype(accumulation))
    return out, products[0] if len(products) == 1 else products[0] + products[1]


logits_product.defjvp(_jvp, symbolic_zeros=True)


def _widened(tangent, operand):
    """A tangent, cast to the dtype of the operand unless that would narrow it."""
    narrower = jnp.finfo(operand).bits < jnp.finfo(tangent.dtype).bits
    return tangent if narrower else tangent.astype(operand)


def _product(x, weight, dtype, precision, out_sharding):
    # `jnp.einsum` would promote operands of two dtypes.
    contracted = ((x.ndim - 1,), (1,)), ((), ())
    return lax.dot_general(
        x,
        weight,
        contracted,
        precision=precision,
        preferred_element_type=dtype,
        out_sharding=out_sharding,
    )
