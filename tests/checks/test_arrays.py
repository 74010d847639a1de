"""Ids, positions, lengths, grids: as lists, as floats of 16 bits, as what they are not.

Masks have a rule of their own, in `test_masks.py`; what is out of range is in
`test_out_of_range.py`.
"""

import inspect
import typing
from collections.abc import Callable, Sequence

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refused

import attnax
import attnax.functional as F

TABLE = np.arange(10, dtype=np.float32).reshape(5, 2)
TOKENS = F.TokenEmbeddingParams(weight=TABLE)
POSITIONS = F.LearnedPositionalEmbeddingParams(weight=TABLE)
TEXT = F.TextEmbeddingParams(TOKENS, POSITIONS, TOKENS)
X = host.ones((3, 2))
HEADS = host.ones((3, 2, 4))
INV_FREQ = F.default_inv_freq(4)
ROPE = F.Rope(INV_FREQ)
AXES = F.Rope(INV_FREQ, axis_of_pair=(0, 1))
MIXED = F.MixedRopeParams(host.ones((2, 2, 2)))
RESAMPLING = F.Resampling("bilinear", antialias=False)
PADDED = {"first_position": 2, "padding_position": 1}
VISION = F.VisionEmbeddingParams(
    F.PatchEmbeddingParams(np.ones((4, 2), np.float32), None), None, None, None
)
PACKED = np.ones((1, 2, 4), np.float32), np.zeros((1, 2, 2), int), np.ones((1, 2), bool)
KEY = jax.random.key(0)
ROTARY = attnax.RotaryEmbedding(4, 5)


def text(ids=(0, 1, 2), types=(0, 0, 0), positions=None):
    return F.apply_text_embedding(TEXT, ids, token_type_ids=types, positions=positions)


def packed(coordinates=PACKED[1], grids=((1, 2),)):
    return F.apply_packed_vision_embedding(
        VISION,
        F.PackedPatches(PACKED[0], coordinates, PACKED[2], grids),
        table_grid=None,
        resampling=None,
    )


def resized_at(new_grids=((5, 1),), coordinates=(((4, 0), (0, 0)),)):
    return F.resize_positions_at(TABLE, (5, 1), new_grids, coordinates, RESAMPLING)


def fourier(points):
    return F.gaussian_fourier_features(points, np.ones((2, 3), np.float32))


