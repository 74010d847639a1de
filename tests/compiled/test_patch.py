"""A patch embedding cuts the image once and multiplies once, in narrow dtypes too."""

import jax
import jax.numpy as jnp
import pytest
from programs import put_out, wide

import attnax.functional as F

BATCH, HEIGHT, WIDTH, CHANNELS, PATCH, D_MODEL = 2, 32, 48, 3, 8, 24
GRID = HEIGHT // PATCH * (WIDTH // PATCH)
PATCHES = BATCH * GRID, PATCH * PATCH * CHANNELS
OUT = BATCH, GRID, D_MODEL
IMAGE = BATCH, HEIGHT, WIDTH, CHANNELS
WEIGHT = PATCHES[1], D_MODEL
HLO = {jnp.float32: "f32", jnp.bfloat16: "bf16"}
dtypes = pytest.mark.parametrize("dtype", HLO)


def embed(image, weight, bias):
    params = F.PatchEmbeddingParams(weight=weight, bias=bias)
    return F.apply_patch_embedding(params, image, patch_size=PATCH)


def gradient(index):
    return lambda *args: jax.vjp(embed, *args[:3])[1](args[3])[index]


def arguments(dtype, of_weight=None):
    of_weight = dtype if of_weight is None else of_weight
    shapes = (IMAGE, dtype), (WEIGHT, of_weight), ((D_MODEL,), of_weight), (OUT, dtype)
    return [jax.ShapeDtypeStruct(*shape) for shape in shapes]


def image_sized(arrays):
    return [a for a in arrays if sorted(a[1]) in (sorted(PATCHES), sorted(IMAGE))]


@dtypes
def test_forward_is_a_transpose_a_product_and_the_bias(dtype):
    """A fourth kernel would widen the image, or round before the bias is added."""
    arrays = put_out(embed, *arguments(dtype)[:3])
    assert len(arrays) <= 3, arrays
    # Cut once, in the dtype of the image: the product takes bfloat16 as it is.
    assert image_sized(arrays) == [(HLO[dtype], PATCHES)]
    assert all(shape in (PATCHES, OUT, (BATCH * GRID, D_MODEL)) for _, shape in arrays)


@dtypes
def test_gradient_of_the_image_is_a_product_and_a_transpose(dtype):
    arrays = put_out(gradient(0), *arguments(dtype))
    own = HLO[dtype]
    if dtype == jnp.bfloat16 and jax.__version_info__ < (0, 12):
        # Its products with a transposed weight widen both operands and come out wide.
        assert len(arrays) <= 4, arrays
        assert image_sized(arrays) == [("f32", PATCHES), (own, IMAGE)]
    else:
        assert len(arrays) <= 2, arrays
        assert image_sized(arrays) == [(own, PATCHES), (own, IMAGE)]


@dtypes
def test_gradient_of_the_weight_widens_patches_while_cutting(dtype):
    """The gradient adds up in float32: wide patches, but never a wide image first."""
    arrays = put_out(gradient(1), *arguments(dtype))
    # The cotangent, transposed; the product; its rounding to bfloat16.
    assert len(arrays) <= 3 + (dtype == jnp.bfloat16), arrays
    assert image_sized(arrays) == [("f32", PATCHES)]


def test_gradients_of_weight_and_bias_share_nothing_larger():
    """Both at once: one kernel more than for the weight alone, a sum."""
    both = lambda *args: jax.vjp(embed, *args[:3])[1](args[3])[1:]
    for dtype in HLO:
        assert len(put_out(both, *arguments(dtype))) <= 4 + (dtype == jnp.bfloat16)


def test_a_float32_weight_widens_patches_while_they_are_cut():
    """Operands of different dtypes are widened: in the kernel that cuts, not before."""
    args = arguments(jnp.bfloat16, jnp.float32)
    arrays = put_out(embed, *args[:3])
    assert len(arrays) <= 3, arrays
    assert image_sized(arrays) == [("f32", PATCHES)]
    arrays = put_out(gradient(0), *args)
    assert len(arrays) <= 3, arrays
    assert image_sized(arrays) == [("f32", PATCHES), ("bf16", IMAGE)]
    arrays = put_out(gradient(1), *args)
    assert len(arrays) <= 3, arrays
    assert image_sized(arrays) == [("f32", PATCHES)]


def test_no_gradient_widens_a_bfloat16_image():
    args = arguments(jnp.bfloat16)
    for index in (0, 1, 2):
        assert IMAGE not in wide(put_out(gradient(index), *args))
