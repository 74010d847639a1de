import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resize_oracles
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F
from attnax.functional._resizing.axis import axis_matrix

CONVENTIONS = [
    F.Resampling(method, antialias)
    for method in ("bilinear", "bicubic")
    for antialias in (False, True)
]
TIMM, BIG_VISION = CONVENTIONS[3], CONVENTIONS[0]
conventions = st.sampled_from(CONVENTIONS)
# Old and new patches: larger, smaller, one of each, and the smallest; none square.
PAIRS = (
    ((4, 3), (7, 5)),
    ((7, 5), (4, 3)),
    ((4, 7), (5, 3)),
    ((3, 4), (3, 7)),
    ((1, 1), (2, 3)),
    ((3, 2), (1, 1)),
    ((2, 3, 4), (3, 5, 3)),
    ((4, 3, 5), (2, 3, 4)),
)
pairs = st.sampled_from(PAIRS)
LARGER = tuple(p for p in PAIRS if all(a <= b for a, b in zip(*p, strict=True)))
CHANNELS, WIDTH = 2, 3
# The absolute row and column sums of the pseudo-inverses of all pairs in this file are
# at most 16 (computed), the weights at most 8. A few short sums round on the way.
SIZE, ROUNDINGS = 8 * 16.0, 8
resize_patch_weight = jitted(F.resize_patch_weight)


@jitted
def derivatives(weight, tangent, cotangent, *pair, **options):
    """The tangent of the new weight, and the gradient of the old one."""
    resize = lambda w: F.resize_patch_weight(w, *pair, **options).weight
    pushed = jax.jvp(resize, (weight,), (tangent,))[1]
    return pushed, jax.vjp(resize, weight)[1](cotangent)[0]


@jitted
def residual_and_gradient(weight, *pair, **options):
    loss = lambda w: F.resize_patch_weight(w, *pair, **options).residual.sum()
    return jax.value_and_grad(loss)(weight)


@functools.cache
def patch_matrix(old, new, resampling):
    """The resizing of a flattened patch: each basis image is resized, whole."""
    if len(old) == 2:
        return resize_oracles.resized(np.eye(np.prod(old)), old, new, resampling)
    frames = np.stack(
        [
            resize_oracles.weights_of_row(i, old[0], new[0], resampling)
            for i in range(new[0])
        ]
    )
    if old[0] == new[0]:
        frames = np.eye(old[0])
    return np.kron(frames, patch_matrix(old[1:], new[1:], resampling))


def solved(weight, old, new, resampling):
    """Beyer et al. 2023, eq. 4: the smallest solution of the whole, its residual."""
    matrix = patch_matrix(old, new, resampling)
    full = np.asarray(weight, np.float64).reshape(np.prod(old), -1)
    # Where one side grows and another shrinks the rank is not full, and NumPy's default
    # would now and then take a rounding of 0 for a singular value. True ones are above
    # 0.04 of the largest.
    best = np.linalg.lstsq(matrix.T, full, rcond=1e-10)[0]
    lost = (full - matrix.T @ best).reshape(-1, WIDTH)
    norms = np.linalg.norm(full.reshape(-1, WIDTH), axis=0)
    norms[norms == 0] = 1
    return best.reshape(-1, WIDTH), np.linalg.norm(lost, axis=0) / norms


def draw_weight(data, patch, dtype=jnp.float32):
    return data.draw(ax.floats((int(np.prod(patch)) * CHANNELS, WIDTH), dtype))


def normal(patch, key=0):
    shape = (int(np.prod(patch)) * CHANNELS, WIDTH)
    return np.random.default_rng(key).standard_normal(shape, np.float32)


@given(data=st.data(), pair=pairs, resampling=conventions)
def test_weights_solve_the_whole_least_squares_problem(data, pair, resampling):
    weight = draw_weight(data, pair[0])
    resized = resize_patch_weight(weight, *pair, resampling)
    expected, residual = solved(weight, *pair, resampling)
    assert isinstance(resized, F.ResizedPatchWeight)
    assert_close(resized.weight, expected, magnitude=SIZE, roundings=ROUNDINGS)
    assert resized.residual.dtype == jnp.float32
    # A ratio of root sums, of terms with some roundings each. Coordinates that are zero
    # but for rounding, 2**-23 of the norm, are the rest.
    np.testing.assert_allclose(resized.residual, residual, atol=2.0**-19)