# What each function is asked about, integers all of it: name, call and values.
INTEGERS = (
    ("token_ids", lambda v: F.apply_token_embedding(TOKENS, v), [[3, 0], [4, 1]]),
    (
        "positions",
        lambda v: F.apply_learned_positional_embedding(POSITIONS, X, v),
        [4, 0, 2],
    ),
    ("token_ids", text, [4, 0, 2]),
    ("token_type_ids", lambda v: text(types=v), [4, 0, 2]),
    ("positions", lambda v: text(positions=v), [4, 0, 2]),
    ("positions", lambda v: F.apply_positional_encoding(X, v), [4, 0, 2]),
    ("position_ids", lambda v: F.rope_cos_sin_from_positions(v, 4), [4, 0, 2]),
    ("positions", lambda v: F.rope_cos_sin(v, INV_FREQ), [4, 0, 2]),
    ("positions", lambda v: F.sinusoids(v, 4), [4, 0, 2]),
    ("coordinates", lambda v: F.grid_sinusoids(v, 4), [[4, 0], [1, 2]]),
    ("positions", lambda v: F.xpos_cos_sin(v, INV_FREQ), [4, 0, 2]),
    ("positions", lambda v: F.rotary_cos_sin(ROPE, v), [4, 0, 2]),
    ("positions", lambda v: F.rotate(ROPE, HEADS, v), [4, 0, 2]),
    ("positions", lambda v: F.rotate(AXES, HEADS, v), [[4, 1], [0, 0], [2, 3]]),
    ("delta", lambda v: F.rerotate(ROPE, HEADS, v), [4, 0, -2]),
    ("delta", lambda v: F.rerotate(AXES, HEADS, v), [[4], [0], [-2]]),
    (
        "positions",
        lambda v: F.query_temperature(v, beta=0.1, original_max_len=2),
        [4, 0, 2],
    ),
    ("segment_ids", F.positions_from_segment_ids, [[7, 7, 2], [1, 1, 1]]),
    ("lengths", lambda v: F.positions_from_lengths(v, 5), [3, 2]),
    (
        "past",
        lambda v: F.padded_positions(np.ones((2, 3), bool), past=v, **PADDED),
        [5, 0],
    ),
    ("new_grids", resized_at, [[5, 1]]),
    ("coordinates", lambda v: resized_at(coordinates=v), [[[3, 0], [2, 0]]]),
    ("coordinates", packed, [[[0, 0], [0, 1]]]),
    ("grids", lambda v: packed(grids=v), [[1, 2]]),
    (
        "packed.grids",
        lambda v: F.unpack_patches(F.PackedPatches(*PACKED, v), 2),
        [[1, 2]],
    ),
)
METHODS = (
    ("token_ids", attnax.TokenEmbedding(5, 2, key=KEY), [4, 0, 2]),
    (
        "positions",
        lambda v: attnax.LearnedPositionalEmbedding(
            num_positions=5, d_model=2, key=KEY
        )(X, v),
        [4, 0, 2],
    ),
    (
        "token_ids",
        attnax.nn.TextEmbedding(5, 2, num_positions=5, key=KEY),
        [4, 0, 2],
    ),
    ("position_ids", ROTARY.cos_sin_for_positions, [4, 0, 2]),
    ("positions", lambda v: ROTARY(HEADS, v), [4, 0, 2]),
)
# Where positions and coordinates need not be whole.
FRACTIONS = (
    ("positions", lambda v: F.sinusoids(v, 4, numerics="float32"), [0.5, 937.0]),
    (
        "coordinates",
        lambda v: F.grid_sinusoids(v, 4, numerics="float32"),
        [[0.5, 937.0], [1.0, 0.0]],
    ),
    (
        "positions",
        lambda v: F.rope_cos_sin(v, INV_FREQ, numerics="float32"),
        [0.5, 937.0],
    ),
    (
        "positions",
        lambda v: F.rotary_cos_sin(ROPE, v, numerics="float32"),
        [0.5, 937.0],
    ),
    (
        "positions",
        lambda v: F.apply_mixed_rope(MIXED, HEADS, v),
        [[0.5, 1.0], [1.0, 0.0], [2.0, 3.5]],
    ),
    ("coordinates", lambda v: F.normalized_cos_sin(v, 4), [[0.5, -0.25]]),
    ("coordinates", fourier, [[0.5, -0.25]]),
)
ALL = (*INTEGERS, *METHODS, *FRACTIONS)
integers = pytest.mark.parametrize("name, function, values", (*INTEGERS, *METHODS))
fractions = pytest.mark.parametrize("name, function, values", FRACTIONS)


def as_tuples(values):
    return tuple(map(as_tuples, values)) if isinstance(values, list) else values


def test_lists_and_tuples_are_arrays():
    @jax.jit
    def of_all():
        return [
            (function(np.array(values)), function(values), function(as_tuples(values)))
            for _, function, values in (*INTEGERS, *FRACTIONS)
        ]

    for expected, *others in of_all():
        for actual in others:
            jax.tree.map(np.testing.assert_array_equal, actual, expected)
    for _, function, values in METHODS:
        assert jax.eval_shape(lambda f=function, v=values: f(v)) == jax.eval_shape(
            function, jnp.array(values)
        )


NAMES = {
    *("token_ids", "token_type_ids", "segment_ids", "position_ids", "positions"),
    *("coordinates", "lengths", "new_grids", "delta", "past"),
    *("mask", "masked"),
}


def test_every_function_and_method_admits_lists():
    """Under a checker of types too, and so that none is forgotten."""
    made = [getattr(F, name) for name in sorted(exported(F))]
    for module in vars(attnax.nn).values():
        if inspect.isclass(module):
            made += [f for f in vars(module).values() if inspect.isfunction(f)]
    found = set()
    for function in filter(inspect.isfunction, made):
        for name, parameter in inspect.signature(function).parameters.items():
            # Where it is a switch, or a function that returns them, it is no array.
            kind = parameter.annotation
            is_array = kind is not bool and typing.get_origin(kind) is not Callable
            if name in NAMES and is_array:
                assert Sequence in typing.get_args(kind), function
                found.add(name)
    assert found == NAMES


def exported(module):
    return {name for name in dir(module) if not name.startswith("_")} - {"jaxtyping"}


def test_a_list_of_nothing():
    rows = F.apply_token_embedding(TOKENS, [])
    assert rows.shape == (0, 2)
    assert F.positions_from_mask([[], []]).shape == (2, 0)


