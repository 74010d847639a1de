"""What travels when rotated keys of bfloat16 are gathered over the sequence.

XLA may convert before it sends (jax#23543). Its CPU backend does so with every bfloat16
array, so the dtype is asserted in the program that JAX hands to it, and for integers in
the compiled one.
"""

import re

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

ROPE = F.Rope(F.default_inv_freq(8))
SHAPE = 2, 16, 3, 8
MESHES = pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))


def rotated(keys):
    tokens = F.context_parallel_indices(16, 4, lax.axis_index("seq"), order="zigzag")
    return F.rotate(ROPE, keys, tokens)


def gathered(keys):
    return lax.all_gather(keys, "seq", axis=1, tiled=True)


def gathered_bits(keys):
    bits = gathered(lax.bitcast_convert_type(keys, jnp.uint16))
    return lax.bitcast_convert_type(bits, jnp.bfloat16)


def lowered(gather, axis_type):
    mesh = jax.make_mesh((4,), ("seq",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        sharding = NamedSharding(mesh, P(None, "seq"))
        keys = jax.ShapeDtypeStruct(SHAPE, jnp.bfloat16, sharding=sharding)
        function = jax.shard_map(
            lambda keys: gather(rotated(keys)),
            in_specs=P(None, "seq"),
            out_specs=P(None),
            check_vma=False,  # what is gathered is the same everywhere
        )
        return jax.jit(function).lower(keys)


@MESHES
def test_bfloat16_is_gathered_in_the_program_of_jax(axis_type):
    text = lowered(gathered, axis_type).as_text()
    (line,) = (line for line in text.splitlines() if "all_gather" in line)
    assert "(tensor<2x4x3x8xbf16>) -> tensor<2x16x3x8xbf16>" in line


@MESHES
def test_bits_stay_16_wide_in_the_compiled_program(axis_type):
    """The form of the page on positions, for every backend."""
    text = lowered(gathered_bits, axis_type).compile().as_text()
    assert re.findall(r"= (\w+)\[2,16,3,8\]\S* all-gather\(", text) == ["u16"]
    assert "all-reduce" not in text
