"""A loss without logits: no array of them, and no memory that grows with the table."""

import math
import re

import jax
import jax.numpy as jnp
import pytest
from helpers import slow
from programs import array_sizes, compiled, loop_bodies

import attnax.functional as F
from benchmarks.head_memory import LOSSES, temporary_mib
from benchmarks.rivals.head import gradients as gradients_of

TOKENS, WIDTH, CHUNK = 256, 64, 512
JAX = tuple(int(part) for part in jax.__version__.split(".")[:2])


def loss(weight, hidden, targets):
    return F.unembedding_cross_entropy(weight, hidden, targets, chunk_size=CHUNK)


def gradients(weight, hidden, targets):
    return jax.grad(lambda *args: loss(*args, targets).sum(), (0, 1))(weight, hidden)


def arguments(vocab_size, of_table, of_hidden):
    return (
        jax.ShapeDtypeStruct((vocab_size, WIDTH), of_table),
        jax.ShapeDtypeStruct((TOKENS, WIDTH), of_hidden),
        jax.ShapeDtypeStruct((TOKENS,), jnp.int32),
    )


def temporaries(function, *args):
    return compiled(function, *args).memory_analysis().temp_size_in_bytes


def gradients_by(logits_of):
    """The gradients of the same loss by all logits at once."""

    def total(weight, hidden, targets):
        logits = logits_of(weight, hidden)
        own = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        return jnp.sum(jax.nn.logsumexp(logits, axis=-1) - own)

    return lambda w, x, t: jax.grad(lambda *args: total(*args, t), (0, 1))(w, x)


def plain_logits(weight, hidden):
    params = F.TokenEmbeddingParams(weight)
    return F.apply_token_unembedding(params, hidden, dtype=jnp.float32)


# The last chunk overlaps another where the vocabulary is no multiple.
@pytest.mark.parametrize("rest", (0, *slow(-7)))
@pytest.mark.parametrize(
    "dtypes",
    (
        (jnp.float32, jnp.float32),
        *slow((jnp.float32, jnp.bfloat16), (jnp.bfloat16, jnp.bfloat16)),
    ),
    ids=str,
)
def test_memory_does_not_grow_with_the_vocabulary(dtypes, rest):
    copies = 0
    if dtypes[0] == jnp.bfloat16:
        if JAX < (0, 12):
            pytest.skip("XLA's CPU backend widened the whole table before the loop.")
        copies = rest != 0  # of the gradient, whose last chunk overlaps another
    small, large = (arguments(n * CHUNK + rest, *dtypes) for n in (8, 32))
    for function in (loss, gradients):
        of_small, of_large = (temporaries(function, *args) for args in (small, large))
        more = copies * (large[0].size - small[0].size) * 2
        assert of_large <= of_small + more + 4096  # how buffers are aligned
    # Chunks of logits in both directions, and rows and hidden states in float32.
    chunks = TOKENS * CHUNK * 4
    own = 2 * chunks + 4 * WIDTH * (2 * CHUNK + 4 * TOKENS)
    assert of_large <= own + copies * large[0].size * 2
    plain = temporaries(gradients_by(plain_logits), *large)
    assert of_large <= plain / 8


@pytest.mark.slow
@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16), ids=str)
def test_memory_of_a_large_head_is_an_eighth(dtype):
    """8192 tokens, 131,072 rows of 1024, as in the table of the documentation."""
    if dtype == jnp.bfloat16 and JAX < (0, 12):
        pytest.skip("XLA's CPU backend widened the whole table before the loop.")
    by_chunks, by_logits = LOSSES.values()
    for of in (lambda loss: loss, gradients_of):
        made = temporary_mib(of(by_chunks), 131_072, dtype)
        assert made <= temporary_mib(of(by_logits), 131_072, dtype) / 8
        assert made == temporary_mib(of(by_chunks), 262_144, dtype)


def test_no_array_has_the_logits_of_all_tokens():
    args = arguments(8 * CHUNK, jnp.float32, jnp.float32)
    largest = max(math.prod(x.shape) for x in args)
    for function in (loss, gradients):
        sizes = list(array_sizes(jax.make_jaxpr(function)(*args).jaxpr))
        assert max(sizes) <= largest


@pytest.mark.parametrize("rest", (-7, *slow(0)))
def test_a_chunk_of_a_16_bit_gradient_is_not_added_to_a_whole_table(rest):
    """The time of a step grew with the rows of the table times the chunks."""
    args = arguments(8 * CHUNK + rest, jnp.bfloat16, jnp.bfloat16)
    bodies = loop_bodies(compiled(gradients, *args))
    assert len(bodies) > 2
    table = rf"= \w+\[({8 * CHUNK + rest}|{8 * CHUNK}),{WIDTH}\]\S* (add|convert)\("
    for body in bodies:
        assert not re.search(table, body)