@pytest.mark.errors
def test_a_single_value_has_no_axis_to_count_along():
    one = np.array(1)
    for function, name in (
        (F.positions_from_mask, "mask"),
        (lambda v: F.padded_positions(v, **PADDED), "mask"),
        (F.positions_from_segment_ids, "segment_ids"),
        (lambda v: F.positions_from_lengths(v, 5), "lengths"),
    ):
        with refused(rf"{name}.shape=\(\) must be \(..., \w+\)"):
            function(one)
    for single in (5, None):
        with refused("rope_cos_sin: inv_freq is an? \\w+, but must be an array, or l"):
            F.rope_cos_sin(one, single)
        with refused("rope_cos_sin: positions is an? \\w+, but must be an array, or l"):
            F.rope_cos_sin(single, INV_FREQ)


@pytest.mark.errors
def test_lists_that_are_no_arrays_are_named():
    for _, function, _ in ALL:
        for values in ([[1, 2], [3]], [[1], None], [[object()]]):
            with refused("[a-z_.]+ is a list, but must be an array, or lists of num"):
                function(values)

    @jax.jit
    def of_traced(position):
        return F.rotate(ROPE, HEADS[:1], [position])

    with refused("rotate: positions is a list, but must be an array, or lists of num"):
        of_traced(3)


@pytest.mark.errors
@integers
def test_integers_are_integers(name, function, values):
    for dtype in ("float32", "bool", "complex64"):
        with refused(rf"{name}.dtype={dtype} must be integer"):
            function(np.array(values, dtype))
    for dtype in ("bfloat16", "float16"):
        with refused(rf"{name}.dtype={dtype} must be integer"):
            jax.eval_shape(function, jnp.array(values, dtype))
    with refused(rf"{name}.dtype=(<U[0-9]+|float64) must be integer"):
        function(np.array(values).astype(str).tolist())


@pytest.mark.errors
@fractions
def test_floats_of_16_bits_are_refused_and_the_way_out_is_named(name, function, values):
    way_out = "must be float32 or wider: .*; make them in float32"
    for dtype in (jnp.bfloat16, np.float16, jnp.float8_e4m3fn):
        with refused(f"{name}.dtype={np.dtype(dtype)} {way_out}"):
            function(np.array(values).astype(dtype))
        with refused(f"{name}.dtype={np.dtype(dtype)} {way_out}"):
            jax.eval_shape(function, jax.ShapeDtypeStruct(np.shape(values), dtype))


@pytest.mark.errors
@fractions
def test_fractions_are_real_numbers(name, function, values):
    for dtype in ("complex64", "bool"):
        with refused(f"{name}.dtype={dtype} must be (integer or )?a real float"):
            function(np.array(values).astype(dtype))
    with refused(f"{name}.dtype=<U[0-9]+ must be (integer or )?a real float"):
        function(np.array(values).astype(str).tolist())


def beside_one(values):
    """Pairs of coordinates, of which one may be out of range."""
    return jnp.stack([jnp.ones_like(values), values], -1)


@pytest.mark.errors
@pytest.mark.parametrize(
    "function",
    (
        lambda v: F.rope_cos_sin(v, INV_FREQ, numerics="float32")[0],
        lambda v: F.rotary_cos_sin(ROPE, v, numerics="float32")[0],
        lambda v: F.apply_mixed_rope(MIXED, HEADS[:2], beside_one(v))[:, 0],
    ),
)
def test_integers_past_int32_are_so_in_a_float32_product_too(function):
    past = np.array([1, 2**31], np.uint32)
    with pytest.raises(ValueError, match=r"positions\[1.*\]=2147483648 must lie in"):
        function(jnp.asarray(past) if jax.config.jax_enable_x64 else past)
    rows = np.asarray(jax.jit(function)(past))
    np.testing.assert_array_equal(
        np.isnan(rows), [[False] * rows.shape[1], [True] * rows.shape[1]]
    )


def test_times_in_float32_are_not_those_of_bfloat16():
    """The error that is refused now: an angle off by the rounding of the time."""
    times = np.array([937.0, 998.39], np.float32)
    with refused("sinusoids: positions.dtype=bfloat16 must be float32 or wider"):
        F.sinusoids(times.astype(jnp.bfloat16), 4, numerics="float32")
    rounded = times.astype(jnp.bfloat16).astype(np.float32)
    angle = np.float64([[1.0, 0.01]]) * np.float64(times)[:, None]
    expected = np.stack([np.sin(angle), np.cos(angle)], -1).reshape(2, 4)
    actual = np.asarray(F.sinusoids(times, 4, numerics="float32"))
    assert np.abs(actual - expected).max() <= 998.39 * 2.0**-23
    wrong = np.asarray(F.sinusoids(rounded, 4, numerics="float32"))
    assert np.abs(wrong - expected).max() > 1.0
