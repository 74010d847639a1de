import dataclasses
import functools
import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, refused, slow
from jax import lax
from ropes import BASE, PLAIN, POSITIONS, X

import attnax.functional as F
from attnax.functional._angles.phase import phase_words
from attnax.interop import ropes_from_hf

# Ropes of one kind, as a model with local and global layers has them.
LAYERS = (
    F.Rope(PLAIN, "interleaved_to_half", rotary_start="trailing"),
    F.Rope(
        F.linear_inv_freq(8, 1e6, factor=8.0),
        "interleaved_to_half",
        rotary_start="trailing",
        attention_factor=1.25,
    ),
    F.Rope(-PLAIN, "interleaved_to_half", rotary_start="trailing"),
)
STACK = F.stack_ropes(LAYERS)
FLAT = POSITIONS[:, 0]  # one number for each token


def paths(rope, x, positions):
    """All that a rope is for, its inverse aside."""
    cos, sin = F.rotary_cos_sin(rope, positions)
    return (
        *(cos, sin),
        F.apply_rotary(rope, x, cos, sin),
        F.rotate(rope, x.astype(jnp.bfloat16), positions),
        F.rerotate(rope, x, positions - 9),
    )


@functools.cache
def one_by_one():
    """A compiled program for each rope."""
    results = [jax.jit(paths)(rope, X, FLAT) for rope in LAYERS]
    return [np.stack(parts) for parts in zip(*results, strict=True)]


def test_scanning_over_a_stack_equals_the_ropes_one_by_one():
    step = lambda carry, rope: (carry, paths(rope, X, FLAT))
    _, scanned = jax.jit(lambda stack: lax.scan(step, None, stack))(STACK)
    for actual, expected in zip(scanned, one_by_one(), strict=True):
        assert_same_bits(actual, expected)


def test_mapping_over_a_stack_equals_the_ropes_one_by_one():
    mapped = jax.jit(jax.vmap(paths, (0, None, None)))(STACK, X, FLAT)
    for actual, expected in zip(mapped, one_by_one(), strict=True):
        assert_same_bits(actual, expected)


def test_an_element_of_a_stack_equals_its_rope():
    pick = jax.jit(lambda stack, i: paths(jax.tree.map(lambda t: t[i], stack), X, FLAT))
    for i in range(len(LAYERS)):
        for actual, expected in zip(pick(STACK, i), one_by_one(), strict=True):
            assert_same_bits(actual, expected[i])
    eager = paths(jax.tree.map(lambda t: t[1], STACK), X, FLAT)
    for actual, expected in zip(eager, one_by_one(), strict=True):
        assert_same_bits(actual, expected[1])


def test_an_element_of_a_stack_of_numpy_arrays_is_a_rope():
    stack = jax.tree.map(np.asarray, STACK)
    element = jax.tree.map(lambda t: t[1], stack)
    assert isinstance(element.attention_factor, np.float32)
    assert_same_bits(F.rotate(element, X, FLAT), F.rotate(LAYERS[1], X, FLAT))


def test_ready_cos_and_sin_selected_by_layer_equal_the_ropes():
    """The form for few ropes and many layers: they are made once, outside the scan."""
    kinds = jnp.array([0, 0, 1, 2, 1])

    @jax.jit
    def function(x, positions):
        cos_sin = [F.rotary_cos_sin(rope, positions) for rope in LAYERS]
        cos, sin = (jnp.stack(t) for t in zip(*cos_sin, strict=True))

        def layer(carry, kind):
            # The ropes of the layers differ in what is in cos and sin already.
            return carry, F.apply_rotary(LAYERS[0], x, cos[kind], sin[kind])

        return lax.scan(layer, None, kinds)[1]

    rotated = one_by_one()[2]
    assert_same_bits(function(X, FLAT), rotated[kinds])


def test_the_inverse_of_a_stacked_rope():
    function = jax.jit(
        lambda stack: F.rotate(stack, F.rotate(stack, X, FLAT), FLAT, inverse=True)
    )
    for i in range(len(LAYERS)):
        back = function(jax.tree.map(lambda t, i=i: t[i], STACK))
        magnitude = 1.0 + float(jnp.linalg.norm(X, axis=-1).max())
        assert_close(back, np.asarray(X, np.float64), magnitude=magnitude)


def test_a_stack_of_several_axes_blocks_and_layouts():
    for change in ({"num_blocks": 2}, {"layout": "interleaved"}):
        ropes = [
            F.Rope(**{**BASE, **change, "inv_freq": PLAIN / n}) for n in (1.0, 3.0)
        ]
        step = lambda carry, rope: (carry, F.rotate(rope, X, POSITIONS))
        _, scanned = lax.scan(step, None, F.stack_ropes(ropes))
        for actual, rope in zip(scanned, ropes, strict=True):
            assert_same_bits(actual, F.rotate(rope, X, POSITIONS))


