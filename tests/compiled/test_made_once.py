"""Cos and sin are made once: for all layers, heads, queries and keys, both ways."""

import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from programs import compiled, cosines, loop_bodies, phase_multiplications, phases

import attnax
import attnax.functional as F


def reorderings(text):
    """Gathers, which put the pairs of several axes in order, and what follows them."""
    # Consumers would not take in the gather itself but the transposition after it.
    return len(re.findall(r" (?:gather|transpose)\(", text))


WEIGHT = np.eye(64)


def layers(count, layout="half"):
    def function(x, positions, weight):
        cos, sin = F.rope_cos_sin(positions, F.default_inv_freq(x.shape[-1]))
        cos, sin = cos[:, None, :], sin[:, None, :]
        for _ in range(count):
            x = F.apply_rope(x, cos, sin, layout=layout) @ weight
        return x

    return function


@pytest.mark.parametrize("layout", ("half", "interleaved"))
def test_cos_and_sin_are_made_once_for_all_layers_and_heads(layout):
    positions = np.arange(32)
    counts = {
        phase_multiplications(
            layers(count, layout), np.ones((32, heads, 64)), positions, WEIGHT
        )
        for count, heads in ((1, 1), (3, 8))
    }
    alone = phase_multiplications(
        lambda p: F.rope_cos_sin(p, F.default_inv_freq(64)), positions
    )
    assert counts == {alone}
    assert alone > 0


def test_made_once_under_vmap_and_in_the_backward_pass():
    positions = np.arange(64).reshape(2, 32)
    alone = phase_multiplications(
        lambda p: F.rope_cos_sin(p, F.default_inv_freq(64)), positions
    )
    mapped = jax.vmap(layers(2), (0, 0, None))
    x = np.ones((2, 32, 8, 64))
    assert phase_multiplications(mapped, x, positions, WEIGHT) == alone
    gradient = jax.grad(lambda *a: jnp.sum(mapped(*a) ** 2))
    assert phase_multiplications(gradient, x, positions, WEIGHT) == alone


# One axis; three, whose pairs are put in order; and two in blocks.
ROPES = {
    "one": F.Rope(F.default_inv_freq(64), attention_factor=1.25),
    "three": F.Rope(
        F.default_inv_freq(64),
        "interleaved_to_half",
        axis_of_pair=F.strided_axes((12, 10, 10), 32),
    ),
    "blocks": F.Rope(
        F.default_inv_freq(64),
        axis_of_pair=F.alternating_axes((8, 8, 16)),
        num_blocks=2,
    ),
}


def rotating_layers(rope, count):
    """Layers that each rotate by the positions themselves."""

    def function(x, positions, weight):
        for _ in range(count):
            x = F.rotate(rope, x, positions) @ weight
        return x

    return function


@pytest.mark.parametrize("name", ROPES)
def test_layers_that_rotate_by_positions_share_cos_and_sin(name):
    """However many layers, heads and gradients: phases once, put in order once."""
    rope = ROPES[name]
    several = rope.axis_of_pair is not None
    positions = np.zeros((32, 3) if several else (32,), np.int32)
    text = compiled(lambda p: F.rotary_cos_sin(rope, p), positions).as_text()
    alone, in_order = phases(text), reorderings(text)
    assert alone > 0
    assert (in_order > 0) == several
    gradient = jax.grad(lambda *args: jnp.sum(rotating_layers(rope, 2)(*args) ** 2))
    for function, heads in (
        (rotating_layers(rope, 1), 1),
        (rotating_layers(rope, 2), 8),
        (gradient, 3),
    ):
        args = np.ones((32, heads, 64)), positions, WEIGHT
        text = compiled(function, *args).as_text()
        assert phases(text) == alone
        assert reorderings(text) == in_order


def test_ropes_selected_by_layer_are_made_outside_the_scan():
    ropes = ROPES["one"], F.Rope(F.default_inv_freq(64, 1e6))

    def function(x, positions, kinds):
        made = [F.rotary_cos_sin(rope, positions) for rope in ropes]
        cos, sin = (jnp.stack(t) for t in zip(*made, strict=True))
        layer = lambda x, kind: (F.apply_rotary(ropes[0], x, cos[kind], sin[kind]), 0)
        return lax.scan(layer, x, kinds)[0]

    args = np.ones((32, 8, 64)), np.arange(32), np.array([0, 0, 1, 0, 0, 1])
    assert phase_multiplications(function, *args) == 2 * ALONE


def test_sinusoids_are_made_once_for_the_batch():
    alone = phase_multiplications(lambda p: F.sinusoids(p, 64), np.arange(32))
    batched = phase_multiplications(F.apply_positional_encoding, np.ones((8, 32, 64)))
    assert batched == alone


