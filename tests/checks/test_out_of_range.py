"""The one rule for integers out of range, in every way that integers arrive."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax
import attnax.functional as F

SIZE = 5
TABLE = np.arange(1.0, 1.0 + 2 * SIZE, dtype=np.float32).reshape(SIZE, 2)
X = np.zeros((3, 2), np.float32)


def token(ids):
    params = F.TokenEmbeddingParams(weight=host.asarray(TABLE))
    return F.apply_token_embedding(params, ids)


def learned(ids):
    params = F.LearnedPositionalEmbeddingParams(weight=host.asarray(TABLE))
    return F.apply_learned_positional_embedding(params, host.asarray(X), ids)


def sinusoidal(ids):
    return F.apply_positional_encoding(host.asarray(X), ids, max_len=SIZE)


def rotary(ids):
    return F.rope_cos_sin_from_positions(ids, 4, 1e4, SIZE)[1]


NAMES = {token: "token_ids", rotary: "position_ids"}
everywhere = pytest.mark.parametrize("lookup", (token, learned, sinusoidal, rotary))


def as_array(values, dtype):
    """`values` in `dtype`, or `None` where it cannot hold them."""
    info = np.iinfo(dtype)
    if min(values) < info.min or max(values) > info.max:
        return None
    return np.array(values, dtype)


@jitted
def transformed(lookup, ids):
    """Rows compiled, mapped and rematerialized."""
    return lookup(ids), jax.vmap(lookup)(ids[None])[0], jax.checkpoint(lookup)(ids)


@everywhere
@given(dtype=ax.integer_dtypes)
def test_every_integer_dtype_eager_compiled_and_mapped(lookup, dtype):
    ids = np.array([4, 0, 2], dtype)
    expected = lookup(np.array([4, 0, 2]))
    eager = lookup(ids), lookup(jnp.asarray(ids))
    for actual in (*eager, *transformed(lookup, ids)):
        np.testing.assert_array_equal(actual, expected)


@everywhere
@given(dtype=ax.integer_dtypes, bad=st.sampled_from((-1, -5, 5, 6, 127, 255, 2**31)))
def test_traced_values_out_of_range_are_nan_and_no_other_row(lookup, dtype, bad):
    ids = as_array([1, bad, 3], dtype)
    if ids is None:
        return
    good = np.asarray(lookup(np.array([1, 0, 3])))
    for rows in transformed(lookup, ids):
        rows = np.asarray(rows)
        assert np.isnan(rows[1]).all()
        np.testing.assert_array_equal(rows[0], good[0])
        np.testing.assert_array_equal(rows[2], good[2])


@pytest.mark.errors
@everywhere
@pytest.mark.parametrize("bad", (-1, 5, 127, 2**31, 2**40, -(2**63), 2**64 - 1))
def test_known_values_out_of_range_are_refused(lookup, bad):
    dtype = np.uint64 if bad >= 2**63 else np.int64
    name = NAMES.get(lookup, "positions")
    message = rf"{name}\[1\]={bad} must lie in \[0, 5\)"
    with pytest.raises(ValueError, match=message):
        lookup(np.array([0, bad, 9], dtype))  # the first bad one is named
    if -(2**31) <= bad < 2**31:
        with pytest.raises(ValueError, match=message):
            lookup(jnp.array([0, bad, 9], jnp.int32))


@pytest.mark.errors
@everywhere
def test_host_values_are_checked_inside_a_transformation_too(lookup):
    with pytest.raises(ValueError, match=r"\[2\]=7 must lie in \[0, 5\)"):
        jax.jit(lambda: lookup(np.array([0, 1, 7])))()


@pytest.mark.errors
def test_floats_are_refused():
    with refused("token_ids.dtype=float32 must be integer"):
        token(jnp.array([1.0, 2.0], jnp.float32))


@everywhere
def test_eval_shape_raises_nothing(lookup):
    shape = jax.eval_shape(lookup, jax.ShapeDtypeStruct((3,), jnp.int32))
    assert shape.shape == (3, 2)


@pytest.mark.skipif(not jax.config.jax_enable_x64, reason="needs 64-bit mode")
@everywhere
@pytest.mark.parametrize("dtype", (np.int64, np.uint64))
@pytest.mark.parametrize("bad", (2**31, 2**32, 2**32 + 1, 2**40))
def test_traced_64_bit_values_do_not_wrap(lookup, dtype, bad):
    rows = jax.jit(lookup)(jnp.array([1, bad, 3], dtype))
    np.testing.assert_array_equal(np.isnan(rows).all(-1), [False, True, False])


@pytest.mark.skipif(not jax.config.jax_enable_x64, reason="needs 64-bit mode")
def test_a_wrapped_id_is_not_padding():
    params = F.TokenEmbeddingParams(weight=host.asarray(TABLE))
    function = lambda ids: F.apply_token_embedding(
        params, ids, padding_id=1, mask_padding=True
    )
    rows = jax.jit(function)(jnp.array([2**32 + 1, 1]))
    np.testing.assert_array_equal(rows, [[np.nan, np.nan], [0.0, 0.0]])


@pytest.mark.parametrize(
    "params", (F.TokenEmbeddingParams, F.LearnedPositionalEmbeddingParams)
)
@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
def test_nothing_out_of_range_adds_to_a_gradient(params, dtype):
    def rows(table, ids):
        if params is F.TokenEmbeddingParams:
            return F.apply_token_embedding(params(weight=table), ids)
        x = host.zeros((4, 2), dtype)
        return F.apply_learned_positional_embedding(params(weight=table), x, ids)

    @jax.jit
    def gradient(table, ids):
        out, pullback = jax.vjp(lambda table: rows(table, ids), table)
        return pullback(jnp.ones_like(out))[0]  # of the bad rows as well

    actual = gradient(host.asarray(TABLE, dtype), jnp.array([-1, 2, 5, 2]))
    expected = np.zeros_like(TABLE)
    expected[2] = 2.0
    np.testing.assert_array_equal(np.asarray(actual, np.float32), expected)


def test_bounds_past_int32_admit_no_wrapped_position():
    table_len = 2**40
    for ids in (np.array([2**32 + 5, 5]), np.array([2**31])):
        with pytest.raises(ValueError, match=rf"={ids[0]} must lie in \[0, {2**31}\)"):
            F.rope_cos_sin_from_positions(ids, 4, 1e4, table_len)
    with pytest.raises(ValueError, match=rf"start={2**31 - 2} and seq_len=3 must keep"):
        F.apply_positional_encoding(host.asarray(X), start=2**31 - 2, max_len=2**33)
    apply = jax.jit(attnax.PositionalEncoding(table_len, 2))
    rows = apply(host.asarray(X), jnp.asarray(2**31 - 2, jnp.int32))
    np.testing.assert_array_equal(np.isnan(rows).all(-1), [False, False, True])


def test_x_rotated_by_nan_is_nan_and_so_is_its_gradient():
    rope = attnax.RotaryEmbedding(4, SIZE)
    x = host.ones((3, 2, 4))
    loss = lambda x, p: jnp.sum(rope(x, p) ** 2)
    gradient = jax.jit(jax.grad(loss))(x, jnp.array([0, SIZE, 2]))
    np.testing.assert_array_equal(np.isnan(gradient).all((1, 2)), [False, True, False])
