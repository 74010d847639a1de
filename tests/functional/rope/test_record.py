import copy
import dataclasses
import functools
import pickle
import re

import equinox as eqx
import host
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_same_bits, refused, slow
from jax import lax

import attnax.functional as F
from attnax.functional._angles.phase import phase_words
from attnax.interop import ropes_from_hf

PLAIN = F.default_inv_freq(8)
# One of each kind of setting, and what a readable record says of it.
BASE = {
    "inv_freq": PLAIN,
    "layout": "half",
    "axis_of_pair": (0, 0, 1, 1),
    "num_axes": 2,
    "num_blocks": 1,
    "rotary_start": "leading",
    "attention_factor": 1.0,
}
CHANGES = (
    {"inv_freq": F.default_inv_freq(8, 500.0)},
    {"inv_freq": -PLAIN},
    {"layout": "interleaved"},
    {"layout": "interleaved_to_half"},
    {"axis_of_pair": (0, 1, 0, 1)},
    {"num_blocks": 2},
    {"rotary_start": "trailing"},
    {"rotary_start": 1},
    {"attention_factor": 1.25},
)
X = host.asarray(np.random.default_rng(0).normal(size=(5, 3, 10)), jnp.float32)
POSITIONS = np.stack([np.arange(5, dtype=np.int32) + 7, np.arange(5, 0, -1)], -1)
POSITIONS = POSITIONS.astype(np.int32)


def test_a_record_is_a_hashable_value():
    rope = F.Rope(**BASE)
    same = F.Rope(PLAIN.tolist(), axis_of_pair=[0, 0, 1, 1], attention_factor=1.0)
    arrays = F.Rope(tuple(PLAIN), axis_of_pair=np.array([0, 0, 1, 1]).tolist())
    for other in (same, arrays):
        assert other == rope
        assert hash(other) == hash(rope)
    others = [F.Rope(**{**BASE, **change}) for change in CHANGES]
    others.append(F.Rope(**{**BASE, "num_axes": 3}))
    assert len({rope, same, arrays, *others}) == 1 + len(others)
    assert rope != "a rope"


def test_it_holds_numbers_of_python():
    rope = F.Rope(PLAIN, axis_of_pair=tuple(np.array([0, 0, 1, 1]).tolist()))
    assert all(type(f) is float for f in rope.inv_freq)
    assert rope.inv_freq == tuple(PLAIN.tolist())
    assert all(type(axis) is int for axis in rope.axis_of_pair)
    assert (rope.num_axes, rope.rotary_pairs, rope.rotary_dim) == (2, 4, 8)
    assert F.Rope(PLAIN, axis_of_pair=(0, 2, 2, 0)).num_axes == 3
    assert F.Rope(PLAIN).num_axes == 1


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_field_changes_the_result(change):
    plain = F.rotate(F.Rope(**BASE), X, POSITIONS)
    other = F.rotate(F.Rope(**{**BASE, **change}), X, POSITIONS)
    assert not np.array_equal(other, plain)


@pytest.mark.parametrize("change", (*CHANGES, {"num_axes": 3}), ids=str)
def test_replace_changes_one_field_and_keeps_the_others(change):
    rope = dataclasses.replace(F.Rope(**BASE), **change)
    assert rope == F.Rope(**{**BASE, **change})
    for field in dataclasses.fields(rope):
        if field.name not in change:
            assert getattr(rope, field.name) == getattr(F.Rope(**BASE), field.name)


