import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

embed = jitted(F.apply_patch_embedding)
project = jitted(F.apply_patch_projection)
convolve = jitted(jax.lax.conv_general_dilated)


@jitted
def gradients(function, params, x, cotangent, **options):
    """Of the parameters and of what they are applied to."""
    apply = lambda params, x: function(params, x, **options)
    return jax.vjp(apply, params, x)[1](cotangent)


@jitted
def tangent_of(function, primals, tangents, **options):
    apply = lambda params, x: function(params, x, **options)
    return jax.jvp(apply, primals, tangents)[1]


@jitted
def mapped_twice(params, image, patch_size):
    embed = lambda image: F.apply_patch_embedding(params, image, patch_size=patch_size)
    return jax.vmap(jax.vmap(embed))(image)


def normal(*shape, key=0):
    return np.random.default_rng(key).standard_normal(shape, np.float32)


def normal_params(patch_dim, d_model=5):
    weight = normal(patch_dim, d_model, key=1) / patch_dim**0.5
    return F.PatchEmbeddingParams(weight=weight, bias=None)


def draw_params(data, patch_dim, dtype=jnp.float32, *, d_model=5, bias=True):
    weight = data.draw(ax.floats((patch_dim, d_model), dtype))
    bias = data.draw(ax.floats((d_model,), dtype)) if bias else None
    return F.PatchEmbeddingParams(weight=weight, bias=bias)


def product_size(params):
    """Bounds the sum of magnitudes of a product, of operands of size at most 8."""
    return 64.0 * params.weight.shape[0] + 8.0


@given(data=st.data(), dtype=ax.dtypes, bias=st.booleans())
def test_embedding_is_the_product_with_each_patch(data, dtype, bias):
    image, _, patch_size = data.draw(ax.images(dtype))
    patches = oracles.patches(np.asarray(image, np.float64), *patch_size)
    params = draw_params(data, patches.shape[-1], dtype, bias=bias)
    actual = embed(params, image, patch_size=patch_size)
    assert actual.dtype == dtype
    expected = patches @ np.asarray(params.weight, np.float64)
    if bias:
        expected = expected + np.asarray(params.bias, np.float64)
    assert_close(
        actual,
        expected,
        magnitude=product_size(params),
        roundings=params.weight.shape[0],
    )


@given(data=st.data(), layout=st.sampled_from(("HWIO", "OIHW")))
def test_embedding_is_the_strided_convolution(data, layout):
    image, _, patch_size = data.draw(ax.images(batch=(2,)))
    params = draw_params(data, image.shape[-1] * patch_size[0] * patch_size[1])
    kernel = np.asarray(params.weight)
    kernel = F.patch_kernel_from_weight(kernel, layout, patch_size)
    expected = convolve(
        image,
        kernel,
        patch_size,
        "VALID",
        dimension_numbers=("NHWC", layout, "NHWC"),
    )
    expected = np.asarray(expected).reshape(2, -1, 5) + np.asarray(params.bias)
    actual = embed(params, image, patch_size=patch_size)
    assert_close(
        actual,
        expected,
        magnitude=product_size(params),
        roundings=2 * params.weight.shape[0],
    )


def tubelets():
    """Parameters and videos of 2 x 2 x 3 blocks of pixels, 3 x 2 x 2 of them."""
    params = normal_params(2 * 2 * 3 * 5, 7)
    return params._replace(bias=np.arange(7, dtype=np.float32)), normal(2, 4, 6, 6, 5)


def test_embedding_of_a_video_is_the_strided_convolution_of_its_gradients_too():
    params, video = tubelets()
    kernel = F.patch_kernel_from_weight(params.weight, "THWIO", (2, 2, 3))

    def convolve(params, video):
        out = jax.lax.conv_general_dilated(
            video,
            params.weight.reshape(kernel.shape),
            (2, 2, 3),
            "VALID",
            dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
        )
        return out.reshape(2, -1, 7) + params.bias.reshape(1, 1, 7)

    expected = jax.jit(convolve)(params, video)
    actual = embed(params, video, patch_size=(2, 2, 3))
    assert actual.shape == (2, 2 * 3 * 2, 7)
    assert_close(actual, np.asarray(expected), magnitude=64.0)
    arguments = params, video, actual
    of_embedding = gradients(F.apply_patch_embedding, *arguments, patch_size=(2, 2, 3))
    of_convolution = gradients(convolve, *arguments)
    for leaf, expected_leaf in zip(
        jax.tree.leaves(of_embedding), jax.tree.leaves(of_convolution), strict=True
    ):
        # Sums of at most 60 products of values near 10, in another order.
        assert_close(leaf, np.asarray(expected_leaf), magnitude=1000.0)


