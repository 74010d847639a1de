"""Every module refuses what its function refuses, and nothing else that fits it."""

import functools
import itertools

import host
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from helpers import refused

import attnax.functional as F
from attnax import nn

KEY = jax.random.key(0)
RESAMPLING = F.Resampling("bilinear", antialias=True)
ROPE = F.Rope(F.default_inv_freq(8))
GRID = F.Rope(F.default_inv_freq(8), axis_of_pair=(0, 1, 1, 0))


def tokens():
    module = nn.TokenEmbedding(11, 8, key=KEY)
    return module, functools.partial(F.apply_token_embedding, module.params)


def unembedding():
    module = nn.TokenEmbedding(11, 8, key=KEY)
    return module.unembed, functools.partial(F.apply_token_unembedding, module.params)


def fused():
    module = nn.FusedEmbedding((5, 3, 7), 8, combine="concatenate", key=KEY)
    settings = {"row_counts": (5, 3, 7), "combine": "concatenate"}
    return module, functools.partial(F.apply_fused_embedding, module.params, **settings)


def per_layer():
    module = nn.PerLayerEmbedding(11, 8, 3, 4, outside_id=None, key=KEY)
    return module, functools.partial(F.apply_per_layer_embedding, module.params)


def learned():
    module = nn.LearnedPositionalEmbedding(num_positions=9, d_model=8, key=KEY)
    return module, functools.partial(
        F.apply_learned_positional_embedding, module.params
    )


def sinusoids():
    def function(x, start=0):
        return F.apply_positional_encoding(x, start=start, max_len=64)

    return nn.PositionalEncoding(64, 8), function


def rotary():
    return nn.RotaryEmbedding(8, 2**31), functools.partial(F.rotate, ROPE)


def rotary_of(rope, head_axis):
    def make():
        module = nn.RotaryEmbedding.from_rope(rope, head_axis=head_axis)
        return module, functools.partial(F.rotate, rope, head_axis=head_axis)

    return make


def cos_and_sin():
    module = nn.RotaryEmbedding(8, 64)

    def function(positions, *, out_dtype=jnp.float32):
        return F.rope_cos_sin_from_positions(positions, 8, 1e4, 64, out_dtype)

    return module.cos_sin_for_positions, function


def bias():
    module = nn.RelativePositionBias(F.T5Bias(3, bidirectional=True), key=KEY)
    return module, functools.partial(F.apply_position_bias, module.bias, module.params)


def patches():
    sizes = {"patch_size": (2, 3), "num_channels": 3, "d_model": 8}
    module = nn.PatchEmbedding(image_size=(4, 9), **sizes, key=KEY)
    return module, functools.partial(
        F.apply_patch_embedding, module.params, patch_size=(2, 3)
    )


def vision(packed=False):
    sizes = {"patch_size": (2, 3), "num_channels": 3, "d_model": 8}
    options = {"mask_token": True, "resampling": RESAMPLING}
    module = nn.VisionEmbedding(image_size=(4, 9), **sizes, **options, key=KEY)
    settings = {"table_grid": (2, 3), "resampling": RESAMPLING}
    if packed:
        embed = functools.partial(F.apply_packed_vision_embedding, module.params)
        return (
            lambda *arrays: module.packed(F.PackedPatches(*arrays)),
            lambda *arrays: embed(F.PackedPatches(*arrays), **settings),
        )
    function = functools.partial(F.apply_vision_embedding, module.params)
    return module, functools.partial(function, patch_size=(2, 3), **settings)


def text():
    module = nn.TextEmbedding(11, 8, num_positions=9, num_token_types=2, key=KEY)
    return module, functools.partial(F.apply_text_embedding, module.params)


IDS = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.int32)
X = np.ones((2, 4, 8), np.float32)
HEADS = np.ones((2, 4, 3, 8), np.float32)
BEFORE = HEADS.swapaxes(1, 2)
IMAGE = np.ones((2, 4, 9, 3), np.float32)
PATCHES = np.ones((2, 5, 18), np.float32)
COORDINATES = np.zeros((2, 5, 2), np.int32)
REAL = np.ones((2, 5), bool)
GRIDS = np.array([[1, 2], [2, 1]], np.int32)

