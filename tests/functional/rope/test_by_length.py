"""Ropes that rows of a batch have by their own lengths."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, jitted, refused
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

DYNAMIC = {"factor": 2.0, "original_max_len": 4}
SETTINGS = {"layout": "interleaved_to_half", "rotary_start": "trailing"}
ROPES = [
    F.Rope(F.default_inv_freq(8), **SETTINGS),
    F.Rope(
        F.longrope_inv_freq(8, factors=[1, 2, 4, 9]), attention_factor=1.25, **SETTINGS
    ),
    F.Rope(
        F.dynamic_ntk_inv_freq(8, **DYNAMIC, seq_len=30),
        attention_factor=0.7,
        **SETTINGS,
    ),
]
BY_LENGTH = F.RopesByLength(ROPES, (4, 12, 30))
LENGTHS = np.array([5, 0, 30, 4, 12, 13], np.int32)
CHOSEN = 1, 0, 2, 0, 1, 2
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5, 3, 10)).astype(np.float32)
POSITIONS = RNG.integers(-9, 2**20, size=(6, 5)).astype(np.int32)


def paths(rope, x, positions):
    """All that a rope is for, its inverse aside."""
    cos, sin = F.rotary_cos_sin(rope, positions)
    return (
        *(cos, sin),
        F.apply_rotary(rope, x, cos, sin),
        F.rotate(rope, x.astype(jnp.bfloat16), positions),
        F.rerotate(rope, x, positions - 9),
        F.rerotate(rope, x, 7),
    )


@jax.jit
def paths_by_length(lengths, x, positions):
    return paths(F.rope_by_length(BY_LENGTH, lengths), x, positions)


@jax.jit
def rotated_by_length(lengths, x, positions):
    return F.rotate(F.rope_by_length(BY_LENGTH, lengths), x, positions)


@functools.cache
def rows_alone(shared):
    """Every row by the record of its length, without a batch."""
    step = jax.jit(paths)
    rows = zip(CHOSEN, X, POSITIONS, strict=True)
    made = [
        step(ROPES[one], x, POSITIONS[0] if shared else positions)
        for one, x, positions in rows
    ]
    return [np.stack(parts) for parts in zip(*made, strict=True)]


def assert_all_same(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        assert_same_bits(one, other)


@pytest.mark.parametrize("shared", (False, True))
def test_every_row_has_the_bits_of_its_own_rope(shared):
    """With positions of its own, or those that all rows share."""
    positions = POSITIONS[0] if shared else POSITIONS
    assert_all_same(paths_by_length(LENGTHS, X, positions), rows_alone(shared))


def test_nothing_depends_on_what_else_is_in_the_batch():
    """vllm#27431 and llama.cpp#8995: the longest row decided for all of them."""
    order = np.array([2, 4, 1, 0, 5, 3])
    actual = paths_by_length(LENGTHS[order], X[order], POSITIONS[order])
    assert_all_same(actual, [array[order] for array in rows_alone(False)])


def test_outside_jit():
    rope = F.rope_by_length(BY_LENGTH, LENGTHS)
    assert_same_bits(F.rotate(rope, X, POSITIONS), rows_alone(False)[2])
    one = F.rope_by_length(BY_LENGTH, 5)
    assert one.words.shape == (2, 4)
    assert_same_bits(F.rotate(one, X[0], POSITIONS[0]), rows_alone(False)[2][0])


def test_batch_is_vmap():
    mapped = jax.jit(jax.vmap(rotated_by_length))
    assert_same_bits(mapped(LENGTHS, X, POSITIONS), rows_alone(False)[2])


def test_decoding_compiles_once_for_all_lengths():
    """Rows of several final lengths, token by token, as a prefill has them."""
    traces = 0

    @jax.jit
    def step(*arrays):
        nonlocal traces
        traces += 1
        return rotated_by_length(*arrays)

    whole = rows_alone(False)[2]
    for place in range(5):
        here = slice(place, place + 1)
        actual = step(LENGTHS, X[:, here], POSITIONS[:, here])
        assert_same_bits(actual, whole[:, here])
    assert traces == 1


def test_a_scan_over_steps():
    rope = F.rope_by_length(BY_LENGTH, LENGTHS)

    def step(carry, inputs):
        x, positions = inputs
        return carry, F.rotate(rope, x[:, None], positions[:, None])[:, 0]

    inputs = np.moveaxis(X, 1, 0), np.moveaxis(POSITIONS, 1, 0)
    _, actual = jax.jit(lambda *inputs: lax.scan(step, None, inputs))(*inputs)
    assert_same_bits(np.moveaxis(np.asarray(actual), 0, 1), rows_alone(False)[2])


