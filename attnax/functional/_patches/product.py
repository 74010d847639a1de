"""The product of patches and weight, with its own gradient for bfloat16."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from ..._dtypes import compute_dtype
from ..._sharding import sharding_beside, sharding_of_rows, spread


def patch_product(patches, weight, rounded_to, precision, out_sharding):
    """Returns patches times weight in the compute dtype; the caller rounds it."""
    if out_sharding is None:
        out_sharding = sharding_of_rows(patches, weight)
    wide = compute_dtype(patches.dtype, weight.dtype)
    operand = patches.dtype if patches.dtype == weight.dtype else wide
    patches, weight = patches.astype(operand), weight.astype(operand)
    if operand == rounded_to == jnp.bfloat16:
        return _narrow_product(patches, weight, precision, out_sharding)
    return _product(patches, weight, wide, precision, out_sharding)


def with_bias(embedded, bias):
    """Returns `embedded + bias` in the wider of their compute dtypes."""
    wide = compute_dtype(embedded.dtype, bias.dtype)
    bias = spread(bias, sharding_beside(embedded, ()))
    bias = bias.astype(wide).reshape((1,) * (embedded.ndim - 1) + bias.shape)
    return embedded.astype(wide) + bias


# The cotangent is a bfloat16 value that was widened, so it loses nothing when it is
# narrowed again. The gradient of the patches multiplies it in bfloat16, which takes
# half the time on hardware that multiplies bfloat16. Autodiff of the wide product
# would multiply float32. float16 is left out: XLA's CPU backend accumulates it less
# exactly.
@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _narrow_product(patches, weight, precision, out_sharding):
    return _product(patches, weight, jnp.float32, precision, out_sharding)


def _narrow_product_jvp(precision, out_sharding, primals, tangents):
    out = _narrow_product(*primals, precision, out_sharding)
    settings, dtype, parts = (precision, out_sharding), primals[0].dtype, []
    if not isinstance(tangents[0], SymbolicZero):
        parts.append(_product(tangents[0], primals[1], dtype, *settings))
    if not isinstance(tangents[1], SymbolicZero):
        # This product is wide: the transpose of a narrow one, a sum along patches with
        # a bfloat16 result, takes six times as long with jax 0.12 on a CPU.
        parts.append(_product(primals[0], tangents[1], out.dtype, *settings))
    parts = [part.astype(out.dtype) for part in parts]
    return out, parts[0] if len(parts) == 1 else parts[0] + parts[1]


_narrow_product.defjvp(_narrow_product_jvp, symbolic_zeros=True)


def _product(patches, weight, dtype, precision, out_sharding):
    return jnp.einsum(
        "...p,pd->...d",
        patches,
        weight,
        preferred_element_type=dtype,
        precision=precision,
        out_sharding=out_sharding,
    )