# Positions of two sequences of four tokens that are none.
POSITIONS = (
    *(np.array(5), np.array([5]), np.array([[5], [5]])),  # to count from
    *(np.arange(3), np.arange(8).reshape(4, 2), np.arange(4)[:, None]),
    *(np.zeros((3, 4), int), np.zeros((2, 2, 4), int), np.zeros((1, 2, 4), int)),
    *(np.arange(4.0), np.array([True] * 4), np.arange(4) * 1j),
    *(np.array([0, 1, 2, 2**31]), np.array([0, 1, 2, -(2**31) - 1])),
)
OUTSIDE = np.array([0, 1, 2, 9]), np.array([0, -1, 2, 3])  # a table of nine rows


def given(name, values, *args):
    """Calls with `args` and each of the values as a keyword."""
    return [(args, {name: value}) for value in values]


def calls(*values):
    return [((value,), {}) for value in values]


def after(x, values):
    return [((x, value), {}) for value in values]


# How to make a module's call and its function, a call that both take, and misfits.
CASES = {
    "tokens": (
        tokens,
        ((IDS,), {}),
        (
            *calls(IDS.astype(float), IDS > 2, np.array([11]), np.array(-1)),
            *given("dtype", (jnp.int32, jnp.complex64), IDS),
        ),
    ),
    "unembedding": (
        unembedding,
        ((X,), {}),
        (
            *calls(X[..., :7], X[0, 0, 0], X.astype(int), X > 0, X.astype(complex)),
            *given("dtype", (jnp.int8,), X),
            *given("soft_cap", (0.0, -1.0, float("nan")), X),
            *given("accumulation_dtype", (jnp.int32,), X),
        ),
    ),
    "fused": (
        fused,
        ((IDS[:, :3] % 3,), {}),
        (
            *calls(IDS, IDS[:, :3].astype(float), np.array([4, 3, 0]), np.array(0)),
            *given("factors", (np.ones(2, np.float32), REAL), IDS[:, :3] % 3),
        ),
    ),
    "per layer": (
        per_layer,
        ((IDS, X), {}),
        (
            *after(IDS, (X[..., :7], X[0], X.astype(int))),
            ((IDS + 3, X), {}),
            ((IDS.astype(float), X), {}),
        ),
    ),
    "learned": (
        learned,
        ((X, IDS), {}),
        (
            *after(X, (*POSITIONS, *OUTSIDE)),
            *calls(X[..., :7], X[0, 0], X.astype(int), np.ones((10, 8), np.float32)),
        ),
    ),
    "sinusoids": (
        sinusoids,
        ((X, 60), {}),
        (
            *after(X, (-1, 61, 1.0, True, np.arange(4), np.array([0]), None)),
            *after(X, (np.array(-1), np.array(61), np.array(1.0))),
            *calls(X[0, 0], X.astype(int), np.ones((65, 8), np.float32)),
        ),
    ),
    "rotary": (
        rotary,
        ((HEADS, IDS), {}),
        (
            *after(HEADS, POSITIONS),
            *after(HEADS[..., :7], (IDS,)),
            *after(HEADS[:, :, 0], (np.arange(4),)),
            *after(HEADS[0, 0], (np.arange(3),)),
            *after(HEADS.astype(int), (IDS,)),
        ),
    ),
    "rotary, heads before": (
        rotary_of(ROPE, -3),
        ((BEFORE, IDS), {}),
        (*after(BEFORE, POSITIONS), *after(HEADS, (IDS,)), *after(X[0], (IDS[0],))),
    ),
    "rotary, no heads": (
        rotary_of(ROPE, None),
        ((X, IDS), {}),
        (*after(X, POSITIONS), *after(HEADS, (IDS,)), *after(X[0, 0], (IDS[0],))),
    ),
    "rotary of a grid": (
        rotary_of(GRID, -2),
        ((HEADS, np.stack([IDS, IDS], -1)), {}),
        (
            *after(HEADS, (p for p in POSITIONS if np.shape(p) != (4, 2))),
            *after(HEADS, (np.stack([p, p], -1) for p in POSITIONS[:9])),
            *after(HEADS, (np.stack([IDS] * n, -1) for n in (1, 3))),
            *after(HEADS, (np.stack([IDS, IDS], -1).astype(float),)),
        ),
    ),
    "cos and sin": (
        cos_and_sin,
        ((IDS,), {}),
        (
            *calls(IDS.astype(float), IDS > 2, np.array([64]), np.array(-1)),
            *given("out_dtype", (jnp.int32, jnp.complex64), IDS),
        ),
    ),
    "bias": (
        bias,
        ((IDS, IDS), {}),
        (
            *after(IDS, (IDS.astype(float), IDS > 2, np.array(1), IDS[[0, 1, 1]])),
            *given("q", (HEADS,), IDS, IDS),
            *given("k", (HEADS,), IDS, IDS),
            *given("dtype", (jnp.int32, jnp.complex64), IDS, IDS),
            *given("precision", ("most",), IDS, IDS),
        ),
    ),
    "patches": (
        patches,
        ((IMAGE,), {}),
        calls(
            *(IMAGE[:, :3], IMAGE[:, :, :8], IMAGE[..., :2], IMAGE[0, 0]),
            *(IMAGE.astype(int), IMAGE > 0, IMAGE.astype(complex)),
            np.moveaxis(IMAGE, -1, -3),
        ),
    ),
    "vision": (
        vision,
        ((IMAGE,), {"masked": np.arange(6) > 2}),
        (
            *calls(IMAGE[:, :3], IMAGE[:, :, :8], IMAGE[..., :2], IMAGE[0, 0]),
            *calls(IMAGE.astype(int), IMAGE > 0, np.moveaxis(IMAGE, -1, -3)),
            *given("masked", (np.arange(6), np.arange(6.0)), IMAGE),
            *given("masked", (np.arange(5) > 2, np.ones((3, 6), bool)), IMAGE),
            *given("masked", (np.ones((6, 2), bool), np.ones((2, 1), bool)), IMAGE),
            *given("masked", (np.ones((1, 2, 6), bool), np.array(True)), IMAGE),
        ),
    ),
    "packed": (
        functools.partial(vision, packed=True),
        ((PATCHES, COORDINATES, REAL, GRIDS), {}),
        [
            (args, {})
            for args in (
                (PATCHES[..., :17], COORDINATES, REAL, GRIDS),
                (PATCHES.astype(int), COORDINATES, REAL, GRIDS),
                (PATCHES, COORDINATES[:, :4], REAL, GRIDS),
                (PATCHES, COORDINATES[..., :1], REAL, GRIDS),
                (PATCHES, COORDINATES.astype(float), REAL, GRIDS),
                (PATCHES, COORDINATES + 7, REAL, GRIDS),
                (PATCHES, COORDINATES - 1, REAL, GRIDS),
                (PATCHES, COORDINATES, REAL[:, :4], GRIDS),
                (PATCHES, COORDINATES, REAL[:1], GRIDS),
                (PATCHES, COORDINATES, REAL * 2, GRIDS),
                (PATCHES, COORDINATES, REAL.astype(float), GRIDS),
                (PATCHES, COORDINATES, REAL, GRIDS[:1]),
                (PATCHES, COORDINATES, REAL, GRIDS[..., :1]),
                (PATCHES, COORDINATES, REAL, GRIDS.astype(float)),
                (PATCHES, COORDINATES, REAL, GRIDS * 0),
            )
        ],
    ),
    "text": (
        text,
        ((IDS,), {"token_type_ids": IDS % 2, "positions": IDS}),
        (
            *calls(IDS),
            *given("positions", (IDS,), IDS),
            *given("token_type_ids", (IDS, IDS % 2 - 1, IDS.astype(float)), IDS),
            *given("token_type_ids", (IDS[0] % 2, IDS[:, :3] % 2, IDS > 2), IDS),
            *(
                ((IDS,), {"token_type_ids": IDS % 2, "positions": positions})
                for positions in (*POSITIONS, *OUTSIDE)
            ),
            *(
                ((ids,), {"token_type_ids": np.zeros(np.shape(ids), int)})
                for ids in (IDS.astype(float), IDS > 2, IDS + 3, -IDS, np.array(1))
            ),
            ((np.zeros(10, int),), {"token_type_ids": np.zeros(10, int)}),
        ),
    ),
}