def test_batches_broadcast():
    """Lengths of the last batch axis, or of the first, against positions of all."""
    x, positions = X.reshape(2, 3, 5, 3, 10), POSITIONS.reshape(2, 3, 5)
    for lengths in (LENGTHS[:3], LENGTHS[:2, None], LENGTHS.reshape(2, 3)):
        full = np.broadcast_to(lengths, (2, 3)).reshape(6)
        expected = rotated_by_length(full, X, POSITIONS)
        actual = rotated_by_length(lengths, x, positions)
        assert_same_bits(np.reshape(actual, X.shape), expected)


def test_the_inverse():
    """Four roundings of a pair, as for a record."""

    @jax.jit
    def there_and_back(lengths, x, positions):
        rope = F.rope_by_length(BY_LENGTH, lengths)
        cos, sin = F.rotary_cos_sin(rope, positions)
        rotated = F.rotate(rope, x, positions)
        return (
            F.rotate(rope, rotated, positions, inverse=True),
            F.apply_rotary(rope, rotated, cos, sin, inverse=True),
        )

    magnitude = 1.0 + float(np.linalg.norm(X, axis=-1).max())
    for positions in (POSITIONS, POSITIONS[0]):
        for back in there_and_back(LENGTHS, X, positions):
            assert_close(back, X, magnitude=magnitude)


@pytest.mark.parametrize(
    "change, head_axis",
    (
        ({"layout": "interleaved", "axis_of_pair": (0, 1, 1, 0)}, -3),
        ({"num_blocks": 2, "axis_of_pair": (1, 1, 2, 2), "num_axes": 3}, None),
    ),
    ids=str,
)
def test_several_axes_blocks_and_places_of_heads(change, head_axis):
    ropes = [
        F.Rope(rope.inv_freq, attention_factor=n, **change)
        for n, rope in enumerate(ROPES, 1)
    ]
    by_length = F.RopesByLength(ropes, (4, 12, 30))
    x = np.swapaxes(X, 1, 2) if head_axis == -3 else X[:, :, 0]
    shape = 6, 5, ropes[0].num_axes
    positions = RNG.integers(-9, 2**20, size=shape).astype(np.int32)

    @jax.jit
    def by_rows(lengths, x, positions):
        rope = F.rope_by_length(by_length, lengths)
        return F.rotate(rope, x, positions, head_axis=head_axis)

    actual = by_rows(LENGTHS, x, positions)
    for row, one in enumerate(CHOSEN):
        alone = jitted(F.rotate)(
            ropes[one], x[row], positions[row], head_axis=head_axis
        )
        assert_same_bits(actual[row], alone)


def test_gradients_are_those_of_the_rope_of_the_row():
    """To a few roundings: jax 0.12 fuses the products of either otherwise."""

    def loss(x, rope, positions, weights):
        return jnp.vdot(F.rotate(rope, x, positions), weights)

    weights = X[::-1]

    @jax.jit
    def of_rows(lengths, x):
        rope = F.rope_by_length(BY_LENGTH, lengths)
        return jax.grad(loss)(x, rope, POSITIONS, weights)

    actual = of_rows(LENGTHS, X)
    alone = jax.jit(jax.grad(loss))
    magnitude = 1.25 * float(np.linalg.norm(X, axis=-1).max())
    for row, one in enumerate(CHOSEN):
        expected = alone(X[row], ROPES[one], POSITIONS[row], weights[row])
        assert_close(actual[row], expected, magnitude=magnitude)


def test_traced_lengths_out_of_range_are_nan():
    """In every path, and in no other row."""
    lengths = np.array([31, 5, -1, -(2**31), 2**31 - 1, 30], np.int32)
    bad = (lengths < 0) | (lengths > 30)
    actual = paths_by_length(lengths, X, POSITIONS)
    assert np.isnan(np.asarray(actual[0]))[bad].all()
    assert np.isnan(np.asarray(actual[1]))[bad].all()
    for array in actual:
        array = np.asarray(array, np.float32)
        assert np.isnan(array[bad][..., -8:]).all()
        assert np.isfinite(array[~bad]).all()
    for array in actual[2:]:  # the first two channels of a head do not rotate
        assert np.isfinite(np.asarray(array, np.float32)[..., :2]).all()


def test_no_bound():
    by_length = F.RopesByLength(ROPES[:2], (4, 2**31 - 1))
    lengths = np.array([4, 5, 2**31 - 1], np.int32)
    words = jitted(lambda n: F.rope_by_length(by_length, n).words)(lengths)
    assert_same_bits(words, np.stack([ROPES[i]._words for i in (0, 1, 1)]))
    with jax.enable_x64(True):
        factor = F.rope_by_length(by_length, np.array([5, 2**31 - 1])).attention_factor
        assert_same_bits(factor, np.float32([1.25, 1.25]))


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_rows_on_a_mesh(axis_type):
    """Rows over devices, and in shard_map, manual in part too."""
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(axis_type,) * 2)
    with jax.set_mesh(mesh):
        put = lambda array: jax.device_put(array, NamedSharding(mesh, P("data")))
        arrays = tuple(map(put, (LENGTHS, X, POSITIONS)))
        expected = rows_alone(False)[2]
        rotated = rotated_by_length(*arrays)
        assert_same_bits(rotated, expected)
        if axis_type is AxisType.Explicit:
            assert jax.typeof(rotated).sharding.spec == P("data", None, None, None)
            shared = jax.device_put(POSITIONS[0], NamedSharding(mesh, P()))
            actual = rotated_by_length(*arrays[:2], shared)
            assert_same_bits(actual, rows_alone(True)[2])
        for axes in ({"data", "model"}, {"data"}):
            mapped = jax.shard_map(
                rotated_by_length,
                axis_names=axes,
                in_specs=P("data"),
                out_specs=P("data"),
            )
            assert_same_bits(jax.jit(mapped)(*arrays), expected)


