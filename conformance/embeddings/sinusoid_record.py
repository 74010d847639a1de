"""Records of sinusoids, and the grids that they are compared on."""

import numpy as np

from .records import Record

# Rows and columns are coprime, and no grid is square; videos have frames first.
GRIDS = ((3, 5), (7, 4), (1, 2), (2, 9), (8, 3), (5, 1))
VIDEOS = ((2, 3, 5), (4, 5, 3), (1, 1, 2), (3, 7, 4), (5, 2, 9), (2, 8, 3))


def sinusoid_record(
    name, source, function, d_model, expected, arrays, *, angle, **options
):
    """A record of one call of `function`; `angle` is the largest of its angles."""
    options = {"function": function, "d_model": d_model, "settings": {}, **options}
    return Record(
        name=name,
        source=source,
        options={**options, "largest_angle": float(angle)},
        arrays={**arrays, "expected": np.asarray(expected, np.float32)},
    )
