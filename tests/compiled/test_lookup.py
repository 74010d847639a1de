"""A lookup is one gather, and its gradient fills one table of its dtype."""

import math
import re

import jax
import jax.numpy as jnp
import pytest
from helpers import slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from programs import compiled, put_out, wide

import attnax.functional as F
from benchmarks.timing.pullback import pullback

VOCAB, WIDTH, TOKENS = 5_000, 64, 7
IDS = jax.ShapeDtypeStruct((TOKENS,), jnp.int32)
HLO = {jnp.float32: "f32", jnp.bfloat16: "bf16"}
tables = pytest.mark.parametrize("of_table", HLO)
results = pytest.mark.parametrize("of_rows", HLO)


def lookup(dtype):
    def function(weight, ids):
        params = F.TokenEmbeddingParams(weight=weight)
        return F.apply_token_embedding(params, ids, dtype=dtype)

    return function


def table(dtype):
    return jax.ShapeDtypeStruct((VOCAB, WIDTH), dtype)


@tables
@results
def test_lookup_is_one_gather_of_rows_as_they_come_out(of_table, of_rows):
    """A second kernel would convert the table, or the rows once more."""
    assert put_out(lookup(of_rows), table(of_table), IDS) == [
        (HLO[of_rows], (TOKENS, WIDTH))
    ]
    several = jax.ShapeDtypeStruct((3, TOKENS), jnp.int32)
    assert put_out(jax.vmap(lookup(of_rows), (None, 0)), table(of_table), several) == [
        (HLO[of_rows], (3, TOKENS, WIDTH))
    ]


@tables
@results
def test_gradient_fills_one_table_of_its_dtype(of_table, of_rows):
    """Zeros, and rows written into the same memory; 16 bits as integers, then cast."""
    weight = table(of_table)
    cotangent = jax.ShapeDtypeStruct((TOKENS, WIDTH), of_rows)
    function = pullback(lookup(of_rows))
    arrays = put_out(function, weight, IDS, cotangent)
    whole = [array for array in arrays if array[1] == weight.shape]
    narrow = of_table == jnp.bfloat16
    assert len(whole) <= 2 + narrow
    assert len(wide(whole)) <= (0 if narrow else 2)
    memory = compiled(function, weight, IDS, cotangent).memory_analysis()
    # A bfloat16 table: the integers, and the first token of each row.
    one = VOCAB * (WIDTH * 2 + 4) if narrow else 0
    # By token: sums, cotangents, ids and slots; and how buffers are aligned.
    small = TOKENS * (2 * WIDTH * 4 + 4 * 8) + 16 * 64
    assert memory.temp_size_in_bytes <= one + small


@tables
def test_an_accelerator_writes_each_row_of_a_gradient_once(of_table):
    """Rows added to one place come in any order there, and jaxlib 0.10.2 is slow."""
    traced = jax.jit(pullback(lookup(None))).trace(
        table(of_table), IDS, jax.ShapeDtypeStruct((TOKENS, WIDTH), of_table)
    )
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    scatters = re.findall(
        r'"stablehlo.scatter"(.*?)stablehlo.return (%\w+)', text, re.S
    )
    assert len(scatters) >= 2  # the first token of each row, and the rows
    for scatter, returned in scatters:
        assert "unique_indices = true" in scatter
        _, update = re.search(
            r"\((%\w+): [^,]*, (%\w+):", scatter.split("^bb0")[1]
        ).groups()
        assert returned == update
    whole = f"tensor<{VOCAB}x{WIDTH}xf32>"
    assert (whole in text) == (of_table == jnp.float32)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("of_table", (P("b"), *slow(P(), P("a"), P(None, "b"))))
def test_ids_and_rows_travel_and_no_table(axis_type, of_table):
    """A step that updates the table: devices along `a` have other tokens."""
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)

    def step(weight, ids, cotangent):
        gradient = pullback(lookup(jnp.float32))(weight, ids, cotangent)
        return weight - 0.1 * gradient

    def placed(shape, dtype, spec):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))

    with jax.set_mesh(mesh):
        text = compiled(
            step,
            placed((VOCAB, WIDTH), jnp.float32, of_table),
            placed((8, TOKENS), jnp.int32, P("a")),
            placed((8, TOKENS, WIDTH), jnp.float32, P("a")),
        ).as_text()
    collective = r"= (\w+)\[([\d,]*)\]\S* (all-\w+|reduce-scatter|collective-permute)\("
    moved = re.findall(collective, text)
    assert moved
    for _, shape, name in moved:
        assert name != "all-reduce"
        assert math.prod(map(int, shape.split(","))) <= 8 * TOKENS * WIDTH


def test_nan_comes_among_integers_in_a_bfloat16_lookup():
    """XLA's CPU backend would convert each element of floats to select it."""
    text = jax.jit(lookup(None)).lower(table(jnp.bfloat16), IDS).as_text()
    rows = rf"tensor<{TOKENS}x{WIDTH}x(\w+)>"
    assert re.findall(rf"stablehlo\.select.* {rows}", text) == ["ui16"]


@tables
def test_tied_head_reads_the_table_as_it_is(of_table):
    """But for the product towards `x`: of bfloat16 it is a float32 product on a CPU."""
    weight = table(of_table)
    x = jax.ShapeDtypeStruct((TOKENS, WIDTH), of_table)
    logits = jax.ShapeDtypeStruct((TOKENS, VOCAB), of_table)

    def head(x, weight):
        return F.apply_token_unembedding(F.TokenEmbeddingParams(weight=weight), x)

    narrow = of_table == jnp.bfloat16
    for function, args, most in ((head, (), 0), (pullback(head), (logits,), narrow)):
        arrays = put_out(function, x, weight, *args)
        whole = [shape for _, shape in arrays if sorted(shape) == [WIDTH, VOCAB]]
        assert len(whole) <= most
