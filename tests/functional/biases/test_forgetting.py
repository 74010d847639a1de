"""The forgetting bias: gates, their exact sums, and differences of them."""

import jax
import jax.numpy as jnp
import numpy as np
import paper_bias_oracles as oracles
import pytest
from bias_laws import matrix
from helpers import assert_close, assert_same_bits, jitted, refused
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import attnax.functional as F

BIAS = F.ForgettingBias(3)
cumulate = jitted(F.cumulate_log_gates)
gates_of = jitted(F.apply_forget_gate)


def logits_of(length, shift=0.0, *, batch=(2,), num_heads=3, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(*batch, length, num_heads)) + shift).astype(np.float32)


def log_gates_of(logits):
    """The logarithms, rounded once."""
    return -np.logaddexp(0, -logits.astype(np.float64)).astype(np.float32)


def biases_of(sums, q_start=0):
    """Biases of all queries from `q_start` on."""
    length = sums.shape[-3]
    return matrix(
        F.ForgettingBias(sums.shape[-2]),
        None,
        range(q_start, length),
        range(length),
        q=np.asarray(sums)[..., q_start:, :, :],
        k=np.asarray(sums),
    )


def test_it_is_the_sum_of_the_gates_in_between():
    logits = 3 * logits_of(50)
    actual = biases_of(cumulate(log_gates_of(logits)))
    expected = oracles.forgetting(logits, range(50), range(50))
    # Each gate is rounded once, to float32 and to 2**-30.
    assert_close(actual, expected, magnitude=np.abs(expected).max(), roundings=1)
    # A key after the query has a positive bias: the mask is not optional.
    assert (np.asarray(actual)[:, :, 0, 1:] > 0).all()
    assert (np.diagonal(actual, axis1=2, axis2=3) == 0).all()


@pytest.mark.parametrize("mean", (0.0, 5.0))
def test_differences_are_accurate_late_in_a_sequence(mean):
    """In one float32 the error is 5e-3 after 65,536 gates around a half."""
    log_gates = log_gates_of(logits_of(65_536, mean, batch=(), num_heads=1))
    sums = np.asarray(cumulate(log_gates))
    exact = np.cumsum(log_gates.astype(np.float64), 0)
    # Gates are rounded to 2**-30, which is 2**-31 at most and of either sign.
    error = np.abs(sums.astype(np.float64).sum(-1) - exact)
    assert error.max() < 2**-31 * 4 * np.sqrt(65_536)
    actual = biases_of(sums[-64:])[0]
    expected = exact[-64:, 0, None] - exact[-64:, 0]
    np.testing.assert_allclose(actual, expected, rtol=2.0**-24, atol=2**-31 * 64)


def test_a_step_with_a_cache_has_the_bits_of_the_whole():
    log_gates = log_gates_of(logits_of(300))
    whole = cumulate(log_gates)
    parts = [cumulate(log_gates[:, :200])]
    for at in range(200, 300, 50):
        part = log_gates[:, at : at + 50]
        parts.append(cumulate(part, np.asarray(parts[-1])[:, -1]))
    assert_same_bits(np.concatenate(parts, 1), whole)
    last = biases_of(whole, q_start=299)
    assert_same_bits(last, np.asarray(biases_of(whole))[:, :, 299:])


def test_packed_documents_and_left_padding_have_the_bits_of_one_alone():
    log_gates = log_gates_of(logits_of(400))
    packed = biases_of(np.asarray(cumulate(log_gates))[:, 300:])
    assert_same_bits(packed, biases_of(cumulate(log_gates[:, 300:])))
    log_gates[:, :300] = 0
    padded = biases_of(np.asarray(cumulate(log_gates))[:, 300:])
    assert_same_bits(padded, packed)


def test_batch_axes_are_vmap_and_broadcast():
    sums = np.asarray(cumulate(log_gates_of(logits_of(20))))
    both, at = biases_of(sums), np.arange(20)
    for one, expected in zip(sums, both, strict=True):
        assert_same_bits(biases_of(one), expected)
    mixed = matrix(BIAS, None, np.stack([at, at]), at, q=sums[0], k=sums)
    assert_same_bits(np.asarray(mixed)[0], both[0])
    one = jax.vmap(F.cumulate_log_gates)(log_gates_of(logits_of(20)))
    assert_same_bits(one, sums)