def test_learned_frequencies_are_not_made_again_either():
    def function(x, frequencies):
        cos, sin = F.rope_cos_sin(host.arange(32), frequencies, numerics="float32")
        for _ in range(4):
            x = F.apply_rope(x, cos[:, None], sin[:, None]) @ jnp.eye(64)
        return x

    assert cosines(function, np.ones((32, 8, 64)), np.ones(32)) == 1


# Attention of two layers or more: queries of eight heads, keys of two.
ATTENTION = np.ones((32, 8, 64)), np.ones((32, 2, 64)), WEIGHT
ROPE = ROPES["one"]
ALONE = phase_multiplications(lambda p: F.rotary_cos_sin(ROPE, p), np.arange(32))


def loss(rotate, count, wrap=lambda layer: layer):
    """Returns the loss of `count` layers, each wrapped; `rotate` gets the rest."""

    def layer(q, k, weight, *args):
        return tuple(jnp.tanh(rotate(x, *args) @ weight) for x in (q, k))

    def function(q, k, weight, *args):
        for _ in range(count):
            q, k = wrap(layer)(q, k, weight, *args)
        return jnp.sum(q**2) + jnp.sum(k**2)

    return function


def above(function):
    """Makes cos and sin of positions once, above all layers of `function`."""
    return lambda q, k, weight, positions: function(
        q, k, weight, *F.rotary_cos_sin(ROPE, positions)
    )


def by_cos_sin(x, cos, sin):
    return F.apply_rotary(ROPE, x, cos, sin)


def by_positions(x, positions):
    return F.rotate(ROPE, x, positions)


def gradient(function):
    return jax.grad(function, argnums=(0, 1, 2))


REMAT = {
    "all": jax.checkpoint,
    "dots": lambda f: jax.checkpoint(f, policy=jax.checkpoint_policies.dots_saveable),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REMAT)
def test_layers_made_again_do_not_make_cos_and_sin_again(name):
    """Values made above `jax.checkpoint` are kept, whatever is made again below."""
    function = above(loss(by_cos_sin, 2, REMAT[name]))
    args = *ATTENTION, np.arange(32)
    assert phase_multiplications(function, *args) == ALONE
    assert phase_multiplications(gradient(function), *args) == ALONE


@pytest.mark.slow
@pytest.mark.parametrize("name", REMAT)
def test_layers_that_make_cos_and_sin_make_them_again_in_the_backward_pass(name):
    """Once forward for all layers; backward at most once for each array rotated.

    Jax 0.10 makes them once more for all; 0.12 does not see that layers are alike.
    """
    count = 2
    function = loss(by_positions, count, REMAT[name])
    args = *ATTENTION, np.arange(32)
    assert phase_multiplications(function, *args) == ALONE
    again = phase_multiplications(gradient(function), *args) - ALONE
    assert ALONE <= again <= 2 * count * ALONE


def in_loops(function, *args):
    """Multiplications of the phase: all of them, and those inside of loops."""
    program = compiled(function, *args)
    return phases(program.as_text()), sum(map(phases, loop_bodies(program)))


SCANS = (None, *(pytest.param(name, marks=pytest.mark.slow) for name in REMAT))


@pytest.mark.parametrize("name", SCANS)
def test_a_scan_over_layers_makes_none(name):
    """Above the scan they are made before it, and not by each layer."""
    wrap = REMAT.get(name, lambda layer: layer)

    def function(q, k, weights, positions):
        cos, sin = F.rotary_cos_sin(ROPE, positions)

        def layer(qk, weight):
            return tuple(jnp.tanh(by_cos_sin(x, cos, sin) @ weight) for x in qk), None

        q, k = lax.scan(wrap(layer), (q, k), weights)[0]
        return jnp.sum(q**2) + jnp.sum(k**2)

    args = *ATTENTION[:2], np.stack([WEIGHT] * 5), np.arange(32)
    assert in_loops(function, *args) == (ALONE, 0)
    assert in_loops(gradient(function), *args) == (ALONE, 0)


@pytest.mark.parametrize("name", SCANS)
def test_a_scan_over_layers_that_rotate_by_positions_makes_them_once(name):
    """The positions are those of all layers, so that they are made before the scan."""
    wrap = REMAT.get(name, lambda layer: layer)

    def function(q, k, weights, positions):
        def layer(qk, weight):
            q, k = (jnp.tanh(F.rotate(ROPE, x, positions) @ weight) for x in qk)
            return (q, k), None

        q, k = lax.scan(wrap(layer), (q, k), weights)[0]
        return jnp.sum(q**2) + jnp.sum(k**2)

    args = *ATTENTION[:2], np.stack([WEIGHT] * 5), np.arange(32)
    assert phase_multiplications(function, *args) == ALONE
    # What `jax.checkpoint` makes again stands in the backward loop, at most once for
    # queries and once for keys.
    again = phase_multiplications(gradient(function), *args) - ALONE
    assert again <= (0 if name is None else 2 * ALONE)


