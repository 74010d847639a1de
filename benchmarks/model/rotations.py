"""Ways to rotate the queries and keys of a model, and these rotations on their own."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from jax import lax

import attnax.functional as F

from ..rivals.plain_rope import concatenation, of_a_product


class Rotation(NamedTuple):
    """`turn(x, where)` rotates `x`, `(batch, seq_len, num_heads, head_dim)`.

    `where` is what it reads, an argument of every program: positions, or their cos and
    sin. The first axis of each of its arrays is that of the sequence.
    """

    turn: Callable
    where: Any


def no_rotation(x, where):
    """Returns `x` as it is, in place of a rotation."""
    return x


def by_tables(x, tables):
    """Rotates by the concatenation, with the given cos and sin."""
    cos, sin = (t[:, None, :] for t in tables)
    return concatenation(x, cos, sin, "half")


def by_product(inv_freq, x, positions):
    """Rotates by the concatenation, with cos and sin of a float32 product."""
    return by_tables(x, of_a_product(positions, inv_freq))


def rotations(head_dim, positions) -> dict[str, Rotation]:
    """Returns the rotations that start at any position.

    The concatenation is given exact cos and sin.
    """
    inv_freq = F.default_inv_freq(head_dim)
    rope = F.Rope(inv_freq)
    inside = partial(by_product, F.rope_inv_freq(head_dim))
    return {
        "attnax": Rotation(lambda x, at: F.rotate(rope, x, at), positions),
        "concatenation": Rotation(by_tables, F.rope_cos_sin(positions, inv_freq)),
        "concatenation, cos/sin of a product inside": Rotation(inside, positions),
    }


def alone(turn):
    """The rotations of a forward pass: `xs` holds queries and keys of each layer."""

    def forward(xs, where):
        return [turn(x, where) for x in xs]

    return forward


def alone_with_gradients(turn):
    """The rotations of a forward pass and of its backward pass."""

    def both(xs, where, cotangents):
        out, pullback = jax.vjp(lambda xs: alone(turn)(xs, where), xs)
        return out, pullback(cotangents)

    return both


def alone_in_decode(turn):
    """The rotations of one token after the other."""

    def function(xs, where):
        step = lambda xs, where: (alone(turn)(xs, one_token(where)), None)
        return lax.scan(step, xs, where)[0]

    return function


def one_token(where):
    """Returns what a rotation reads for the one token of a decode step."""
    return jax.tree.map(lambda t: t[None], where)
