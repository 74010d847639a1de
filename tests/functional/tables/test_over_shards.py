"""Tables of tokens whose rows are sharded: the same bits as on one device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, jitted, slow
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax
import attnax.functional as F

# The meshes are of host devices: an accelerator may be one device only.
HOST = jax.devices("cpu")[:4]
AUTO, EXPLICIT = (
    jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2, devices=HOST)
    for axis_type in (AxisType.Auto, AxisType.Explicit)
)
every_mesh = pytest.mark.parametrize("mesh", (AUTO, EXPLICIT), ids=("auto", "explicit"))

# Sums of the gradient are of small integers, and exact. A sum of -0.0 and zeros is 0.0,
# and a subnormal number is 0.0 to XLA's CPU backend: only bits keep them.
WEIGHT = np.random.default_rng(0).integers(-9, 9, size=(12, 6)).astype(np.float32)
WEIGHT[5, :3] = -0.0, 1e-40, np.inf
IDS = np.array([[0, 3], [11, 5], [6, 6], [7, -1]], np.int32)
UNKNOWN = np.array([[False] * 2] * 3 + [[False, True]])


def lookup(weight, ids, **options):
    return F.apply_token_embedding(F.TokenEmbeddingParams(weight), ids, **options)


@jitted
def step(weight, ids, cotangent=None, **options):
    """Rows, and the gradient of the table for cotangents that count the entries."""
    rows, pull = jax.vjp(lambda weight: lookup(weight, ids, **options), weight)
    if cotangent is None:
        cotangent = np.arange(rows.size).reshape(rows.shape) % 16
    like = jnp.zeros_like(rows) + jnp.asarray(cotangent, rows.dtype)
    return rows, pull(jnp.where(jnp.isnan(rows), jnp.zeros_like(rows), like))[0]


def put(mesh, array, *spec):
    return jax.device_put(array, NamedSharding(mesh, P(*spec)))


OPTIONS = (
    {},
    {"padding_id": 6, "mask_padding": True, "scale": -2.0, "dtype": jnp.bfloat16},
    {"padding_id": 6, "valid_vocab_size": 7, "scale": 0.5},
)
CASES = (
    # Options, dtype of the table, where the ids lie.
    (OPTIONS[0], jnp.float32, ("a",)),
    (OPTIONS[1], jnp.float32, ()),
    (OPTIONS[2], jnp.bfloat16, (None, "b")),
)


@every_mesh
@pytest.mark.parametrize(
    "options, dtype, of_ids",
    (
        *CASES,
        *(
            pytest.param(options, dtype, of_ids, marks=pytest.mark.slow)
            for options in OPTIONS
            for dtype in (jnp.float32, jnp.bfloat16, jnp.float16)
            for of_ids in (("a",), ("b",), ("b", "a"), (("a", "b"),), ())
        ),
    ),
    ids=str,
)
def test_rows_have_the_bits_of_one_device(mesh, options, dtype, of_ids):
    weight = WEIGHT.astype(dtype)
    plain, expected = step(weight, IDS, **options)
    with jax.set_mesh(mesh):
        arguments = put(mesh, weight, "b", None), put(mesh, IDS, *of_ids)
        rows, gradient = step(*arguments, vocab_axis="b", **options)
    assert_same_bits(rows, plain)
    np.testing.assert_array_equal(gradient, expected)
    assert np.isnan(np.asarray(rows, np.float32)[3, 1]).all()
    assert gradient.sharding.is_equivalent_to(NamedSharding(mesh, P("b")), 2)
    if mesh is EXPLICIT:
        spec = jax.typeof(rows).sharding.spec
        assert spec == P(*of_ids, *[None] * (3 - len(of_ids)))


@every_mesh
def test_more_tokens_than_rows(mesh):
    """Devices then add up tables, and not rows."""
    weight = WEIGHT.astype(jnp.bfloat16)
    ids = np.random.default_rng(4).integers(-1, 12, size=(4, 9)).astype(np.int32)
    rows, gradient = step(weight, ids)
    with jax.set_mesh(mesh):
        arguments = put(mesh, weight, "b", None), put(mesh, ids, "a")
        actual = step(*arguments, vocab_axis="b")
    assert_same_bits(actual[0], rows)
    assert_same_bits(actual[1], gradient)


@every_mesh
@pytest.mark.parametrize("names", ((), ("a", "b")), ids=("outside", "in shard_map"))
def test_fewer_tokens_than_rows_of_a_shard(mesh, names):
    """The rows of all batches then meet, and each device adds them up by itself."""
    ids = np.array([[0, 3], [11, 3]], np.int32)
    weight = np.nan_to_num(WEIGHT, posinf=3)

    def gradient(weight, ids):
        rows = lambda weight: lookup(weight, ids, vocab_axis="b")
        return jax.grad(lambda weight: jnp.sum(rows(weight) ** 2) / 2)(weight)

    if names:
        specs = {"in_specs": (P("b"), P("a")), "out_specs": P("b")}
        gradient = jax.shard_map(gradient, axis_names={*names}, **specs)
    with jax.set_mesh(mesh):
        arguments = put(mesh, weight, "b", None), put(mesh, ids, "a")
        actual = jax.jit(gradient)(*arguments)
    expected = np.zeros(WEIGHT.shape)
    np.add.at(expected, ids, weight[ids].astype(np.float64))
    np.testing.assert_array_equal(actual, expected)


@every_mesh
@pytest.mark.parametrize("of_ids", (("a",), *slow((), ("b",))), ids=str)
@pytest.mark.parametrize("dtype", (jnp.bfloat16, *slow(jnp.float32)))
@pytest.mark.parametrize("axis", (-1, *slow(0)))
def test_rows_that_are_scattered(mesh, of_ids, dtype, axis):
    weight = WEIGHT.astype(dtype)
    plain, expected = step(weight, IDS)
    with jax.set_mesh(mesh):
        arguments = put(mesh, weight, "b", None), put(mesh, IDS, *of_ids)
        rows, gradient = step(*arguments, vocab_axis="b", scatter_axis=axis)
    assert_same_bits(rows, plain)
    np.testing.assert_array_equal(gradient, expected)
    spec = rows.sharding.spec
    assert "b" in jax.tree.leaves(spec[axis % 2])
    if mesh is EXPLICIT and axis == -1 and of_ids == ("a",):
        assert jax.typeof(rows).sharding.spec == P("a", "b", None)


@every_mesh
@pytest.mark.parametrize("width", (5, 6))
def test_no_ids(mesh, width):
    """Of 16-bit numbers, an even width is whole words."""
    weight, ids = WEIGHT[:, :width].astype(jnp.bfloat16), IDS[:, :0]
    with jax.set_mesh(mesh):
        rows = jax.eval_shape(lambda *args: lookup(*args, vocab_axis="b"), weight, ids)
    assert rows.shape == (4, 0, width)


@pytest.mark.parametrize("out", (P("a", "b"), *slow(P("b"), P(None, None, "b"))))
def test_out_sharding_over_the_axis_of_the_rows(out):
    plain, expected = step(WEIGHT, IDS)
    with jax.set_mesh(EXPLICIT):
        arguments = put(EXPLICIT, WEIGHT, "b", None), put(EXPLICIT, IDS, "a")
        rows, gradient = step(*arguments, vocab_axis="b", out_sharding=out)
    assert_same_bits(rows, plain)
    np.testing.assert_array_equal(gradient, expected)
    assert jax.typeof(rows).sharding.spec == P(*out, *[None] * (3 - len(out)))


@pytest.mark.parametrize(
    "of_table", (("b", "a"), *slow((), (("a", "b"),), (None, "b")))
)
def test_tables_that_lie_otherwise(of_table):
    """Columns over an axis that shards the batch too, and rows that must move."""
    plain, expected = step(WEIGHT, IDS)
    with jax.set_mesh(EXPLICIT):
        arguments = put(EXPLICIT, WEIGHT, *of_table), put(EXPLICIT, IDS, "a")
        rows, gradient = step(*arguments, vocab_axis="b")
        scattered, _ = step(*arguments, vocab_axis="b", scatter_axis=1)
    assert_same_bits(rows, plain)
    assert_same_bits(scattered, plain)
    np.testing.assert_array_equal(gradient, expected)


def test_shards_over_two_axes_and_odd_widths():
    """Three 16-bit numbers are no whole words."""
    weight = WEIGHT[:, :3].astype(jnp.bfloat16)
    plain, expected = step(weight, IDS)
    with jax.set_mesh(EXPLICIT):
        arguments = put(EXPLICIT, weight, ("b", "a")), put(EXPLICIT, IDS)
        rows, gradient = step(*arguments, vocab_axis=("b", "a"))
    assert_same_bits(rows, plain)
    np.testing.assert_array_equal(gradient, expected)


@every_mesh
@pytest.mark.parametrize(
    "names, scatter", ((("a", "b"), 1), (("b",), None), (("b",), 1))
)
def test_inside_shard_map(mesh, names, scatter):
    """The axis is manual, and others are or are not."""
    batch = "a" if "a" in names else None
    out = P(batch, None if scatter is None else "b")
    options = {"vocab_axis": "b", "scatter_axis": scatter, "valid_vocab_size": 11}

    def gradient(weight, ids):
        rows = lambda weight: lookup(weight, ids, **options).astype(jnp.float32)
        square = lambda weight: jnp.nansum(rows(weight) ** 2) / 2
        return jax.grad(square)(weight)

    mapped = functools.partial(
        jax.shard_map, axis_names={*names}, in_specs=(P("b"), P(batch))
    )
    weight = np.rint(np.nan_to_num(WEIGHT, posinf=3)).astype(jnp.bfloat16)
    plain = jax.jit(functools.partial(lookup, valid_vocab_size=11))(weight, IDS)
    with jax.set_mesh(mesh):
        arguments = put(mesh, weight, "b", None), put(mesh, IDS, "a")
        rows = jax.jit(mapped(functools.partial(lookup, **options), out_specs=out))
        assert_same_bits(rows(*arguments), plain)
        actual = jax.jit(mapped(gradient, out_specs=P("b")))(*arguments)
    expected = np.zeros(WEIGHT.shape, np.float32)
    np.add.at(
        expected,
        IDS[(IDS >= 0) & (IDS < 11)],
        np.asarray(plain, np.float32)[(IDS >= 0) & (IDS < 11)],
    )
    np.testing.assert_array_equal(actual, expected)


def test_derivatives_in_forward_mode():
    direction = np.random.default_rng(1).normal(size=WEIGHT.shape).astype(np.float32)
    forward = jax.jit(
        lambda weight, ids, **options: jax.jvp(
            lambda weight: lookup(
                weight, ids, vocab_axis="b", padding_id=6, scatter_axis=1
            ),
            (weight,),
            (weight,),
        )[1]
    )
    expected = np.where(((IDS == 6) | UNKNOWN)[..., None], 0, direction[IDS])
    for mesh in (AUTO, EXPLICIT):
        with jax.set_mesh(mesh):
            arguments = put(mesh, direction, "b", None), put(mesh, IDS, "a")
            np.testing.assert_array_equal(
                forward(*arguments), expected.astype(np.float32)
            )


@every_mesh
def test_batches_scans_and_rematerialization(mesh):
    def rows(weight, ids):
        one = jax.checkpoint(functools.partial(lookup, vocab_axis="b"))
        _, scanned = lax.scan(lambda carry, ids: (carry, one(weight, ids)), 0, ids)
        return jax.vmap(one, (None, 0))(weight, ids), scanned

    def both(weight, ids):
        out, pull = jax.vjp(lambda weight: rows(weight, ids), weight)
        return *out, *pull(jax.tree.map(jnp.ones_like, out))

    ids = np.maximum(IDS, 0)
    with jax.set_mesh(mesh):
        weight = put(mesh, WEIGHT, "b", None)
        batched, scanned, gradient = jax.jit(both)(weight, put(mesh, ids))
    assert_same_bits(batched, WEIGHT[ids])
    assert_same_bits(scanned, WEIGHT[ids])
    counts = np.bincount(ids.ravel(), minlength=12)
    np.testing.assert_array_equal(gradient, 2.0 * np.repeat(counts[:, None], 6, 1))


@pytest.mark.slow
@every_mesh
def test_outside_jit_and_in_modules(mesh):
    with jax.set_mesh(mesh):
        module = attnax.TokenEmbedding(
            12, 6, key=jax.random.key(0), out_sharding=NamedSharding(mesh, P("b"))
        )
        ids = put(mesh, np.maximum(IDS, 0), "a")
        rows = module(ids, vocab_axis="b", scatter_axis=1)
        logits = module.unembed(rows, vocab_axis="b")
    assert_same_bits(rows, np.asarray(module.weight)[np.maximum(IDS, 0)])
    assert logits.sharding.is_equivalent_to(NamedSharding(mesh, P("a", None, "b")), 3)


X = np.random.default_rng(2).normal(size=(4, 2, 6)).astype(np.float32)
FINITE = np.random.default_rng(3).normal(size=(12, 6)).astype(np.float32)


@jitted
def unembed_step(weight, x, **options):
    def logits(weight, x):
        return F.apply_token_unembedding(F.TokenEmbeddingParams(weight), x, **options)

    out, pull = jax.vjp(logits, weight, x)
    finite = jnp.where(jnp.isneginf(out), jnp.zeros_like(out), out)
    return out, *pull(finite)


@every_mesh
@pytest.mark.parametrize(
    "dtype, options",
    (
        (jnp.float32, {"soft_cap": 5.0, "valid_vocab_size": 7}),
        (jnp.bfloat16, {"dtype": jnp.float32}),
    ),
)
def test_logits_are_sharded_as_the_rows(mesh, dtype, options):
    weight, x = FINITE.astype(dtype), X.astype(dtype)
    plain = unembed_step(weight, x, **options)
    with jax.set_mesh(mesh):
        arguments = put(mesh, weight, "b", None), put(mesh, x, "a")
        actual = unembed_step(*arguments, vocab_axis="b", **options)
    places = P("a", None, "b"), P("b"), P("a")
    # Sums of 6 products, then of 12 or 8 with logits of less than 16 in size.
    for one, other, magnitude in zip(actual, plain, (32, 512, 512), strict=True):
        finite = np.isfinite(np.asarray(other, np.float32))
        np.testing.assert_array_equal(np.isfinite(np.asarray(one, np.float32)), finite)
        one, other = (np.where(finite, a, np.zeros_like(a)) for a in (one, other))
        assert_close(one, other, magnitude=magnitude)
    if mesh is EXPLICIT:
        for one, place in zip(actual, places, strict=True):
            assert one.sharding.is_equivalent_to(NamedSharding(mesh, place), one.ndim)


def test_logits_inside_shard_map():
    call = lambda weight, x: F.apply_token_unembedding(
        F.TokenEmbeddingParams(weight), x, vocab_axis="b", valid_vocab_size=7
    )
    mapped = jax.shard_map(
        call, in_specs=(P("b"), P("a")), out_specs=P("a", None, "b"), mesh=AUTO
    )
    expected = X @ FINITE.T
    expected[..., 7:] = -np.inf
    np.testing.assert_allclose(
        jax.jit(mapped)(FINITE, X), expected, rtol=1e-5, atol=1e-5
    )


errors = pytest.mark.errors


@errors
def test_a_scatter_axis_needs_a_vocab_axis():
    message = "scatter_axis=0 must come with a vocab_axis"
    with pytest.raises(ValueError, match=message):
        lookup(WEIGHT, [0], scatter_axis=0)


@errors
@pytest.mark.parametrize("axis", (2, -3))
def test_the_scatter_axis_is_one_of_the_ids(axis):
    with (
        jax.set_mesh(AUTO),
        pytest.raises(ValueError, match=r"scatter_axis=.* must be"),
    ):
        lookup(WEIGHT, np.maximum(IDS, 0), vocab_axis="b", scatter_axis=axis)


@errors
@every_mesh
def test_shards_that_do_not_divide_the_ids(mesh):
    message = r"axis 0 of token_ids.shape=\(3, 2\) .* 2 shards of vocab_axis='b'"
    with jax.set_mesh(mesh), pytest.raises(ValueError, match=message):
        lookup(WEIGHT, IDS[:3] % 12, vocab_axis="b", scatter_axis=0)


@errors
@pytest.mark.parametrize(
    "call",
    (
        lookup,
        lambda weight, ids, **options: F.apply_token_unembedding(
            F.TokenEmbeddingParams(weight), X, **options
        ),
    ),
)
def test_axes_and_rows_that_do_not_fit(call):
    with jax.set_mesh(AUTO):
        with pytest.raises(ValueError, match=r"'c' must name an axis .*\('a', 'b'\)"):
            call(WEIGHT, [0], vocab_axis="c")
        with pytest.raises(ValueError, match=r"11 rows, .* the 2 shards of .*'b'; pad"):
            call(WEIGHT[:11], [0], vocab_axis="b")


@errors
def test_known_ids_of_the_whole_table():
    """The message speaks of all rows, and not of those of a shard."""
    with jax.set_mesh(AUTO), pytest.raises(ValueError, match=r"\[1\]=12 .* \[0, 12\)"):
        lookup(WEIGHT, [0, 12], vocab_axis="b")
