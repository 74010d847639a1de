import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sinusoid_oracles as so
from helpers import jitted, refused

import attnax.functional as F

NEAR = 1.2e-7

of_pixels = jitted(F.detr_sinusoids)


def error(actual, expected):
    assert actual.dtype == jnp.float32
    assert actual.shape == expected.shape
    return np.abs(np.asarray(actual, np.float64) - expected).max()


@pytest.mark.parametrize("scale", (2 * math.pi, 1.0, None))
@pytest.mark.parametrize("width", (4, 12))
@pytest.mark.parametrize("dtype", (bool, np.int64))
def test_detr_counts_within_the_mask(scale, width, dtype):
    mask = np.zeros((3, 5, 7), dtype)
    mask[0, :3, :4], mask[1], mask[2, 1:, 2:5] = 1, 1, 1
    actual = F.detr_sinusoids(mask, width, scale=scale)
    expected = so.detr(mask != 0, width, scale=scale)
    # The sum with 1e-6, the quotient, the frequency and the angle are rounded.
    angle = 0 if scale is None else scale
    assert error(actual, expected) <= angle * 4 * 2.0**-24 + NEAR + 2.0**-23
    assert np.isfinite(np.asarray(actual)).all()


@pytest.mark.parametrize("scale", (2 * math.pi, 1.5))
@pytest.mark.parametrize("width", (4, 12))
def test_detr_counts_to_pixel_centers(scale, width):
    mask = np.zeros((3, 5, 7), bool)
    mask[0, :3, :4], mask[1], mask[2, :1, :2] = True, True, True
    actual = F.detr_sinusoids(mask, width, scale=scale, pixel_centers=True)
    expected = so.detr(mask, width, scale=scale, back=0.5)
    assert np.isfinite(np.asarray(actual)).all()
    # As without centers, as the half is taken away exactly.
    tolerance = scale * 4 * 2.0**-24 + NEAR + 2.0**-23
    assert error(actual[mask], expected[mask]) <= tolerance


def test_detr_batch_equals_vmap():
    mask = np.random.default_rng(0).random((2, 3, 4, 5)) < 0.7
    make = lambda m: F.detr_sinusoids(m, 8)
    close = {"rtol": 0, "atol": 2e-6}
    eager = make(mask)
    mapped = jax.jit(jax.vmap(jax.vmap(make)))
    np.testing.assert_allclose(mapped(mask), eager, **close)
    np.testing.assert_allclose(of_pixels(mask, 8), eager, **close)


def test_detr_of_a_whole_image_ends_at_the_scale():
    rows = np.asarray(of_pixels(np.ones((3, 5), bool), 4, scale=1.0))
    for place, block in (((-1, 0), rows[-1, 0, :2]), ((0, -1), rows[0, -1, 2:])):
        np.testing.assert_allclose(
            block, [math.sin(1), math.cos(1)], rtol=0, atol=2e-6, err_msg=str(place)
        )


@pytest.mark.errors
def test_detr_arguments_are_checked():
    mask = np.ones((3, 5), bool)
    with pytest.raises(
        ValueError, match="detr_sinusoids: d_model=6 must be a positive"
    ):
        F.detr_sinusoids(mask, 6)
    message = "detr_sinusoids: base=0.5 must be a finite number of at least 1"
    with pytest.raises(ValueError, match=message):
        F.detr_sinusoids(mask, 8, base=0.5)
    for scale in (0.0, -1.0, math.inf):
        message = f"detr_sinusoids: scale={scale} must be a finite number in"
        with pytest.raises(ValueError, match=message):
            F.detr_sinusoids(mask, 8, scale=scale)
    for scale in (1e39, 1e-39):
        message = (
            f"detr_sinusoids: scale={re.escape(str(scale))} must be a finite number"
        )
        with pytest.raises(ValueError, match=message):
            F.detr_sinusoids(mask, 8, scale=scale)
    message = "detr_sinusoids: pixel_centers=True must come with a scale"
    with pytest.raises(ValueError, match=message):
        F.detr_sinusoids(mask, 8, scale=None, pixel_centers=True)
    for dtype in ("float32", "complex64"):
        with refused(f"mask.dtype={dtype} must be bool or integer; compare"):
            F.detr_sinusoids(mask.astype(dtype), 8)
    with refused(r"mask.shape=\(5,\) must be \(..., rows, columns\)"):
        F.detr_sinusoids(np.ones((5,), bool), 8)
