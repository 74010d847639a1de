"""The product of patches and weight; its gradients multiply what is narrow narrowly."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from .._dtypes import compute_dtype


def patch_product(patches, weight, rounded_to, precision):
    """Patches times weight in the compute dtype, before it is `rounded_to` a dtype."""
    wide = compute_dtype(patches.dtype, weight.dtype)
    operand = patches.dtype if patches.dtype == weight.dtype else wide
    patches, weight = patches.astype(operand), weight.astype(operand)
    if operand == rounded_to == jnp.bfloat16:
        return _narrow_product(patches, weight, precision)
    return _product(patches, weight, wide, precision)


# Its cotangent is that of a bfloat16 result, made wide: back in bfloat16 it is the
# same, and is multiplied so, and added up in float32. Autodiff of the wide product
# would multiply float32. Not for float16: XLA's CPU backend adds that up less exactly.
@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _narrow_product(patches, weight, precision):
    return _product(patches, weight, jnp.float32, precision)


def _narrow_product_jvp(precision, primals, tangents):
    out = _narrow_product(*primals, precision)
    pairs = (tangents[0], primals[1]), (primals[0], tangents[1])
    parts = [
        _product(*pair, primals[0].dtype, precision).astype(out.dtype)
        for pair in pairs
        if not any(isinstance(factor, SymbolicZero) for factor in pair)
    ]
    return out, parts[0] if len(parts) == 1 else parts[0] + parts[1]


_narrow_product.defjvp(_narrow_product_jvp, symbolic_zeros=True)


def _product(patches, weight, dtype, precision):
    return jnp.einsum(
        "...p,pd->...d",
        patches,
        weight,
        preferred_element_type=dtype,
        precision=precision,
    )