@pytest.mark.parametrize("resampling", CONVENTIONS)
@pytest.mark.parametrize("pair", PAIRS)
def test_weights_at_normal_numbers(pair, resampling):
    weight = normal(pair[0])
    resized = resize_patch_weight(weight, *pair, resampling)
    expected, residual = solved(weight, *pair, resampling)
    assert_close(resized.weight, expected, magnitude=SIZE, roundings=1)
    np.testing.assert_allclose(resized.residual, residual, atol=2.0**-21)
    assert np.all((resized.residual >= 0) & (resized.residual <= 1))


@pytest.mark.parametrize(
    "resampling",
    [
        pytest.param(c, marks=() if c in (TIMM, BIG_VISION) else pytest.mark.slow)
        for c in CONVENTIONS
    ],
)
def test_real_patches_in_both_directions(resampling):
    for old, new in ((16, 32), (32, 16), (16, 14), ((16, 12), (11, 21))):
        sides = [(n, n) if isinstance(n, int) else n for n in (old, new)]
        weight = normal(sides[0])
        resized = resize_patch_weight(weight, old, new, resampling)
        expected, residual = solved(weight, *sides, resampling)
        assert_close(resized.weight, expected, magnitude=SIZE, roundings=1)
        np.testing.assert_allclose(resized.residual, residual, atol=2.0**-20)


@pytest.mark.parametrize("resampling", CONVENTIONS)
@pytest.mark.parametrize("pair", LARGER)
def test_enlarging_keeps_inner_products(pair, resampling):
    old, new = pair
    weight = normal(old)
    resized = resize_patch_weight(weight, old, new, resampling)
    assert_same_bits(resized.residual, np.zeros(WIDTH, np.float32))
    patch = np.random.default_rng(1).standard_normal((np.prod(old), CHANNELS))
    larger = patch_matrix(old, new, resampling) @ patch
    expected = patch.ravel() @ np.asarray(weight, np.float64)
    actual = larger.ravel() @ np.asarray(resized.weight, np.float64)
    # The rounding of the weights, over the patch's norm.
    np.testing.assert_allclose(actual, expected, atol=SIZE * 2.0**-22)


@given(pair=pairs, resampling=conventions)
def test_no_other_weight_is_nearer(pair, resampling):
    weight = np.asarray(normal(pair[0]), np.float64)
    matrix = np.kron(patch_matrix(*pair, resampling), np.eye(CHANNELS))
    resized = resize_patch_weight(weight.astype(np.float32), *pair, resampling)
    best = np.asarray(resized.weight, np.float64)
    # Least squares: what is left is orthogonal to all that can be reached.
    left = weight - matrix.T @ best
    np.testing.assert_allclose(matrix @ left, 0, atol=SIZE * 2.0**-22)


@given(data=st.data(), dtype=ax.dtypes, resampling=conventions)
def test_equal_sizes_return_the_weight_itself(data, dtype, resampling):
    weight = np.array(draw_weight(data, (4, 3), dtype))
    weight[:2] = [np.nan, -0.0, np.inf]
    weight = jnp.asarray(weight)
    resized = F.resize_patch_weight(weight, (4, 3), (4, 3), resampling)
    assert_same_bits(resized.weight, weight)
    assert_same_bits(resized.residual, np.zeros(WIDTH, np.float32))


def test_axes_of_equal_size_are_left_alone():
    weight = normal((2, 4, 3))
    rows = weight.reshape(2, 4, 3, CHANNELS, WIDTH)
    resized = resize_patch_weight(weight, (2, 4, 3), (2, 7, 5), TIMM)
    frames = resized.weight.reshape(2, 7 * 5 * CHANNELS, WIDTH)
    for frame, expected in zip(rows, frames, strict=True):
        frame = frame.reshape(-1, WIDTH)
        alone = resize_patch_weight(frame, (4, 3), (7, 5), TIMM).weight
        assert_close(alone, np.asarray(expected, np.float64), magnitude=8.0)