@given(data=st.data(), dtype=ax.dtypes)
def test_projection_is_the_embedding_of_patches_cut_before(data, dtype):
    image, _, patch_size = data.draw(ax.images(dtype))
    patches = F.patchify(np.asarray(image), patch_size)
    params = draw_params(data, patches.shape[-1], dtype)
    expected = np.asarray(embed(params, image, patch_size=patch_size), np.float64)
    assert_close(project(params, patches), expected, magnitude=product_size(params))


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16, jnp.float16))
@pytest.mark.parametrize("batch", ((), (2, 3)))
def test_projection_outside_jit_is_the_embedding_bit_for_bit(dtype, batch):
    image = jnp.asarray(normal(*batch, 8, 9, 2).astype(dtype))
    patches = F.patchify(image, (4, 3))
    params = normal_params(24)._replace(bias=normal(5))
    params = jax.tree.map(lambda t: jnp.asarray(t.astype(dtype)), params)
    expected = F.apply_patch_embedding(params, image, patch_size=(4, 3))
    assert_same_bits(F.apply_patch_projection(params, patches), expected)


def test_projection_of_padding_is_the_bias():
    params, _ = tubelets()
    actual = project(params, np.zeros((3, 60), jnp.bfloat16))
    expected = np.broadcast_to(params.bias, (3, 7)).astype(jnp.bfloat16)
    assert_same_bits(actual, expected)


def test_precision_is_that_of_the_product():
    params, video = tubelets()
    embed = lambda x: F.apply_patch_embedding(
        params, x, patch_size=(2, 2, 3), precision="highest"
    )
    assert "HIGHEST" in str(jax.make_jaxpr(embed)(video))


@given(data=st.data(), dtype=ax.narrow_dtypes)
def test_low_precision_is_the_wide_product_of_the_same_values(data, dtype):
    image, _, patch_size = data.draw(ax.images(dtype))
    params = draw_params(data, image.shape[-1] * patch_size[0] * patch_size[1], dtype)
    actual = embed(params, image, patch_size=patch_size)
    wide = jax.tree.map(lambda t: np.asarray(t, np.float32), (params, image))
    expected = np.asarray(embed(*wide, patch_size=patch_size))
    # One unit in the last place, or the order of float32 sums, whichever is larger.
    unit = np.abs(expected) * float(jnp.finfo(dtype).eps)
    sums = product_size(params) * params.weight.shape[0] * 2.0**-23
    assert (np.abs(np.asarray(actual, np.float32) - expected) <= unit + sums).all()
    kept = embed(params, image, patch_size=patch_size, dtype=jnp.float32)
    assert kept.dtype == jnp.float32
    assert (np.abs(np.asarray(kept) - expected) <= sums).all()
    assert_same_bits(np.asarray(kept).astype(dtype), actual)


@given(data=st.data())
def test_batch_equals_vmap(data):
    image, _, patch_size = data.draw(ax.images(batch=(2, 3)))
    params = draw_params(data, image.shape[-1] * patch_size[0] * patch_size[1])
    expected = embed(params, image, patch_size=patch_size)
    assert_close(
        mapped_twice(params, image, patch_size),
        np.asarray(expected),
        magnitude=product_size(params),
        roundings=2 * params.weight.shape[0],
    )


@given(data=st.data(), dtype=st.sampled_from((jnp.float32, jnp.bfloat16)))
def test_gradients_are_the_transposed_products(data, dtype):
    image, _, patch_size = data.draw(ax.images(dtype, batch=(2,)))
    patches = oracles.patches(np.asarray(image, np.float64), *patch_size)
    params = draw_params(data, patches.shape[-1], dtype)
    cotangent = data.draw(ax.floats((*patches.shape[:-1], 5), dtype))
    of_params, of_image = gradients(
        F.apply_patch_embedding, params, image, cotangent, patch_size=patch_size
    )
    wide = np.asarray(cotangent, np.float64)
    close = {"magnitude": 64.0 * max(patches.size, 5), "roundings": 4}
    assert_close(of_params.weight, np.einsum("bnp,bnd->pd", patches, wide), **close)
    assert_close(of_params.bias, wide.sum((0, 1)), **close)
    expected = wide @ np.asarray(params.weight, np.float64).T
    back = F.patchify(np.asarray(of_image), patch_size)
    assert_close(back, expected, **close)
    assert of_image.dtype == dtype