def test_what_the_records_hold():
    assert F.RopesByLength(iter(ROPES), np.array([4, 12, 30])) == BY_LENGTH
    assert hash(BY_LENGTH) == hash(F.RopesByLength(ROPES, [4, 12, 30]))
    assert jax.tree.leaves(BY_LENGTH) == []
    assert BY_LENGTH.max_lengths == (4, 12, 30)
    rope = F.rope_by_length(BY_LENGTH, LENGTHS)
    assert isinstance(rope, F.RopePerRow)
    assert rope.settings == F.stack_ropes(ROPES).settings
    factors = np.float32([ROPES[i].attention_factor for i in CHOSEN])
    assert_same_bits(rope.attention_factor, factors)


@pytest.mark.errors
@pytest.mark.parametrize(
    "ropes, max_lengths, message",
    (
        ([], (), "ropes=[] must hold at least one Rope"),
        (ROPES, (4, 12), "max_lengths=(4, 12) must hold one length for each of the 3"),
        (ROPES, (4, 12, 12), "max_lengths=(4, 12, 12) must be one length or more, inc"),
        (ROPES, (0, 4, 12), "max_lengths=(0, 4, 12) must be one length or more, incr"),
        (ROPES, (4, 12, 2**31), f"max_lengths=(4, 12, {2**31}) must be one length or"),
        (ROPES, 4, "max_lengths=4 must be a sequence of integers"),
        ([ROPES[0], F.Rope(F.default_inv_freq(8))], (4, 12), "Rope("),
        ([None, *ROPES[1:]], (4, 12, 30), "ropes hold a NoneType, but must hold nothi"),
    ),
)
def test_records_are_checked(ropes, max_lengths, message):
    with refused(f"^RopesByLength: {re.escape(message)}"):
        F.RopesByLength(ropes, max_lengths)


@pytest.mark.errors
def test_lengths_are_checked():
    message = r"lengths\[2\]=31 must lie in \[0, 31\) for max_lengths=\(4, 12, 30\)"
    with pytest.raises(ValueError, match=f"^rope_by_length: {message}"):
        F.rope_by_length(BY_LENGTH, [5, 30, 31])
    with refused("^rope_by_length: lengths.dtype=float64 must be integer"):
        F.rope_by_length(BY_LENGTH, [5.0])
    with refused("^rope_by_length: ropes is a list, but must be a RopesByLength"):
        F.rope_by_length(ROPES, LENGTHS)


@pytest.mark.errors
def test_ropes_of_rows_are_checked():
    rope = F.rope_by_length(BY_LENGTH, LENGTHS)
    message = (
        r"rope has one rope for each row of \(6,\), which must broadcast to the bat"
    )
    for name, arguments in (
        ("rotate", (X[:5], POSITIONS[:5])),
        ("rerotate", (X[0], POSITIONS[0])),
        (
            "apply_rotary",
            (X[:2], POSITIONS[:2, :, None] * X[0, 0, 0, :4], X[:2, :, 0, :4]),
        ),
    ):
        with pytest.raises(ValueError, match=rf"^{name}: {message}"):
            getattr(F, name)(rope, *arguments)
    message = (
        r"rope with batch axes \(6,\) and positions with batch axes \(5,\) must br"
    )
    with pytest.raises(ValueError, match=rf"^rotary_cos_sin: {message}"):
        F.rotary_cos_sin(rope, POSITIONS[:5])
    message = "numerics='float32' must be 'exact' for ropes of rows"
    with pytest.raises(ValueError, match=message):
        F.rotary_cos_sin(rope, POSITIONS, numerics="float32")
    for field, bad, message in (
        (
            "words",
            rope.words[..., :3],
            r"shape=\(6, 2, 3\) must be \(6, 2, 4\), as rope_",
        ),
        ("words", None, "is a NoneType, but must be an array"),
        (
            "attention_factor",
            rope.attention_factor[:5],
            r"shape=\(5,\) must be \(6,\), as",
        ),
    ):
        with refused(f"rotary_cos_sin: rope.{field}.?{message}"):
            F.rotary_cos_sin(rope._replace(**{field: bad}), POSITIONS)
    with refused(
        "rope is a RopesByLength, but must be a Rope, an element of stack_rope"
    ):
        F.rotate(BY_LENGTH, X, POSITIONS)
