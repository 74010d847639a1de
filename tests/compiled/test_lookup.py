"""A lookup is one gather, and its gradient fills one table."""

import re

import jax
import jax.numpy as jnp
import pytest
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
def test_gradient_fills_one_float32_table(of_table, of_rows):
    """Zeros, rows added up in the same memory, one rounding to the table's dtype."""
    weight = table(of_table)
    cotangent = jax.ShapeDtypeStruct((TOKENS, WIDTH), of_rows)
    function = pullback(lookup(of_rows))
    arrays = put_out(function, weight, IDS, cotangent)
    whole = [array for array in arrays if array[1] == weight.shape]
    narrow = of_table == jnp.bfloat16
    assert len(whole) <= 2 + narrow
    assert len(wide(whole)) <= 2
    # Checked ids and widened cotangents, by token.
    assert len(arrays) - len(whole) <= 2
    memory = compiled(function, weight, IDS, cotangent).memory_analysis()
    one = VOCAB * WIDTH * 4 if narrow else 0  # else the result is that table
    small = TOKENS * (4 + WIDTH * 4) + 4 * 64  # by token, and how buffers are aligned
    assert memory.temp_size_in_bytes <= one + small


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
