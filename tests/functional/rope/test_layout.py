import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F
from attnax.functional import Rope

INV_FREQ = F.default_inv_freq(8)


def rotate64(rope, x, position):
    """One head at one position, `(axes,)`: a complex product per pair, in loops."""
    out, pairs = x.copy(), rope.rotary_pairs
    start = {"leading": 0, "trailing": x.size - 2 * pairs}.get(
        rope.rotary_start, rope.rotary_start
    )
    axes = rope.axis_of_pair or (0,) * pairs
    for i, (frequency, axis) in enumerate(zip(rope.inv_freq, axes, strict=True)):
        in_block = pairs // rope.num_blocks
        first = start + 2 * in_block * (i // in_block) + i % in_block
        half, neighbors = (
            (first, first + in_block),
            (start + 2 * i, start + 2 * i + 1),
        )
        source, target = {
            "half": (half, half),
            "interleaved": (neighbors, neighbors),
            "interleaved_to_half": (neighbors, half),
        }[rope.layout]
        turn = rope.attention_factor * np.exp(1j * position[axis] * frequency)
        z = complex(*x[list(source)]) * turn
        out[list(target)] = z.real, z.imag
    return out


def assert_permutes(source, target, head_dim):
    """The law in float64, at a position whose coordinates differ."""
    p = F.channel_permutation(source, target, head_dim)
    q = F.channel_permutation(source, target, head_dim, rotated=True)
    for order in (p, q):
        assert isinstance(order, np.ndarray)
        np.testing.assert_array_equal(np.sort(order), np.arange(head_dim))
    x = np.random.default_rng(0).normal(size=head_dim)
    position = 1.0 + 2.0 * np.arange(max(source.num_axes, target.num_axes))
    actual = rotate64(target, x[p], position)
    np.testing.assert_allclose(
        actual, rotate64(source, x, position)[q], rtol=0, atol=1e-14
    )
    return p, q


@st.composite
def settings(draw, turns, attention_factor=1.0):
    """Of a rope of `(axis, frequency)` in a drawn order, with signs, and its place."""
    turns = draw(st.permutations(turns))
    signs = draw(st.tuples(*[st.sampled_from((1, -1))] * len(turns)))
    layout = draw(st.sampled_from(("half", "interleaved", "interleaved_to_half")))
    divisors = [n for n in range(1, len(turns) + 1) if len(turns) % n == 0]
    # Not the rope: the hook checks random elements, which a strategy must not do.
    return {
        "inv_freq": [
            s * frequency for s, (_, frequency) in zip(signs, turns, strict=True)
        ],
        "layout": layout,
        "axis_of_pair": [axis for axis, _ in turns],
        "num_axes": 2,
        "num_blocks": draw(st.sampled_from(divisors)) if layout == "half" else 1,
        "rotary_start": draw(st.sampled_from(("leading", "trailing", 0, 1))),
        "attention_factor": attention_factor,
    }


# Few frequencies, so that some come twice; and on two axes.
turning = st.tuples(st.integers(0, 1), st.sampled_from((1.0, 0.25, 0.3)))
still = st.tuples(st.integers(0, 1), st.just(0.0))
SIZES = ("min_size", "max_size")


@given(data=st.data(), turns=st.lists(turning, min_size=1, max_size=6))
def test_any_ropes_of_the_same_turns(data, turns):
    factor = data.draw(st.sampled_from((1.0, 1.25)))
    zeros = data.draw(st.lists(still, max_size=2))
    # Pairs that stand still may be missing, unless the factor scales them, and their
    # axis is not read.
    count = {"max_size": 2} if factor == 1 else dict.fromkeys(SIZES, len(zeros))
    others = data.draw(st.lists(still, **count))
    source = Rope(**data.draw(settings(turns + zeros, factor)))
    target = Rope(**data.draw(settings(turns + others, factor)))
    assert_permutes(source, target, 2 * (len(turns) + 2) + 1)


@given(data=st.data(), count=st.integers(1, 6))
def test_permutations_compose_and_invert(data, count):
    """All turns differ, so that there is one permutation between any two ropes."""
    turns = [(axis, 1.0 / (i + 1)) for i in range(count) for axis in (0, 1)][:count]
    a, b, c = (Rope(**data.draw(settings(turns))) for _ in range(3))
    head_dim = 2 * count + 3
    for rotated in (False, True):

        def order(x, y, rotated=rotated):
            return F.channel_permutation(x, y, head_dim, rotated=rotated)

        np.testing.assert_array_equal(order(a, b)[order(b, c)], order(a, c))
        np.testing.assert_array_equal(order(b, a), np.argsort(order(a, b)))
        np.testing.assert_array_equal(order(a, a), np.arange(head_dim))


HALF = Rope(INV_FREQ)
PARTIAL = F.default_inv_freq(16)[:3]
AXES = {"axis_of_pair": (0, 1, 1, 0)}
PAIRS_OF_ROPES = {
    "half": (Rope(INV_FREQ, "interleaved"), HALF),
    "interleaved": (HALF, Rope(INV_FREQ, "interleaved")),
    "to_half": (Rope(INV_FREQ, "interleaved"), Rope(INV_FREQ, "interleaved_to_half")),
    "from_to_half": (Rope(INV_FREQ, "interleaved_to_half"), HALF),
    "blocks": (HALF, Rope(INV_FREQ, num_blocks=2)),
    "from_blocks": (
        Rope(INV_FREQ, num_blocks=4, rotary_start=3),
        Rope(INV_FREQ, "interleaved"),
    ),
    "reversed_sign": (HALF, Rope(-INV_FREQ, "interleaved")),
    "another_order": (HALF, Rope(INV_FREQ[[2, 0, 3, 1]])),
    "trailing": (HALF, Rope(INV_FREQ, rotary_start="trailing")),
    "offset": (Rope(INV_FREQ, "interleaved", rotary_start="trailing"), HALF),
    "proportional": (
        Rope(F.proportional_inv_freq(8, fraction=0.5)),
        Rope(F.default_inv_freq(8)[:2], "interleaved"),
    ),
    "to_proportional": (
        Rope(PARTIAL, rotary_start="trailing"),
        Rope([*PARTIAL[:2], 0.0, PARTIAL[2], 0.0]),
    ),
    "to_half_with_zeros": (
        Rope([*PARTIAL[:2], 0.0, PARTIAL[2]], "interleaved_to_half"),
        Rope(PARTIAL, "interleaved", rotary_start="trailing"),
    ),
    "still_on_another_axis": (
        Rope([1.0, 0.5, 0.0], axis_of_pair=(0, 1, 0), attention_factor=1.25),
        Rope([0.0, 0.5, 1.0], axis_of_pair=(1, 1, 0), attention_factor=1.25),
    ),
    "axes": (Rope(INV_FREQ, **AXES), Rope(INV_FREQ, "interleaved_to_half", **AXES)),
    "axes_in_order": (
        F.axial_rope((4, 4), num_blocks=2),
        F.axial_rope((4, 4), axis_order=(1, 0), alternate=True),
    ),
    "shared": (
        F.axial_rope((4, 4), shared=True),
        F.axial_rope((4, 4), shared=True, alternate=True, layout="interleaved"),
    ),
    "attention_factor": (
        Rope(INV_FREQ, "interleaved", attention_factor=1.25),
        Rope(-INV_FREQ[::-1], attention_factor=1.25),
    ),
}


@pytest.mark.parametrize("name", PAIRS_OF_ROPES)
def test_the_library_rotates_alike(name):
    source, target = PAIRS_OF_ROPES[name]
    p, q = assert_permutes(source, target, 11)
    x = np.random.default_rng(1).normal(size=(5, 3, 11)).astype(np.float32)
    positions = np.arange(10, dtype=np.int32).reshape(5, 2) * 1013 - 7
    if source.axis_of_pair is None:
        positions = positions[:, 0]
    expected = np.asarray(F.rotate(source, jnp.asarray(x), positions))[..., q]
    actual = F.rotate(target, jnp.asarray(x[..., p]), positions)
    # Cos and sin are the same bits; of two products one is rounded, and not always the
    # same one when a pair is taken the other way round.
    magnitude = 2 * 1.25 * float(np.abs(x).max())
    assert_close(actual, expected.astype(np.float64), magnitude=magnitude, roundings=1)
    if name not in ("reversed_sign", "attention_factor"):
        assert_same_bits(actual, expected)


def test_orders_of_the_two_storages():
    half, interleaved = HALF, Rope(INV_FREQ, "interleaved")
    to_half = F.channel_permutation(interleaved, half, 10)
    np.testing.assert_array_equal(to_half, [0, 2, 4, 6, 1, 3, 5, 7, 8, 9])
    from_half = F.channel_permutation(half, interleaved, 10)
    np.testing.assert_array_equal(from_half, [0, 4, 1, 5, 2, 6, 3, 7, 8, 9])
    # What DeepSeek-V3 caches is in halves, though its weights are interleaved.
    deepseek = Rope(INV_FREQ, "interleaved_to_half")
    orders = [
        F.channel_permutation(interleaved, deepseek, 10, rotated=rotated)
        for rotated in (False, True)
    ]
    np.testing.assert_array_equal(orders, [np.arange(10), to_half])


def reference(array, num_heads, to):
    """The reshapes of the conversion scripts, for whole heads on the first axis."""
    *_, width = array.shape if array.ndim > 1 else (*array.shape, 1)
    head_dim = array.shape[0] // num_heads
    split = (head_dim // 2, 2) if to == "half" else (2, head_dim // 2)
    heads = array.reshape(num_heads, *split, width)
    return heads.swapaxes(1, 2).reshape(array.shape)


other = {"half": "interleaved", "interleaved": "half"}
tos = pytest.mark.parametrize("to", ("half", "interleaved"))


@tos
@pytest.mark.parametrize("num_heads, head_dim", ((1, 2), (3, 6), (4, 64), (8, 128)))
def test_equals_the_reshapes_of_the_conversion_scripts(to, num_heads, head_dim):
    weight = np.arange(num_heads * head_dim * 5).reshape(-1, 5)
    actual = F.permute_qk(weight, num_heads=num_heads, to=to)
    assert_same_bits(actual, reference(weight, num_heads, to))
    bias = np.arange(num_heads * head_dim)
    actual = F.permute_qk(bias, num_heads=num_heads, to=to)
    assert_same_bits(actual, reference(bias, num_heads, to))
    kernel = F.permute_qk(weight.T, num_heads=num_heads, to=to, axis=-1)
    assert_same_bits(kernel, reference(weight, num_heads, to).T)


@tos
@pytest.mark.parametrize(
    "rotary_start, start", (("leading", 0), ("trailing", 6), (3, 3))
)
def test_partial_rotation_permutes_its_slice_only(to, rotary_start, start):
    weight = np.arange(2 * 10 * 3).reshape(20, 3)
    actual = F.permute_qk(
        weight, num_heads=2, to=to, rotary_dim=4, rotary_start=rotary_start
    )
    expected = weight.copy().reshape(2, 10, 3)
    rows = expected[:, start : start + 4].copy()
    for head in range(2):
        expected[head, start : start + 4] = reference(rows[head], 1, to)
    assert_same_bits(actual, expected.reshape(20, 3))


@tos
@pytest.mark.parametrize("dtype", ("float64", "float32", "bfloat16", "int8", "bool"))
def test_round_trip_in_the_dtype_and_kind_of_the_array(to, dtype):
    values = np.random.default_rng(0).integers(-9, 9, (2, 24, 3))
    weight = values.astype(jnp.dtype(dtype))
    options = {"num_heads": 3, "rotary_dim": 6, "rotary_start": 1, "axis": 1}
    there = F.permute_qk(weight, to=to, **options)
    assert isinstance(there, np.ndarray)
    assert (there != weight).any()
    assert_same_bits(F.permute_qk(there, to=other[to], **options), weight)
    assert_same_bits(F.permute_qk(weight, to=to, **{**options, "axis": -2}), there)
    array = jnp.asarray(weight)
    if dtype == "float64" and array.dtype != jnp.float64:
        return
    for function in (F.permute_qk, jax.jit(F.permute_qk, static_argnames=OPTIONS)):
        actual = function(array, to=to, **options)
        assert isinstance(actual, jax.Array)
        assert_same_bits(actual, there)


OPTIONS = ("num_heads", "to", "rotary_dim", "rotary_start", "axis")


def test_equals_the_permutation_of_channels():
    source = Rope(INV_FREQ, "interleaved", rotary_start=1)
    target = Rope(INV_FREQ, rotary_start=1)
    order = F.channel_permutation(source, target, 11)
    norm = np.random.default_rng(0).normal(size=11)
    actual = F.permute_qk(norm, num_heads=1, to="half", rotary_dim=8, rotary_start=1)
    assert_same_bits(actual, norm[order])


def scores(q, k, rope, seq_len=7):
    """Of `q` `(seq, heads, dim)` and fewer heads of `k`, summed in float64."""
    positions = np.arange(seq_len, dtype=np.int32) * 101
    q, k = (
        np.asarray(F.rotate(rope, jnp.asarray(t, jnp.float32), positions), np.float64)
        for t in (q, k)
    )
    k = np.repeat(k, q.shape[1] // k.shape[1], axis=1)
    return np.einsum("mhd,nhd->hmn", q, k)


def assert_scores(actual, expected, head_dim, largest):
    """Inputs may differ by a float32 unit, and rotated ones by half a unit more."""
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=head_dim * 2 * largest**2 * 2 * 3 * 2.0**-24
    )
    assert np.abs(expected).max() > 1.0


def rms_norm(x, weight):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * weight


@pytest.mark.parametrize("rotary_dim", (16, 8))
def test_scores_of_grouped_queries_with_biases_and_norms(rotary_dim):
    """8 heads of queries and 2 of keys: halves with the permuted weights."""
    rng, head_dim = np.random.default_rng(0), 16
    x = rng.normal(size=(7, 12))
    weights = [
        # Weights as PyTorch stores them, biases, and norms over the head.
        [rng.normal(size=shape) for shape in ((heads * head_dim, 12), heads * head_dim)]
        + [rng.normal(size=head_dim)]
        for heads in (8, 2)
    ]

    def project(weight, bias, norm, heads):
        heads = (x @ weight.T + bias).reshape(7, heads, head_dim)
        return rms_norm(heads, norm)

    def permuted(weight, bias, norm, heads):
        options = {"to": "half", "rotary_dim": rotary_dim}
        return project(
            F.permute_qk(weight, num_heads=heads, **options),
            F.permute_qk(bias, num_heads=heads, **options),
            F.permute_qk(norm, num_heads=1, **options),
            heads,
        )

    inv_freq = F.default_inv_freq(rotary_dim)
    expected = scores(
        project(*weights[0], 8), project(*weights[1], 2), Rope(inv_freq, "interleaved")
    )
    q, k = permuted(*weights[0], 8), permuted(*weights[1], 2)
    largest = max(np.abs(q).max(), np.abs(k).max())
    assert_scores(scores(q, k, Rope(inv_freq)), expected, head_dim, largest)
    # The weights of keys cut into the heads of queries are something else.
    wrong = F.permute_qk(weights[1][0], num_heads=8, to="half")
    assert (wrong != F.permute_qk(weights[1][0], num_heads=2, to="half")).any()


def test_scores_of_latent_attention():
    """The rotary slice of a head comes last, and its key is shared by all heads."""
    rng = np.random.default_rng(0)
    x, q_weight = rng.normal(size=(7, 12)), rng.normal(size=(12, 4 * 14))
    # Latents of 10 and then the rotary key of 8, as kernels of JAX: channels last.
    kv_weight = rng.normal(size=(12, 10 + 8))
    rotary = {"to": "half", "rotary_dim": 8, "rotary_start": "trailing", "axis": -1}

    def project(q_weight, kv_weight):
        return (x @ q_weight).reshape(7, 4, 14)[..., 6:], (x @ kv_weight)[:, None, 10:]

    inv_freq = F.default_inv_freq(8)
    expected = scores(*project(q_weight, kv_weight), Rope(inv_freq, "interleaved"))
    q, k = project(
        F.permute_qk(q_weight, num_heads=4, **rotary),
        F.permute_qk(kv_weight, num_heads=1, **rotary),
    )
    largest = max(np.abs(q).max(), np.abs(k).max())
    assert_scores(scores(q, k, Rope(inv_freq)), expected, 8, largest)


def shown(thing):
    return re.escape(str(thing))


@pytest.mark.errors
@pytest.mark.parametrize(
    "target, message",
    (
        (
            Rope(F.default_inv_freq(8, 500.0)),
            "more pairs of frequency 0.211474 on axis",
        ),
        (Rope(np.append(INV_FREQ, 1.0)), "more pairs of frequency 1 on axis 0"),
        (Rope(INV_FREQ[:3]), "has more pairs than"),
        (
            Rope(INV_FREQ, axis_of_pair=(0, 0, 1, 0)),
            "frequency 0.01 on axis 1 than",
        ),
        (Rope(INV_FREQ, attention_factor=1.5), "have different attention factors"),
    ),
)
def test_no_permutation_exists(target, message):
    source = Rope(INV_FREQ, "interleaved")
    for rotated in (False, True):
        with pytest.raises(ValueError, match="no permutation exists") as error:
            F.channel_permutation(source, target, 10, rotated=rotated)
        assert message in str(error.value)
        assert str(source) in str(error.value)
        assert str(target) in str(error.value)


@pytest.mark.errors
def test_factors_scale_pairs_that_stand_still():
    frequencies = [1.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="has more pairs than"):
        F.channel_permutation(
            Rope(frequencies, attention_factor=1.5),
            Rope(frequencies[:2], attention_factor=1.5),
            6,
        )


@pytest.mark.errors
@pytest.mark.parametrize("rotary_start, head_dim", (("trailing", 7), (3, 10)))
def test_a_head_must_hold_the_channels_that_rotate(rotary_start, head_dim):
    rope = Rope(INV_FREQ, rotary_start=rotary_start)
    message = f"head_dim={head_dim} must hold the 8 channels of {shown(rope)}"
    for ropes in ((rope, rope), (rope, Rope([1.0])), (Rope([1.0]), rope)):
        with pytest.raises(ValueError, match=message):
            F.channel_permutation(*ropes, head_dim)


@pytest.mark.errors
@pytest.mark.parametrize(
    "options, message",
    (
        ({"to": "neox"}, "to='neox' must be 'half' or 'interleaved'"),
        ({"axis": 2}, r"axis=2 must be an axis of array.shape=\(12, 5\)"),
        ({"axis": -3}, r"axis=-3 must be an axis of array.shape=\(12, 5\)"),
        ({"num_heads": 0}, "num_heads=0 must be a positive integer"),
        ({"num_heads": -2}, "num_heads=-2 must be a positive integer"),
        ({"num_heads": 5}, "num_heads=5 must divide"),
        ({"axis": -1}, r"num_heads=2 must divide array.shape=\(12, 5\) on axis=1"),
        ({"num_heads": 4}, "must hold num_heads=4 heads of"),
        ({"rotary_dim": 3}, "rotary_dim=3 must be positive and even"),
        ({"rotary_dim": 0}, "rotary_dim=0 must be positive and even"),
        ({"rotary_dim": 8}, "rotary_dim=8 must be at most head_dim=6"),
        ({"rotary_start": "first"}, "rotary_start='first' must be 'leading', 'trail"),
        ({"rotary_dim": 4, "rotary_start": 3}, "rotary_start=3 must leave room"),
    ),
)
def test_arguments_of_permute_qk(options, message):
    arguments = {"num_heads": 2, "to": "half", **options}
    for make in (np.zeros, jnp.zeros):
        with pytest.raises(ValueError, match=message):
            F.permute_qk(make((12, 5)), **arguments)


@pytest.mark.errors
def test_a_number_has_no_axis_of_channels():
    with pytest.raises(ValueError, match=r"axis=0 must be an axis of array.shape=\(\)"):
        F.permute_qk(np.array(1.0), num_heads=1, to="half")
