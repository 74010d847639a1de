"""T5's buckets: exact for every int32 distance, for every dtype, on host and device."""

import functools
import math

import host
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from bucket_bias_oracles import bucket
from helpers import jitted, refused, slow
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

MIN, MAX = -(2**31), 2**31 - 1
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
# (num_buckets, max_distance, bidirectional) of T5 and MPNet in both directions, of
# LayoutLMv2 in a picture, UDOP, WavLM and CPM-Ant.
RELEASED = (
    (32, 128, True),
    (32, 128, False),
    (64, 256, True),
    (32, 100, True),
    (320, 800, True),
    (512, 2048, True),
)
# The smallest numbers of buckets, odd ones, and thresholds that are no powers of two or
# reach the end of int32.
OTHERS = (
    (4, 2, True),
    (4, 5, True),
    (2, 2, False),
    (3, 9, False),
    (14, 11, True),
    (32, MAX, True),
)


def of(settings):
    num_buckets, max_distance, bidirectional = settings
    return dict(
        num_buckets=num_buckets, max_distance=max_distance, bidirectional=bidirectional
    )


@functools.lru_cache
def thresholds(num_buckets, max_distance, bidirectional):
    """The first distance of each bucket before the query, found by the oracle."""
    settings = num_buckets, max_distance, bidirectional
    n = num_buckets // 2 if bidirectional else num_buckets
    found = []
    for row in range(n):
        low, high = 0, max_distance
        while low < high:
            middle = (low + high) // 2
            at_least = bucket(-middle, *settings) >= row
            low, high = (low, middle) if at_least else (middle + 1, high)
        found.append(low)
    return np.array(found)


