import copy
import dataclasses
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_same_bits, refused
from jax import lax
from ropes import BASE, PLAIN, POSITIONS, X

import attnax.functional as F
from attnax.functional._rope import record

# Changes of `BASE`, one of each setting or more.
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


def test_its_phases_are_made_once_and_are_no_part_of_its_value(monkeypatch):
    rope, unused = F.Rope(**BASE), F.Rope(**BASE)
    expected = F.rotate(rope, X, POSITIONS)
    with monkeypatch.context() as patch:
        patch.setattr(record, "phase_words", None)
        assert_same_bits(F.rotate(rope, X, POSITIONS), expected)
        for other in (copy.deepcopy(rope), pickle.loads(pickle.dumps(rope))):
            assert_same_bits(F.rotate(other, X, POSITIONS), expected)
    assert (rope, hash(rope), repr(rope)) == (unused, hash(unused), repr(unused))
    changed = dataclasses.replace(rope, inv_freq=-PLAIN)
    fresh = F.Rope(**{**BASE, "inv_freq": -PLAIN})
    assert_same_bits(F.rotate(changed, X, POSITIONS), F.rotate(fresh, X, POSITIONS))


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
        ({"num_blocks": 0.5}, "num_blocks=0.5 must be a positive integer"),
        (
            {"axis_of_pair": (0, 0.9, 1, 1)},
            r"=\(0, 0.9, 1, 1\) must be integers",
        ),
        ({"axis_of_pair": {0, 1, 2, 3}}, "must be a sequence of integers"),
        ({"num_axes": 2.5}, "num_axes=2.5 must be a positive integer"),
        ({"rotary_start": True}, "rotary_start=True must be 'leading', 'trailing' or"),
    ),
)
def test_settings_are_checked_when_built(change, message):
    with refused(rf"Rope: .*{message}"):
        F.Rope(**{**BASE, **change})


@pytest.mark.errors
@pytest.mark.parametrize("kind, array", (("ndarray", np.ones), ("Array", jnp.ones)))
def test_frequencies_are_float64(kind, array):
    with refused(rf"Rope: inv_freq is an? [\w.]*{kind} of float32, but must be a fl"):
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
