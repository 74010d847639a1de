"""Position vectors are added in one kernel; resized, they cost two small products."""

import math

import jax
import jax.numpy as jnp
import pytest
from helpers import slow
from programs import compiled, put_out, wide

import attnax.functional as F
from benchmarks.timing.pullback import pullback

BATCH, SEQ_LEN, D_MODEL, ROWS = 4, 32, 64, 500
X = BATCH, SEQ_LEN, D_MODEL
HLO = {jnp.float32: "f32", jnp.bfloat16: "bf16"}
dtypes = pytest.mark.parametrize("dtype", HLO)
POSITIONS = jax.ShapeDtypeStruct((BATCH, SEQ_LEN), jnp.int32)


def learned(weight, x, *positions):
    params = F.LearnedPositionalEmbeddingParams(weight=weight)
    return F.apply_learned_positional_embedding(params, x, *positions)


@dtypes
def test_learned_positions_are_one_kernel(dtype):
    """A second one would convert the table or `x`."""
    x = jax.ShapeDtypeStruct(X, dtype)
    for of_table in HLO:
        weight = jax.ShapeDtypeStruct((ROWS, D_MODEL), of_table)
        for extra in ((), (POSITIONS,)):
            assert put_out(learned, weight, x, *extra) == [(HLO[dtype], X)]


@dtypes
def test_gradient_of_learned_positions_fills_one_table(dtype):
    x = jax.ShapeDtypeStruct(X, dtype)
    weight = jax.ShapeDtypeStruct((ROWS, D_MODEL), dtype)
    narrow = dtype == jnp.bfloat16
    # Leading rows: a sum over the batch, padded to the table.
    arrays = put_out(pullback(learned), weight, x, x)
    assert len(arrays) <= 1 + narrow, arrays
    assert not narrow or wide(arrays) in ([], [(SEQ_LEN, D_MODEL)])
    # Positions: as in a lookup. The float32 sums of a bfloat16 table are of its rows
    # that have a position.
    arrays = put_out(pullback(learned), weight, x, POSITIONS, x)
    whole = [array for array in arrays if array[1] == weight.shape]
    others = [array for array in arrays if array[1] != weight.shape]
    assert len(whole) <= 2 + narrow
    assert len(wide(whole)) <= (0 if narrow else 2)
    assert narrow or len(others) <= 2, arrays
    assert all(math.prod(shape) <= math.prod(X) for _, shape in others)


@dtypes
def test_sinusoids_are_added_by_one_kernel(dtype):
    """The others are of the sequence alone, and do not know the batch."""
    x = jax.ShapeDtypeStruct(X, dtype)
    start = jax.ShapeDtypeStruct((), jnp.int32)
    for function, extra in (
        (F.apply_positional_encoding, ()),
        (lambda x, start: F.apply_positional_encoding(x, start=start), (start,)),
    ):
        arrays = put_out(function, x, *extra)
        assert len(arrays) <= 7, arrays
        small = [a for a in arrays if math.prod(a[1]) <= SEQ_LEN * D_MODEL // 2]
        assert len(small) == len(arrays) - 1
        assert (HLO[dtype], X) in arrays


def test_memory_of_lengths_grows_with_documents_plus_tokens():
    documents, tokens = 2**12, 2**14
    lengths = jax.ShapeDtypeStruct((documents,), jnp.int32)
    program = compiled(lambda l: F.positions_from_lengths(l, tokens), lengths)
    # Marks, their running maximum and its halves, twice what they are at most.
    memory = program.memory_analysis().temp_size_in_bytes
    assert memory < 4 * 4 * (documents + tokens)


@pytest.mark.parametrize(
    "function",
    (
        F.positions_from_lengths,
        F.positions_from_cumulative_lengths,
        F.segment_ids_from_cumulative_lengths,
    ),
)
def test_memory_of_2000_documents_of_a_million_tokens(function):
    """One array of all tokens beside the result, and no product of the two numbers."""
    documents = jax.ShapeDtypeStruct((2001,), jnp.int32)
    memory = compiled(lambda d: function(d, 10**6), documents).memory_analysis()
    assert memory.output_size_in_bytes == 4 * 10**6
    assert memory.temp_size_in_bytes < 1.1 * memory.output_size_in_bytes


def test_memory_of_the_part_of_a_device():
    """It grows with the tokens of the device, not with those of the sequence."""

    def part(ends, shard):
        tokens = F.context_parallel_indices(10**6, 8, shard, order="zigzag")
        return F.positions_of_tokens(tokens, ends)

    shapes = (jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((2001,), ()))
    memory = compiled(part, *shapes).memory_analysis()
    assert memory.temp_size_in_bytes < 1.1 * 4 * 10**6 / 8


OLD, NEW, PATCHES = (14, 14), (20, 24), 50
resizings = pytest.mark.parametrize("method", ("bicubic", *slow("bilinear")))
smoothed = pytest.mark.parametrize("antialias", (False, True))


@dtypes
@resizings
@smoothed
def test_resizing_is_two_products_and_two_transposes(dtype, method, antialias):
    """A prefix is one kernel more, a conversion of the grid for bfloat16 too."""
    grids = OLD, (NEW[0], OLD[1]), NEW
    largest = max(math.prod(grid) for grid in grids) * D_MODEL
    for prefix in (0, 1):
        resize = lambda table, prefix=prefix: F.resize_positions(
            table,
            OLD,
            NEW,
            F.Resampling(method, antialias),
            num_prefix_tokens=prefix,
        )
        table, rows = (
            jax.ShapeDtypeStruct((prefix + math.prod(grid), D_MODEL), dtype)
            for grid in (OLD, NEW)
        )
        arrays = put_out(resize, table)
        more = prefix or dtype == jnp.bfloat16
        assert len(arrays) <= 4 + more, arrays
        assert not wide(arrays, above=largest + prefix * D_MODEL)
        arrays = put_out(pullback(resize), table, rows)
        assert len(arrays) <= 5, arrays
        assert not wide(arrays, above=largest + prefix * D_MODEL)


@dtypes
@resizings
@smoothed
def test_resized_rows_are_read_or_multiplied_once(dtype, method, antialias):
    """Sizes as data: with antialiasing one product, without it what is read is added.

    Weights of all rows of the table, for each patch, are for products alone.
    """
    table = jax.ShapeDtypeStruct((math.prod(OLD), D_MODEL), dtype)
    data = jax.ShapeDtypeStruct((PATCHES, 2), jnp.int32)
    rows = jax.ShapeDtypeStruct((PATCHES, D_MODEL), dtype)

    def resized(table, sizes, coordinates):
        how = F.Resampling(method, antialias)
        return F.resize_positions_at(table, OLD, sizes, coordinates, how)

    arrays = put_out(resized, table, data, data)
    weights = PATCHES, math.prod(OLD)
    assert wide(arrays).count(weights) <= antialias
    converted = wide(arrays).count(table.shape)
    narrow = dtype == jnp.bfloat16
    # Sixteen readers of a bicubic patch share a table that is converted once.
    assert converted <= (narrow and (antialias or method == "bicubic"))
    assert sum(shape == rows.shape for _, shape in arrays) <= 1 + antialias
    arrays = put_out(pullback(resized), table, data, data, rows)
    assert wide(arrays).count(weights) <= 1
    assert wide(arrays).count(table.shape) <= 1
