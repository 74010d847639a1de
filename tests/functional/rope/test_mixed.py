import re

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
from jax.test_util import check_grads

import attnax.functional as F

apply = jitted(F.apply_mixed_rope)
init = jitted(F.init_mixed_rope)
HEADS, HEAD_DIM = 3, 8
# (row, column) of the patches of a grid of 5 rows and 7 columns.
GRID = np.array([(n // 7, n % 7) for n in range(35)], np.float32)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def params_of(freqs):
    return F.MixedRopeParams(freqs=jnp.asarray(freqs, jnp.float32))


def mixed(freqs, x, positions, layout="interleaved"):
    """Heo et al. 2024, eq. 14, in loops over patches, heads and pairs; and a bound.

    Both products of the angle are rounded, and their sum: two roundings of the sum of
    magnitudes. Cos and sin are wrong by a unit more, and the rotation rounds three
    times, each relative to the length of the pair, or to 1.5 times its larger part.
    """
    freqs, x = (np.asarray(t, np.float64) for t in (freqs, x))
    positions = np.asarray(positions, np.float64)
    positions = np.broadcast_to(positions, (*x.shape[:-2], 2))
    out, bound = np.empty_like(x), np.empty_like(x)
    pairs = freqs.shape[-1]
    for *patch, head, pair in np.ndindex(*x.shape[:-1], pairs):
        row, column = positions[tuple(patch)]
        terms = column * freqs[0, head, pair], row * freqs[1, head, pair]
        a, b = (
            (2 * pair, 2 * pair + 1)
            if layout == "interleaved"
            else (pair, pair + pairs)
        )
        head_out, bounds = (t[tuple(patch)][head] for t in (out, bound))
        z = complex(*x[tuple(patch)][head][[a, b]])
        turned = z * np.exp(1j * sum(terms))
        head_out[a], head_out[b] = turned.real, turned.imag
        units = 2 * (abs(terms[0]) + abs(terms[1])) / 2 + 1 + 1.5
        bounds[a] = bounds[b] = 1.5 * abs(z) * units * 2.0**-23
    return out, bound


def assert_mixed(actual, freqs, x, positions, layout="interleaved"):
    expected, bound = mixed(freqs, x, positions, layout)
    # And the one rounding of the result, also where it or a product is subnormal.
    info = jnp.finfo(actual.dtype)
    bound += np.abs(expected) * float(info.eps) / 2 + float(info.smallest_subnormal)
    bound += 2 * float(jnp.finfo(jnp.float32).tiny)
    assert (np.abs(np.asarray(actual, np.float64) - expected) <= bound).all()


@given(data=st.data(), layout=ax.layouts, dtype=ax.dtypes, batch=ax.batches)
def test_against_the_formula(data, layout, dtype, batch):
    """With fractional positions, in a batch of one or of many, or for the whole one."""
    x = data.draw(ax.floats((*batch, 5, HEADS, HEAD_DIM), dtype))
    own = data.draw(st.booleans())
    positions = data.draw(ax.floats((*batch, 5, 2) if own else (5, 2), bound=100.0))
    freqs = data.draw(ax.floats((2, HEADS, HEAD_DIM // 2), bound=1.0))
    actual = apply(params_of(freqs), x, positions, layout=layout)
    assert actual.dtype == dtype
    assert_mixed(actual, freqs, x, positions, layout)


@pytest.mark.parametrize("head_dim, layout", ((64, "interleaved"), (96, "half")))
def test_real_sizes_and_a_grid_of_numpy_integers(head_dim, layout):
    params = init(jax.random.key(1), 6, head_dim, dtype=jnp.float32)
    x = normal((2, 35, 6, head_dim))
    actual = apply(params, x, GRID.astype(np.int32), layout=layout)
    assert_mixed(actual, params.freqs, x, GRID, layout)


def test_smallest_head_and_one_head():
    params = init(jax.random.key(2), 1, 4, dtype=jnp.float32)
    x = normal((35, 1, 4))
    actual = apply(params, x, GRID)
    assert_mixed(actual, params.freqs, x, GRID)


def test_equals_an_axial_rope_with_its_frequencies():
    """Columns drive half of the pairs and rows the others: eq. 12."""
    rope = F.axial_rope((4, 4), 100.0, axis_order=(1, 0), layout="interleaved")
    freqs = np.zeros((2, HEADS, 4))
    freqs[0, :, :2] = freqs[1, :, 2:] = rope.inv_freq[:2]
    x = normal((35, HEADS, HEAD_DIM))
    expected = jitted(F.rotate)(rope, x, F.positions_from_grid((5, 7)))
    actual = apply(params_of(freqs), x, GRID)
    # Angles below 7, rounded twice (frequency and product), and 1.5 + 1 units for each.
    bound = 1.5 * float(np.abs(x).max()) * (7 + 2 * 2.5) * 2.0**-23
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)


def test_position_0_is_the_identity():
    params = init(jax.random.key(3), HEADS, HEAD_DIM)
    x = normal((35, HEADS, HEAD_DIM))
    actual = apply(params, x, np.zeros((35, 2), np.float32))
    np.testing.assert_array_equal(actual, x)


def test_one_coordinate_past_int32_makes_a_patch_nan():
    params = init(jax.random.key(3), HEADS, HEAD_DIM)
    positions = np.array([[0, 1], [2**31, 1], [1, 2**31], [2**31 - 1, 0]], np.uint32)
    actual = np.asarray(apply(params, normal((4, HEADS, HEAD_DIM)), positions))
    bad = [False, True, True, False]
    np.testing.assert_array_equal(np.isnan(actual).all((1, 2)), bad)
    np.testing.assert_array_equal(np.isnan(actual).any((1, 2)), bad)


def test_batch_jit_and_low_precision():
    params = init(jax.random.key(4), HEADS, HEAD_DIM, dtype=jnp.float32)
    x = normal((2, 35, HEADS, HEAD_DIM)).astype(jnp.bfloat16)
    positions = np.stack([GRID, GRID[::-1] / 3])
    actual = apply(params, x, positions)
    assert actual.dtype == jnp.bfloat16
    wide = np.asarray(apply(params, x.astype(np.float32), positions))
    assert_same_bits(actual, wide.astype(jnp.bfloat16))
    mapped = jax.jit(jax.vmap(F.apply_mixed_rope, (None, 0, 0)))(params, x, positions)
    assert_same_bits(mapped, actual)
    assert_same_bits(F.apply_mixed_rope(params, jnp.asarray(x), positions), actual)
    # One frequency for each layer: parameters may have a batch axis too.
    layers = jax.jit(jax.vmap(F.apply_mixed_rope, (0, None, None)))
    freqs = np.asarray(params.freqs)
    stacked = F.MixedRopeParams(freqs=np.stack([freqs, freqs[::-1]]))
    second = np.asarray(layers(stacked, x, positions))[1]
    assert_mixed(second, freqs[::-1], x, positions)


def test_frequencies_in_low_precision_are_used_as_they_are():
    params = init(jax.random.key(5), HEADS, HEAD_DIM, dtype=jnp.bfloat16)
    x = normal((35, HEADS, HEAD_DIM))
    actual = apply(params, x, GRID)
    assert_mixed(actual, np.asarray(params.freqs, np.float32), x, GRID)


def test_gradients_of_frequencies_positions_and_x():
    """In both modes, against differences: the next test has the exact derivatives."""
    g = normal((5, HEADS, HEAD_DIM), seed=1)

    @jax.jit
    def function(freqs, positions, x):
        params = F.MixedRopeParams(freqs=freqs)
        return F.apply_mixed_rope(params, x, positions) * g

    shapes = (2, HEADS, HEAD_DIM // 2), (5, 2), g.shape
    args = [jnp.asarray(normal(shape, n)) for n, shape in enumerate(shapes, 2)]
    check_grads(function, args, order=1, atol=2e-2, rtol=2e-2)


def test_gradients_against_float64():
    """Of the angle of a pair: the other product of `x` and `g`, turned."""
    freqs = np.asarray(normal((2, HEADS, HEAD_DIM // 2), 2), np.float64)
    x, g = (np.asarray(normal((35, HEADS, HEAD_DIM), n), np.float64) for n in (4, 5))

    def loss(freqs, positions):
        return jnp.sum(F.apply_mixed_rope(params_of(freqs), x32, positions) * g32)

    x32, g32 = (jnp.asarray(t, jnp.float32) for t in (x, g))
    of_freqs, of_positions = (
        np.asarray(t, np.float64)
        for t in jax.jit(jax.grad(loss, (0, 1)))(
            jnp.asarray(freqs, jnp.float32), jnp.asarray(GRID)
        )
    )
    columns_rows = GRID[:, ::-1].astype(np.float64)
    angle = np.einsum("na,ahp->nhp", columns_rows, freqs)
    z, w = (t[..., 0::2] + 1j * t[..., 1::2] for t in (x, g))
    of_angle = (1j * z * np.exp(1j * angle) * np.conj(w)).real
    size = np.abs(z) * np.abs(w)  # of each term that is added up
    # A term is off by that of its angle, below 7 * 4 * 2 and rounded twice, 4 units of
    # its own, and those of a sum of 35 (or 12) terms in any order.
    units = (2 * 7 * 4 * 2 / 2 + 4 + 35) * 2.0**-23
    expected = np.einsum("na,nhp->ahp", columns_rows, of_angle)
    bound = units * np.einsum("na,nhp->ahp", columns_rows, size)
    assert (np.abs(of_freqs - expected) <= bound).all()
    of_rows_columns = freqs[::-1]
    expected = np.einsum("ahp,nhp->na", of_rows_columns, of_angle)
    bound = units * np.einsum("ahp,nhp->na", np.abs(of_rows_columns), size)
    assert (np.abs(of_positions - expected) <= bound).all()


def test_gradient_of_low_precision_x_has_its_dtype():
    params = init(jax.random.key(6), HEADS, HEAD_DIM, dtype=jnp.float32)
    x = normal((35, HEADS, HEAD_DIM)).astype(jnp.bfloat16)
    loss = lambda params, x: jnp.sum(F.apply_mixed_rope(params, x, GRID) ** 2)
    of_params, of_x = jax.jit(jax.grad(loss, (0, 1)))(params, x)
    assert of_params.freqs.dtype == jnp.float32
    assert of_x.dtype == jnp.bfloat16
    assert np.isfinite(np.asarray(of_params.freqs)).all()
    # A rotation keeps the sum of squares, so it is `2 x`, rounded to 8 bits. Before,
    # what is rotated, below `sqrt(2)` of the largest, is rounded and turned back.
    x = np.asarray(x, np.float32)
    bound = (2 + 2 * np.sqrt(2) ** 2) * np.abs(x).max() * 2.0**-8
    np.testing.assert_allclose(np.asarray(of_x, np.float32), 2 * x, rtol=0, atol=bound)


@pytest.mark.parametrize("num_heads, head_dim", ((1, 4), (6, 64)))
@pytest.mark.parametrize("base", (10.0, 100.0))
def test_init_draws_a_direction_for_each_head(num_heads, head_dim, base):
    params = init(jax.random.key(0), num_heads, head_dim, base=base, dtype=jnp.float32)
    freqs, count = np.asarray(params.freqs, np.float64), head_dim // 4
    assert freqs.shape == (2, num_heads, 2 * count)
    lengths = np.array([base ** (-4 * k / head_dim) for k in range(count)])
    first, second = (
        (freqs[0] + 1j * freqs[1]).reshape(num_heads, 2, count).swapaxes(0, 1)
    )
    # Three roundings: of the length, of the cosine or sine, and of their product.
    units = lengths * 3 * 2.0**-23
    assert (np.abs(np.abs(first) - lengths) <= units).all()
    direction = first[:, :1]  # the first has length 1
    assert (np.abs(first - direction * lengths) <= 2 * units).all()
    assert (np.abs(second - 1j * direction * lengths) <= 2 * units).all()
    assert np.unique(np.round(direction, 3)).size == num_heads


def test_directions_are_uniform_and_differ_by_key():
    def directions(seed, count=4000):
        freqs = init(jax.random.key(seed), count, 4).freqs
        x, y = np.asarray(freqs)[..., 0]
        return x + 1j * y

    z = directions(7)
    # Of 4000 random directions the mean is within 4 / sqrt(4000) of 0 but for one key
    # in nine million, `exp(-4**2)`, and so is that of their squares.
    assert abs(z.mean()) < 4 / np.sqrt(4000)
    assert abs((z**2).mean()) < 4 / np.sqrt(4000)
    np.testing.assert_array_equal(directions(7, 5), directions(7, 5))
    assert (directions(7, 5) != directions(8, 5)).all()


def test_dtypes_of_parameters():
    key = jax.random.key(0)
    default = init(key, HEADS, HEAD_DIM).freqs
    assert default.dtype == jnp.result_type(float)
    wide = init(key, HEADS, HEAD_DIM, dtype=jnp.float32).freqs
    for dtype in (jnp.bfloat16, jnp.float16):
        narrow = init(key, HEADS, HEAD_DIM, dtype=dtype).freqs
        assert_same_bits(narrow, np.asarray(wide).astype(dtype))


def test_cos_and_sin_are_made_once_for_queries_keys_and_layers():
    """Layers that share the parameters share cos and sin; a head has its own."""

    def layers(count):
        def function(params, x):
            for _ in range(count):
                q = F.apply_mixed_rope(params, x, GRID)
                k = F.apply_mixed_rope(params, 2 * x, GRID)
                x = (q + k) @ jnp.eye(64)
            return x

        return function

    def cosines(function, heads):
        params = F.init_mixed_rope(jax.random.key(0), heads, 64)
        args = params, host.ones((2, 35, heads, 64))
        text = jax.jit(function).lower(*args).compile().as_text()
        return re.findall(r"= (\w+\[[\d,]*\])\S* cosine\(", text)

    for count in (1, 4):
        (shape,) = cosines(layers(count), 8)
        # 35 patches, 8 heads and 32 pairs; nothing for the batch.
        assert np.prod([int(n) for n in re.findall(r"\d+", shape)[1:]]) == 35 * 8 * 32


def test_sharded_batch_and_heads():
    params = params_of(normal((2, 4, HEAD_DIM // 2)))
    x = normal((2, 35, 4, HEAD_DIM))
    plain = apply(params, x, GRID)
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
    specs = P(None, "model"), P("data", None, "model")
    with jax.set_mesh(mesh):
        args = [
            jax.device_put(t, NamedSharding(mesh, spec))
            for t, spec in zip((params.freqs, x), specs, strict=True)
        ]
        rotate = lambda freqs, x: F.apply_mixed_rope(F.MixedRopeParams(freqs), x, GRID)
        mapped = jax.shard_map(rotate, mesh=mesh, in_specs=specs, out_specs=specs[1])
        for function in (rotate, mapped):
            actual = jax.jit(function)(*args)
            assert actual.sharding.is_equivalent_to(NamedSharding(mesh, specs[1]), 4)
            assert_same_bits(actual, plain)


@pytest.mark.errors
@pytest.mark.parametrize(
    "num_heads, head_dim, base, message",
    (
        (0, 8, 10.0, "num_heads=0 must be a positive integer"),
        (-1, 8, 10.0, "num_heads=-1 must be a positive integer"),
        (3, 0, 10.0, "head_dim=0 must be a positive multiple of 4"),
        (3, 6, 10.0, "head_dim=6 must be a positive multiple of 4"),
        (3, -4, 10.0, "head_dim=-4 must be a positive multiple of 4"),
        (3, 8, 0.0, "base=0.0 must be finite and positive"),
        (3, 8, float("nan"), "base=nan must be finite and positive"),
        (3, 8, 1e-300, "base=1e-300 must be larger, for float32 to hold its powers"),
        (3, 400, 5e-324, "base=5e-324 must be larger, for float32 to hold its powers"),
    ),
)
def test_arguments_of_init(num_heads, head_dim, base, message):
    with pytest.raises(ValueError, match=message):
        # In 64-bit mode the default dtype would hold more.
        key, options = jax.random.key(0), {"base": base, "dtype": jnp.float32}
        F.init_mixed_rope(key, num_heads, head_dim, **options)


@pytest.mark.errors
def test_parameters_must_be_floats():
    with pytest.raises(ValueError, match="dtype=int32 must be a real float dtype"):
        F.init_mixed_rope(jax.random.key(0), 3, 8, dtype=jnp.int32)


@pytest.mark.errors
@pytest.mark.parametrize("shape", ((5, 2, 8), (5, 3, 16), (3, 8)))
def test_heads_and_pairs_must_be_those_of_the_parameters(shape):
    shown = re.escape(f"x.shape={shape} must be (..., seq_len, num_heads, head_dim)")
    params = params_of(np.zeros((2, 3, 4)))
    with refused(f"{shown}.*" + re.escape("freqs.shape=(2, 3, 4)")):
        F.apply_mixed_rope(params, host.ones(shape), np.zeros((5, 2), np.float32))


@pytest.mark.errors
@pytest.mark.parametrize("shape", ((2,), (5, 3), (5, 1), (4, 2), (1, 2)))
def test_positions_must_be_pairs_for_each_patch(shape):
    message = re.escape(f"positions.shape={shape} must")
    params = params_of(np.zeros((2, 3, 4)))
    with refused(message):
        F.apply_mixed_rope(params, host.ones((5, 3, 8)), np.zeros(shape, np.float32))


@pytest.mark.errors
def test_positions_never_enlarge_the_batch():
    params = params_of(np.zeros((2, 3, 4)))
    x, positions = host.ones((1, 5, 3, 8)), np.zeros((2, 5, 2), np.float32)
    with refused(r"shape=\(2, 5, .* must broadcast"):
        F.apply_mixed_rope(params, x, positions)


@pytest.mark.errors
def test_layout_must_be_known():
    params = params_of(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="layout='neox' must be 'half' or"):
        F.apply_mixed_rope(params, host.ones((35, 3, 8)), GRID, layout="neox")


@pytest.mark.errors
@pytest.mark.parametrize("shape", ((1, 3, 4), (3, 3, 4), (5, 2, 3, 4), (3, 4)))
def test_parameters_are_those_of_one_layer(shape):
    with refused("apply_mixed_rope: params.freqs.shape=.* must be \\(2, num_heads"):
        params = F.MixedRopeParams(host.ones(shape))
        F.apply_mixed_rope(params, host.ones((6, 3, 8)), host.ones((6, 2)))


@pytest.mark.errors
@pytest.mark.parametrize("base", (0.0, float("inf"), float("nan")))
def test_base_of_the_lengths_is_finite(base):
    with pytest.raises(ValueError, match=f"base={base} must be finite and positive"):
        F.init_mixed_rope(jax.random.key(0), 3, 8, base=base)