def expected(distance, num_buckets, max_distance, bidirectional):
    """Buckets of NumPy integers, by the thresholds of the oracle."""
    firsts = thresholds(num_buckets, max_distance, bidirectional)
    steps = -np.asarray(distance, np.int64)
    size = np.abs(steps) if bidirectional else np.maximum(steps, 0)
    rows = np.searchsorted(firsts, size, side="right") - 1
    return rows + (num_buckets // 2) * ((steps < 0) & bidirectional)


def distances(settings):
    """All within 2 of a threshold and of 0, the ends of int32, and 10**5 drawn ones."""
    edges = np.concatenate([thresholds(*settings), [0, settings[1]]])
    near = (edges[:, None] + np.arange(-2, 3)).ravel()
    near = np.concatenate([near, -near, [MAX, -MAX, MIN]])
    rng = np.random.default_rng(0)
    sizes = 2.0 ** rng.uniform(0, 31, 10**5) - 1  # as many of each magnitude
    drawn = sizes.astype(np.int64) * rng.choice([-1, 1], 10**5)
    return np.clip(np.concatenate([near, drawn]), MIN, MAX).astype(np.int32)


@pytest.mark.parametrize("settings", [*RELEASED, *slow(*OTHERS)], ids=str)
def test_no_bucket_is_wrong(settings):
    given = distances(settings)
    want = expected(given, *settings)
    few = np.random.default_rng(1).choice(len(given), 200)
    assert [bucket(d, *settings) for d in given[few]] == want[few].tolist()
    eager = F.relative_position_bucket(given, **of(settings))
    assert isinstance(eager, np.ndarray) and eager.dtype == np.int32
    np.testing.assert_array_equal(eager, want)
    compiled = jitted(F.relative_position_bucket)(given, **of(settings))
    assert compiled.dtype == jnp.int32
    np.testing.assert_array_equal(compiled, want)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_integer_dtype_has_the_same_buckets(dtype):
    info = np.iinfo(dtype)
    values = [0, 1, 7, 8, 11, 12, 90, 91, 127, info.max, info.max - 1]
    values += [v for v in (-1, -8, -90, -91, info.min) if v >= info.min]
    array = np.array([v for v in values if v <= info.max], dtype)
    # Distances outside int32 are in the outermost buckets, as its ends are.
    want = [bucket(np.clip(int(v), MIN, MAX), 32, 128, True) for v in array]
    settings = of((32, 128, True))
    assert F.relative_position_bucket(array, **settings).tolist() == want
    with jax.enable_x64(True):
        compiled = jax.jit(lambda d: F.relative_position_bucket(d, **settings))
        assert compiled(jnp.asarray(array)).tolist() == want


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_integers_held_in_floats_have_the_same_buckets(dtype):
    values = [0, -1, 8, 90, 91, -128, 2**24, -(2**31), 2**31, 2**40, -(2**40)]
    want = [bucket(np.clip(v, MIN, MAX), 32, 128, True) for v in values]
    settings, array = of((32, 128, True)), np.array(values, dtype)
    assert F.relative_position_bucket(array, **settings).tolist() == want
    with jax.enable_x64(True):
        compiled = jax.jit(lambda d: F.relative_position_bucket(d, **settings))
        assert compiled(jnp.asarray(array)).tolist() == want


def test_traced_fractions_round_toward_zero_and_nan_counts_as_zero():
    compiled = jitted(F.relative_position_bucket)
    array = np.array([-1.9, 1.9, np.nan, np.inf, -np.inf], np.float32)
    got = compiled(array, **of((32, 128, True)))
    assert got.tolist() == [1, 17, 0, 31, 15]


@given(
    st.integers(-(2**33), 2**33),
    st.integers(1, 40),
    st.integers(1, 300),
    st.booleans(),
)
def test_laws(distance, half, further, bidirectional):
    """Few distances have a bucket each, and buckets never fall with the distance."""
    num_buckets = 4 * half if bidirectional else 2 * half
    n = num_buckets // 2 if bidirectional else num_buckets
    settings = num_buckets, n // 2 + further, bidirectional
    rows = F.relative_position_bucket([distance, distance - 1, 0], **of(settings))
    assert ((rows >= 0) & (rows < num_buckets)).all()
    assert rows[2] == 0
    if distance <= 0:
        assert rows[0] <= rows[1] <= rows[0] + 1
    if -n // 2 <= distance <= 0:
        assert rows[0] == -distance
    there = F.relative_position_bucket([-abs(distance), abs(distance)], **of(settings))
    if bidirectional and distance:
        assert there[1] - there[0] == n
    elif not bidirectional:
        assert there[1] == 0


def test_lists_and_numbers_are_distances_too():
    settings = of((32, 128, False))
    assert F.relative_position_bucket([[-3, 2]], **settings).tolist() == [[3, 0]]
    assert F.relative_position_bucket(-3, **settings).shape == ()
    assert F.relative_position_bucket(range(-2, 1), **settings).tolist() == [2, 1, 0]
    assert F.relative_position_bucket([], **settings).shape == (0,)
    jax_array = F.relative_position_bucket(host.ones((2,), jnp.int32), **settings)
    assert isinstance(jax_array, jax.Array)


def test_powers_of_two_where_a_logarithm_is_whole():
    """One unit in the last place of the device's logarithm would decide these."""
    settings = of((32, 128, True))
    got = F.relative_position_bucket([-8, -16, -32, -64, -128], **settings)
    assert got.tolist() == [8, 10, 12, 14, 15]
    got = F.relative_position_bucket([-7, -15, -31, -63, -127], **settings)
    assert got.tolist() == [7, 9, 11, 13, 15]
    assert F.relative_position_bucket(-80, **of((320, 800, True))) == 80
    assert F.relative_position_bucket(-79, **of((320, 800, True))) == 79


def test_the_program_has_no_logarithm():
    text = str(
        jax.make_jaxpr(lambda d: F.relative_position_bucket(d, **of((32, 128, True))))(
            jax.ShapeDtypeStruct((3,), jnp.int32)
        )
    )
    assert "log" not in text and "f32" not in text


@pytest.mark.errors
@pytest.mark.parametrize("dtype", (np.float16, ml_dtypes.bfloat16))
def test_floats_of_16_bits_are_refused(dtype):
    with refused("distance.dtype=b?float16 must be float32 or wider"):
        F.relative_position_bucket(np.zeros(3, dtype), **of((32, 128, True)))


@pytest.mark.errors
@pytest.mark.parametrize(
    "distance, message",
    (
        ([0.5], r"distance\[0\]=0.5 must be an integer; round it first"),
        ([True], "distance.dtype=bool must be integer or a real float"),
        ("text", "distance.dtype=<U4 must be"),
    ),
)
def test_other_distances_are_refused(distance, message):
    with refused(message):
        F.relative_position_bucket(distance, **of((32, 128, True)))


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"num_buckets": 31}, "num_buckets=31 must be even for bidirectional=True"),
        ({"num_buckets": 2}, r"num_buckets=2 must be an integer in \[4, 4096\]"),
        ({"num_buckets": 4098}, r"num_buckets=4098 must be an integer in \[4, 4096\]"),
        (
            {"num_buckets": 1, "bidirectional": False},
            r"num_buckets=1 must be an integer in \[2, 4096\]",
        ),
        ({"max_distance": 8}, "max_distance=8 must be more than 8"),
        ({"max_distance": 0}, r"max_distance=0 must be an integer in \[1, "),
        ({"bidirectional": 1}, "bidirectional=1 must be"),
    ),
)
def test_settings_out_of_range_are_refused(changed, message):
    settings = of((32, 128, True)) | changed
    with refused(message):
        F.relative_position_bucket([0], **settings)


def test_the_thresholds_are_those_of_the_logarithm():
    """WavLM's, by float64 logarithms, which are far from whole but at 80 * 10**k/80."""
    firsts = thresholds(320, 800, True)
    share = np.log(firsts[81:] / 80) / math.log(10) * 80
    below = np.log((firsts[81:] - 1) / 80) / math.log(10) * 80
    rows = np.arange(1, 80)
    assert (share >= rows - 1e-9).all() and (below < rows).all()


def test_a_numpy_array_without_axes_stays_one():
    far = np.array(-9)
    rows = (
        F.relative_position_bucket(
            far, num_buckets=8, max_distance=16, bidirectional=True
        ),
        F.clipped_distances(far, left=2, right=1),
        F.disentangled_bucket(far, num_buckets=8, max_distance=16),
    )
    assert all(isinstance(row, np.ndarray) and row.shape == () for row in rows)
