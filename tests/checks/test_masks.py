"""The one rule for masks, in every function and module that takes one."""

import inspect

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refused

import attnax
import attnax.functional as F

MASK = np.array([[True, True, False], [True, False, False]])
GRIDS = np.array([[2, 1], [1, 1]])
COORDINATES = np.array([[[0, 0], [1, 0], [0, 0]], [[0, 0], [0, 0], [0, 0]]])
PATCHES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
IMAGES = np.arange(24, dtype=np.float32).reshape(2, 2, 6, 1)
TABLE = np.arange(12, dtype=np.float32).reshape(3, 4)
RESAMPLING = F.Resampling("bilinear", antialias=False)
PADDED = {"first_position": 2, "padding_position": 1}

PARAMS = F.VisionEmbeddingParams(
    patch=F.PatchEmbeddingParams(weight=np.eye(4, dtype=np.float32), bias=None),
    positions=F.LearnedPositionalEmbeddingParams(weight=TABLE),
    tokens_with_position=None,
    tokens_without_position=None,
    mask_token=-np.ones(4, np.float32),
)
MODULE = attnax.nn.VisionEmbedding(
    image_size=(2, 6),
    patch_size=2,
    num_channels=1,
    d_model=4,
    num_tokens_with_position=0,
    mask_token=True,
    resampling=RESAMPLING,
    key=jax.random.key(0),
)


def resized_at(mask):
    return F.resize_positions_at(
        TABLE, (1, 3), GRIDS, COORDINATES, mask=mask, resampling=RESAMPLING
    )


def vision(mask):
    sizes = {"patch_size": 2, "table_grid": (1, 3)}
    return F.apply_vision_embedding(PARAMS, IMAGES, **sizes, masked=mask)


def packed(mask):
    arrays = PATCHES, COORDINATES, mask, GRIDS
    options = {"table_grid": (1, 3), "resampling": RESAMPLING}
    return F.apply_packed_vision_embedding(PARAMS, F.PackedPatches(*arrays), **options)


def unpacked(mask):
    return F.unpack_patches(F.PackedPatches(PATCHES, COORDINATES, mask, GRIDS), 2)


def contextual(mask):
    params = F.ContextualPositionBiasParams(embedding=np.ones((4, 2), np.float32))
    x = np.ones((3, 1, 2), np.float32)
    return F.apply_contextual_position_bias(params, x[:2], x, mask)


def forget_gates(mask):
    params = F.ForgetGateParams(np.ones((4, 1), np.float32), np.ones(1, np.float32))
    return F.apply_forget_gate(params, PATCHES, mask)


FUNCTIONS = {
    "positions_from_mask": F.positions_from_mask,
    "padded_positions": lambda mask: F.padded_positions(mask, **PADDED),
    "detr_sinusoids": lambda mask: F.detr_sinusoids(mask, 4),
    "resize_positions_at": resized_at,
    "apply_vision_embedding": vision,
    "apply_packed_vision_embedding": packed,
    "unpack_patches": unpacked,
    "apply_contextual_position_bias": contextual,
    "apply_forget_gate": forget_gates,
    "multimodal_positions": lambda mask: F.multimodal_positions(
        F.MultimodalRule(1),
        MASK.astype(np.int32),
        image_grids=[[1, 1, 1]] * 3,
        mask=mask,
    ),
    "global_blocks": lambda mask: F.global_blocks(mask, block_size=2),
}
METHODS = {
    "VisionEmbedding": lambda mask: MODULE(host.asarray(IMAGES), masked=mask),
    "VisionEmbedding.packed": lambda mask: MODULE.packed(
        F.PackedPatches(PATCHES, COORDINATES, mask, GRIDS)
    ),
}
everywhere = pytest.mark.parametrize(
    "function", (*FUNCTIONS.values(), *METHODS.values()), ids=(*FUNCTIONS, *METHODS)
)


def test_every_mask_is_among_them():
    names = {
        name
        for name in dir(F)
        if inspect.isfunction(getattr(F, name))
        and {"mask", "masked"} & set(inspect.signature(getattr(F, name)).parameters)
    }
    packed = {"apply_packed_vision_embedding", "unpack_patches"}
    assert names == set(FUNCTIONS) - packed  # whose mask is a field of `packed`


def test_bools_and_integers_are_the_same_mask():
    known = MASK.astype(np.int64), MASK.tolist(), MASK.astype(np.uint8).tolist()
    # Every integer but 0, where none can be refused.
    traced = MASK, MASK.astype(np.int32) * np.int32(-(2**24))

    @jax.jit
    def of_all(*traced):
        masks = (*traced, *known[:2])
        return {name: [f(m) for m in masks] for name, f in FUNCTIONS.items()}

    for expected, *others in of_all(*traced).values():
        for actual in others:
            jax.tree.map(np.testing.assert_array_equal, actual, expected)
    for function in (*FUNCTIONS.values(), *METHODS.values()):
        for mask in known:
            shapes = jax.eval_shape(lambda f=function, m=mask: (f(m), f(MASK)))
            assert shapes[0] == shapes[1]


@pytest.mark.errors
@everywhere
def test_masks_of_floats_are_refused(function):
    additive = np.where(MASK, 0.0, -np.inf).astype(np.float32)
    for mask in (additive, MASK.astype(np.float32), additive.tolist()):
        with refused(r"mask(ed)?.dtype=float(32|64) must be bool or integer; compare"):
            function(mask)
    with refused(r"mask(ed)?.dtype=complex64 must be bool or integer"):
        function(MASK.astype(np.complex64))
    with refused(r"mask(ed)?.dtype=bfloat16 must be bool or integer"):
        jax.eval_shape(function, jnp.zeros(MASK.shape, jnp.bfloat16))


@pytest.mark.errors
@everywhere
@pytest.mark.parametrize("bad", (2, -1, 2**32))
def test_known_integers_are_zero_and_one(function, bad):
    mask = MASK.astype(np.int64)
    mask[1, 0] = bad
    with pytest.raises(ValueError, match=rf"mask(ed)?\[1, 0\]={bad} must be 0 or 1"):
        function(mask)


@pytest.mark.errors
@everywhere
def test_what_is_no_array_is_named(function):
    for mask in ([[True], [True, False]], object()):
        with refused(r"mask(ed)? is an? (list|object), but must be an array, or lists"):
            function(mask)


def test_an_additive_mask_compared_first():
    additive = np.array([-np.inf, -np.inf, 0, 0, 0], np.float32)
    with refused("positions_from_mask: mask.dtype=float32 must be bool or integer"):
        F.positions_from_mask(additive)
    actual = F.positions_from_mask(additive == 0)
    np.testing.assert_array_equal(actual, [0, 0, 0, 1, 2])
