"""Permutations of the rows of projections, for the other layout of pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits

import attnax.functional as F
from attnax.functional import Rope

INV_FREQ = F.default_inv_freq(8)


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
