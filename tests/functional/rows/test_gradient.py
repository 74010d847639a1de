"""Row gradients: sums of cotangents, and selected rows in place of a table."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from hypothesis import given
from hypothesis import strategies as st
from row_cases import PADDING_ID, VOCAB_SIZE, draw_ids, draw_params, loss, row_gradients

import attnax.functional as F

dense_gradient = jitted(F.dense_gradient)


def is_well_formed(gradient, ids, vocab_size, padding_id=None):
    """Whether ids are distinct and ascending, and unused slots last and zeros."""
    row_ids, rows = np.asarray(gradient.row_ids), np.asarray(gradient.rows, np.float32)
    distinct = np.unique(np.asarray(ids).ravel())
    distinct = distinct[(distinct >= 0) & (distinct < vocab_size)]
    distinct = distinct[distinct != padding_id]
    used = len(distinct)
    np.testing.assert_array_equal(row_ids[:used], distinct)
    np.testing.assert_array_equal(row_ids[used:], vocab_size)
    np.testing.assert_array_equal(rows[used:], 0.0)
    return row_ids.dtype == np.int32


@jitted
def gradient_of(ids, cotangents):
    """A row gradient, dense, and narrow, in one program."""
    gradient = F.row_gradient(ids, cotangents, 11)
    dense = F.dense_gradient(gradient, 11)
    return gradient, dense, F.dense_gradient(gradient, 11, dtype=jnp.bfloat16)


@pytest.mark.device
@given(data=st.data())
def test_rows_are_sums_of_cotangents(data):
    kinds = ((3, 1, 3), jnp.bfloat16), ((), np.float32)
    shape, dtype = data.draw(st.sampled_from(kinds))
    ids = data.draw(ax.integers(shape, 0, 10))
    cotangents = data.draw(ax.floats((*shape, 3), dtype))
    gradient, dense, narrow = gradient_of(ids, cotangents)
    assert gradient.rows.dtype == jnp.float32
    assert is_well_formed(gradient, ids, 11)
    expected = np.zeros((11, 3))
    np.add.at(expected, ids, np.asarray(cotangents, np.float64))
    # At most nine rows of size at most 8 meet.
    assert_close(dense, expected, magnitude=72.0, roundings=9)
    assert_same_bits(narrow, np.asarray(dense).astype(jnp.bfloat16))


def test_padding_and_ids_out_of_range_are_dropped():
    ids = np.array([4, -1, 2, 11, 4, 2**31 - 1], np.int32)
    cotangents = np.ones((6, 3), np.float32)
    cotangents[[1, 3, 5]] = np.nan
    gradient = jitted(F.row_gradient)(ids, cotangents, 11, padding_id=2)
    assert is_well_formed(gradient, ids, 11, padding_id=2)
    np.testing.assert_array_equal(np.asarray(gradient.rows)[0], 2.0)


def lookup(weight, ids):
    params = F.TokenEmbeddingParams(weight=weight)
    options = {"scale": 2.0, "padding_id": 4, "mask_padding": True}
    return F.apply_token_embedding(params, ids, **options)


@jitted
def selected_and_read(weight, ids):
    """Selected rows, what they give for all ids of the table, and lookups in both."""
    selected = F.select_rows(weight, ids)
    all_rows = selected[jnp.arange(len(weight))]
    return selected, all_rows, lookup(selected, ids), lookup(weight, ids)


@given(data=st.data())
def test_selected_rows_stand_for_the_table(data):
    weight = data.draw(ax.floats((11, 3)))
    ids = data.draw(ax.integers((2, 4), 0, 10))
    selected, all_rows, rows, expected = selected_and_read(weight, ids)
    assert selected.shape == weight.shape
    assert is_well_formed(selected, ids, 11)
    all_rows = np.asarray(all_rows)
    assert_same_bits(all_rows[ids], np.asarray(weight)[ids])
    assert np.isnan(all_rows[np.setdiff1d(np.arange(11), ids)]).all()
    assert_same_bits(rows, expected)


@jitted
def both_gradients(params, ids):
    dense = jax.value_and_grad(loss)(params, ids)
    return dense, row_gradients(params, ids)


@pytest.mark.device
@pytest.mark.parametrize(
    "case",
    (
        (jnp.bfloat16, 3000),
        *slow(*((np.float32, size) for size in (20, VOCAB_SIZE, 3000))),
        *slow((jnp.bfloat16, VOCAB_SIZE), (jnp.bfloat16, 20)),
    ),
)
def test_gradient_has_the_bits_of_the_dense_one(case):
    dtype, vocab_size = case
    params, ids = draw_params(dtype, vocab_size), draw_ids(0)
    (value, dense), (same, rows) = both_gradients(params, ids)
    assert_same_bits(value, same)
    assert_same_bits(rows["head"], dense["head"])
    gradient = rows["token"].weight
    assert is_well_formed(gradient, ids, vocab_size)
    assert gradient.rows.dtype == dtype
    assert_same_bits(dense_gradient(gradient, vocab_size), dense["token"].weight)
    of_padding = np.asarray(gradient.row_ids) == PADDING_ID
    np.testing.assert_array_equal(np.asarray(gradient.rows)[of_padding], 0.0)


def test_an_id_that_was_not_returned_gives_nan():
    params, ids = draw_params(), draw_ids(0)
    forgotten = F.row_value_and_grad(
        loss, lambda p: p["token"].weight, lambda params, ids: ids[:2]
    )
    value_of = jax.jit(lambda params, ids: forgotten(params, ids)[0])
    assert np.isnan(value_of(params, np.arange(36, dtype=np.int32).reshape(4, 9)))
    assert np.isfinite(value_of(params, np.concatenate([ids[:2]] * 2)))


def two_tables(params, ids, other):
    """Lookups in a scan with remat, under `vmap`, and twice in one table."""
    first, second = params

    @jax.checkpoint
    def step(sum_, row):
        rows = F.apply_token_embedding(first, row)
        return sum_ + jnp.sum(rows**2), None

    total, _ = jax.lax.scan(step, jnp.zeros((), jnp.float32), ids)
    embed = lambda row: jnp.sin(second[row])
    rows = jax.vmap(jax.vmap(embed))(other)
    once_more = F.apply_token_embedding(first, ids[0])
    return total + jnp.sum(rows) + jnp.sum(once_more**3), total


def test_several_tables_and_lookups_under_transformations():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30, 4)).astype(np.float32)
    params = F.TokenEmbeddingParams(first), second
    ids, other = rng.integers(0, 30, (2, 3, 5)).astype(np.int32)
    rows = F.row_value_and_grad(
        two_tables,
        lambda params: {"a": params[0].weight, "b": params[1]},
        lambda params, ids, other: {"a": [ids, ids[0]], "b": other},
        has_aux=True,
    )
    dense = jax.value_and_grad(two_tables, has_aux=True)
    both = jax.jit(lambda *args: (dense(*args), rows(*args)))
    (value, grads), (same, row_grads) = both(params, ids, other)
    for a, b in zip(value, same, strict=True):
        assert_close(a, np.asarray(b), magnitude=float(b))
    for a, b in ((row_grads[0].weight, grads[0].weight), (row_grads[1], grads[1])):
        # At most 20 gradients of size at most 3 * 4**2 meet.
        dense = dense_gradient(a, 30)
        assert_close(dense, np.asarray(b), magnitude=960.0, roundings=20)


def test_tables_of_modules_and_other_code():
    """`eqx.nn.Embedding` indexes its table, one id at a time."""
    model = eqx.nn.Embedding(weight=jnp.asarray(draw_params()["token"].weight))
    ids = draw_ids(0, (7,))
    of_module = lambda model, ids: jnp.sum(jax.vmap(model)(ids) ** 2)
    rows = F.row_value_and_grad(of_module, lambda m: m.weight, lambda m, ids: ids)
    both = jax.jit(lambda *args: (jax.grad(of_module)(*args), rows(*args)[1]))
    dense, gradient = both(model, ids)
    assert_same_bits(dense_gradient(gradient.weight, VOCAB_SIZE), dense.weight)


def test_text_embedding_takes_selected_rows():
    rng = np.random.default_rng(0)
    token, learned, types = (
        rng.normal(size=(size, 4)).astype(np.float32) for size in (VOCAB_SIZE, 12, 2)
    )
    params = F.TextEmbeddingParams(
        F.TokenEmbeddingParams(token),
        F.LearnedPositionalEmbeddingParams(learned),
        F.TokenEmbeddingParams(types),
    )
    of_text = lambda p, ids: jnp.sum(
        F.apply_text_embedding(p, ids, token_type_ids=ids % 2) ** 2
    )
    rows = F.row_value_and_grad(of_text, lambda p: p.token.weight, lambda p, ids: ids)
    ids = draw_ids(0)
    both = jax.jit(lambda *args: (jax.grad(of_text)(*args), rows(*args)[1]))
    dense, gradient = both(params, ids)
    dense_of_rows = dense_gradient(gradient.token.weight, VOCAB_SIZE)
    assert_same_bits(dense_of_rows, dense.token.weight)
    assert_same_bits(gradient.positions.weight, dense.positions.weight)


def fused(table, rows):
    params = F.FusedEmbeddingParams(weight=table)
    return F.apply_fused_embedding(params, rows)


def per_layer(table, ids):
    params = F.PerLayerEmbeddingParams(
        weight=table,
        projection=jnp.ones((3, 4), jnp.float32),
        norm_scale=jnp.ones(2, jnp.float32),
    )
    x = jnp.ones((*ids.shape, 3), jnp.float32)
    return F.apply_per_layer_embedding(params, ids, x, outside_id=0)


@pytest.mark.parametrize("embed", (fused, *slow(per_layer)))
def test_several_tables_in_one_array_take_selected_rows(embed):
    loss = lambda table, ids: jnp.sum(jnp.sin(embed(table, ids)))
    rows = F.row_value_and_grad(loss, lambda table: table, lambda table, ids: ids)
    both = jax.jit(lambda *args: (jax.value_and_grad(loss)(*args), rows(*args)))
    weight = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    (value, dense), (same, gradient) = both(weight, draw_ids(0, (5, 3)))
    # At most 15 rows with slopes of size at most 2 meet.
    assert_close(same, np.asarray(value), magnitude=120.0)
    of_rows = dense_gradient(gradient, 30)
    assert_close(of_rows, np.asarray(dense), magnitude=30.0, roundings=15)


TABLE = np.ones((5, 2), np.float32)
SELECTED = F.SelectedRows(np.array([1], np.int32), TABLE[:1], 5)


@pytest.mark.errors
def test_a_product_with_selected_rows_is_refused():
    selected = F.TokenEmbeddingParams(SELECTED)
    message = "params.weight is a SelectedRows.*leave a table that is not only looked"
    with refused(message):
        F.apply_token_unembedding(selected, TABLE)
    with pytest.raises(TypeError, match="SelectedRows"):
        jnp.dot(TABLE, selected.weight)


@pytest.mark.errors
def test_selected_rows_are_indexed_by_ids_alone():
    """`table[3, 1]` is one number, and a loop over rows would not end."""
    with refused(r"token_ids=\(1, 1\) must not be a tuple, .* pass ids as an array"):
        SELECTED[1, 1]
    with pytest.raises(TypeError, match="not iterable"):
        iter(SELECTED)


@pytest.mark.errors
def test_ids_that_became_floats_are_refused():
    gradient = F.RowGradient(np.array([0.5, 1.0], np.float32), TABLE[:2])
    with refused("gradient.row_ids.dtype=float32 must be integer; cast and scale the"):
        F.dense_gradient(gradient, 5)
    selected = jax.tree.map(lambda x: x.astype(np.float32), SELECTED)
    with refused("params.weight.row_ids.dtype=float32 must be integer; cast and scale"):
        F.apply_token_embedding(F.TokenEmbeddingParams(selected), np.array([1]))


@pytest.mark.errors
def test_shapes_of_gradients_are_checked():
    ids = np.array([0, 1])
    with refused(r"cotangents.shape=\(5, 2\) must be \(\*ids, d_model\)"):
        F.row_gradient(ids, TABLE, 5)
    with refused(r"token_ids\[1\]=5 must lie in \[0, 5\)"):
        F.row_gradient(np.array([0, 5]), TABLE[:2], 5)
    with refused(r"padding_id=5 must be an integer in \[0, 4\]"):
        F.row_gradient(ids, TABLE[:2], 5, padding_id=5)
    with refused("vocab_size=0 must be a positive integer"):
        F.row_gradient(ids, TABLE[:2], 0)
    with refused(r"gradient.rows.shape=\(5, 2\) must be \(num_rows, d_model\)"):
        F.dense_gradient(F.RowGradient(ids, TABLE), 5)
    with refused("gradient is a tuple, but must be an attnax.functional.RowGradient"):
        F.dense_gradient((ids, TABLE[:2]), 5)


@pytest.mark.errors
def test_functions_of_the_transformation_are_checked():
    table, ids = (lambda p: p), (lambda p, ids: ids)
    with refused("tables is a str, but must be a function"):
        F.row_value_and_grad(loss, "weight", ids)
    with refused("has_aux=1 must be True or False"):
        F.row_value_and_grad(loss, table, ids, has_aux=1)
    sum_of = lambda weight, ids: jnp.sum(weight[ids])
    message = "^row_value_and_grad: tables returns an int, but must return tables of"
    with refused(message):
        F.row_value_and_grad(sum_of, lambda p: 3, ids)(TABLE, np.array([1]))
    with refused("^row_value_and_grad: tables must return at least one table, and"):
        F.row_value_and_grad(sum_of, lambda p: (p, p), ids)(TABLE, np.array([1]))
    with refused(r"^row_value_and_grad: token_ids\[0\]=5 must lie in \[0, 5\)"):
        F.row_value_and_grad(sum_of, table, ids)(TABLE, np.array([5]))
    with refused(r"token_ids returns PyTreeDef\(\*\), but must return ids for each of"):
        F.row_value_and_grad(sum_of, lambda p: p, ids)((TABLE, TABLE), np.array([1]))
