"""Sums of position biases."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bias_laws import drawn
from helpers import assert_close, jitted
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import attnax.functional as F

T5 = F.T5Bias(2, 8, 6, bidirectional=True)
ALIBI = F.AlibiBias(2, form="signed")
BOXES = F.BoxBias(2, 8, 6, coordinate="left")
PAGE = np.random.default_rng(0).integers(0, 20, (3, 7, 4)).astype(np.int32)
matrix = jitted(F.apply_position_bias)


def test_the_sum_is_that_of_the_matrices():
    bias = F.SumBias([T5, ALIBI, BOXES])
    params, at = drawn(bias), np.arange(7)
    actual = matrix(bias, params, at, at, q=PAGE, k=PAGE)
    terms = [matrix(b, p, at, at) for b, p in zip((T5, ALIBI), params, strict=False)]
    terms.append(matrix(BOXES, params[2], at, at, q=PAGE, k=PAGE))
    expected = sum(np.asarray(term, np.float64) for term in terms)
    assert actual.shape == (3, 2, 7, 7)
    assert_close(actual, expected, magnitude=10)


def test_each_bias_has_parameters_of_its_own():
    bias = F.SumBias([T5, ALIBI, T5])
    first, nothing, last = drawn(bias)
    assert nothing is None
    assert not np.array_equal(first.table, last.table)
    assert hash(bias) == hash(F.SumBias((T5, ALIBI, T5))) and bias.num_heads == 2
    assert repr(F.SumBias([ALIBI])) == f"SumBias(biases=({ALIBI!r},))"


def test_a_narrow_sum_is_rounded_once():
    bias, at = F.SumBias([T5, T5]), np.arange(7)
    params = drawn(bias, dtype="bfloat16")
    wide = matrix(bias, params, at, at)
    assert wide.dtype == np.float32
    narrow = matrix(bias, params, at, at, dtype="bfloat16")
    np.testing.assert_array_equal(narrow, np.asarray(wide).astype(narrow.dtype))


def test_bounds_are_those_of_all_biases():
    window = F.WindowBias(2, (2, 3))
    assert F.SumBias([T5, window])._bounds == (0, 6)


def test_keys_have_bounds_of_their_own():
    grids = F.DecomposedBias(2, 4, (2, 2), (2, 4))
    bias, q = F.SumBias([grids, grids]), np.ones((4, 2, 4), np.float32)
    assert np.isfinite(matrix(bias, drawn(bias), range(4), range(8), q=q)).all()


def test_a_sum_can_be_replaced():
    bias = F.SumBias([T5, ALIBI])
    assert dataclasses.replace(bias, biases=(T5, T5)) == F.SumBias([T5, T5])
    gated = dataclasses.replace(F.GatedBias(T5, 4), head_dim=5)
    assert gated == F.GatedBias(T5, 5) and gated.num_heads == 2


def test_terms_of_two_dtypes_are_added_in_the_wider_one():
    with jax.enable_x64(True):
        bias, at = F.SumBias([T5, F.KerpleBias(2)]), np.arange(7)
        table = drawn(T5, dtype="float32")
        params = table, F.KerpleBiasParams(np.array([1.0, 0.7]), np.array([0.3, 1.9]))
        dense = F.apply_position_bias(bias, params, at, at)
        score_mod = F.position_bias_score_mod(bias, params, at, at)
        indices = [jnp.asarray(n) for n in np.ix_([0], *map(range, (2, 7, 7)))]
        scores = score_mod(jnp.zeros((1, 2, 7, 7)), *indices)
    assert dense.dtype == np.float64
    np.testing.assert_array_equal(scores[0], dense)


def test_terms_of_wide_queries_are_rounded_once():
    keys = F.RelativeKeyBias(2, 4, left=2, right=2)
    with jax.enable_x64(True):
        bias, at = F.SumBias([keys, keys]), np.arange(7)
        params = drawn(bias, dtype="float32")
        q = np.random.default_rng(0).normal(size=(7, 2, 4))
        wide = F.apply_position_bias(bias, params, at, at, q=q)
        narrow = F.apply_position_bias(bias, params, at, at, q=q, dtype="float32")
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(narrow, np.asarray(wide).astype(np.float32))


def test_channels_of_a_sum_are_those_of_all_biases():
    bias, at = F.SumBias([ALIBI, F.AlibiBias(2, form="signed", max_bias=4)]), range(7)
    channels = F.position_bias_channels(
        bias, (None, None), at, at, scale=0.5, dtype=np.float32
    )
    k = np.broadcast_to(channels.k, (7, 2, channels.k.shape[-1]))
    products = 0.5 * np.einsum("qhc,khc->hqk", channels.q, k)
    expected = matrix(bias, (None, None), at, at)
    # Up to a constant in each row, which a softmax drops.
    actual = products - products[..., :1]
    assert_close(actual, expected - expected[..., :1], magnitude=10)


@pytest.mark.parametrize("axis", ("batch", "heads", "queries"))
def test_explicit_meshes(axis):
    bias, at = F.SumBias([T5, BOXES]), jnp.arange(7)
    mesh = jax.make_mesh((1,), (axis,), axis_types=(AxisType.Explicit,))
    params, boxes = drawn(bias), PAGE
    expected = matrix(bias, params, at, np.arange(7), q=boxes, k=boxes)
    with jax.set_mesh(mesh):
        if axis == "heads":
            params = jax.device_put(params, P(None, axis))
        elif axis == "batch":
            boxes = jax.device_put(boxes, P(axis))
        else:
            at = jax.device_put(at, P(axis))
        actual = matrix(bias, params, at, np.arange(7), q=boxes, k=boxes)
        axes = [axis if axis == n else None for n in ("batch", "heads", "queries")]
        assert jax.typeof(actual).sharding.spec == P(*axes, None)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.errors
def test_biases_that_do_not_fit_together():
    with pytest.raises(ValueError, match=r"biases is .*, but must be records"):
        F.SumBias([])
    with pytest.raises(ValueError, match="equal numbers of heads, not 2 and 3"):
        F.SumBias([T5, F.AlibiBias(3)])
    segments = F.SegmentBias(2, 4, num_buckets=8, max_distance=16)
    with pytest.raises(ValueError, match="biases must read the same of q, not Boxes"):
        F.SumBias([BOXES, segments])
    of_vectors = F.HiddenStateBias(2, 4)  # as wide as a box
    with pytest.raises(ValueError, match="biases must read the same of q, not Boxes"):
        F.SumBias([BOXES, of_vectors])
    with pytest.raises(Exception, match=r"record of a position bias|Type-check"):
        F.SumBias([T5, None])


@pytest.mark.errors
def test_keys_out_of_the_bounds_of_one_bias():
    small = F.DecomposedBias(2, 4, (2, 4), (2, 2))
    bias, q = F.SumBias([small, small]), np.ones((8, 2, 4), np.float32)
    with pytest.raises(ValueError, match=r"k_positions\[4\]=4 must lie in \[0, 4\)"):
        F.apply_position_bias(bias, drawn(bias), range(8), range(8), q=q)


@pytest.mark.errors
def test_parameters_that_do_not_fit():
    bias = F.SumBias([T5, ALIBI])
    with pytest.raises(
        ValueError, match="params must be a tuple of the parameters of 2"
    ):
        F.apply_position_bias(bias, None, range(3), range(3))
    params = F.TableBiasParams(np.ones((4, 2), np.float32)), None
    with pytest.raises(ValueError, match=r"params\[0\].table.shape=\(4, 2\) must be"):
        F.apply_position_bias(bias, params, range(3), range(3))
    params = drawn(T5), params[0]
    with pytest.raises(ValueError, match=r"params\[1\] must be None: AlibiBias has no"):
        F.apply_position_bias(bias, params, range(3), range(3))
    nested = F.SumBias([ALIBI, bias])
    with pytest.raises(ValueError, match=r"params\[1\]\[1\] must be None: AlibiBias"):
        F.apply_position_bias(nested, (None, params), range(3), range(3))
    with pytest.raises(ValueError, match="k must be None: SumBias does not read it"):
        F.apply_position_bias(bias, drawn(bias), range(3), range(3), k=PAGE[0, :3])
    with pytest.raises(ValueError, match="bias must be a sum of products"):
        F.position_bias_channels(
            bias, drawn(bias), range(3), range(3), scale=1.0, dtype=np.float32
        )