def on_device(call):
    """The call's arguments, those that functions take as JAX arrays only as such."""
    args, options = call
    move = lambda v: host.asarray(v) if isinstance(v, np.ndarray) else v
    first = args[0]
    floats = isinstance(first, np.ndarray) and first.dtype.kind in "fc"
    return ((move(first) if floats else first, *args[1:]), options)


def takes(call, args, options):
    """Whether the arguments are admitted; nothing is computed."""
    try:
        jax.eval_shape(lambda: call(*args, **options))
    except (ValueError, TypeError, AttributeError, jaxtyping.TypeCheckError):
        return False
    return True


def test_every_module_has_a_case():
    names = {
        name
        for name in dir(nn)
        if name.endswith(("Embedding", "Encoding", "PositionBias"))
    }
    made = {type(make()[0]).__name__ for make, _, _ in CASES.values()}
    assert names <= made


@pytest.mark.errors
@pytest.mark.parametrize("name", CASES)
def test_module_and_function_refuse_the_same(name):
    make, fits, misfits = CASES[name]
    module, function = make()
    args, options = on_device(fits)
    expected = jax.eval_shape(lambda: function(*args, **options))
    assert jax.eval_shape(lambda: module(*args, **options)) == expected
    for misfit in misfits:
        args, options = on_device(misfit)
        for call in (function, module):
            with refused(r"\w: "):
                call(*args, **options)