def test_stacked_ropes_make_them_once_in_each_layer():
    """Words differ by layer: they are made in the scan, once for queries and keys."""
    stack = F.stack_ropes([ROPE, F.Rope(F.default_inv_freq(64, 1e6)), ROPE])

    def function(q, k, weight, positions):
        def layer(qk, rope):
            return tuple(F.rotate(rope, x, positions) @ weight for x in qk), None

        return lax.scan(layer, (q, k), stack)[0]

    # int64 is narrowed by each call, before the loop: XLA does not see the same array.
    positions = np.arange(32, dtype=np.int32)
    assert in_loops(function, *ATTENTION, positions) == (ALONE, ALONE)


@pytest.mark.slow
def test_a_decode_step_makes_them_once_for_all_layers():
    q, k, position = np.ones((4, 1, 8, 64)), np.ones((4, 1, 2, 64)), np.asarray(9)
    alone = phase_multiplications(lambda p: F.rotary_cos_sin(ROPE, p[None]), position)

    def step(rotate, q, k, *args):
        for _ in range(2):
            q, k = (rotate(x, *args) @ WEIGHT for x in (q, k))
        return q, k

    by_table = lambda q, k, i: step(by_cos_sin, q, k, *F.rotary_cos_sin(ROPE, i[None]))
    by_position = lambda q, k, i: step(by_positions, q, k, i[None])
    for function in (by_table, by_position):
        assert phase_multiplications(function, q, k, position) == alone

    def loop(function):
        body = lambda carry, _: ((*function(*carry), carry[2] + 1), None)
        return lambda *args: lax.scan(body, args, length=7)[0]

    assert in_loops(loop(by_table), q, k, position) == (alone, alone)
    assert in_loops(loop(by_position), q, k, position) == (alone, alone)


@pytest.mark.parametrize("given", (False, True))
def test_modules_of_layers_share_cos_and_sin(given):
    """Each layer has a module of its own, and calls it for queries and for keys."""
    plain = F.Rope(F.default_inv_freq(64))
    of_a_record = attnax.RotaryEmbedding.from_rope(plain, max_positions=4096)
    modules = [attnax.RotaryEmbedding(64, 4096), of_a_record]

    def function(q, k, weight, positions):
        for module in modules:
            q, k = (
                jnp.tanh(module(x, positions if given else None) @ weight)
                for x in (q, k)
            )
        return jnp.sum(q**2) + jnp.sum(k**2)

    args = *ATTENTION, np.arange(32)
    assert phase_multiplications(function, *args) == ALONE
    assert phase_multiplications(gradient(function), *args) == ALONE


@pytest.mark.slow
def test_modules_of_two_stacks_share_their_sinusoids():
    """An encoder and a decoder of one length; forward, backward and one token."""
    first, second = (attnax.PositionalEncoding(4096, 64) for _ in range(2))

    def function(x, y, weight, start):
        x, y = first(x, start) @ weight, second(y, start) @ weight
        return jnp.sum(x**2) + jnp.sum(y**2)

    for seq_len in (32, 1):
        alone = phase_multiplications(lambda p: F.sinusoids(p, 64), np.arange(seq_len))
        args = *(np.ones((b, seq_len, 64)) for b in (8, 2)), WEIGHT, np.asarray(3)
        assert phase_multiplications(function, *args) == alone
        assert phase_multiplications(gradient(function), *args) == alone


@pytest.mark.slow
@pytest.mark.parametrize("wrap", (lambda layer: layer, jax.checkpoint))
def test_gradients_of_learned_frequencies_make_none_again(wrap):
    """The gradient of a cosine is the sine that is there."""

    def function(q, k, weight, frequencies):
        made = F.rope_cos_sin(host.arange(32), frequencies, numerics="float32")
        return loss(by_cos_sin, 2, wrap)(q, k, weight, *made)

    args = *ATTENTION, np.ones(32)
    assert cosines(function, *args) == 1
    assert cosines(jax.grad(function, argnums=(0, 1, 2, 3)), *args) == 1


def test_mixed_ropes_make_them_once_for_all_heads():
    params = F.MixedRopeParams(host.ones((2, 8, 32)))

    def function(q, k, weight, positions):
        q, k = (F.apply_mixed_rope(params, x, positions) @ weight for x in (q, k))
        return jnp.sum(q**2) + jnp.sum(k**2)

    x = np.ones((32, 8, 64))
    args = x, x, WEIGHT, np.ones((32, 2))
    assert cosines(function, *args) == cosines(gradient(function), *args) == 1