# Larger, smaller, and a video of both.
@given(
    data=st.data(),
    pair=st.sampled_from((PAIRS[0], PAIRS[1], PAIRS[6])),
    dtype=ax.narrow_dtypes,
    resampling=st.sampled_from((TIMM, BIG_VISION)),
)
def test_low_precision_is_float32_rounded_once(data, pair, dtype, resampling):
    weight = draw_weight(data, pair[0], dtype)
    resize = lambda w: resize_patch_weight(w, *pair, resampling)
    actual, wide = resize(weight), resize(np.asarray(weight, np.float32))
    assert_same_bits(actual.weight, np.asarray(wide.weight).astype(dtype))
    assert_same_bits(actual.residual, wide.residual)


@given(data=st.data(), pair=pairs, resampling=conventions)
def test_linear_with_a_gradient_that_is_the_transposed_map(data, pair, resampling):
    weight, other = (np.asarray(draw_weight(data, pair[0])) for _ in range(2))
    resize = lambda w: np.asarray(resize_patch_weight(w, *pair, resampling).weight)
    together = resize(weight + 2 * other)
    expected = np.asarray(resize(weight) + 2 * resize(other), np.float64)
    assert_close(together, expected, magnitude=3 * SIZE, roundings=ROUNDINGS)
    cotangent = draw_weight(data, pair[1])
    arrays = weight, other, cotangent
    tangent, gradient = derivatives(*arrays, *pair, resampling)
    matrix = np.kron(patch_matrix(*pair, resampling), np.eye(CHANNELS))
    transposed = np.linalg.pinv(matrix, rcond=1e-10) @ np.asarray(cotangent, np.float64)
    assert_close(gradient, transposed, magnitude=SIZE, roundings=ROUNDINGS)
    assert_close(
        tangent, np.asarray(resize(other), np.float64), magnitude=SIZE, roundings=4
    )


@pytest.mark.parametrize("pair", PAIRS)
def test_gradients_of_the_residual_are_finite(pair):
    # Zero weights, and weights of which nothing is lost, have no slope.
    for weight in (normal(pair[0]), np.zeros_like(normal(pair[0]))):
        residual, gradient = residual_and_gradient(weight, *pair, TIMM)
        assert np.isfinite(gradient).all()
        assert np.isfinite(residual)


# The largest weight is between 1/4 and 1/2 before, the others between it and 2**-4.
@pytest.mark.parametrize("exponent", (-122, -100, 100, 127, 128, 129))
@pytest.mark.parametrize("compiled", (False, True))
def test_residual_does_not_depend_on_the_scale(exponent, compiled):
    weight = np.clip(np.abs(normal((7, 5))), 0.5, 3.9).astype(np.float32) / 8
    function = resize_patch_weight if compiled else F.resize_patch_weight
    resize = lambda w: function(w, (7, 5), (4, 3), TIMM)
    scaled = np.ldexp(weight, exponent)
    expected = resize(weight)
    assert 0.25 < weight.max() < 0.5 and np.all(np.asarray(expected.residual) > 0)
    assert_same_bits(resize(scaled).residual, expected.residual)
    if abs(exponent) == 100:  # so that no new weight leaves the normal numbers
        assert_same_bits(
            resize(scaled).weight, np.ldexp(np.asarray(expected.weight), exponent)
        )


@pytest.mark.parametrize("largest", (1.0e38, 1.75e38, 1.9e38, 3.4e38, 1.2e-38, 3e-38))
def test_residual_at_the_ends_of_float32(largest):
    # Of two numbers, opposite or alike: an average keeps all or nothing of them.
    rows = np.array([[1, 1, 1], [-1, 1, 0]]) * np.float64(largest)
    resampling = CONVENTIONS[1]
    expected = np.array([1, 0, np.sqrt(0.5)])
    for resize in (F.resize_patch_weight, resize_patch_weight):
        weight = jnp.asarray(rows, jnp.float32)
        actual = resize(weight, (2, 1), (1, 1), resampling=resampling).residual
        np.testing.assert_allclose(actual, expected, atol=2.0**-22)


