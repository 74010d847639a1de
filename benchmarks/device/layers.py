"""Rotated queries and keys of many layers from positions, in one program."""

import jax
import jax.numpy as jnp

import attnax.functional as F

from .. import cases
from ..bench_whole_path import by_rotation, from_positions, layers
from ..model.rotations import by_tables
from ..rivals.plain_rope import of_a_product
from ..timing.harness import Group
from ..timing.hlo import phases
from ..timing.programs import InTurn, Program
from .lines import target
from .sizes import Sizes

NUM_HEADS, NUM_KV_HEADS, HEAD_DIM = 32, 8, 128
MOST_COUNTED = 4  # layers of a program that is compiled again to be counted


def timed(sizes: Sizes, count: int, dtype):
    """Yields timings of layers that rotate by given cos and sin, or by positions.

    `phase_multiplications` of a line shows how often its program makes cos and sin: if
    it does so once, there are as many as in "cos and sin alone". That is a target too.
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
    case = f"positions to rotated q and k, {count} layer{'s' * (count > 1)}"
    meta = {"shape": q.shape, "dtype": q.dtype.name}
    yield Group(case, "ready cos/sin + one rope_cos_sin", programs, 1.2, meta)
    if count <= MOST_COUNTED:
        alone = _phases(make, positions)
        for name in ("attnax", "attnax, rotate in every layer"):
            ratio = _phases(programs[name].function, *args) / alone
            found = target(case, q.dtype.name, "cos and sin alone", ratio, 1.0)
            yield found | {"rival": name, "counted": "phase_multiplications"}


def _phases(function, *args):
    return phases(jax.jit(function).lower(*args).compile().as_text())