@pytest.mark.parametrize(
    "change",
    (
        {"axis_of_pair": None, "num_axes": None},
        *slow({"num_blocks": 2, "rotary_start": 2}, {"layout": "interleaved"}),
    ),
    ids=str,
)
def test_none_in_a_stack_stands_still(change):
    """At every position, with whatever factor and bits the others have."""
    rope = F.Rope(**{**BASE, **change, "attention_factor": 1.25})
    stack = F.stack_ropes([None, rope, None])
    far = np.array([0, 1, 2**24 + 1, 2**31 - 1, -(2**31)], np.int32)
    positions = far if rope.axis_of_pair is None else np.stack([far, far[::-1]], -1)
    x = X.astype(jnp.bfloat16)

    @jax.jit
    def function(stack):
        def step(carry, rope):
            cos, sin = F.rotary_cos_sin(rope, positions)
            back = F.rotate(rope, x, positions, inverse=True)
            applied = F.apply_rotary(rope, x, cos, sin)
            rotated = F.rotate(rope, x, positions)
            again = F.rerotate(rope, x, positions)
            return carry, (cos, sin, back, applied, rotated, again)

        return lax.scan(step, None, stack)[1]

    cos, sin, *rotated = map(np.asarray, function(stack))
    for still in (0, 2):
        assert_same_bits(cos[still], np.ones_like(cos[still]))
        np.testing.assert_array_equal(sin[still], 0.0)
        for actual in rotated:
            assert_same_bits(actual[still], x)
    assert_same_bits(rotated[2][1], np.asarray(F.rotate(rope, x, positions)))
    for actual in rotated:
        assert not np.array_equal(actual[1], x)


def test_a_layer_without_a_rope_in_a_stack_of_a_released_model():
    """SmolLM3 rotates in three layers of four."""
    config = {
        "model_type": "smollm3",
        "hidden_size": 16,
        "num_attention_heads": 2,
        "num_hidden_layers": 4,
        "rope_theta": 5e6,
        "no_rope_layers": [1, 1, 1, 0],
    }
    ropes = ropes_from_hf(config)
    assert [rope is None for rope in ropes] == [False, False, False, True]
    step = lambda x, rope: (F.rotate(rope, x, FLAT), None)
    actual, _ = jax.jit(lambda x, stack: lax.scan(step, x, stack))(
        X, F.stack_ropes(ropes)
    )
    expected = np.asarray(X)
    for rope in ropes[:3]:
        expected = np.asarray(jax.jit(F.rotate)(rope, expected, FLAT))
    assert_same_bits(actual, expected)


def test_words_are_made_once_for_each_rope_of_a_stack(monkeypatch):
    made = []
    monkeypatch.setattr(
        "attnax.functional._rope.record.phase_words",
        lambda inv_freq: made.append(inv_freq) or phase_words(inv_freq),
    )
    # Each layer has a record of its own, as ropes_from_hf may return them.
    new = dataclasses.replace
    ropes = [
        rope for _ in range(100) for rope in (new(LAYERS[0]), None, new(LAYERS[1]))
    ]
    stack = F.stack_ropes(ropes)
    assert len(made) == 3
    assert_same_bits(stack.words[::3], np.stack([STACK.words[0]] * 100))


def test_what_a_stack_holds():
    assert isinstance(STACK, F.StackedRopes)
    assert STACK.words.shape == (3, 2, 4)
    assert STACK.words.dtype == jnp.uint32
    assert_same_bits(STACK.attention_factor, np.array([1.0, 1.25, 1.0], np.float32))
    assert STACK.settings == dataclasses.replace(LAYERS[0], inv_freq=(0.0,) * 4)
    assert len(jax.tree.leaves(STACK)) == 2


@pytest.mark.errors
def test_stacks_are_checked():
    for ropes in ([], [None, None]):
        message = f"stack_ropes: ropes={ropes} must hold at least one Rope, which"
        with pytest.raises(ValueError, match=re.escape(message)):
            F.stack_ropes(ropes)
    with refused("^stack_ropes: ropes hold an ndarray, but must hold nothing"):
        F.stack_ropes([F.Rope(**BASE), np.ones(4)])
    with refused("^stack_ropes: ropes is a set, but must be a sequence of Ropes"):
        F.stack_ropes({F.Rope(**BASE)})
    for change in (
        {"layout": "interleaved"},
        {"axis_of_pair": (0, 1, 0, 1)},
        {"num_axes": 3},
        {"num_blocks": 2},
        {"rotary_start": "trailing"},
        {"inv_freq": [1.0], "axis_of_pair": (1,)},
    ):
        ropes = [F.Rope(**BASE), F.Rope(**{**BASE, **change})]
        with pytest.raises(
            ValueError, match=r"^stack_ropes: Rope\(.* must differ from"
        ):
            F.stack_ropes(ropes)


@pytest.mark.errors
def test_a_whole_stack_is_not_a_rope():
    functions = {
        "rotary_cos_sin": lambda: F.rotary_cos_sin(STACK, FLAT),
        "apply_rotary": lambda: F.apply_rotary(STACK, X, *host.ones((2, 5, 4))),
        "rerotate": lambda: F.rerotate(STACK, X, FLAT),
    }
    for name, function in functions.items():
        match = rf"^{name}: rope.words.shape=\(3, 2, 4\) must be \(2, 4\), that of one"
        with pytest.raises(ValueError, match=match):
            function()
    one = jax.tree.map(lambda t: t[0], STACK)
    for field, bad, message in (
        ("words", None, "is a NoneType, but must be an array"),
        ("words", one.words[:, :3], r"shape=\(2, 3\) must be \(2, 4\), that of one"),
        ("attention_factor", 1.0, "is a float, but must be an array"),
        ("attention_factor", STACK.attention_factor, r"shape=\(3,\) must be \(\),"),
        ("settings", None, "is a NoneType, but must be a Rope"),
    ):
        with refused(rf"rotary_cos_sin: rope.{field}.?{message}"):
            F.rotary_cos_sin(one._replace(**{field: bad}), FLAT)
    with pytest.raises(ValueError, match="numerics='float32' must be 'exact' for stac"):
        F.rotary_cos_sin(one, FLAT, numerics="float32")