def test_bias_gradient_of_narrow_params_adds_up_in_float32():
    image = np.zeros((64, 8, 8, 1), jnp.bfloat16)
    params = F.PatchEmbeddingParams(
        weight=np.zeros((1, 3), jnp.bfloat16), bias=np.zeros((3,), jnp.bfloat16)
    )
    cotangent = np.full((64, 64, 3), 0.01, jnp.bfloat16)
    arguments = params, image, cotangent
    gradient, _ = gradients(F.apply_patch_embedding, *arguments, patch_size=1)
    exact = 4096 * float(jnp.bfloat16(0.01))
    np.testing.assert_allclose(
        np.asarray(gradient.bias, np.float64), exact, rtol=2.0**-8
    )


def test_forward_mode():
    primals = params, image = normal_params(18), normal(2, 4, 6, 3)
    settings = {"patch_size": (2, 3)}
    tangent = tangent_of(F.apply_patch_embedding, primals, primals, **settings)
    # Bilinear: its derivative along itself is twice itself.
    expected = 2 * np.asarray(embed(params, image, **settings))
    assert_close(tangent, expected, magnitude=64.0)


def test_mixed_operands_are_widened():
    weight = jnp.full((4, 1), 1 + 2.0**-20)
    params = F.PatchEmbeddingParams(weight=weight, bias=None)
    image = host.ones((2, 2, 1), jnp.bfloat16)
    wide = F.apply_patch_embedding(params, image.astype(jnp.float32), patch_size=2)
    np.testing.assert_array_equal(wide, 4 + 2.0**-18)
    narrow = F.apply_patch_embedding(params, image, patch_size=2)
    assert_same_bits(narrow, wide.astype(jnp.bfloat16))


def test_bias_is_added_before_the_one_rounding():
    # Rounded to bfloat16 on its own, the bias would leave a tie, which goes down.
    params = F.PatchEmbeddingParams(
        weight=host.ones((1, 1), jnp.bfloat16),
        bias=jnp.array([2.0**-8 + 2.0**-20], jnp.float32),
    )
    actual = F.apply_patch_projection(params, host.ones((1, 1), jnp.bfloat16))
    assert float(actual[0, 0]) == 1 + 2.0**-7


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded_batch(axis_type):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    image, params = normal(4, 4, 6, 3), normal_params(18)._replace(bias=normal(5))
    embed = lambda p, x: F.apply_patch_embedding(p, x, patch_size=(2, 3))
    plain = np.asarray(jax.jit(embed)(params, image))
    with jax.set_mesh(mesh):
        image = jax.device_put(image, NamedSharding(mesh, P("a")))
        params = jax.device_put(params, NamedSharding(mesh, P()))
        actual = jax.jit(embed)(params, image)
        assert_close(actual, plain, magnitude=64.0)
        spread = NamedSharding(mesh, P("a", None, None))
        assert actual.sharding.is_equivalent_to(spread, 3)
        loss = lambda x: jnp.sum(embed(params, x) ** 2)
        gradient = jax.jit(jax.grad(loss))(image)
        assert gradient.sharding.is_equivalent_to(NamedSharding(mesh, P("a")), 4)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_projection_of_a_sharded_sequence(axis_type):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    params, _ = tubelets()
    patches = normal(4, 6, 60)
    plain = np.asarray(project(params, patches))
    with jax.set_mesh(mesh):
        spread = NamedSharding(mesh, P("a", "b"))
        patches = jax.device_put(patches, spread)
        params = jax.device_put(params, NamedSharding(mesh, P()))
        actual = jax.jit(F.apply_patch_projection)(params, patches)
        assert_close(actual, plain, magnitude=64.0)
        assert actual.sharding.is_equivalent_to(spread, 3)


@pytest.mark.errors
def test_images_must_be_divisible():
    params = F.PatchEmbeddingParams(weight=host.ones((48, 2)), bias=None)
    message = (
        r"^apply_patch_embedding: image.shape=\(6, 9, 3\) must be a multiple of "
        r"patch_size=\(4, 4\) in height and width; pad or"
    )
    with pytest.raises(ValueError, match=message):
        F.apply_patch_embedding(params, host.ones((6, 9, 3)), patch_size=4)


@pytest.mark.errors
@pytest.mark.parametrize("dtype", (jnp.uint8, jnp.complex64))
def test_images_must_be_real_floats(dtype):
    params = F.PatchEmbeddingParams(weight=host.ones((12, 2)), bias=None)
    with refused(f"image.dtype={jnp.dtype(dtype)} must be a real float dtype"):
        F.apply_patch_embedding(params, host.ones((4, 4, 3), dtype), patch_size=2)