# What is no array: whether a function admits it or not, its module does the same.
NO_ARRAYS = (5, True, 1.5, "text", [0, 1, 2, 3], (0, 1, 2, 3), [[0, 1], [2]], None)


@pytest.mark.errors
@pytest.mark.parametrize("name", CASES)
def test_module_and_function_agree_about_what_is_no_array(name):
    make, fits, _ = CASES[name]
    module, function = make()
    args, options = on_device(fits)
    for value in NO_ARRAYS:
        for index in range(1, len(args)):
            changed = *args[:index], value, *args[index + 1 :]
            if value is None and name.startswith("rotary"):
                continue  # the module's default
            assert takes(module, changed, options) == takes(function, changed, options)
        for option in options:
            changed = {**options, option: value}
            assert takes(module, args, changed) == takes(function, args, changed)


# The options of a call by the shape of one argument, of which there are 40.
SHAPES = {
    "learned": lambda p: ((X, p), {}),
    "rotary": lambda p: ((HEADS, p), {}),
    "rotary, heads before": lambda p: ((BEFORE, p), {}),
    "rotary of a grid": lambda p: ((HEADS, np.stack([p, p], -1)), {}),
    "vision": lambda p: ((IMAGE[:, :, :6],), {"masked": p > 0}),
    "text": lambda p: ((IDS,), {"token_type_ids": IDS % 2, "positions": p}),
}


@pytest.mark.errors
@pytest.mark.parametrize("name", SHAPES)
def test_module_and_function_take_the_same_shapes(name):
    module, function = CASES[name][0]()
    taken = {}
    for ndim in range(4):
        for shape in itertools.product((1, 2, 4), repeat=ndim):
            call = on_device(SHAPES[name](np.zeros(shape, np.int32)))
            taken[shape] = takes(module, *call)
            assert taken[shape] == takes(function, *call), shape
    # One position for each of four tokens, of two sequences or for both of them.
    assert [shape for shape in taken if taken[shape]] == [(4,), (1, 4), (2, 4)]
