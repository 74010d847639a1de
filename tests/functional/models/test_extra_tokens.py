"""Tokens that are inserted between others."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

D_MODEL = 5


@given(data=st.data(), batch=ax.batches, index=st.integers(0, 3), dtype=ax.dtypes)
def test_inserted_tokens(data, batch, index, dtype):
    x = data.draw(ax.floats((*batch, 3, D_MODEL), dtype))
    tokens = data.draw(ax.floats((2, D_MODEL)))
    actual = jitted(F.insert_tokens)(x, tokens, index=index)
    assert actual.shape == (*batch, 5, D_MODEL)
    assert_same_bits(np.delete(actual, [index, index + 1], axis=-2), x)
    for place in (0, 1):
        row = np.asarray(tokens)[place].astype(dtype)
        row = np.broadcast_to(row, (*batch, D_MODEL))
        assert_same_bits(np.asarray(actual)[..., index + place, :], row)


@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float32))
def test_gradients_of_inserted_tokens_are_added_up_in_float32(dtype):
    x, tokens = host.zeros((65_536, 1, 2), jnp.bfloat16), host.zeros((1, 2), dtype)
    insert = lambda t: F.insert_tokens(x, t).astype(jnp.float32).sum()
    assert jax.jit(jax.grad(insert))(tokens).astype(float).tolist() == [[65_536.0] * 2]


@pytest.mark.errors
def test_tokens_must_fit_where_they_are_inserted():
    with refused(r"x.shape=\(3, 4\) must be .* tokens.shape=\(2, 5\)"):
        F.insert_tokens(host.ones((3, 4)), host.ones((2, 5)))
    for index in (-1, 4):
        with pytest.raises(
            ValueError, match=rf"index={index} must be an integer in \[0, 3\]"
        ):
            F.insert_tokens(host.ones((3, 4)), host.ones((2, 4)), index=index)
