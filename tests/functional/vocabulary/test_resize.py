"""Vocabularies that grow: rows that stay, rows that are new, and their shardings."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

KEY = jax.random.key(0)
HOW = ("mean_and_covariance", "mean", "zeros")
resize, pad = jitted(F.resize_vocabulary), jitted(F.pad_vocabulary)
WEIGHT = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32) + 1


@given(data=st.data(), dtype=ax.narrow_dtypes, how=st.sampled_from(HOW))
def test_old_rows_stay_and_padding_is_zeros(data, dtype, how):
    weight = data.draw(ax.floats((5, 3), dtype))
    options = {"new_rows": how, "row_multiple": 4, "key": KEY}
    actual = resize(weight, 6, **options)
    assert actual.shape == (8, 3)
    assert_same_bits(actual[:5], weight)
    np.testing.assert_array_equal(np.asarray(actual[6:], np.float32), 0.0)


def test_new_rows_have_the_mean_and_the_covariance_of_the_old_ones():
    exact = WEIGHT.astype(np.float64)
    mean, covariance = exact.mean(0), np.cov(exact.T, bias=True)
    new = np.asarray(resize(WEIGHT, 40 + 4000, key=KEY)[40:], np.float64)
    centered = (new - mean) / 1e-9**0.5
    deviation = np.sqrt(np.diag(covariance))
    # Six standard errors of 4000 draws, and float32 numbers near 1 in that unit.
    error = 6 * deviation / 4000**0.5 + 2.0**-23 / 1e-9**0.5
    assert (np.abs(centered.mean(0)) < error).all()
    scale = np.outer(deviation, deviation)
    error = 6 * scale * (2 / 4000) ** 0.5 + 0.02
    assert (np.abs(centered.T @ centered / 4000 - covariance) < error).all()


def test_equal_rows_have_no_covariance_and_give_the_mean():
    equal = np.full((5, 3), [1.0, 2.0, 3.0], np.float32)
    np.testing.assert_array_equal(resize(equal, 7, key=KEY), [equal[0]] * 7)
    # One row has no covariance at all, and one bias no deviation.
    np.testing.assert_array_equal(resize(equal[:1], 2, key=KEY)[1], equal[0])
    np.testing.assert_array_equal(resize(equal[0, :1], 2, key=KEY), [1.0, 1.0])


def test_a_bias_is_near_its_mean():
    bias = WEIGHT[:, 0] - WEIGHT[:, 0].mean(dtype=np.float64).astype(np.float32)
    new = np.asarray(resize(bias, 4040, key=KEY)[40:], np.float64)
    mean = bias.astype(np.float64).mean()
    deviation = 1e-9 * bias.astype(np.float64).std(ddof=1)
    # Float32 sums of 40 numbers below 4.
    assert abs(new.mean() - mean) < 40 * 4 * 2.0**-24
    assert abs(new.std() / deviation - 1) < 0.1


def test_new_tokens_take_the_place_of_padding():
    """LlamaFactory#10547 put them behind it, or left them as they were."""
    padded = np.concatenate([WEIGHT, np.full((8, 3), 1e6, np.float32)])
    options = {"new_rows": "mean", "valid_vocab_size": 40}
    actual = resize(padded, 42, **options)
    assert actual.shape == (48, 3)  # never less (unsloth-zoo#923)
    mean = WEIGHT.astype(np.float64).mean(0)
    np.testing.assert_allclose(actual[40:42], [mean] * 2, rtol=40 * 2.0**-24)
    np.testing.assert_array_equal(actual[42:], padded[42:])
    actual = resize(padded, 50, **options)
    assert actual.shape == (50, 3)
    np.testing.assert_allclose(actual[40:], [mean] * 10, rtol=40 * 2.0**-24)
    same = resize(padded, 40, valid_vocab_size=40)  # no row is new: it needs no key
    np.testing.assert_array_equal(same, padded)


