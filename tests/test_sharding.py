"""Every lookup under meshes with explicit axes, and under meshes manual in part.

Shardings are part of types there: tracing shows what is refused and where results lie.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax
import attnax.functional as F

# The meshes are of host devices: an accelerator may be one device only.
HOST = jax.devices("cpu")[:4]
MESH = jax.make_mesh(
    (2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2, devices=HOST
)

# One table of 12 rows for tokens, types, positions, a grid of 3 x 4 and patches of
# 2 x 3 pixels of two channels: whatever a lookup holds is then sharded alike.
GRID, WIDTH = (3, 4), 8
RESAMPLING = F.Resampling("bilinear", antialias=False)
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(12, WIDTH)).astype(np.float32)
IDS = RNG.integers(0, 12, size=(4, 2)).astype(np.int32)
X = RNG.normal(size=(4, 2, WIDTH)).astype(np.float32)
COORDINATES = np.array([[[0, 0], [1, 2]]] * 4, np.int32)
GRIDS = np.array([[2, 3], [3, 4], [2, 4], [4, 3]], np.int32)
MASK = np.array([[True, False]] * 4)
PATCHES = RNG.normal(size=(4, 2, 12)).astype(np.float32)
IMAGE = RNG.normal(size=(4, 6, 12, 2)).astype(np.float32)
TALLER = RNG.normal(size=(4, 8, 12, 2)).astype(np.float32)


def token(weight, ids, **options):
    return F.apply_token_embedding(F.TokenEmbeddingParams(weight), ids, **options)


def unembedding(weight, x, **options):
    return F.apply_token_unembedding(F.TokenEmbeddingParams(weight), x, **options)


def learned(weight, x, positions=None, **options):
    params = F.LearnedPositionalEmbeddingParams(weight)
    return F.apply_learned_positional_embedding(params, x, positions, **options)


def text(weight, ids, positions=None, **options):
    tables = F.TextEmbeddingParams(
        F.TokenEmbeddingParams(weight),
        F.LearnedPositionalEmbeddingParams(weight),
        F.TokenEmbeddingParams(weight),
    )
    more = {"token_type_ids": ids, "positions": positions, **options}
    return F.apply_text_embedding(tables, ids, **more)


def resized_at(weight, grids, coordinates, *, antialias=False, **options):
    how = F.Resampling("bilinear", antialias)
    return F.resize_positions_at(weight, GRID, grids, coordinates, how, **options)


def patches_of(weight):
    return F.PatchEmbeddingParams(weight, weight.mean(0))


def vision_params(weight, before):
    """`before`: the first row of the table is that of a token, as the grid has 11."""
    return F.VisionEmbeddingParams(
        patch=patches_of(weight),
        positions=F.LearnedPositionalEmbeddingParams(weight),
        tokens_with_position=weight.mean(0, keepdims=True) if before else None,
        tokens_without_position=weight,
        mask_token=weight.mean(0),
    )


def vision(weight, image, masked=None, **options):
    how = {
        "patch_size": (2, 3),
        "table_grid": GRID,
        "resampling": RESAMPLING,
        **options,
    }
    params = vision_params(weight, before=False)
    return F.apply_vision_embedding(params, image, masked=masked, **how)


def packed(weight, *arrays, grid=GRID, **options):
    params = vision_params(weight, before=grid != GRID)
    how = {"table_grid": grid, "resampling": RESAMPLING, **options}
    return F.apply_packed_vision_embedding(params, F.PackedPatches(*arrays), **how)


def patch_embedding(weight, image, **options):
    how = {"patch_size": (2, 3), **options}
    return F.apply_patch_embedding(patches_of(weight), image, **how)


def patch_projection(weight, patches, **options):
    return F.apply_patch_projection(patches_of(weight), patches, **options)


# By name: a function of a table and arrays with a batch axis, and whether columns of
# the result lie where those of the table do, if nothing else is said.
LOOKUPS = {
    "token": (token, (IDS,), False),
    "learned": (learned, (X,), False),
    "learned at positions": (learned, (X, IDS), False),
    "text": (text, (IDS,), False),
    "text at positions": (text, (IDS, IDS), False),
    "rows of a grid": (resized_at, (GRIDS, COORDINATES), True),
    "rows of a grid, antialiased": (
        functools.partial(resized_at, antialias=True),
        (GRIDS, COORDINATES),
        True,
    ),
    "vision": (vision, (IMAGE, np.arange(48).reshape(4, 12) % 3 == 0), True),
    "vision, resized": (vision, (TALLER,), True),
    "packed": (packed, (PATCHES, COORDINATES, MASK, GRIDS), True),
    "patches": (patch_embedding, (IMAGE,), True),
    "patches that are cut": (patch_projection, (PATCHES,), True),
}
every_lookup = pytest.mark.parametrize("name", LOOKUPS)
TABLES = (
    P(),
    P("a", None),
    P("b", None),
    P(None, "a"),
    P(None, "b"),
    P(("a", "b"), None),
    P("a", "b"),
)


def typed(array, spec):
    sharding = NamedSharding(MESH, spec)
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)


def put(array, spec):
    return jax.device_put(array, NamedSharding(MESH, spec))


def rows_and_gradient(function, weight, arrays, **options):
    """Returns the rows, and the value and gradient of a sum of squares."""

    def loss(weight):
        rows = function(weight, *arrays, **options)
        return jnp.sum(rows**2), rows

    (_, rows), gradient = jax.value_and_grad(loss, has_aux=True)(weight)
    return rows, gradient


def full(spec, ndim):
    return P(*spec, *(None,) * (ndim - len(spec)))


@every_lookup
@pytest.mark.parametrize(
    "of_batch", (P("a"), *slow(P(), P("b"), P(("a", "b")))), ids=str
)
def test_results_lie_where_indices_lie_whatever_the_table(name, of_batch):
    function, arrays, columns = LOOKUPS[name]
    with jax.set_mesh(MESH):
        for of_table in TABLES:
            rows, gradient = jax.eval_shape(
                functools.partial(rows_and_gradient, function),
                typed(WEIGHT, of_table),
                [typed(array, of_batch) for array in arrays],
            )
            width = full(of_table, 2)[1] if columns else None
            if width is not None and width in str(of_batch):
                width = None  # one axis of the mesh cannot be there twice
            expected = P(*full(of_batch, rows.ndim - 1), width)
            assert rows.sharding.spec == expected, of_table
            assert gradient.sharding.spec == full(of_table, 2), of_table


@every_lookup
@pytest.mark.parametrize(
    "out", (P("b", None, "a"), *slow(P(), P("b"), P(None, None, "a"))), ids=str
)
def test_out_sharding_says_where_results_lie(name, out):
    function, arrays, _ = LOOKUPS[name]
    with jax.set_mesh(MESH):
        for of_table in (P(), P("a", None), P(None, "a")):
            rows, gradient = jax.eval_shape(
                functools.partial(rows_and_gradient, function, out_sharding=out),
                typed(WEIGHT, of_table),
                [typed(array, P("a")) for array in arrays],
            )
            assert rows.sharding.spec == full(out, rows.ndim), of_table
            assert gradient.sharding.spec == full(of_table, 2), of_table


def sequences():
    """Lookups whose sequence axis may be sharded: nothing is inserted in it."""
    return (name for name in LOOKUPS if "vision" not in name and "pack" not in name)


@pytest.mark.parametrize("name", [n for n in sequences() if n != "patches"])
def test_the_sequence_may_be_sharded(name):
    function, arrays, _ = LOOKUPS[name]
    with jax.set_mesh(MESH):
        for of_table in TABLES:
            specs = [P("b") if array is GRIDS else P("b", "a") for array in arrays]
            pairs = zip(arrays, specs, strict=True)
            rows, gradient = jax.eval_shape(
                functools.partial(rows_and_gradient, function),
                typed(WEIGHT, of_table),
                [typed(*pair) for pair in pairs],
            )
            assert rows.sharding.spec == P("b", "a", None), of_table
            assert gradient.sharding.spec == full(of_table, 2), of_table


@pytest.mark.parametrize("lookup", (learned, text))
def test_positions_of_one_row_serve_every_sequence(lookup):
    """Learned positions stay whole where the sequences are sharded."""
    tokens, positions = (X, IDS[:1]) if lookup is learned else (IDS, IDS[:1])
    with jax.set_mesh(MESH):
        for of_table in TABLES:
            rows, gradient = jax.eval_shape(
                functools.partial(rows_and_gradient, lookup),
                typed(WEIGHT, of_table),
                [typed(tokens, P("a")), typed(positions, P())],
            )
            assert rows.sharding.spec == P("a", None, None), of_table
            assert gradient.sharding.spec == full(of_table, 2), of_table


@functools.cache
def plain(name):
    function, arrays, _ = LOOKUPS[name]
    step = jax.jit(functools.partial(rows_and_gradient, function))
    return jax.tree.map(np.asarray, step(WEIGHT, list(arrays)))


def assert_close_to_plain(name, rows, gradient):
    """Sums of a few hundred terms of size below 100."""
    assert_close(rows, plain(name)[0], magnitude=100.0)
    assert_close(gradient, plain(name)[1], magnitude=10_000.0)


@pytest.mark.parametrize(
    "name",
    (
        *("token", "learned at positions", "text", "rows of a grid", "vision, resized"),
        *slow("learned", "text at positions", "rows of a grid, antialiased", "vision"),
        *slow("packed", "patches", "patches that are cut"),
    ),
)
def test_values_do_not_depend_on_the_mesh(name):
    """Rows and batch over one axis of the mesh, which is how FSDP shards both."""
    function, arrays, _ = LOOKUPS[name]
    with jax.set_mesh(MESH):
        step = jax.jit(functools.partial(rows_and_gradient, function))
        rows, gradient = step(
            put(WEIGHT, P("a", None)), [put(array, P("a")) for array in arrays]
        )
    assert_close_to_plain(name, rows, gradient)


@pytest.mark.parametrize("name", ("learned", "learned at positions"))
def test_learned_positions_outside_jit_and_without_a_mesh_in_context(name):
    function, arrays, _ = LOOKUPS[name]
    weight = put(WEIGHT, P("a", None))
    arrays = [put(array, P("a")) for array in arrays]
    rows = function(weight, *arrays)
    assert jax.typeof(rows).sharding.spec == P("a", None, None)
    np.testing.assert_array_equal(rows, plain(name)[0])
    with jax.set_mesh(MESH):
        np.testing.assert_array_equal(function(weight, *arrays), plain(name)[0])


def test_positions_of_other_axes_than_x():
    """`x` says where the sum lies: sinusoids are moved there as learned rows are."""
    with jax.set_mesh(MESH):
        for of_x, of_positions in ((P("a"), P("b")), (P(), P("a"))):
            x, positions = typed(X, of_x), typed(IDS, of_positions)
            for function in (
                F.apply_positional_encoding,
                functools.partial(learned, WEIGHT),
            ):
                rows = jax.eval_shape(function, x, positions)
                assert rows.sharding.spec == full(of_x, 3)


@every_lookup
@pytest.mark.parametrize("of_table", (P("b", None), *slow(P(), P(None, "b"))), ids=str)
def test_gradients_through_a_mesh_that_is_manual_in_part(name, of_table):
    """Gradients are taken outside `shard_map`, and inside it."""
    function, arrays, _ = LOOKUPS[name]

    def loss(weight, *arrays):
        squares = lambda *args: jax.lax.psum(jnp.sum(function(*args) ** 2), "a")
        specs = (P(), *(P("a") for _ in arrays))
        return manual(squares, specs, P())(weight, *arrays)

    def inside(weight, *arrays):
        step = jax.grad(lambda weight, *arrays: jnp.sum(function(weight, *arrays) ** 2))
        specs = (P(), *(P("a") for _ in arrays))
        return manual(step, specs, P())(weight, *arrays)

    with jax.set_mesh(MESH):
        args = typed(WEIGHT, of_table), *(typed(array, P("a")) for array in arrays)
        for gradient in (jax.grad(loss), inside):
            actual = jax.eval_shape(gradient, *args)
            assert actual.sharding.spec == full(of_table, 2)


def manual(function, in_specs, out_specs):
    return jax.shard_map(
        function, axis_names={"a"}, in_specs=in_specs, out_specs=out_specs
    )


@pytest.mark.parametrize("name", ("token", "learned at positions", "rows of a grid"))
def test_values_on_a_mesh_that_is_manual_in_part(name):
    function, arrays, _ = LOOKUPS[name]
    specs = (P(), *(P("a") for _ in arrays))

    @jax.jit
    def step(weight, arrays):
        mapped = manual(function, specs, P("a"))
        return rows_and_gradient(mapped, weight, arrays)

    with jax.set_mesh(MESH):
        weight = put(WEIGHT, P("b", None))
        rows, gradient = step(weight, [put(array, P("a")) for array in arrays])
    assert_close_to_plain(name, rows, gradient)


POSITIONS = {
    "mask": F.positions_from_mask,
    "segments": F.positions_from_segment_ids,
    "lengths": lambda ids: F.positions_from_lengths(ids, 9),
    "multimodal": lambda ids: F.multimodal_positions(
        F.MultimodalRule(1),
        ids % 3,
        image_grids=np.ones((1, 3, 3), np.int32),
        video_grids=jnp.ones_like(ids, shape=(*ids.shape, 3)),
    )[0][..., 0],
    "text without grids": lambda ids: F.multimodal_positions(
        F.MultimodalRule(1), ids * 0
    )[0][..., 0],
    "text with no grid of each": lambda ids: F.multimodal_positions(
        F.MultimodalRule(1), ids * 0, image_grids=np.zeros((4, 0, 3), np.int32)
    )[0][..., 0],
    "videos in seconds": lambda ids: F.multimodal_positions(
        F.MultimodalRule(1, positions_per_second=2),
        jnp.where(ids > 0, 2, 0),
        video_grids=np.ones((1, 3, 3), np.int32),
        seconds_per_grid=np.ones((1, 3)),
        mask=ids < 3,
    )[0][..., 0],
    "padded": lambda ids: F.padded_positions(ids, first_position=2, padding_position=1),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_of_a_sharded_batch(name):
    function = jax.jit(POSITIONS[name])
    ids = np.array([[1, 1, 0], [2, 1, 1], [0, 0, 1], [3, 4, 3]], np.int32)
    expected = function(ids)
    with jax.set_mesh(MESH):
        actual = function(put(ids, P("a")))
        assert jax.typeof(actual).sharding.spec == P("a", None)
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
def test_multimodal_positions_of_a_sharded_batch_outside_jit():
    ids = np.array([[1, 1], [0, 0], [0, 1], [0, 0]], np.int32)
    with jax.set_mesh(MESH):
        positions, delta = F.multimodal_positions(
            F.MultimodalRule(1),
            put(ids, P("a")),
            image_grids=np.array([[[1, 2, 1]], [[0] * 3], [[1, 1, 1]], [[0] * 3]]),
        )
        assert jax.typeof(delta).sharding.spec == P("a")
    assert positions[..., 1].tolist() == [[0, 1], [0, 1], [0, 1], [0, 1]]


@pytest.mark.errors
def test_grids_of_a_whole_batch_that_is_sharded_are_refused():
    ids, grids = np.zeros((4, 2), np.int32), np.ones((4, 3), np.int32)
    rule = F.MultimodalRule(1)
    positions = lambda ids, grids: F.multimodal_positions(rule, ids, image_grids=grids)
    with jax.set_mesh(MESH):
        for_each = jax.eval_shape(positions, put(ids, P("a")), grids[:, None])
        assert for_each[1].sharding.spec == P("a")
        mapped = manual(positions, (P("a"), P("a")), P("a"))
        jax.eval_shape(mapped, put(ids, P("a")), put(grids, P("a")))
        with pytest.raises(ValueError, match=r"image_grids.shape=\(4, 3\) must begin"):
            jax.eval_shape(positions, put(ids, P("a")), grids)
        with pytest.raises(ValueError, match="the last axis of token_types has spec="):
            jax.eval_shape(positions, put(ids, P(None, "a")), grids)


KEY = jax.random.key(0)
MODULES = {
    "token": (attnax.TokenEmbedding(12, WIDTH, key=KEY), (IDS,)),
    "unembed": (attnax.TokenEmbedding(12, WIDTH, key=KEY).unembed, (X,)),
    "learned": (
        attnax.LearnedPositionalEmbedding(num_positions=12, d_model=WIDTH, key=KEY),
        (X,),
    ),
    "text": (attnax.nn.TextEmbedding(12, WIDTH, num_positions=12, key=KEY), (IDS,)),
    "patch": (
        attnax.PatchEmbedding(
            image_size=(6, 12), patch_size=(2, 3), num_channels=2, d_model=8, key=KEY
        ),
        (IMAGE,),
    ),
}
VISION = attnax.nn.VisionEmbedding(
    image_size=(6, 12),
    patch_size=(2, 3),
    num_channels=2,
    d_model=WIDTH,
    resampling=RESAMPLING,
    key=KEY,
)
MODULES["vision"] = (VISION, (IMAGE,))
MODULES["packed"] = (
    lambda *arrays, **options: VISION.packed(F.PackedPatches(*arrays), **options),
    (PATCHES, COORDINATES, MASK, GRIDS),
)


@pytest.mark.parametrize("name", MODULES)
def test_modules_pass_out_sharding_on(name):
    module, arrays = MODULES[name]
    out = P("b", None, "a")
    with jax.set_mesh(MESH):
        rows = jax.eval_shape(
            functools.partial(module, out_sharding=out),
            *(typed(array, P("a")) for array in arrays),
        )
    assert rows.sharding.spec == out
