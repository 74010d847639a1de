"""What rotations refuse, and the names that their errors carry."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refused

import attnax.functional as F

ROPE = F.Rope(F.default_inv_freq(8))


@pytest.mark.errors
def test_heads_must_be_known():
    with pytest.raises(ValueError, match=r"head_axis=-1 must be -2, -3 or None"):
        F.rotate(ROPE, host.ones((5, 3, 8)), host.arange(5), head_axis=-1)


@pytest.mark.errors
@pytest.mark.parametrize("where, width", (("leading", 7), ("trailing", 6), (3, 10)))
def test_the_head_must_hold_the_channels(where, width):
    rope = F.Rope(F.default_inv_freq(8), rotary_start=where)
    match = rf"x.shape=\(5, 3, {width}\) must end in a head that holds the 8 channels"
    with pytest.raises(ValueError, match=match):
        F.rotate(rope, host.ones((5, 3, width)), host.arange(5))


@pytest.mark.errors
def test_cos_and_sin_must_be_those_of_the_rope():
    x = host.ones((5, 3, 8))
    duplicated = host.ones((5, 8))
    with pytest.raises(ValueError, match=r"cos.shape=\(5, 8\) must end in the 4 pairs"):
        F.apply_rotary(ROPE, x, duplicated, duplicated)
    with refused(r"cos.shape=\(1, 4\) must equal sin.shape=\(5"):
        F.apply_rotary(ROPE, x, host.ones((1, 4)), host.ones((5, 4)))
    with pytest.raises(ValueError, match="must have features"):
        F.apply_rotary(ROPE, x, host.ones((5, 0)), host.ones((5, 0)))


@pytest.mark.errors
@pytest.mark.parametrize(
    "shape, head_axis, axes",
    (
        ((5, 8), -2, "seq_len, num_heads, head_dim"),
        ((5, 8), -3, "num_heads, seq_len, head_dim"),
        ((8,), None, "seq_len, head_dim"),
    ),
)
def test_x_must_have_a_sequence_and_heads(shape, head_axis, axes):
    of_x = rf"shape=\({str(shape)[1:-1]}\) must be \(\*batch, {axes}\) for head_axis="
    x, cos = host.ones(shape), host.ones((5, 4))
    with pytest.raises(ValueError, match=f"^rotate: x.{of_x}"):
        F.rotate(ROPE, x, host.arange(5), head_axis=head_axis)
    with pytest.raises(ValueError, match=f"^rerotate: keys.{of_x}"):
        F.rerotate(ROPE, x, 3, head_axis=head_axis)
    with pytest.raises(ValueError, match=f"^apply_rotary: x.{of_x}"):
        F.apply_rotary(ROPE, x, cos, cos, head_axis=head_axis)


@pytest.mark.errors
@pytest.mark.parametrize("head_axis, seq_len", ((-2, 5), (-3, 3), (None, 3)))
def test_positions_must_be_as_many_as_the_sequence(head_axis, seq_len):
    """Errors speak of what came in: positions, cos, or a difference of positions."""
    x = host.ones((2, 5, 3, 8))
    tail = rf".shape=\(2, 5, 3, 8\) has a sequence of {seq_len} for {head_axis=}"
    for count, held, way_out in (
        (
            1,
            "1 position",
            r"; to count from it on, pass it plus jnp.arange\(seq_len\).",
        ),
        (4, "4 positions", "."),
    ):
        of_x = f"holds {held}, but x{tail}{way_out}$"
        cos = host.ones((count, 4))
        with pytest.raises(ValueError, match=rf"^rotate: .*shape=\({count},\) {of_x}"):
            F.rotate(ROPE, x, host.arange(count), head_axis=head_axis)
        match = rf"^apply_rotary: cos.shape=\({count}, 4\) {of_x}"
        with pytest.raises(ValueError, match=match):
            F.apply_rotary(ROPE, x, cos, cos, head_axis=head_axis)
    match = rf"^rerotate: delta.shape=\(4,\) holds 4 positions, but keys{tail}"
    with pytest.raises(ValueError, match=match):
        F.rerotate(ROPE, x, host.arange(4), head_axis=head_axis)
    with pytest.raises(ValueError, match=r"positions.shape=\(\) must have a sequence"):
        F.rotate(ROPE, x, host.asarray(3), head_axis=head_axis)


@pytest.mark.errors
def test_heads_on_the_other_side_are_told():
    x = host.ones((2, 5, 3, 8))
    for count, head_axis, place, other in ((3, -2, "before", -3), (5, -3, "after", -2)):
        way_out = f"if the heads stand {place} the sequence, pass head_axis={other}"
        with pytest.raises(ValueError, match=f"for {head_axis=}; {way_out}"):
            F.rotate(ROPE, x, host.arange(count), head_axis=head_axis)


@pytest.mark.errors
def test_one_position_per_sequence_is_told_its_shape():
    x = host.ones((4, 1, 3, 8))
    way_out = r"; one position for each sequence has the shape \(4, 1\)\.$"
    with pytest.raises(ValueError, match=f"for head_axis=-2{way_out}"):
        F.rotate(ROPE, x, host.arange(4))
    told = f"pass head_axis=-3{way_out}"  # as many heads as sequences
    with pytest.raises(ValueError, match=told):
        F.rotate(ROPE, host.ones((4, 1, 4, 8)), host.arange(4))
    assert F.rotate(ROPE, x, host.arange(4)[:, None]).shape == x.shape


@pytest.mark.errors
@pytest.mark.parametrize("batch", ((3,), (2, 2), (1, 2)))
def test_positions_never_enlarge_x(batch):
    positions = host.zeros((*batch, 5), jnp.int32)
    shape = rf"\({', '.join(map(str, (*batch, 5)))}\)"
    match = rf"positions.shape={shape} must broadcast to the batch axes \(2,\) of x"
    with pytest.raises(ValueError, match=match):
        F.rotate(ROPE, host.ones((2, 5, 3, 8)), positions)


@pytest.mark.errors
def test_coordinates_for_a_rope_of_one_axis_are_refused():
    match = r"positions.shape=\(5, 3\) holds 3 positions"
    with pytest.raises(ValueError, match=match):
        F.rotate(ROPE, host.ones((2, 5, 3, 8)), host.zeros((5, 3), jnp.int32))


@pytest.mark.errors
def test_fractional_positions_are_refused_by_exact_numerics():
    with pytest.raises(
        ValueError,
        match=r"positions.dtype=float32 must be integer; pass numerics='float32'",
    ):
        F.rotary_cos_sin(ROPE, jnp.array([0.5], jnp.float32))
    with pytest.raises(ValueError, match="numerics='fast' must be 'exact' or"):
        F.rotary_cos_sin(ROPE, host.arange(3), numerics="fast")


@pytest.mark.errors
def test_errors_carry_the_name_of_the_function_that_was_called():
    x, half = host.ones((5, 3, 8)), host.ones(5)
    for function, message in (
        (lambda: F.rotate(ROPE, x, half), "rotate: positions.dtype=.* use rotary_cos"),
        (lambda: F.rerotate(ROPE, x, half), "rerotate: delta.dtype=.* must be integer"),
        (lambda: F.rerotate(ROPE, x, 2**40), "rerotate: delta=1099511627776 must lie"),
        (lambda: F.rerotate(ROPE, x, 1.0), "rerotate: delta.dtype=float64 must be int"),
    ):
        with refused(message):
            function()
    # Stacked ropes are exact, and have no other way for fractions.
    stacked = jax.tree.map(lambda t: t[0], F.stack_ropes([ROPE]))
    with refused(r"^rotate: [^;]* must be integer\.$"):
        F.rotate(stacked, x, half)
    for rope in (np.ones(4), None, "rope"):
        with refused("rotary_cos_sin: rope is an? .*, but must be a Rope"):
            F.rotary_cos_sin(rope, host.arange(5))
    with refused("rotary_cos_sin: positions is an int, but must be an array"):
        F.rotary_cos_sin(ROPE, 3)


def test_one_difference_for_every_axis():
    rope = F.Rope(F.default_inv_freq(8), axis_of_pair=(0, 1, 1, 2))
    keys = host.arange(120.0).reshape(5, 3, 8)
    delta = jnp.array([3, -1, 0, 7, 2])
    expected = F.rerotate(rope, keys, jnp.stack([delta] * 3, axis=-1))
    np.testing.assert_array_equal(F.rerotate(rope, keys, delta[:, None]), expected)
