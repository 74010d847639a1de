"""The largest logits by chunks: those of all logits, ties and NaN included."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from head_oracles import draw_head, head_logits
from helpers import jitted, refused, slow

import attnax.functional as F

argmax_of = jitted(F.unembedding_argmax)
top_k_of = jitted(F.unembedding_top_k)


def expected_top_k(logits, k):
    """Sorted on the host: equal logits by their ids."""
    ids = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(logits, ids, -1), ids


@pytest.mark.device
@pytest.mark.parametrize(
    "sizes", ((10, 50, 12), *slow((1, 53, 3), (53, 53, 53), (100, 9, 1))), ids=str
)
def test_the_largest_logits(sizes):
    chunk_size, valid, k = sizes
    weight, hidden, _, bias, _ = draw_head(53, 6, (2, 5))
    options = {"logit_scale": 0.5, "soft_cap": 3.0}
    logits, _ = head_logits(weight[:valid], hidden, bias[:valid], **options)
    options |= {"bias": bias, "valid_vocab_size": valid, "precision": "highest"}
    values, ids = top_k_of(weight, hidden, k, chunk_size=chunk_size, **options)
    wanted, wanted_ids = expected_top_k(logits, k)
    assert (values.dtype, ids.dtype) == (jnp.float32, jnp.int32)
    np.testing.assert_array_equal(ids, wanted_ids)
    # Ten roundings of products of 6 in all, and a few of tanh.
    np.testing.assert_allclose(values, wanted, rtol=0, atol=20 * 2.0**-24 * 6)
    first = argmax_of(weight, hidden, chunk_size=chunk_size, **options)
    assert first.dtype == jnp.int32
    np.testing.assert_array_equal(first, wanted_ids[..., 0])


# Whole numbers, which every product has exactly: many are equal, in many chunks.
WHOLE = np.random.default_rng(0).integers(-2, 3, (53, 2)).astype(np.float32)
STATES = np.array([[1, 0], [0, 1], [0, 0], [-1, 2], [3, 1]], np.float32)


@pytest.mark.device
@pytest.mark.parametrize("chunk_size", (10, *slow(1, 53)))
@pytest.mark.parametrize("ruled_out", (0, *slow(50)))
def test_ties_are_those_of_jax(chunk_size, ruled_out):
    """-inf is a logit too, and ties with nothing that is no token."""
    bias = np.zeros(53, np.float32)
    bias[53 - ruled_out :] = -np.inf
    logits = jnp.asarray(STATES @ WHOLE.T + bias)
    values, ids = top_k_of(WHOLE, STATES, 20, chunk_size=chunk_size, bias=bias)
    for actual, expected in zip((values, ids), jax.lax.top_k(logits, 20), strict=True):
        np.testing.assert_array_equal(actual, expected)
    actual = argmax_of(WHOLE, STATES, chunk_size=chunk_size, bias=bias)
    np.testing.assert_array_equal(actual, jnp.argmax(logits, axis=-1))


def test_nan_comes_first():
    weight = np.array([[1.0], [np.nan], [3.0], [np.nan], [5.0]], np.float32)
    actual = argmax_of(weight, np.ones((2, 1), np.float32), chunk_size=2)
    np.testing.assert_array_equal(actual, 1)


def test_one_of_the_largest_is_the_first_of_several():
    """In the order of `jax.lax.top_k`, which tells the sign of NaN."""
    weight = np.array([[1.0], [-np.nan], [3.0], [np.nan], [5.0]], np.float32)
    ones = np.ones((2, 1), np.float32)
    ids = [top_k_of(weight, ones, k, chunk_size=2)[1][..., 0] for k in (1, 3)]
    np.testing.assert_array_equal(*ids)


def test_a_soft_cap_makes_large_logits_equal():
    weight = np.array([[1.0], [900.0], [999.0], [2.0]], np.float32)
    options = {"chunk_size": 1, "soft_cap": 3.0}
    actual = argmax_of(weight, np.ones((1, 1), np.float32), **options)
    np.testing.assert_array_equal(actual, 1)


def test_16_bit_logits_are_compared_before_they_are_rounded():
    """Both are 257 in bfloat16."""
    weight = np.array([[1.0, 1.0], [1.0, 1.0078125]], jnp.bfloat16)
    hidden = np.array([[1.0, 256.0]], jnp.bfloat16)
    np.testing.assert_array_equal(argmax_of(weight, hidden, chunk_size=1), 1)


@pytest.mark.slow
def test_values_have_a_gradient():
    weight, hidden, _, _, _ = draw_head(23, 4, (3,))

    @jax.jit
    def both(hidden):
        chunked = lambda x: F.unembedding_top_k(weight, x, 2, chunk_size=5)[0]
        plain = lambda x: jax.lax.top_k(x @ weight.T, 2)[0]
        return [jax.jacrev(f)(hidden) for f in (chunked, plain)]

    np.testing.assert_array_equal(*both(hidden))


def test_batch_is_vmap():
    weight, hidden, _, _, _ = draw_head(53, 6, (3, 5))
    top_k = functools.partial(F.unembedding_top_k, k=4, chunk_size=10)
    mapped = jax.jit(jax.vmap(top_k, (None, 0)))(weight, hidden)
    for actual, expected in zip(
        mapped, top_k_of(weight, hidden, 4, chunk_size=10), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=7 * 2.0**-24 * 6)


@pytest.mark.errors
def test_what_is_refused():
    weight, hidden, _, _, _ = draw_head(5, 4, (3,))
    for k in (0, 6):
        with pytest.raises(ValueError, match=rf"k={k} must be an integer in \[1, 5\]"):
            F.unembedding_top_k(weight, hidden, k, chunk_size=2)
    with pytest.raises(ValueError, match=r"k=5 must be an integer in \[1, 4\]"):
        F.unembedding_top_k(weight, hidden, 5, chunk_size=2, valid_vocab_size=4)
    for function in (
        F.unembedding_argmax,
        functools.partial(F.unembedding_top_k, k=2),
    ):
        with pytest.raises(ValueError, match="chunk_size=0 must be a positive integer"):
            function(weight, hidden, chunk_size=0)
        with refused(r"hidden.shape=\(3, 3\) must end in the width of weight.shape="):
            function(weight, hidden[:, :3], chunk_size=2)
