"""DeBERTa's buckets are those of real arithmetic, at every distance and dtype."""

import disentangled_bias_oracles as oracle
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import jitted, refused

import attnax.functional as F

HIGH = 2**31 - 1
SETTINGS = ((256, 512), (128, 512), (32, 128), (10, 9), (4, 16), (4, 4), (2, 3))
BUCKET = {"num_buckets": 32, "max_distance": 128}
settings = pytest.mark.parametrize(("num_buckets", "max_distance"), SETTINGS)
bucket = jitted(F.disentangled_bucket)


def expected(distances, num_buckets, max_distance):
    """The oracle's rows, whose distance is query minus key, without overflow."""
    # Everything from `max_distance` on is in one bucket.
    beyond = max(max_distance, num_buckets) + 1
    near = (min(max(-int(d), -beyond), beyond) for d in distances)
    rows = (oracle.row(c, 0, num_buckets, num_buckets, max_distance) for c in near)
    return np.fromiter(rows, np.int32)


@settings
def test_every_distance_up_to_the_last_bucket(num_buckets, max_distance):
    distances = np.arange(-max_distance - 40, max_distance + 41)
    options = {"num_buckets": num_buckets, "max_distance": max_distance}
    actual = F.disentangled_bucket(distances, **options)
    assert actual.dtype == np.int32
    np.testing.assert_array_equal(actual, expected(distances, **options))


@settings
def test_farther_distances_and_the_ends_of_int32(num_buckets, max_distance):
    options = {"num_buckets": num_buckets, "max_distance": max_distance}
    far = np.random.default_rng(0).integers(-(2**31), 2**31, 100_000)
    far = np.concatenate([far, [-(2**31), -(2**31) + 1, 0, HIGH - 1, HIGH]])
    after, before = F.disentangled_bucket([HIGH, -(2**31)], **options)
    actual = F.disentangled_bucket(far, **options)
    last = np.where(far > 0, after, before)
    same = np.abs(far) > max_distance
    np.testing.assert_array_equal(actual[same], last[same])
    np.testing.assert_array_equal(actual[~same], expected(far[~same], **options))
    if num_buckets > 2:
        assert (after, before) == (0, 2 * num_buckets - 1)


def test_compiled_buckets_are_those_of_the_host():
    distances = np.concatenate([np.arange(-600, 600), [-(2**31), HIGH]])
    distances = distances.astype(np.int32)
    actual = bucket(distances, num_buckets=128, max_distance=512)
    host = F.disentangled_bucket(distances, num_buckets=128, max_distance=512)
    assert isinstance(host, np.ndarray)
    np.testing.assert_array_equal(actual, host)
    eager = F.disentangled_bucket(
        jnp.asarray(distances), num_buckets=128, max_distance=512
    )
    assert isinstance(eager, jax.Array)
    np.testing.assert_array_equal(eager, host)


def test_the_last_distance_of_a_bucket_stays_in_it():
    # A compiled logarithm in float32 has put 511 into bucket 128.
    options = {"num_buckets": 128, "max_distance": 512}
    actual = bucket(np.array([511, -511, 512, -512], np.int32), **options)
    assert actual.tolist() == [128 - 127, 128 + 127, 0, 255]


@pytest.mark.parametrize(
    "dtype", ("int8", "uint8", "int16", "uint16", "int64", "uint64", "float32")
)
def test_every_dtype(dtype):
    distances = np.array([0, 1, 15, 16, 17, 90, 127])
    if not dtype.startswith("u"):
        distances = np.concatenate([distances, -distances])
    distances = distances.astype(dtype)
    actual = F.disentangled_bucket(distances, **BUCKET)
    np.testing.assert_array_equal(actual, expected(distances, **BUCKET))


def test_distances_outside_int32_count_as_the_nearest():
    distances = np.array([2**40, -(2**40)])
    assert F.disentangled_bucket(distances, **BUCKET).tolist() == [0, 63]
    assert F.disentangled_bucket([3e9, -3e9], **BUCKET).tolist() == [0, 63]
    # NaN in a traced array counts as 0.
    traced = bucket(np.array([np.nan, np.inf, -np.inf], np.float32), **BUCKET)
    assert traced.tolist() == [32, 0, 63]


def test_shapes():
    assert F.disentangled_bucket(3, **BUCKET).shape == ()
    assert F.disentangled_bucket([[1, 2]], **BUCKET).shape == (1, 2)
    assert F.disentangled_bucket([], **BUCKET).shape == (0,)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("distance", "options", "message"),
    (
        ([0.5], {}, r"distance\[0\]=0.5 must be an integer"),
        (jnp.zeros(2, jnp.bfloat16), {}, "distance.dtype=bfloat16 must be float32"),
        ([0], {"num_buckets": 31}, "num_buckets=31 must be even"),
        ([0], {"num_buckets": 0}, "num_buckets=0 must be an integer in"),
        ([0], {"num_buckets": 4098}, r"num_buckets=4098 must be .*4096"),
        ([0], {"max_distance": 17}, "max_distance=17 must be at least num_buckets=32"),
        ([0], {"max_distance": 2**31}, "max_distance=2147483648 must be"),
    ),
)
def test_errors(distance, options, message):
    with refused(f"disentangled_bucket: {message}"):
        F.disentangled_bucket(distance, **(BUCKET | options))
