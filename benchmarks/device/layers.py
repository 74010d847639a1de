"""From positions to rotated queries and keys of many layers, in one program."""

import jax.numpy as jnp

import attnax.functional as F

from .. import cases
from ..bench_whole_path import by_rotation, from_positions, layers
from ..model.rotations import by_tables
from ..rivals.plain_rope import of_a_product
from ..timing.harness import Group
from ..timing.programs import InTurn, Program
from .sizes import Sizes

NUM_HEADS, NUM_KV_HEADS, HEAD_DIM = 32, 8, 128


def timed(sizes: Sizes, count: int, dtype):
    """Each layer rotates by cos and sin made before all, or by the positions.

    `phase_multiplications` of a line shows how often its program makes cos and sin: if
    it does so once, there are as many as in "cos and sin alone".
    """
    q, k = (
        cases.normal(seed, (1, sizes.layer_seq_len, heads, HEAD_DIM), dtype)
        for seed, heads in enumerate((NUM_HEADS, NUM_KV_HEADS))
    )
    weight = cases.normal(2, (HEAD_DIM, HEAD_DIM), dtype) / HEAD_DIM**0.5
    positions = jnp.arange(sizes.layer_seq_len)
    inv_freq, rounded = F.default_inv_freq(HEAD_DIM), F.rope_inv_freq(HEAD_DIM)
    rope = F.Rope(inv_freq)
    make = lambda positions: F.rope_cos_sin(positions, inv_freq)
    product = lambda positions: of_a_product(positions, rounded)
    made, ready = Program(make, (positions,)), layers(count, by_rotation)
    each = layers(count, lambda x, positions: F.rotate(rope, x, positions))
    args = (positions, q, k, weight)
    limit = InTurn((made, Program(ready, (make(positions), q, k, weight))))
    programs = {
        "limit": limit,
        "attnax": Program(from_positions(count, make, by_rotation), args),
        "attnax, rotate in every layer": Program(each, args),
        "concatenation": Program(from_positions(count, product, by_tables), args),
        "cos and sin alone": made,
    }
    yield Group(
        f"positions to rotated q and k, {count} layer{'s' * (count > 1)}",
        "ready cos/sin + one rope_cos_sin",
        programs,
        1.2,
        {"shape": q.shape, "dtype": q.dtype.name},
    )