def test_gradient_of_the_residual():
    # It falls along no direction in which the weight only grows, and is what
    # differences of float64 give.
    weight = normal((7, 5))
    gradient = residual_and_gradient(weight, (7, 5), (4, 3), TIMM)[1]
    gradient = np.asarray(gradient, np.float64)
    wide, step = np.asarray(weight, np.float64), 1e-6
    assert abs((gradient * wide).sum(0)).max() < 2.0**-20
    # The largest of each feature, which the scale is taken from, and some others.
    largest = np.abs(wide).argmax(0)
    for row, column in [*zip(largest, range(WIDTH), strict=True), (0, 0), (33, 2)]:
        sides = []
        for sign in (1, -1):
            moved = wide.copy()
            moved[row, column] += sign * step
            sides.append(solved(moved, (7, 5), (4, 3), TIMM)[1].sum())
        slope = (sides[0] - sides[1]) / (2 * step)
        # Float32 roundings of terms below 1, float64 ones over the step.
        np.testing.assert_allclose(gradient[row, column], slope, atol=2.0**-19)


@pytest.mark.parametrize("shape", ((32, 0), (0, 3), (0, 0)))
@pytest.mark.parametrize("new", (3, 4, 5))
def test_weights_may_be_empty(shape, new):
    weight = np.ones(shape, np.float32)
    resized = resize_patch_weight(weight, 4, new, TIMM)
    assert resized.weight.shape == (shape[0] // 16 * new**2, shape[1])
    assert_same_bits(resized.residual, np.zeros(shape[1], np.float32))


def test_kernels_may_be_empty():
    resize = jitted(F.resize_patch_kernel)
    options = {"layout": "OIHW", "resampling": TIMM}
    for shape in ((0, 3, 4, 6), (7, 0, 4, 6), (0, 0, 4, 6)):
        resized = resize(np.ones(shape, np.float32), (3, 7), **options)
        assert resized.weight.shape == (*shape[:2], 3, 7)
        assert_same_bits(resized.residual, np.zeros(shape[0], np.float32))
    options |= {"layout": "O(HWI)", "old_patch_size": (4, 6)}
    resized = resize(np.ones((0, 48), np.float32), (3, 7), **options)
    assert resized.weight.shape == (0, 42)


@pytest.mark.parametrize("dtype", (np.float32, np.float64, jnp.bfloat16))
@pytest.mark.parametrize("new", ((4, 3), (3, 5)))
def test_arrays_of_numpy_become_those_of_jax(dtype, new):
    weight = normal((4, 3)).astype(dtype)
    expected = F.resize_patch_weight(jnp.asarray(weight), (4, 3), new, TIMM)
    kernel = F.patch_kernel_from_weight(weight, "OIHW", (4, 3))
    of_kernel = F.resize_patch_kernel(kernel, new, TIMM, layout="OIHW")
    resized = F.resize_patch_weight(weight, (4, 3), new, TIMM)
    again = F.patch_weight_from_kernel(of_kernel.weight, "OIHW")
    for actual in (resized, of_kernel._replace(weight=again)):
        for array, wanted in zip(actual, expected, strict=True):
            assert isinstance(array, jax.Array)
            assert_same_bits(array, wanted)


def test_what_is_not_a_number_shows():
    weight = normal((7, 5))
    weight[3, 1] = np.nan
    resized = resize_patch_weight(weight, (7, 5), (4, 3), TIMM)
    expected = np.array([False, True, False])
    np.testing.assert_array_equal(np.isnan(resized.residual), expected)
    np.testing.assert_array_equal(np.isnan(resized.weight).any(0), expected)


def test_residual_of_what_is_kept_is_rounding_alone():
    old, new = (7, 5), (4, 3)
    matrix = np.kron(patch_matrix(old, new, TIMM), np.eye(CHANNELS))
    inside = matrix.T @ np.random.default_rng(0).standard_normal((24, WIDTH))
    resized = resize_patch_weight(inside.astype(np.float32), old, new, TIMM)
    assert np.all(np.asarray(resized.residual) < 2.0**-21)


@pytest.mark.parametrize("resampling", (TIMM, BIG_VISION))
def test_inside_jit_and_vmap(resampling):
    resize = lambda w: F.resize_patch_weight(w, (4, 7), (5, 3), resampling)
    weights = np.stack([normal((4, 7), key) for key in range(3)])
    actual = [np.asarray(part) for part in jax.jit(jax.vmap(resize))(weights)]
    for i, weight in enumerate(weights):
        plain = resize_patch_weight(weight, (4, 7), (5, 3), resampling)
        for part, expected in zip(actual, plain, strict=True):
            expected = np.asarray(expected, np.float64)
            assert_close(part[i], expected, magnitude=SIZE, roundings=1)


def test_precision_does_not_depend_on_the_surroundings():
    resize = lambda w: F.resize_patch_weight(w, (4, 3), (7, 5), TIMM)
    with jax.default_matmul_precision("bfloat16"):
        text = str(jax.make_jaxpr(resize)(normal((4, 3))))
    assert "HIGHEST" in text and "BF16" not in text


def test_patch_sizes_sampled_in_training():
    # One step per size, compiled once each; every size reaches the one weight.
    shape = (2, 12, 12, CHANNELS)
    image = np.random.default_rng(1).standard_normal(shape, np.float32)

    def loss(weight, size):
        weight = F.resize_patch_weight(weight, 4, size, BIG_VISION).weight
        params = F.PatchEmbeddingParams(weight=weight, bias=None)
        return (F.apply_patch_embedding(params, image, patch_size=size) ** 2).mean()

    step = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    for size in (3, 4, 6):
        value, gradient = step(normal((4, 4)), size)
        assert np.isfinite(value) and np.abs(np.asarray(gradient)).max() > 0


LAYOUTS = ("HWIO", "OIHW", "O(HWI)", "O(IHW)", "THWIO", "OITHW", "O(THWI)", "O(ITHW)")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_kernels_are_weights_in_their_layout(layout):
    resize_kernel = jitted(F.resize_patch_kernel)
    old, new = PAIRS[6] if "T" in layout else PAIRS[2]
    weight = normal(old)
    kernel = F.patch_kernel_from_weight(weight, layout, old)
    options = {"layout": layout, "old_patch_size": old, "resampling": TIMM}
    actual = resize_kernel(kernel, new, **options)
    expected = resize_patch_weight(weight, old, new, TIMM)
    back = F.patch_weight_from_kernel(np.asarray(actual.weight), layout, new)
    assert_same_bits(back, expected.weight)
    assert_same_bits(actual.residual, expected.residual)
    # Whole, of its own shape, where sizes are equal.
    if "(" not in layout:
        del options["old_patch_size"]
    same = resize_kernel(kernel, old, **options)
    assert_same_bits(same.weight, kernel)


@pytest.mark.parametrize("resampling", CONVENTIONS)
def test_every_axis_matrix_has_full_rank(resampling):
    # On which residuals, and zero for larger patches, stand.
    for old in range(1, 33):
        for new in range(1, 33):
            values = np.linalg.svd(axis_matrix(old, new, resampling), compute_uv=False)
            assert values[-1] > 0.1 * values[0]


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_weights_sharded_along_their_features(axis_type):
    mesh = jax.make_mesh((2,), ("a",), axis_types=(axis_type,))
    weight = np.random.default_rng(0).standard_normal((4 * 3 * CHANNELS, 6), np.float32)
    resize = lambda w: F.resize_patch_weight(w, (4, 3), (7, 2), TIMM)
    plain = resize_patch_weight(weight, (4, 3), (7, 2), TIMM)
    with jax.set_mesh(mesh):
        spread = NamedSharding(mesh, P(None, "a"))
        resized = jax.jit(resize)(jax.device_put(weight, spread))
        assert resized.weight.sharding.is_equivalent_to(spread, 2)
        for actual, expected in zip(resized, plain, strict=True):
            assert_close(actual, np.asarray(expected), magnitude=SIZE)


@pytest.mark.errors
def test_weights_and_sizes_are_checked():
    weight = np.ones((24, 3), np.float32)
    for arguments, message in (
        ((weight, (5, 3), 2), r"weight.shape=\(24, 3\) must have a multiple of 5"),
        ((weight, (4, 0), 2), r"old_patch_size=\(4, 0\) must be a pos"),
        ((weight, (4, 3), -1), "new_patch_size=-1 must be a positive"),
        ((weight, (4, 3), (1, 2, 2)), r"new_patch_size=\(1, 2, 2\) must have 2"),
        ((weight, (4, 3), True), "new_patch_size=True must be a positive int"),
    ):
        with pytest.raises(ValueError, match=f"resize_patch_weight: {message}"):
            F.resize_patch_weight(*arguments, TIMM)
    with refused("resize_patch_weight: weight.dtype=int32 must be a real float"):
        F.resize_patch_weight(np.ones((24, 3), np.int32), (4, 3), 2, TIMM)


@pytest.mark.errors
@pytest.mark.parametrize("size", (4.5, 5.5, 6.0, True, "6", (6, 5.0), np.array([6, 5])))
def test_sizes_must_be_integers(size):
    said = re.escape(f"patch_size={size!r} must be a positive integer or (height")
    weight, kernel = np.ones((48, 3), np.float32), np.ones((3, 48), np.float32)
    for arguments, name in (((size, 6), "old_"), ((4, size), "new_")):
        with refused(f"resize_patch_weight: {name}{said}"):
            F.resize_patch_weight(weight, *arguments, TIMM)
    options = {"layout": "O(HWI)", "resampling": TIMM}
    for old, new, name in ((size, 6, "old_"), (4, size, "new_")):
        with refused(f"resize_patch_kernel: {name}{said}"):
            F.resize_patch_kernel(kernel, new, old_patch_size=old, **options)


@pytest.mark.errors
@pytest.mark.parametrize("new", (4, 5))
def test_resamplings_are_checked_whatever_the_sizes(new):
    weight = np.ones((48, 3), np.float32)
    kernel = weight.reshape(4, 4, 3, 3)
    for wrong, message in (
        ("bicubic", "resampling='bicubic' must be an attnax.functional.Resampling"),
        (resize_oracles.CONVENTIONS[2], ".*must have align_corners=False and offset=0"),
        (resize_oracles.CONVENTIONS[6], ".*must have align_corners=False and offset=0"),
    ):
        with refused(f"resize_patch_weight: {message}"):
            F.resize_patch_weight(weight, 4, new, wrong)
        with refused(f"resize_patch_kernel: {message}"):
            F.resize_patch_kernel(kernel, new, wrong, layout="HWIO")


@pytest.mark.errors
def test_kernels_are_checked():
    ones = lambda *shape: np.ones(shape, np.float32)
    for kernel, options, message in (
        ((4, 3, 2, 7), {"layout": "OHWI"}, "layout='OHWI' must be 'HWIO'"),
        ((4, 3, 2), {"layout": "HWIO"}, r"kernel.shape=\(4, 3, 2\) must have 4 axes"),
        ((7, 24), {"layout": "O(HWI)"}, "old_patch_size must be given for layout"),
        (
            (4, 3, 2, 7),
            {"layout": "HWIO", "old_patch_size": (3, 4)},
            r"must have the sides of old_patch_size=\(3, 4\) for layout='HWIO'",
        ),
    ):
        with pytest.raises(ValueError, match=f"resize_patch_kernel: .*{message}"):
            F.resize_patch_kernel(ones(*kernel), 5, TIMM, **options)
    with pytest.raises(
        ValueError, match=r"new_patch_size=\(5, 5, 5\) must have 2 axes"
    ):
        F.resize_patch_kernel(ones(4, 3, 2, 7), (5, 5, 5), TIMM, layout="HWIO")
    kernel = np.ones((4, 3, 2, 7), np.int32)
    with refused("resize_patch_kernel: kernel.dtype=int32 must be a real float"):
        F.resize_patch_kernel(kernel, 5, TIMM, layout="HWIO")
    message = r"resize_patch_kernel: kernel.shape=\(4, 0, 2, 7\) must have sides of 1"
    with pytest.raises(ValueError, match=message):
        F.resize_patch_kernel(ones(4, 0, 2, 7), 5, TIMM, layout="HWIO")