@pytest.mark.errors
def test_weights_must_fit_the_patches():
    params = F.PatchEmbeddingParams(weight=host.ones((5, 2)), bias=None)
    message = r"params.weight.shape=\(5, 2\) must have 12 rows for patch_size=\(2, 2\)"
    with pytest.raises(ValueError, match=message):
        F.apply_patch_embedding(params, host.ones((4, 4, 3)), patch_size=2)
    message = (
        r"patches.shape=\(3, 4\) must end in 5, the number of rows of params.weight"
    )
    with pytest.raises(ValueError, match=message):
        F.apply_patch_projection(params, host.ones((3, 4)))
    with refused("patches.dtype=int32 must be a real float dtype"):
        F.apply_patch_projection(params, host.ones((3, 5), jnp.int32))
    with pytest.raises(ValueError, match="dtype=uint8 must be a real float"):
        F.init_patch_embedding(
            jax.random.key(0), patch_size=2, num_channels=3, d_model=4, dtype=jnp.uint8
        )


def test_numpy_images_are_taken_as_jax_has_them():
    # float64 outside 64-bit mode as well, and without a warning.
    image = np.random.default_rng(0).normal(size=(4, 6, 3))
    params = F.init_patch_embedding(
        jax.random.key(0), patch_size=2, num_channels=3, d_model=5
    )
    expected = F.apply_patch_embedding(params, jnp.asarray(image), patch_size=2)
    assert_same_bits(F.apply_patch_embedding(params, image, patch_size=2), expected)
    patches = F.patchify(image, 2)
    assert_same_bits(F.apply_patch_projection(params, patches), expected)


def test_gradient_of_bfloat16_patches_is_a_product_of_bfloat16():
    weight, patches = (host.ones(s, jnp.bfloat16) for s in ((8, 5), (2, 6, 8)))
    embed = lambda patches: F.apply_patch_projection(
        F.PatchEmbeddingParams(weight=weight, bias=host.ones(5, jnp.bfloat16)), patches
    )
    out, pullback = jax.vjp(embed, patches)
    program = jax.jit(pullback).lower(out).as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert len(products) == 1
    assert "f32" not in products[0]


def test_gradient_of_bfloat16_weights_is_added_up_in_float32():
    count = 65_536
    params = F.PatchEmbeddingParams(
        weight=host.ones((1, 2), jnp.bfloat16), bias=host.ones(2, jnp.bfloat16)
    )
    loss = lambda params, patches: (
        0.01 * F.apply_patch_projection(params, patches).astype(jnp.float32)
    ).sum()
    gradient = jax.jit(jax.grad(loss))(params, host.ones((count, 1), jnp.bfloat16))
    expected = count * float(jnp.bfloat16(0.01))
    for leaf in gradient:
        assert (np.asarray(leaf, np.float64) == expected).all()


@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float32))
def test_forward_mode_is_linear_in_patches_and_weight(dtype):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(dtype)
    primals = draw(4, 3), draw(2, 4)
    tangents = draw(4, 3), draw(2, 4)
    embed = lambda weight, patches: F.apply_patch_projection(
        F.PatchEmbeddingParams(weight=weight, bias=None), patches
    )
    out, tangent = jax.jit(lambda p, t: jax.jvp(embed, p, t))(primals, tangents)
    (w, p), (dw, dp) = (
        tuple(np.asarray(t, np.float64) for t in pair) for pair in (primals, tangents)
    )
    assert_close(out, p @ w, magnitude=64.0)
    # Each of two products is rounded before they are added.
    eps = float(jnp.finfo(dtype).eps)
    expected = dp @ w + p @ dw
    np.testing.assert_allclose(
        np.asarray(tangent, np.float64), expected, rtol=0, atol=3 * eps * 32
    )
    of_weight = lambda w: embed(w, primals[1])
    one = jax.jit(lambda p, t: jax.jvp(of_weight, p, t)[1])(primals[:1], tangents[:1])
    np.testing.assert_allclose(
        np.asarray(one, np.float64), p @ dw, rtol=0, atol=3 * eps * 32
    )


@pytest.mark.errors
def test_a_dtype_that_is_no_float_is_refused():
    params = F.PatchEmbeddingParams(weight=host.ones((4, 2)), bias=None)
    with refused("apply_patch_projection: dtype=int32 must be a real float dtype"):
        F.apply_patch_projection(params, host.ones((3, 4)), dtype=jnp.int32)
