"""Cos, sin and rotations of parts of a sequence have the bits of the whole.

Each document alone is what packed documents, documents that are decoded token by token
and those that are split over devices are compared with.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, jitted
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import attnax.functional as F

ROPE = F.Rope(F.default_inv_freq(12, 500_000.0), rotary_start=1, attention_factor=1.25)
LENGTHS = 7, 1, 16  # multiples of nothing, and one of the devices
ENDS = np.cumsum([0, *LENGTHS]).astype(np.int32)
TOTAL = 24
NOISE = np.random.default_rng(0).normal(size=(TOTAL, 2, 14)).astype(np.float32)


@jax.jit
def alone(x, positions):
    """Cos, sin and the rotation, of float32 and of bfloat16."""
    cos, sin = F.rotary_cos_sin(ROPE, positions)
    narrow = F.rotate(ROPE, x.astype(jnp.bfloat16), positions)
    return cos, sin, F.apply_rotary(ROPE, x, cos, sin), narrow


def documents():
    """Each document by itself, from position 0."""
    parts = [
        alone(NOISE[begin : begin + size], np.arange(size, dtype=np.int32))
        for begin, size in zip(ENDS, LENGTHS, strict=False)
    ]
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


EXPECTED = pytest.fixture(scope="module")(documents)


def assert_same(actual, expected, order=slice(None)):
    for array, wanted in zip(actual, expected, strict=True):
        assert_same_bits(array, wanted[order])


def test_packed_documents(EXPECTED):
    positions = jitted(F.positions_from_cumulative_lengths)(ENDS, TOTAL)
    assert_same(alone(NOISE, positions), EXPECTED)
    tokens = np.random.default_rng(1).permutation(TOTAL)
    positions = jitted(F.positions_of_tokens)(tokens, ENDS)
    assert_same(alone(NOISE[tokens], positions), EXPECTED, tokens)


def test_decoding_token_by_token(EXPECTED):
    """One token of each document at a time, at its own position, one program."""
    steps = 0

    @jax.jit
    def step(x, positions):
        nonlocal steps
        steps += 1
        return alone(x, positions)

    begins = ENDS[:-1]
    for place in range(max(LENGTHS)):
        tokens = begins + np.minimum(place, np.array(LENGTHS) - 1)
        positions = jitted(F.positions_of_tokens)(tokens, ENDS)[:, None]
        actual = [array[:, 0] for array in step(NOISE[tokens][:, None], positions)]
        assert_same(actual, EXPECTED, tokens)
    assert steps == 1


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("order", ("contiguous", "zigzag"))
def test_split_over_devices(EXPECTED, axis_type, order):
    """Each device makes its own positions, from its index and the lengths."""
    mesh = jax.make_mesh((4,), ("seq",), axis_types=(axis_type,))
    permutation = F.context_parallel_permutation(TOTAL, 4, order=order)

    def part(x, ends):
        tokens = F.context_parallel_indices(
            TOTAL, 4, lax.axis_index("seq"), order=order
        )
        return alone(x, F.positions_of_tokens(tokens, ends))

    with jax.set_mesh(mesh):
        x = jax.device_put(NOISE[permutation], P("seq"))
        step = jax.shard_map(part, in_specs=(P("seq"), P()), out_specs=P("seq"))
        assert_same(jax.jit(step)(x, ENDS), EXPECTED, permutation)
        # The same without shard_map: the indices are a sharded array.
        positions = F.positions_of_tokens(jax.device_put(permutation, P("seq")), ENDS)
        assert_same(alone(x, positions), EXPECTED, permutation)
