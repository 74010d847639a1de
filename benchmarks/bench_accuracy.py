"""How far from the truth are cos and sin, at the positions where it shows?"""

import jax
import numpy as np

import attnax.functional as F

from ._machine import machine
from .bench_cos_sin import of_a_product

HEAD_DIM, WINDOW = 128, 1000
ENDS = (4096, 131_072, 1_000_000, 10_000_000, 2**27)


def records(quick):
    """The largest error over the last positions below each end.

    The truth is taken in float64, which is itself good to 3e-8 below 2**27.
    """
    inv_freq = F.default_inv_freq(HEAD_DIM)
    rounded = F.rope_inv_freq(HEAD_DIM)
    for end in ENDS[:1] if quick else ENDS:
        positions = np.arange(end - WINDOW, end, dtype=np.int32)
        angle = positions[:, None] * inv_freq
        truth = np.stack([np.cos(angle), np.sin(angle)])
        error = lambda made, truth=truth: float(np.abs(np.stack(made) - truth).max())
        exact = F.rope_cos_sin(positions, inv_freq)
        product = jax.jit(of_a_product)(positions, rounded)
        yield {
            "case": f"error of cos and sin below position {end:,}",
            "attnax": f"{error(exact):.1e}",
            "a float32 product": f"{error(product):.1e}",
            **machine(),
        }
