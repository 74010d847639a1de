"""The module of fused tables is the function, with every argument passed on."""

import equinox as eqx
import jax
import numpy as np
import pytest
from helpers import assert_same_bits, jitted, refused
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F
from attnax import nn

COUNTS = (5, 3, 7)
IDS = np.array([[4, 0, 6], [1, 2, 0]], np.int32)
KEY = jax.random.key(0)


def test_module_is_the_function():
    module = nn.FusedEmbedding(COUNTS, 4, combine="mean", row_multiple=8, key=KEY)
    params = F.init_fused_embedding(KEY, COUNTS, 4, row_multiple=8)
    assert_same_bits(module.weight, params.weight)
    options = {"row_counts": COUNTS, "combine": "mean"}
    factors = np.array([1.0, -1.0, 0.5], np.float32)
    lookup = jitted(F.apply_fused_embedding)
    expected = lookup(params, IDS, factors=factors, dtype=np.float16, **options)
    call = eqx.filter_jit(module)
    assert_same_bits(call(IDS, factors=factors, dtype=np.float16), expected)


def test_tables_in_shards():
    mesh = jax.make_mesh((2,), ("b",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, P("b"))
    module = nn.FusedEmbedding(COUNTS, 4, row_multiple=8, out_sharding=rows, key=KEY)
    expected = eqx.filter_jit(module)(IDS)
    with jax.set_mesh(mesh):
        assert_same_bits(eqx.filter_jit(module)(IDS, vocab_axis="b"), expected)


@pytest.mark.errors
def test_an_axis_that_no_mesh_has_is_refused():
    module = nn.FusedEmbedding(COUNTS, 4, key=KEY)
    with refused("vocab_axis='b' must name an axis of a mesh, but there is none"):
        module(IDS, vocab_axis="b")
