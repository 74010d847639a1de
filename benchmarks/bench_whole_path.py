"""Are cos and sin made once, however many layers rotate queries and keys by them?

The limit makes them in a program of its own, where no layer can make them again. The
layers of transformers are those of Llama under PyTorch.
"""

import jax
import jax.numpy as jnp

import attnax.functional as F

from . import cases
from .model.rotations import by_tables
from .rivals.installed import available
from .rivals.plain_rope import of_a_product
from .rivals.rope import equinox_rotation, transformers_cos_sin
from .timing.harness import Group
from .timing.programs import InTurn, Program, TorchProgram

# Queries and keys of Llama-3-8B; queries of 16 MiB in float32.
SEQ_LEN, NUM_HEADS, NUM_KV_HEADS, HEAD_DIM = 1024, 32, 8, 128


def by_rotation(x, tables):
    """Rotates by the kernel of attnax, with the given cos and sin."""
    cos, sin = (t[:, None, :] for t in tables)
    return F.apply_rope(x, cos, sin)


def layers(count, turn):
    """`count` rotations of queries and keys, a matrix product after each."""

    def function(where, q, k, weight):
        for _ in range(count):
            q, k = turn(q, where) @ weight, turn(k, where) @ weight
        return q, k

    return function


def from_positions(count, make, turn):
    """Cos and sin are made before the layers and handed on."""
    return lambda positions, *args: layers(count, turn)(make(positions), *args)


def transformers_layers(count):
    """Returns the layers of Llama, which make cos and sin before them."""
    from transformers.models.llama import modeling_llama as llama

    embedding = transformers_cos_sin(HEAD_DIM)

    def function(positions, q, k, weight):
        cos, sin = embedding(q, positions[None])
        for _ in range(count):
            q, k = llama.apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=2)
            q, k = q @ weight, k @ weight
        return q, k

    return function


def with_gradients(function):
    """A loss, and its gradients towards queries, keys and the weight."""

    def loss(where, *args):
        turned = (t.astype(jnp.float32) for t in function(where, *args))
        return sum(jnp.mean(t**2) for t in turned)

    return jax.value_and_grad(loss, (1, 2, 3))


def groups(quick):
    seq_len = 16 if quick else SEQ_LEN
    for dtype in (jnp.float32, jnp.bfloat16):
        q, k = (
            cases.normal(seed, (1, seq_len, count, HEAD_DIM), dtype)
            for seed, count in enumerate((NUM_HEADS, NUM_KV_HEADS))
        )
        weight = cases.normal(2, (HEAD_DIM, HEAD_DIM), dtype) / HEAD_DIM**0.5
        for count in (1, 4):
            yield from groups_of(count, jnp.arange(seq_len), (q, k, weight))


def groups_of(count, positions, args):
    inv_freq, rounded = F.default_inv_freq(HEAD_DIM), F.rope_inv_freq(HEAD_DIM)
    rope = F.Rope(inv_freq)
    make = lambda positions: F.rope_cos_sin(positions, inv_freq)
    product = lambda positions: of_a_product(positions, rounded)
    made, ready = Program(make, (positions,)), layers(count, by_rotation)
    tables, args = (make(positions), *args), (positions, *args)

    limit = InTurn((made, Program(ready, tables)))
    attnax = from_positions(count, make, by_rotation)
    theirs = from_positions(count, product, by_tables)
    rivals = {
        "limit": limit,
        "attnax": Program(attnax, args),
        "concatenation": Program(theirs, args),
    }
    rivals["equinox.nn"] = Program(layers(count, equinox_rotation(HEAD_DIM)), args)
    if available("transformers"):
        llama = transformers_layers(count)
        rivals["transformers, eager"] = TorchProgram(llama, args)
        if count > 1:
            rivals["transformers, compiled"] = TorchProgram(llama, args, compiled=True)
    yield group("positions to rotated q and k", count, args, rivals)

    each = layers(count, lambda x, positions: F.rotate(rope, x, positions))
    rivals = {"limit": limit, "attnax": Program(each, args)}
    yield group("rotate in every layer", count, args, rivals)

    if count > 1:
        rivals = {
            "limit": InTurn((made, Program(with_gradients(ready), tables))),
            "attnax": Program(with_gradients(attnax), args),
            "concatenation": Program(with_gradients(theirs), args),
        }
        yield group("positions to gradients", count, args, rivals)


def group(name, count, args, rivals):
    q = args[1]
    return Group(
        f"{name}, {q.dtype.name}, {count} layer{'s' * (count > 1)}",
        "ready cos/sin + one rope_cos_sin",
        rivals,
        1.2,
        {"shape": q.shape, "dtype": q.dtype.name},
    )
