import re

import numpy as np
import pytest
from helpers import refused

import attnax.functional as F


@pytest.mark.parametrize(
    "image_size, patch_size, expected",
    (
        (224, 16, (14, 14)),
        ((224, 336), 14, (16, 24)),
        ([8, 6], (np.int32(4), np.int64(2)), (2, 3)),
        ((4, 8, 6), (2, 4, 3), (2, 2, 2)),
        (np.int64(5), 5, (1, 1)),
    ),
)
def test_patches_along_each_axis(image_size, patch_size, expected):
    grid = F.patch_grid(image_size, patch_size)
    assert grid == expected
    assert all(type(count) is int for count in grid)


@pytest.mark.errors
@pytest.mark.parametrize(
    "image_size, patch_size, message",
    (
        ((8, 7), 4, "image_size=(8, 7) must be a multiple of patch_size=(4, 4)"),
        ((4, 8, 8), (4, 4), "image_size=(4, 8, 8) must have the axes of patch_size"),
        (0, 4, "image_size=0 must be a positive integer"),
        (8, 4.0, "patch_size=4.0 must be a positive integer"),
    ),
)
def test_sizes_that_do_not_fit_are_refused(image_size, patch_size, message):
    with refused(re.escape(f"patch_grid: {message}")):
        F.patch_grid(image_size, patch_size)