def test_data_independent_gates_are_alibi():
    """Gates of `exp(-slope)`, the fixed gates of the released code."""
    slopes = F.alibi_slopes(4)
    log_gates = np.broadcast_to(-slopes, (60, 4)).astype(np.float32)
    actual = biases_of(cumulate(log_gates))
    alibi = F.AlibiBias(4, form="signed")
    assert_same_bits(actual, matrix(alibi, None, range(60), range(60)))


def test_the_gradient_is_that_of_the_sums_of_gates():
    logits = logits_of(50)
    log_gates = log_gates_of(logits)
    weights = np.random.default_rng(1).normal(size=(2, 3, 50, 50)).astype(np.float32)

    @jax.jit
    @jax.grad
    def gradient(log_gates):
        sums, at = F.cumulate_log_gates(log_gates), range(50)
        biases = F.apply_position_bias(BIAS, None, at, at, q=sums, k=sums)
        return (weights * biases).sum()

    wide, expected = weights.astype(np.float64), np.zeros((2, 50, 3))
    for gate in range(50):
        after, before = wide[:, :, gate:, :gate], wide[:, :, :gate, gate:]
        expected[:, gate] = after.sum((2, 3)) - before.sum((2, 3))
    # Sums of rows and of columns, and then of 50 of them.
    assert_close(
        gradient(log_gates), expected, magnitude=np.abs(wide).sum((2, 3)).max()
    )


def test_the_start_has_its_gradient_and_tangents_pass():
    log_gates, start = log_gates_of(logits_of(5)), np.zeros((2, 3, 2), np.float32)
    of_sums = lambda g, s: F.cumulate_log_gates(g, s)[..., 0].sum()
    of_gates, of_start = jax.grad(of_sums, (0, 1))(log_gates, start)
    np.testing.assert_array_equal(of_gates[0, :, 0], [5, 4, 3, 2, 1])
    np.testing.assert_array_equal(of_start, np.full((2, 3, 2), 5.0))
    _, tangent = jax.jvp(F.cumulate_log_gates, (log_gates,), (np.ones_like(log_gates),))
    np.testing.assert_array_equal(tangent[0, :, 0, 0], [1, 2, 3, 4, 5])
    assert (tangent[..., 1] == 0).all()


def test_gates_are_logarithms_of_sigmoids_in_float32():
    weight = np.eye(3, dtype=np.float32)
    params = F.ForgetGateParams(weight, np.zeros(3, np.float32))
    # The logarithm of a sigmoid would be -inf, or 0.
    x = np.array([[-100.0, 0.0, 20.0]], np.float32)
    expected = -np.logaddexp(0, -x.astype(np.float64))
    np.testing.assert_allclose(gates_of(params, x), expected, rtol=4 * 2.0**-23)
    narrow = gates_of(params, x.astype(jnp.bfloat16))
    assert narrow.dtype == np.float32
    assert_same_bits(narrow, gates_of(params, x))


def test_padding_has_gates_of_one():
    params = F.init_forget_gate(jax.random.key(0), 4, 3, bias=1.0)
    params = jax.tree.map(np.asarray, params)
    assert (params.bias == 1).all() and 0 < np.abs(params.weight).max() < 0.1
    x, mask = np.ones((2, 5, 4), np.float32), np.arange(5) >= np.array([[2], [0]])
    log_gates = np.asarray(gates_of(params, x, mask))
    assert (log_gates[~mask] == 0).all() and (log_gates[mask] < 0).all()
    assert_same_bits(gates_of(params, x, mask.astype(int)), log_gates)


def test_nan_stays_and_gates_that_forget_all_are_finite():
    log_gates = np.full((6, 2), -0.5, np.float32)
    log_gates[3, 0], log_gates[2, 1] = np.nan, -np.inf
    sums = np.asarray(cumulate(log_gates))
    assert np.isnan(sums[:, 0, 0]).tolist() == [False] * 3 + [True] * 3
    np.testing.assert_array_equal(sums[-1, 1], [-1024 - 2.5, 0])
    assert np.isnan(cumulate(log_gates[:2], sums[-1])[:, 0]).all()


