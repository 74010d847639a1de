"""Several tables in one array: rows of each, their sums, and where they are not."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

import attnax.functional as F

COUNTS = (5, 3, 7)  # and one row of padding
BATCHES = st.sampled_from(((), (2, 3)))
COMBINE = ("sum", "mean", "concatenate", None)
HALF = np.full(2, 0.5, np.float32)
lookup = jitted(F.apply_fused_embedding)


def draw_lookup(data, dtype=jnp.float32, batch=None):
    """An array of tables, ids of each, and the tables one by one in float64."""
    weight = data.draw(ax.floats((16, 4), dtype))
    batch = data.draw(BATCHES) if batch is None else batch
    columns = [data.draw(ax.integers(batch, 0, n - 1)) for n in COUNTS]
    tables = np.split(np.asarray(weight, np.float64), np.cumsum(COUNTS))[:3]
    return F.FusedEmbeddingParams(weight=weight), np.stack(columns, -1), tables


def picked(tables, ids):
    """A row of each table, `(*batch, num_tables, d_model)`."""
    rows = [table[ids[..., k]] for k, table in enumerate(tables)]
    return np.stack(rows, -2)


def together(rows, combine):
    reduce = {
        "sum": lambda: rows.sum(-2),
        "mean": lambda: rows.mean(-2),
        "concatenate": lambda: np.concatenate(np.moveaxis(rows, -2, 0), -1),
        None: lambda: rows,
    }
    return reduce[combine]()


@given(data=st.data(), dtype=ax.dtypes, combine=st.sampled_from(COMBINE))
def test_a_row_of_each_table(data, dtype, combine):
    params, ids, tables = draw_lookup(data, dtype)
    actual = lookup(params, ids, row_counts=COUNTS, combine=combine)
    assert actual.dtype == dtype
    # Three numbers below 8.
    assert_close(actual, together(picked(tables, ids), combine), magnitude=24.0)
    rows = ids + F.fused_row_offsets(COUNTS).astype(ids.dtype)
    assert_same_bits(lookup(params, rows, combine=combine), actual)


@given(data=st.data(), dtype=ax.narrow_dtypes)
def test_sums_are_made_in_float32_from_the_first_table_on_and_rounded_once(data, dtype):
    params, ids, tables = draw_lookup(data, dtype)
    first, second, third = np.moveaxis(picked(tables, ids).astype(np.float32), -2, 0)
    expected = (first + second) + third
    wide = lookup(params, ids, row_counts=COUNTS, dtype=jnp.float32)
    np.testing.assert_array_equal(wide, expected)
    narrow = lookup(params, ids, row_counts=COUNTS)
    assert_same_bits(narrow, expected.astype(dtype))


@given(data=st.data(), dtype=ax.narrow_dtypes)
def test_sums_that_are_rounded_at_each_addition(data, dtype):
    params, ids, tables = draw_lookup(data, dtype)
    first, second, third = np.moveaxis(picked(tables, ids).astype(np.float32), -2, 0)
    expected = ((first + second).astype(dtype).astype(np.float32) + third).astype(dtype)
    options = {"row_counts": COUNTS, "accumulation_dtype": dtype}
    assert_same_bits(lookup(params, ids, **options), expected)


@given(data=st.data())
def test_sums_that_are_subnormal_in_float16(data):
    counts = [data.draw(ax.integers((1, 4), -2000, 2000)) for _ in range(2)]
    tables = (np.concatenate(counts) * 2.0**-25).astype(np.float16)
    params = F.FusedEmbeddingParams(weight=tables)
    options = {"row_counts": (1, 1), "accumulation_dtype": jnp.float16}
    # Float16 of NumPy adds two numbers as if exactly, and keeps subnormals.
    expected = tables[0] + tables[1]
    half = lookup(params, np.zeros(2, np.int32), factors=HALF, **options)
    assert_same_bits(lookup(params, np.zeros(2, np.int32), **options), expected)
    wide = (tables.astype(np.float64) * 0.5).sum(0)
    assert_same_bits(half, wide.astype(np.float16))


@given(data=st.data())
def test_factors_multiply_rows(data):
    params, ids, tables = draw_lookup(data, batch=(2, 3))
    rows = picked(tables, ids)
    options = {"row_counts": COUNTS}
    signs = (2 * data.draw(ax.integers((2, 3, 3), 0, 1)) - 1).astype(np.int8)
    actual = lookup(params, ids, factors=signs, **options)
    assert_close(actual, (rows * signs[..., None]).sum(-2), magnitude=24.0)
    weights = data.draw(ax.floats((3,), jnp.bfloat16))
    of_each = np.asarray(weights, np.float64)[:, None]
    actual = lookup(params, ids, factors=weights, combine=None, **options)
    assert_close(actual, rows * of_each, magnitude=64.0)


@pytest.mark.parametrize("factors", (2, 2.0, [1.0, -0.5, 2.0], np.float32(3), None))
def test_factors_may_be_numbers_and_lists(factors):
    params = F.FusedEmbeddingParams(jnp.arange(36.0).reshape(9, 4))
    ids, options = np.array([[0, 1, 2], [1, 0, 0]]), {"row_counts": (2, 3, 4)}
    rows = F.apply_fused_embedding(params, ids, combine=None, **options)
    actual = F.apply_fused_embedding(params, ids, factors=factors, **options)
    by_row = np.broadcast_to(1 if factors is None else factors, (3,))[:, None]
    np.testing.assert_array_equal(actual, (np.asarray(rows) * by_row).sum(-2))


@given(data=st.data())
def test_batch_equals_vmap(data):
    params, ids, _ = draw_lookup(data, batch=(2, 3))
    one = lambda i: F.apply_fused_embedding(params, i, row_counts=COUNTS)
    assert_same_bits(
        jax.jit(jax.vmap(one))(ids), lookup(params, ids, row_counts=COUNTS)
    )


@jitted
def gradients(params, ids, factors, **options):
    def loss(params, factors):
        rows = F.apply_fused_embedding(params, ids, factors=factors, **options)
        return jnp.sum(rows.astype(jnp.float32) ** 2), rows

    of = jax.value_and_grad(loss, (0, 1), has_aux=True)
    (_, rows), (of_params, of_factors) = of(params, factors)
    return rows, of_params.weight, of_factors


@given(data=st.data(), accumulation_dtype=st.sampled_from((None, jnp.bfloat16)))
def test_gradients_of_rows_and_factors(data, accumulation_dtype):
    params, ids, tables = draw_lookup(data, batch=(2, 3))
    factors = data.draw(ax.floats((2, 3, 3), bound=2.0))
    options = {"row_counts": COUNTS, "accumulation_dtype": accumulation_dtype}
    rows, actual, of_factors = gradients(params, ids, factors, **options)
    cotangent = 2 * np.asarray(rows, np.float64)[..., None, :]
    factors = np.asarray(factors, np.float64)[..., None]
    expected = np.zeros((16, 4))
    np.add.at(expected, ids + F.fused_row_offsets(COUNTS), cotangent * factors)
    # Six rows meet at most, each of two sums below 48 times a factor below 2.
    assert_close(actual, expected, magnitude=6 * 2 * 48 * 2.0)
    expected = (cotangent * picked(tables, ids)).sum(-1)
    assert_close(of_factors, expected, magnitude=4 * 2 * 48 * 8.0)


@jitted
def sums_and_gradient(params, ids, factors=None, **options):
    def loss(params):
        sums = F.apply_fused_embedding(params, ids, factors=factors, **options)
        return jnp.sum(sums.astype(jnp.float32) ** 2), sums

    (_, sums), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return sums, gradient.weight


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
@pytest.mark.parametrize(
    "options", ({}, {"combine": "mean"}, {"accumulation_dtype": jnp.bfloat16}), ids=str
)
def test_rows_that_are_added_up_as_they_are_read(dtype, options):
    """With factors all rows are read first; the bits are the same."""
    rng = np.random.default_rng(0)
    weight = jnp.asarray(rng.normal(size=(16, 4)), dtype)
    ids = rng.integers(0, COUNTS, (2, 3, 3), np.int32)
    ids[0, 0] = 4, 3, 0  # the second is outside its table
    params = F.FusedEmbeddingParams(weight=weight)
    options = {"row_counts": COUNTS, **options}
    actual = sums_and_gradient(params, ids, **options)
    expected = sums_and_gradient(params, ids, np.int8(1), **options)
    assert np.isnan(actual[0][0, 0]).all()
    jax.tree.map(assert_same_bits, actual, expected)


@pytest.mark.parametrize("num_tables", (64, 65))
def test_many_tables(num_tables):
    """The last number of tables that have a gather each, and the first above."""
    weight = np.arange(2.0 * num_tables, dtype=np.float32).reshape(-1, 1)
    ids = np.arange(num_tables) % 2
    sums, gradient = sums_and_gradient(
        F.FusedEmbeddingParams(weight=weight), ids, row_counts=(2,) * num_tables
    )
    expected = (2 * np.arange(num_tables) + ids).sum()
    np.testing.assert_array_equal(sums, [expected])
    is_read = np.stack([ids == 0, ids == 1], -1).reshape(-1, 1)
    np.testing.assert_array_equal(gradient, 2 * expected * is_read)


def test_no_array_of_all_rows():
    weight = jax.ShapeDtypeStruct((80, 256), jnp.float32)
    ids = jax.ShapeDtypeStruct((64, 16), jnp.int32)

    def sums(weight, ids):
        params = F.FusedEmbeddingParams(weight=weight)
        return F.apply_fused_embedding(params, ids, row_counts=(5,) * 16)

    compiled = jax.jit(sums).lower(weight, ids).compile()
    all_rows = 64 * 16 * 256 * 4
    assert compiled.memory_analysis().temp_size_in_bytes < all_rows / 16


def test_forward_mode():
    weight = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    ids = np.array([[4, 0, 6], [1, 0, 6]], np.int32)

    def squares(weight):
        params = F.FusedEmbeddingParams(weight=weight)
        return F.apply_fused_embedding(params, ids, row_counts=COUNTS) ** 2

    check_grads(jax.jit(squares), (weight,), order=1, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("combine", COMBINE)
def test_an_id_out_of_its_own_table_is_never_a_row_of_the_next(combine):
    params = F.FusedEmbeddingParams(weight=np.ones((16, 4), np.float32))
    ids = np.array([[0, 2, 6], [5, 2, 6], [0, 3, 6], [0, 2, 7], [0, 2, -1]], np.int32)
    lost = np.array([[False] * 3, *np.eye(3, dtype=bool), [False, False, True]])
    options = {"row_counts": COUNTS, "combine": combine}
    rows, gradient, _ = gradients(params, ids, np.ones((3,), np.float32), **options)
    expected = {"concatenate": np.repeat(lost, 4, -1), None: lost[..., None]}
    expected = expected.get(combine, lost.any(-1)[:, None])
    np.testing.assert_array_equal(np.isnan(rows), np.broadcast_to(expected, rows.shape))
    if combine is None:  # a sum of NaN has no other gradient
        kept = np.array([8, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 6, 0])
        np.testing.assert_array_equal(gradient[:, 0] > 0, kept > 0)
        assert np.isfinite(gradient).all()


def test_ids_of_narrow_dtypes():
    params = F.FusedEmbeddingParams(weight=np.arange(900, dtype=np.float32)[:, None])
    ids = np.array([[255, 3], [200, 255]], np.uint8)
    rows = lookup(params, ids, row_counts=(300, 600), combine=None)
    np.testing.assert_array_equal(rows[..., 0], [[255, 303], [200, 555]])
    rows = lookup(params, ids, row_counts=(300, 255), combine=None)
    np.testing.assert_array_equal(np.isnan(rows[..., 0]), [[0, 0], [0, 1]])


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize(
    ("spec", "vocab_axis"), ((P("b"), None), (P(None, "b"), None), (P("b"), "b"))
)
def test_sharded(axis_type, spec, vocab_axis):
    weight = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    params = F.FusedEmbeddingParams(weight=weight)
    ids = np.array([[4, 0, 6], [1, 2, 0], [1, 1, 1], [0, 2, 6]], np.int32)
    factors = np.array([1.0, -1.0, 0.5], np.float32)
    plain = gradients(params, ids, factors, row_counts=COUNTS)
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    with jax.set_mesh(mesh):
        params = jax.device_put(params, NamedSharding(mesh, spec))
        ids = jax.device_put(ids, NamedSharding(mesh, P("a")))
        factors = jax.device_put(factors, NamedSharding(mesh, P()))
        options = {"row_counts": COUNTS, "vocab_axis": vocab_axis}
        actual = gradients(params, ids, factors, **options)
        assert_same_bits(actual[0], plain[0])
        for one, other in zip(actual[1:], plain[1:], strict=True):
            assert_close(one, np.asarray(other), magnitude=64.0)
        if axis_type is AxisType.Explicit:
            assert jax.typeof(actual[0]).sharding.spec == P("a", None)
            for combine in ("sum", "concatenate"):
                options["combine"] = combine
                rows = lookup(params, ids, out_sharding=P("a", "b"), **options)
                assert jax.typeof(rows).sharding.spec == P("a", "b")
                tables = [weight[:5], weight[5:8], weight[8:15]]
                expected = together(picked(tables, np.asarray(ids)), combine)
                assert_close(rows, expected, magnitude=24.0)


def test_inside_shard_map():
    weight = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    ids = np.array([[4, 0, 6], [5, 2, 0]], np.int32)  # 5 is not in its own table
    options = {"row_counts": COUNTS, "combine": None}
    plain = lookup(F.FusedEmbeddingParams(weight=weight), ids, **options)
    mesh = jax.make_mesh((4,), ("a",), axis_types=(AxisType.Auto,))

    def of_shard(weight, ids):
        params = F.FusedEmbeddingParams(weight=weight)
        return F.apply_fused_embedding(params, ids, vocab_axis="a", **options)

    mapped = jax.shard_map(of_shard, mesh=mesh, in_specs=(P("a"), P()), out_specs=P())
    assert_same_bits(jax.jit(mapped)(weight, ids), plain)


def test_init_pads_with_rows_of_zeros():
    draw = lambda **options: F.init_fused_embedding(
        jax.random.key(1), COUNTS, 64, init_std=0.5, row_multiple=8, **options
    )
    weight = draw().weight
    assert weight.shape == (16, 64)
    np.testing.assert_array_equal(weight[15:], 0.0)
    drawn = np.asarray(weight[:15], np.float64)
    # Six standard errors of the deviation of 960 draws.
    assert abs(drawn.std() - 0.5) < 6 * 0.5 / (2 * drawn.size) ** 0.5
    mesh = jax.make_mesh((4,), ("a",), axis_types=(AxisType.Explicit,))
    sharding = NamedSharding(mesh, P("a", None))
    sharded = draw(out_sharding=sharding).weight
    assert sharded.sharding.is_equivalent_to(sharding, 2)
    assert_same_bits(sharded, weight)


def test_offsets_are_the_rows_before():
    np.testing.assert_array_equal(F.fused_row_offsets(COUNTS), [0, 5, 8])
    large = F.fused_row_offsets((2**30, 2**30 - 1))
    np.testing.assert_array_equal(large, [0, 2**30])


PARAMS = F.FusedEmbeddingParams(weight=host.ones((16, 4)))
IDS = np.array([[0, 0, 0]])


@pytest.mark.errors
def test_numbers_of_rows_are_checked():
    with refused(r"row_counts=\(5, 0\) must be positive integers"):
        F.fused_row_offsets((5, 0))
    with refused(r"row_counts=\(\) must be positive integers"):
        F.fused_row_offsets(())
    with refused("must have a sum below 2\\*\\*31, but it is 2147483648"):
        F.fused_row_offsets((2**30, 2**30))
    with refused("row_multiple=0 must be a positive integer"):
        F.init_fused_embedding(jax.random.key(0), COUNTS, 4, row_multiple=0)
    with refused("row_multiple=2147483648 must keep the rows of 15 below"):
        F.init_fused_embedding(jax.random.key(0), COUNTS, 4, row_multiple=2**31)
    for counts in ((5, 3), (5, 3, 9)):
        message = rf"row_counts={counts} must have a number for each of the 3 tables"
        with refused(message.replace("(", r"\(").replace(")", r"\)")):
            F.apply_fused_embedding(PARAMS, IDS, row_counts=counts)


@pytest.mark.errors
@pytest.mark.parametrize("ids", ([5, 0, 0], [0, 3, 0], [0, 0, -1]))
def test_a_known_id_out_of_its_own_table_is_named(ids):
    table = int(np.argmax([ids[0] == 5, ids[1] == 3, ids[2] == -1]))
    message = rf"ids\[0, {table}\]={ids[table]} must lie in \[0, {COUNTS[table]}\)"
    with pytest.raises(ValueError, match=message):
        F.apply_fused_embedding(PARAMS, np.array([ids]), row_counts=COUNTS)
    with pytest.raises(ValueError, match=r"ids\[0\]=16 must lie in \[0, 16\)"):
        F.apply_fused_embedding(PARAMS, np.array([16]))


@pytest.mark.errors
def test_options_are_checked():
    with refused("combine='max' must be 'sum', 'mean', 'concatenate' or None"):
        F.apply_fused_embedding(PARAMS, IDS, combine="max")
    with refused("accumulation_dtype=bfloat16 must come with a sum or a mean"):
        F.apply_fused_embedding(
            PARAMS, IDS, combine=None, accumulation_dtype=jnp.bfloat16
        )
    with refused("accumulation_dtype=float8_e4m3fn must have 16 bits or more"):
        F.apply_fused_embedding(PARAMS, IDS, accumulation_dtype=jnp.float8_e4m3fn)
    with refused(r"factors.shape=\(2,\) must broadcast to ids.shape=\(1, 3\)"):
        F.apply_fused_embedding(PARAMS, IDS, factors=np.ones(2, np.float32))
    with refused("factors.dtype=bool must be a real float"):
        F.apply_fused_embedding(PARAMS, IDS, factors=np.ones(3, bool))
    with refused(r"ids.shape=\(\) must be \(..., num_tables\)"):
        F.apply_fused_embedding(PARAMS, np.array(0))
    with refused(r"ids.shape=\(2, 0\) must end in at least one table"):
        F.apply_fused_embedding(PARAMS, np.zeros((2, 0), np.int32))


@pytest.mark.errors
def test_tables_that_no_shards_hold_are_refused():
    with refused("vocab_axis='a' must name an axis of a mesh, but there is none"):
        F.apply_fused_embedding(PARAMS, IDS, vocab_axis="a")
    table = F.quantize_table(np.ones((16, 4), np.float32))
    with refused("vocab_axis='a' must be None for a quantized array"):
        F.apply_fused_embedding(table, IDS, vocab_axis="a")
    selected = F.FusedEmbeddingParams(weight=F.select_rows(PARAMS.weight, IDS))
    with refused("vocab_axis='a' must be None for selected rows"):
        F.apply_fused_embedding(selected, IDS, vocab_axis="a")