def test_given_rows_are_rounded_to_the_dtype_of_the_table():
    rows = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    actual = resize(WEIGHT.astype(jnp.bfloat16), 42, new_rows=rows)
    assert_same_bits(actual[40:], rows.astype(jnp.bfloat16))


def test_padding_never_shrinks():
    for rows, multiple, expected in ((40, 16, 48), (40, 8, 40), (40, 64, 64)):
        actual = pad(WEIGHT[:rows], multiple)
        assert actual.shape == (expected, 3)
        assert_same_bits(actual[:rows], WEIGHT)
        np.testing.assert_array_equal(actual[rows:], 0.0)
    np.testing.assert_array_equal(pad(WEIGHT[:, 0], 64)[40:], 0.0)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_a_sharded_table_stays_sharded(axis_type):
    plain = resize(WEIGHT, 42, key=KEY, row_multiple=4)
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    sharding = NamedSharding(mesh, P(("a", "b"), None))
    weight = jax.device_put(WEIGHT, sharding)
    outside = F.resize_vocabulary(weight, 42, key=KEY, row_multiple=4)
    padded = F.pad_vocabulary(weight, 16)
    with jax.set_mesh(mesh):
        inside = resize(weight, 42, key=KEY, row_multiple=4)
    for actual in (outside, inside, padded):
        assert actual.sharding.is_equivalent_to(sharding, 2)
    for actual in (outside, inside):
        # Means of 40 numbers near 1, in another order.
        np.testing.assert_allclose(actual, plain, rtol=0, atol=40 * 4 * 2.0**-24)
    np.testing.assert_array_equal(padded, pad(WEIGHT, 16))
    with pytest.raises(ValueError, match="the 42 rows of the result must be a mult"):
        F.resize_vocabulary(weight, 42, new_rows="zeros")


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_a_sharded_table_in_a_function_that_is_traced_for_something_else(axis_type):
    mesh = jax.make_mesh((4,), ("a",), axis_types=(axis_type,))
    weight = jax.device_put(WEIGHT, NamedSharding(mesh, P("a", None)))
    with jax.set_mesh(mesh):
        actual = jax.jit(lambda: F.pad_vocabulary(weight, 16))()
        tangent = jax.jvp(lambda s: F.pad_vocabulary(weight, 16) * s, (1.0,), (2.0,))
    if axis_type is AxisType.Explicit:
        assert jax.typeof(actual).sharding.spec == P("a", None)
    np.testing.assert_array_equal(actual, pad(WEIGHT, 16))
    np.testing.assert_array_equal(tangent[1], 2 * pad(WEIGHT, 16))


@pytest.mark.errors
def test_sizes_and_rows_are_checked():
    weight = host.ones((5, 2))
    with refused("new_size=4 must be at least 5, the number of old tokens; slice"):
        F.resize_vocabulary(weight, 4, key=KEY)
    with refused("new_size=0 must be a positive integer"):
        F.resize_vocabulary(weight, 0, key=KEY)
    with refused(r"valid_vocab_size=6 must be an integer in \[1, 5\]"):
        F.resize_vocabulary(weight, 7, valid_vocab_size=6, key=KEY)
    with refused("row_multiple=0 must be a positive integer"):
        F.resize_vocabulary(weight, 7, row_multiple=0, key=KEY)
    with refused("new_rows='ones' must be 'mean_and_covariance', 'mean' or 'zeros'"):
        F.resize_vocabulary(weight, 7, new_rows="ones")
    with refused(r"new_rows.shape=\(1, 2\) must be \(2, 2\), a row for each new"):
        F.resize_vocabulary(weight, 7, new_rows=host.ones((1, 2)))
    with refused('key=None must be a random key, .*; new_rows="mean" needs none'):
        F.resize_vocabulary(weight, 7)
    for shape in ((0, 2), (5, 0), (2, 2, 2)):
        with refused(r"weight.shape=.* must be \(rows, columns\) or \(rows,\)"):
            F.pad_vocabulary(host.ones(shape), 4)
    with refused("multiple=2.5 must be a positive integer"):
        F.pad_vocabulary(weight, 2.5)
