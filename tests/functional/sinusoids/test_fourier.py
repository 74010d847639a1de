import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sinusoid_oracles as so
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

num_axes = st.sampled_from((1, 2, 3))

features = jitted(F.gaussian_fourier_features)


def turns_error(coordinates, matrix):
    """The bound that the docstring states, a little below it.

    As many roundings of 2**-24 as there are axes, one of a product and the others of
    partial sums; then half a turn times 2 pi, both rounded, and the sine.
    """
    size = np.abs(np.asarray(coordinates, np.float64)) @ np.abs(
        np.asarray(matrix, np.float64)
    )
    return 2 * np.pi * matrix.shape[0] * 2.0**-24 * size.max() + 2.0**-21


@given(data=st.data(), batch=ax.batches, axes=num_axes)
def test_sines_and_cosines_of_turns(data, batch, axes):
    coordinates = data.draw(ax.floats((*batch, axes), bound=1.0))
    matrix = data.draw(ax.floats((axes, 5)))
    actual = features(coordinates, matrix)
    assert actual.dtype == jnp.float32
    assert actual.shape == (*batch, 10)
    expected = so.fourier(coordinates, matrix)
    error = np.abs(np.asarray(actual, np.float64) - expected).max()
    assert error <= turns_error(coordinates, matrix)


def test_whole_turns_cost_no_accuracy():
    coordinates = np.array([1.0, 0.25], np.float32)
    matrix = np.array([[100_000.0], [1.0]], np.float32)
    actual = features(coordinates, matrix)
    np.testing.assert_allclose(actual, [1.0, 0.0], rtol=0, atol=2.0**-22)


def test_those_of_sam_on_the_centers_of_a_grid():
    rows, columns = 3, 5
    matrix = host.asarray(np.random.default_rng(0).normal(size=(2, 4)), jnp.float32)
    coordinates = F.normalized_coordinates((rows, columns))[:, ::-1]
    actual = np.asarray(features(coordinates, matrix))
    for n in range(rows * columns):
        row, column = divmod(n, columns)
        center = np.array([(column + 0.5) / columns, (row + 0.5) / rows])
        expected = so.fourier(2 * center - 1, matrix)
        np.testing.assert_allclose(actual[n], expected, rtol=0, atol=2.0**-19)


@given(data=st.data(), dtype=ax.narrow_dtypes)
def test_a_narrow_matrix_is_widened_first(data, dtype):
    coordinates = data.draw(ax.floats((3, 2)))
    matrix = data.draw(ax.floats((2, 5), dtype))
    wide = np.asarray(matrix, np.float32)
    assert_same_bits(features(coordinates, matrix), features(coordinates, wide))


@jax.jit
def mapped(coordinates, matrix):
    one = lambda point: F.gaussian_fourier_features(point, matrix)
    return jax.vmap(jax.vmap(one))(coordinates)


@given(data=st.data())
def test_batch_equals_vmap_and_jit_equals_eager(data):
    coordinates = data.draw(ax.floats((2, 3, 2), bound=1.0))
    matrix = data.draw(ax.floats((2, 5)))
    eager = np.asarray(F.gaussian_fourier_features(coordinates, matrix))
    # A batch is another program, where a product and a sum may be rounded as one.
    close = {"rtol": 0, "atol": 2 * turns_error(coordinates, matrix)}
    np.testing.assert_allclose(mapped(coordinates, matrix), eager, **close)
    assert_same_bits(features(coordinates, matrix), eager)


@pytest.mark.parametrize("axes", (1, 2, 3))
def test_large_entries_have_the_stated_bound_and_the_bits_of_jit(axes):
    rng = np.random.default_rng(axes)
    coordinates = rng.uniform(-1, 1, (50, axes)).astype(np.float32)
    matrix = rng.normal(scale=1000, size=(axes, 64)).astype(np.float32)
    eager = F.gaussian_fourier_features(coordinates, matrix)
    assert_same_bits(features(coordinates, matrix), eager)
    turns = np.abs(coordinates.astype(float)) @ np.abs(matrix.astype(float))
    bound = np.tile(3.8e-7 * axes * turns + 5e-7, 2)
    error = np.abs(np.asarray(eager, np.float64) - so.fourier(coordinates, matrix))
    assert (error <= bound).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("which", (0, 1))
def test_float64_of_numpy_is_that_of_the_mode(which):
    arguments = [np.full((3, 2), 0.3, np.float32), np.ones((2, 5), np.float32)]
    expected = F.gaussian_fourier_features(*arguments)
    arguments[which] = arguments[which].astype(np.float64)
    actual = F.gaussian_fourier_features(*arguments)
    if jax.config.jax_enable_x64:
        assert actual.dtype == jnp.float64
    else:
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("shape", ((0, 2), (3, 0, 2)))
def test_no_points_are_no_features(shape):
    coordinates, matrix = np.zeros(shape, np.float32), np.ones((2, 5), np.float32)
    actual = F.gaussian_fourier_features(coordinates, matrix)
    assert actual.shape == (*shape[:-1], 10)


def test_gradients():
    coordinates = np.array([[0.3, -0.7], [0.1, 0.9]], np.float32)
    matrix = np.array([[1.0, 0.4, -3.0], [2.0, 0.5, 0.25]], np.float32)
    make = F.gaussian_fourier_features
    primals = coordinates, matrix
    tangents = np.ones((2, 2), np.float32), np.full((2, 3), 0.5, np.float32)
    push = jax.jit(lambda *args: jax.jvp(make, *args))
    value, tangent = push(primals, tangents)
    sin, cos = np.split(np.asarray(value, np.float64), 2, -1)
    moved = matrix.sum(0) + 0.5 * coordinates.sum(-1)[:, None]
    moved = 2 * np.pi * moved
    expected = np.concatenate([cos * moved, -sin * moved], -1)
    np.testing.assert_allclose(tangent, expected, rtol=0, atol=2.0**-17)
    gradients = jax.jit(jax.grad(lambda *p: (make(*p) ** 2).sum(), (0, 1)))
    for gradient in gradients(*primals):  # of sin**2 + cos**2, which is constant
        np.testing.assert_allclose(gradient, 0.0, rtol=0, atol=2.0**-18)


def test_float64_stays():
    with jax.enable_x64(True):
        coordinates = jnp.array([0.3, -0.7], jnp.float64)
        matrix = jnp.array([[1.0, 0.4], [2.0, 0.5]], jnp.float32)
        actual = F.gaussian_fourier_features(coordinates, matrix)
        assert actual.dtype == jnp.float64
        expected = so.fourier(coordinates, matrix)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2.0**-48)


@pytest.mark.errors
def test_arguments_are_checked():
    make = F.gaussian_fourier_features
    with refused(r"coordinates.shape=\(3,\) must end in the axes of matrix.shape=\(2"):
        make(host.ones((3,)), host.ones((2, 5)))
    with refused(r"coordinates.shape=\(2,\) must end in the axes of matrix.shape=\(2"):
        make(host.ones((2,)), host.ones((2, 5, 1)))
    with refused("coordinates.dtype=int32 must be a real float dtype"):
        make(host.ones((2,), jnp.int32), host.ones((2, 5)))
    with refused(r"coordinates.dtype=complex64 must be a real float\.$"):
        make(host.ones((2,), jnp.complex64), host.ones((2, 5)))
    with refused("matrix.dtype=complex64 must be a real float dtype"):
        make(host.ones((2,)), host.ones((2, 5), jnp.complex64))