def test_replace_checks_again_and_fields_are_frozen():
    rope = F.Rope(**BASE)
    with pytest.raises(ValueError, match="num_blocks=3 must divide"):
        dataclasses.replace(rope, num_blocks=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        rope.layout = "interleaved"


def test_it_copies_and_pickles():
    rope = F.Rope(**{**BASE, "attention_factor": 1.25})
    for other in (copy.copy(rope), copy.deepcopy(rope)):
        assert other == rope
    assert pickle.loads(pickle.dumps(rope)) == rope


@pytest.mark.parametrize(
    "rope, text",
    (
        (F.Rope(F.default_inv_freq(4)), "2 pairs from 1 to 0.01, layout='half'"),
        (
            F.Rope([0.7], "interleaved_to_half", rotary_start="trailing"),
            "1 pairs from 0.7 to 0.7, layout='interleaved_to_half', "
            "rotary_start='trailing'",
        ),
        (
            F.Rope(PLAIN, axis_of_pair=(0, 2, 2, 0), num_axes=4, num_blocks=2),
            "4 pairs from 1 to 0.001, layout='half', axes=(0x1 2x2 0x1) of 4, "
            "num_blocks=2",
        ),
        (
            F.Rope(-PLAIN, rotary_start=3, attention_factor=1.25),
            "4 pairs from -1 to -0.001, layout='half', rotary_start=3, "
            "attention_factor=1.25",
        ),
    ),
)
def test_repr_says_what_is_not_the_default(rope, text):
    assert repr(rope) == f"Rope({text})"


@pytest.mark.parametrize(
    "where, start", (("leading", 0), ("trailing", 4), (0, 0), (3, 3))
)
def test_where_the_channels_start(where, start):
    assert F.Rope(PLAIN, rotary_start=where)._first_channel(12) == start


@pytest.mark.parametrize(
    "layout, reads, writes",
    (
        ("half", "half", "half"),
        ("interleaved", "interleaved", "interleaved"),
        ("interleaved_to_half", "interleaved", "half"),
    ),
)
def test_the_orders_of_a_layout(layout, reads, writes):
    rope = F.Rope(PLAIN, layout)
    assert (rope._order_in, rope._order_out) == (reads, writes)


def test_it_is_a_node_without_leaves():
    rope = F.Rope(**BASE)
    assert jax.tree.leaves(rope) == []
    assert jax.tree.map(lambda leaf: leaf * 0, rope) == rope
    structures = {
        jax.tree.structure(F.Rope(**{**BASE, **change})) for change in ({}, *CHANGES)
    }
    assert len(structures) == 1 + len(CHANGES)


def test_it_is_static_for_jit_which_traces_once_for_equal_ropes():
    traces = []

    @jax.jit
    def function(rope, x, positions):
        traces.append(rope)
        return F.rotate(rope, x, positions)

    for change in ({}, {}, CHANGES[2], {}, CHANGES[2]):
        rope = F.Rope(**{**BASE, **change})
        assert_same_bits(function(rope, X, POSITIONS), F.rotate(rope, X, POSITIONS))
    assert len(traces) == 2


def test_vmap_and_scan_carry_it_along():
    rope = F.Rope(**BASE)
    expected = F.rotate(rope, X, POSITIONS)
    mapped = jax.jit(jax.vmap(F.rotate))(rope, X[None], POSITIONS[None])
    assert_same_bits(mapped[0], expected)

    def step(carry, position):
        rope, x = carry
        assert isinstance(rope, F.Rope)
        return (rope, x), F.rotate(rope, x, position[None])

    carry, steps = lax.scan(step, (rope, X[:1]), POSITIONS)
    assert carry[0] == rope
    repeated = jnp.broadcast_to(X[:1], X.shape)
    assert_same_bits(steps[:, 0], F.rotate(rope, repeated, POSITIONS))


class Attention(eqx.Module):
    weight: jax.Array
    rope: F.Rope

    def __call__(self, x, positions):
        return F.rotate(self.rope, x @ self.weight, positions)


def test_training_a_module_with_a_rope_leaves_the_rope_alone():
    rope = F.Rope(**{**BASE, "attention_factor": 1.25})
    module = Attention(jnp.eye(10, dtype=jnp.float32), rope)
    assert [leaf.shape for leaf in jax.tree.leaves(module)] == [(10, 10)]

    @jax.jit
    def step(module, state):
        loss = lambda module: jnp.sum(module(X, POSITIONS)[..., 0])
        updates, state = optimizer.update(jax.grad(loss)(module), state, module)
        return optax.apply_updates(module, updates), state

    optimizer = optax.adamw(1e-2)
    with jax.numpy_dtype_promotion("standard"):  # for Optax
        trained, _ = step(module, optimizer.init(module))
    assert trained.rope == rope
    assert not np.array_equal(trained.weight, module.weight)
    cast = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), module)
    assert cast.rope == rope
    narrow = cast(X.astype(jnp.bfloat16), POSITIONS)
    assert_same_bits(narrow, F.rotate(rope, X.astype(jnp.bfloat16), POSITIONS))
    assert eqx.filter_jit(module)(X, POSITIONS).shape == X.shape


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
FLAT = POSITIONS[:, 0]


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
        "attnax.functional._rope.stack.phase_words",
        lambda inv_freq: made.append(inv_freq) or phase_words(inv_freq),
    )
    stack = F.stack_ropes([LAYERS[0], None, LAYERS[1]] * 100)
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
@pytest.mark.parametrize(
    "change, message",
    (
        ({"inv_freq": []}, r"inv_freq.shape=\(0,\) must be one axis of one"),
        ({"inv_freq": [1.0, 2.0**64]}, r"inv_freq\[1\]=1.8\d+e\+19 must .* below"),
        ({"inv_freq": [1.0, -(2.0**64)]}, r"inv_freq\[1\]=-1.8\d+e\+19 must"),
        ({"inv_freq": [float("nan")]}, r"inv_freq\[0\]=nan must"),
        ({"inv_freq": [float("inf")]}, r"inv_freq\[0\]=inf must"),
        ({"layout": "neox"}, "layout='neox' must be 'half', 'interleaved' or"),
        ({"axis_of_pair": None}, "num_axes=2 must come with axis_of_pair"),
        ({"axis_of_pair": (0, 1, 1)}, r"axis_of_pair\)=3 must equal the 4 frequencies"),
        ({"axis_of_pair": (0, 0, 1, 2)}, r"\(0, 0, 1, 2\) must lie in \[0, 2\)"),
        ({"axis_of_pair": (0, 0, 1, -1)}, r"\(0, 0, 1, -1\) must lie in \[0, 2\)"),
        ({"num_axes": 1}, r"\(0, 0, 1, 1\) must lie in \[0, 1\)"),
        ({"num_axes": 0}, "num_axes=0 must be a positive integer"),
        ({"num_blocks": 0}, "num_blocks=0 must be a positive integer"),
        ({"num_blocks": 3}, "num_blocks=3 must divide the 4 pairs"),
        (
            {"num_blocks": 2, "layout": "interleaved"},
            "num_blocks=2 must come with layout='half', not 'interleaved'",
        ),
        ({"rotary_start": "middle"}, "rotary_start='middle' must be 'leading'"),
        ({"rotary_start": -1}, "rotary_start=-1 must be 'leading'"),
        (
            {"attention_factor": 0.0},
            r"=0.0 must be a finite number in \[1e-15, 1e\+15\]",
        ),
        ({"attention_factor": -1.0}, "attention_factor=-1.0 must be a finite"),
        (
            {"attention_factor": float("inf")},
            "attention_factor=inf must be a finite",
        ),
        ({"attention_factor": 1e16}, r"attention_factor=1e\+16 must be a finite"),
        ({"attention_factor": 9e-16}, "attention_factor=9e-16 must be a finite"),
        (
            {"attention_factor": float("nan")},
            "attention_factor=nan must be a finite",
        ),
        ({"num_blocks": 0.5}, "num_blocks=0.5 must be an integer"),
        (
            {"axis_of_pair": (0, 0.9, 1, 1)},
            r"=\(0, 0.9, 1, 1\) must be integers",
        ),
        ({"num_axes": 2.5}, "num_axes=2.5 must be an integer"),
        ({"rotary_start": True}, "rotary_start=True must be 'leading', 'trailing' or"),
    ),
)
def test_settings_are_checked_when_built(change, message):
    with refused(rf"Rope: .*{message}"):
        F.Rope(**{**BASE, **change})