def test_sums_of_two_dtypes_are_subtracted_in_the_wider_one():
    with jax.enable_x64(True):
        k = F.cumulate_log_gates(log_gates_of(logits_of(5)).astype(np.float64))
        q = k.astype(np.float32)
        positions = range(5), range(5)
        dense = F.apply_position_bias(BIAS, None, *positions, q=q, k=k)
        score_mod = F.position_bias_score_mod(BIAS, None, *positions, q=q, k=k)
        indices = [jnp.asarray(n) for n in np.ix_(*map(range, dense.shape))]
        scores = score_mod(jnp.zeros(dense.shape), *indices)
        wide = F.apply_position_bias(BIAS, None, *positions, q=q.astype("d"), k=k)
    assert_same_bits(dense, wide)
    assert_same_bits(scores, wide)


def test_sums_stay_on_their_devices():
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,))
    log_gates = log_gates_of(logits_of(5))
    whole = F.cumulate_log_gates(log_gates)
    with jax.set_mesh(mesh):
        sums = F.cumulate_log_gates(jax.device_put(log_gates, P("batch")))
        assert jax.typeof(sums).sharding.spec == P("batch", None, None, None)
    assert_same_bits(sums, whole)


@pytest.mark.parametrize("dtype", ("float32", "bfloat16", "float16"))
@pytest.mark.parametrize("scale", (0.125, 80**-0.5))
def test_channels_are_the_bias(dtype, scale):
    logits = logits_of(200)
    sums = cumulate(log_gates_of(logits))
    made = F.position_bias_channels(
        BIAS, None, range(200), range(200), q=sums, k=sums, scale=scale, dtype=dtype
    )
    assert made.q.shape == made.k.shape == (2, 200, 3, 4 if dtype == "float32" else 8)
    assert made.q.dtype == dtype
    q, k = (np.asarray(t, np.float64) for t in made)
    products = np.float64(np.float32(scale)) * np.einsum("bqhw,bkhw->bhqk", q, k)
    expected = oracles.forgetting(logits, range(200), range(200))
    # Sums are rounded once where the scale is no power of two. Three pieces hold the 24
    # bits of a float32 but for the smallest numbers of float16.
    most = np.abs(np.asarray(sums)).max()
    np.testing.assert_allclose(products, expected, rtol=0, atol=2 * most * 2.0**-23)


@pytest.mark.errors
def test_sums_must_be_pairs_of_every_head():
    sums, at = np.zeros((4, 3, 2), np.float32), range(4)
    with pytest.raises(ValueError, match="q must be given: ForgettingBias reads it"):
        F.apply_position_bias(BIAS, None, at, at)
    with pytest.raises(ValueError, match=r"k.shape=\(4, 3\) must"):
        F.apply_position_bias(BIAS, None, at, at, q=sums, k=sums[..., 0])
    with pytest.raises(ValueError, match="num_heads=0 must be a positive integer"):
        F.ForgettingBias(0)


@pytest.mark.errors
def test_bad_gates_are_refused():
    log_gates = np.zeros((4, 3), np.float32)
    with refused("log_gates.dtype=bfloat16 must be float32 or"):
        F.cumulate_log_gates(log_gates.astype(jnp.bfloat16))
    with refused(r"start.shape=\(3, 1\) must broadcast to"):
        F.cumulate_log_gates(log_gates, np.zeros((3, 1), np.float32))
    with refused("must have at most 2"):
        long = jax.ShapeDtypeStruct((2**20 + 1, 1), np.float32)
        jax.eval_shape(F.cumulate_log_gates, long)
    params = F.ForgetGateParams(np.ones((4, 3), np.float32), np.ones(3, np.float32))
    x = np.ones((5, 4), np.float32)
    with refused(r"mask.shape=\(4,\) must broadcast to \(5,\)"):
        F.apply_forget_gate(params, x, np.ones(4, bool))
    with refused("must be bool or integer"):
        F.apply_forget_gate(params, x, np.ones(5, np.float32))
    with refused(r"params.weight.shape=\(4, 3\) must be"):
        F.apply_forget_gate(params, x[:, :3])
