"""A module of each kind, with an input that it takes."""

import jax
import numpy as np

import attnax

KEY = jax.random.key(0)
IDS = np.array([[1, 2, 3], [4, 0, 2]], np.int32)
TOKENS = jax.random.normal(jax.random.key(1), (2, 3, 8))
HEADS = jax.random.normal(jax.random.key(2), (2, 3, 5, 8))
IMAGES = jax.random.normal(jax.random.key(3), (2, 4, 6, 3))


def token(**options):
    return attnax.TokenEmbedding(11, 8, **{"key": KEY, **options})


def learned(**options):
    return attnax.LearnedPositionalEmbedding(
        **{"num_positions": 9, "d_model": 8, "key": KEY, **options}
    )


def sinusoidal(max_len=64):
    return attnax.PositionalEncoding(max_len, 8)


def rotary(**options):
    return attnax.RotaryEmbedding(8, 64, **options)


def patch(**options):
    sizes = {"image_size": (4, 6), "patch_size": (2, 3), "num_channels": 3}
    return attnax.PatchEmbedding(**{**sizes, "d_model": 8, "key": KEY, **options})


INPUTS = {token: IDS, learned: TOKENS, sinusoidal: TOKENS, rotary: HEADS, patch: IMAGES}
