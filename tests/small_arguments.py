"""Small arguments of many functions, and calls that vary one of them."""

import host
import jax
import numpy as np
import pytest

import attnax.functional as F

KEY = jax.random.key(0)
IDS = np.array([0, 1, 2])
X = host.ones((3, 4))
HEADS = host.ones((3, 2, 4))
IMAGE = np.ones((4, 4, 1), np.float32)
WEIGHT = np.ones((8, 4), np.float32)
INV_FREQ = F.default_inv_freq(4)
ROPE = F.Rope(INV_FREQ)
TOKENS = F.TokenEmbeddingParams(np.ones((5, 4), np.float32))
LEARNED = F.LearnedPositionalEmbeddingParams(np.ones((5, 4), np.float32))
TEXT = F.TextEmbeddingParams(TOKENS, LEARNED, None)
RESAMPLING = F.Resampling("bilinear", antialias=False)
PATCHES = {"patch_size": 2, "num_channels": 1, "d_model": 4}
TABLE = np.ones((6, 2), np.float32)


def of(function, *args, **fixed):
    """`(function.name, call)` for each setting of `names`, the others fixed."""

    def cases(*names):
        for name in names:
            others = {k: v for k, v in fixed.items() if k != name}
            call = lambda value, name=name, others=others: function(
                *args, **{name: value}, **others
            )
            yield pytest.param(name, call, id=f"{function.__name__}.{name}")

    return cases
