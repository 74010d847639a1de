"""What share of an attention block do its rotations have, and does their form show?

A block is the projections of queries, keys and values, the rotations, causal attention
and the projection back. attnax makes its cos and sin inside the program. The rotations
alone are a program of their own: its ratio is their share.
"""

from functools import partial

import jax
import jax.numpy as jnp

from . import cases
from .model.attention import (
    Cache,
    Sizes,
    attention,
    cached_attention,
    decode,
    heads_of,
    init_weights,
)
from .model.rotations import (
    Rotation,
    alone,
    alone_in_decode,
    alone_with_gradients,
    no_rotation,
    rotations,
)
from .rivals.rope import equinox_rotation
from .timing.harness import Group
from .timing.programs import Program

# Sizes from the models' `config.json`; the lengths keep the scores below 32 MiB.
CASES = (
    ("Llama-3.2-1B", Sizes(2048, 32, 8, 64), 384),
    ("Qwen3-0.6B", Sizes(1024, 16, 8, 128), 512),
)
QUICK = (("4 heads of 16", Sizes(64, 4, 2, 16), 16),)
BATCH, CACHE_LEN, TOKENS = 8, 1024, 8


def with_gradients(turn):
    """The block, and the gradients of all its weights."""

    def function(weights, x, where, cotangent):
        block = lambda weights: attention(weights, x, where, turn)
        out, pullback = jax.vjp(block, weights)
        return out, pullback(cotangent)

    return function


def block(turn):
    """The block in a decode step."""
    return decode(partial(cached_attention, turn=turn))


def groups(quick):
    found = QUICK if quick else CASES
    for name, sizes, seq_len in found:
        for dtype in (jnp.float32, jnp.bfloat16):
            yield from sequence_groups(name, sizes, seq_len, dtype)
    name, sizes, _ = found[0]
    for dtype in (jnp.float32, jnp.bfloat16):
        yield decode_group(name, sizes, dtype, quick)


def sequence_groups(name, sizes, seq_len, dtype):
    positions = jnp.arange(seq_len)
    weights = init_weights(0, sizes, dtype)
    x = cases.normal(5, (1, seq_len, sizes.d_model), dtype)
    cotangent = cases.normal(6, x.shape, dtype)
    xs = heads_of(sizes, 1, seq_len, dtype)
    ways = {
        "limit": Rotation(no_rotation, positions),
        **rotations(sizes.head_dim, positions),
    }
    ways["equinox.nn"] = Rotation(equinox_rotation(sizes.head_dim), positions)
    forward = lambda turn: partial(attention, turn=turn)
    for part, whole, rotation, of_whole, of_rotation in (
        ("forward", forward, alone, (), ()),
        ("gradients", with_gradients, alone_with_gradients, (cotangent,), (xs,)),
    ):
        rivals = {
            rival: Program(whole(turn), (weights, x, where, *of_whole))
            for rival, (turn, where) in ways.items()
        }
        for rival in ("attnax", "concatenation"):
            turn, where = ways[rival]
            rivals[f"{rival}, rotations alone"] = Program(
                rotation(turn), (xs, where, *of_rotation)
            )
        yield group(f"{name}, {seq_len} tokens", part, rivals, x)


def decode_group(name, sizes, dtype, quick):
    cache_len = 2 * TOKENS if quick else CACHE_LEN
    positions = cache_len - TOKENS + jnp.arange(TOKENS)
    weights = init_weights(0, sizes, dtype)
    shape = (BATCH, cache_len, sizes.num_kv_heads, sizes.head_dim)
    cache = Cache(cases.normal(10, shape, dtype), cases.normal(11, shape, dtype))
    x = cases.normal(5, (TOKENS, BATCH, 1, sizes.d_model), dtype)
    ways = {
        "limit": Rotation(no_rotation, positions),
        **rotations(sizes.head_dim, positions),
    }
    rivals = {
        rival: Program(block(turn), (weights, cache, x, positions, where))
        for rival, (turn, where) in ways.items()
    }
    xs = heads_of(sizes, BATCH, 1, dtype)
    for rival in ("attnax", "concatenation"):
        turn, where = ways[rival]
        program = Program(alone_in_decode(turn), (xs, where))
        rivals[f"{rival}, rotations alone"] = program
    part = f"{TOKENS} tokens one by one, cache of {cache_len}"
    return group(f"{name}, batch {BATCH}", part, rivals, x)


def group(name, part, rivals, x):
    dtype = x.dtype.name
    return Group(
        f"attention {name}, {dtype}, {part}",
        "without rotation",
        rivals,
        meta={"shape": x.shape, "dtype": dtype},
    )