@pytest.mark.errors
@pytest.mark.parametrize("kind, array", (("ndarray", np.ones), ("Array", jnp.ones)))
def test_frequencies_are_float64(kind, array):
    with refused(rf"Rope: inv_freq is a {kind}\w* of float32, but must be a fl"):
        F.Rope(array(4, np.float32))


@pytest.mark.errors
def test_frequencies_are_one_axis_of_numbers():
    """A list of float32 scalars has lost as much as an array of them."""
    rounded = list(np.ones(4, np.float32))
    for inv_freq in (rounded, ["1", "2"], [True], 1.0, np.ones((2, 2)), np.array(1.0)):
        with refused("Rope: inv_freq.* must be (a|an|one) (float64|array|real|axis)"):
            F.Rope(inv_freq)


def test_the_first_channel_is_where_the_leading_ones_begin():
    assert F.Rope(PLAIN, rotary_start=0) == F.Rope(PLAIN)
    assert F.Rope(PLAIN, rotary_start=2) != F.Rope(PLAIN)


@pytest.mark.errors
def test_stacks_are_checked():
    for ropes in ([], [None, None]):
        message = f"stack_ropes: ropes={ropes} must hold at least one Rope, which"
        with pytest.raises(ValueError, match=re.escape(message)):
            F.stack_ropes(ropes)
    with refused("^stack_ropes: ropes hold a ndarray, but must hold nothing but Ropes"):
        F.stack_ropes([F.Rope(**BASE), np.ones(4)])
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
        match = rf"^{name}: rope.words.shape=\(3, 2, 4\) must be that of one rope"
        with pytest.raises(ValueError, match=match):
            function()
    one = jax.tree.map(lambda t: t[0], STACK)
    with pytest.raises(ValueError, match="numerics='float32' must be 'exact' for stac"):
        F.rotary_cos_sin(one, FLAT, numerics="float32")
