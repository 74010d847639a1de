"""What share of a whole step do embeddings and rotations have, and does it show?

The limit is the step of the same decoder without rotations and with its embeddings
given. Embeddings alone and rotations alone, forward and backward, are programs of their
own: their ratios are their shares, up to what a whole step makes in one kernel.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from . import cases
from .model.attention import Sizes, decode, heads_of
from .model.decoder import decode_step, given, init_caches, init_params, training_step
from .model.rotations import (
    Rotation,
    alone_in_decode,
    alone_with_gradients,
    no_rotation,
    rotations,
)
from .rivals.lookup import gather, lookup
from .timing.harness import Group
from .timing.programs import Program

NUM_LAYERS = 4
SIZES, VOCAB_SIZE, HIDDEN = Sizes(512, 8, 2, 64), 32_000, 1408
BATCH, CACHE_LEN, TOKENS = 8, 512, 8
QUICK = Sizes(32, 2, 1, 16), 100, 48


def ways(head_dim, positions, ids, rows):
    """How each rival embeds and rotates, and of what."""
    rotation = rotations(head_dim, positions)
    return {
        "limit": (given, rows, Rotation(no_rotation, positions)),
        "attnax": (lookup, ids, rotation["attnax"]),
        "attnax, plain lookup": (gather, ids, rotation["attnax"]),
        "concatenation, plain lookup": (gather, ids, rotation["concatenation"]),
    }


def embedding_with_gradient(table, ids, cotangent):
    rows, pullback = jax.vjp(lambda table: lookup(table, ids), table)
    return rows, pullback(cotangent)


def embeddings_in_decode(table, ids):
    return lax.map(partial(lookup, table), ids)


def heads_of_layers(*args):
    """Queries and keys of every layer, in turn."""
    return [x for layer in range(NUM_LAYERS) for x in heads_of(*args, 2 * layer)]


def groups(quick):
    for dtype in (jnp.float32, jnp.bfloat16):
        sizes, vocab_size, hidden = QUICK if quick else (SIZES, VOCAB_SIZE, HIDDEN)
        params = init_params(sizes, NUM_LAYERS, vocab_size, hidden, dtype)
        yield training_group(params, sizes, 16 if quick else 512)
        yield decode_group(params, sizes, 2 * TOKENS if quick else CACHE_LEN)


def training_group(params, sizes, seq_len):
    table, dtype = params.table, params.table.dtype
    positions = jnp.arange(seq_len)
    ids, targets = (
        jax.random.randint(jax.random.key(i), (1, seq_len), 0, len(table))
        for i in (0, 1)
    )
    all_ways = ways(sizes.head_dim, positions, ids, table[ids])
    rivals = {
        name: Program(training_step(embed, turn), (params, inputs, targets, where))
        for name, (embed, inputs, (turn, where)) in all_ways.items()
    }
    turn, where = all_ways["attnax"][2]
    xs = heads_of_layers(sizes, 1, seq_len, dtype)
    cotangent = cases.normal(2, (*ids.shape, sizes.d_model), dtype)
    rivals |= {
        "attnax, embeddings alone": Program(
            embedding_with_gradient, (table, ids, cotangent)
        ),
        "attnax, rotations alone": Program(alone_with_gradients(turn), (xs, where, xs)),
    }
    return group(f"step of training, {seq_len} tokens", rivals, table)


def decode_group(params, sizes, cache_len):
    table, dtype = params.table, params.table.dtype
    positions = cache_len - TOKENS + jnp.arange(TOKENS)
    ids = jax.random.randint(jax.random.key(0), (TOKENS, BATCH, 1), 0, len(table))
    caches = init_caches(sizes, NUM_LAYERS, BATCH, cache_len, dtype)
    all_ways = ways(sizes.head_dim, positions, ids, table[ids])
    rivals = {
        name: Program(
            decode(decode_step(embed, turn)), (params, caches, inputs, positions, where)
        )
        for name, (embed, inputs, (turn, where)) in all_ways.items()
    }
    turn, where = all_ways["attnax"][2]
    xs = heads_of_layers(sizes, BATCH, 1, dtype)
    rivals |= {
        "attnax, embeddings alone": Program(embeddings_in_decode, (table, ids)),
        "attnax, rotations alone": Program(alone_in_decode(turn), (xs, where)),
    }
    name = f"{TOKENS} tokens one by one, batch {BATCH}, cache of {cache_len}"
    return group(name, rivals, table)


def group(name, rivals, table):
    dtype, vocab_size = table.dtype.name, len(table)
    size = f"decoder of {NUM_LAYERS} layers, vocabulary of {vocab_size}"
    # The logits are above it even where the table is narrow.
    above = " (above 32 MiB)" * (vocab_size == VOCAB_SIZE)
    return Group(
        f"{size}{above}, {dtype}, {name}",
        "no rotation, embeddings given",
        rivals,
        meta={"shape": table.shape, "dtype": dtype},
    )
