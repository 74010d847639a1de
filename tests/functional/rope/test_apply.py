import equinox as eqx
import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F


@jitted
def rotate(x, positions, rotary_dim, base=10_000.0, layout="half"):
    cos, sin = F.rope_cos_sin(positions, F.default_inv_freq(rotary_dim, base))
    return F.apply_rope(x, cos[..., None, :], sin[..., None, :], layout=layout)


apply = jitted(F.apply_rope)


def norm(x):
    return 1.0 + float(np.max(np.linalg.norm(np.asarray(x, np.float32), axis=-1)))


def normal(shape, dtype=jnp.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# Batch, heads, what rotates, the rest and the base: the smallest head, odd and even
# rests and none, real sizes.
HEADS = (
    ((), 1, 2, 0, 1e4),
    ((2, 3), 4, 6, 1, 100.0),
    ((1,), 1, 64, 6, 5e5),
    ((), 4, 96, 0, 1e4),
    ((2, 3), 1, 128, 1, 1e6),
)


@st.composite
def heads(draw, dtype=jnp.float32):
    """`(*batch, seq_len, num_heads, head_dim)`, the `rotary_dim` and a base."""
    batch, num_heads, rotary_dim, rest, base = draw(st.sampled_from(HEADS))
    x = np.asarray(draw(ax.floats((*batch, 5, num_heads, rotary_dim + rest))))
    return x.astype(dtype), rotary_dim, base


@given(data=st.data(), dtype=ax.dtypes, layout=ax.layouts)
def test_matches_complex_rotation(data, dtype, layout):
    x, rotary_dim, base = data.draw(heads(dtype))
    positions = data.draw(ax.positions(x.shape[:-2]))
    actual = rotate(x, positions, rotary_dim, base, layout)
    expected = oracles.rope(x, positions, rotary_dim, base, layout)
    assert actual.dtype == dtype
    assert_close(actual, expected, magnitude=norm(x))


@given(data=st.data(), layout=ax.layouts)
def test_matches_complex_rotation_at_every_int32(data, layout):
    x, rotary_dim, base = data.draw(heads())
    positions = data.draw(ax.positions(x.shape[:-2], far=True))
    actual = rotate(x, positions, rotary_dim, base, layout)
    expected = oracles.rope(x, positions, rotary_dim, base, layout)
    # Cos and sin within 6e-7, 5.1 float32 units: two of them beside the roundings.
    assert_close(actual, expected, magnitude=norm(x), roundings=4 + 10.2)


@given(data=st.data(), dtype=ax.dtypes, layout=ax.layouts)
def test_tail_passes_bit_for_bit_and_position_0_is_the_identity(data, dtype, layout):
    x, rotary_dim, base = data.draw(heads(dtype))
    positions = data.draw(ax.positions(x.shape[:-2]))
    actual = rotate(x, positions, rotary_dim, base, layout)
    assert_same_bits(np.asarray(actual)[..., rotary_dim:], x[..., rotary_dim:])
    still = rotate(x, np.zeros(x.shape[:-2], np.int32), rotary_dim, base, layout)
    np.testing.assert_array_equal(still, x)


# Cos and sin of two pairs.
UNIT = np.array([[[0.6, 0.8]], [[0.8, -0.6]]], np.float32)


@pytest.mark.parametrize("layout", ("half", "interleaved"))
@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16, jnp.float16))
def test_tail_keeps_signed_zeros_subnormals_and_infinities(dtype, layout):
    tiny = float(jnp.finfo(dtype).smallest_subnormal)
    tail = np.array([-0.0, 0.0, tiny, -tiny, np.inf, -np.inf, 3.5])
    tail = np.asarray(tail, jnp.dtype(dtype))
    for width in (7, 6):  # an odd head, and an even one
        x = np.concatenate([np.ones(4, tail.dtype), tail[:width]])
        rotated = apply(x[None, None], *UNIT, layout=layout)
        assert_same_bits(np.asarray(rotated)[0, 0, 4:], tail[:width])


@given(data=st.data(), layout=ax.layouts)
def test_norm_is_kept(data, layout):
    x, rotary_dim, base = data.draw(heads())
    positions = data.draw(ax.positions(x.shape[:-2]))
    rotated = rotate(x, positions, rotary_dim, base, layout)
    lengths = [np.linalg.norm(np.asarray(t, np.float64), axis=-1) for t in (rotated, x)]
    # Per pair as in the oracle's test; the norm of the errors adds them in squares.
    np.testing.assert_allclose(*lengths, rtol=0, atol=norm(x) * 4.5 * 2.0**-23)


@given(data=st.data(), shift=st.integers(-(2**20), 2**20), layout=ax.layouts)
def test_scores_depend_only_on_the_position_difference(data, shift, layout):
    q, rotary_dim, base = data.draw(heads())
    k = data.draw(ax.floats(q.shape))
    m, n = (data.draw(ax.positions(q.shape[:-2])) for _ in range(2))
    m, n = m // 2, n // 2  # the shifted ones stay below 2**27

    def scores(m, n):
        turned = (
            rotate(t, p.astype(np.int32), rotary_dim, base, layout)
            for t, p in ((q, m), (k, n))
        )
        q_turned, k_turned = (np.asarray(t, np.float64) for t in turned)
        return np.einsum("...hd,...hd->...h", q_turned, k_turned)

    bound = 2 * norm(q) * norm(k) * 2 * 4.5 * 2.0**-23
    np.testing.assert_allclose(scores(m + shift, n + shift), scores(m, n), atol=bound)


@given(data=st.data(), layout=ax.layouts)
def test_rotations_compose_and_invert(data, layout):
    x, rotary_dim, base = data.draw(heads())
    a, b = (data.draw(ax.positions(x.shape[:-2])) // 2 for _ in range(2))
    twice = rotate(rotate(x, a, rotary_dim, base, layout), b, rotary_dim, base, layout)
    once = rotate(x, a + b, rotary_dim, base, layout)
    assert_close(twice, np.asarray(once, np.float64), magnitude=norm(x), roundings=12)
    back = rotate(rotate(x, a, rotary_dim, base, layout), -a, rotary_dim, base, layout)
    assert_close(back, np.asarray(x, np.float64), magnitude=norm(x), roundings=8)


@given(data=st.data())
def test_layouts_differ_by_a_permutation(data):
    x, rotary_dim, base = data.draw(heads())
    positions = data.draw(ax.positions(x.shape[:-2]))
    pairs = np.arange(rotary_dim).reshape(2, -1)
    tail = np.arange(rotary_dim, x.shape[-1])
    to_interleaved = np.concatenate([pairs.T.ravel(), tail])
    half = rotate(x, positions, rotary_dim, base, "half")
    interleaved = rotate(
        x[..., to_interleaved], positions, rotary_dim, base, "interleaved"
    )
    # Two kernels, in which XLA may fuse a product with the sum or not: a head of two
    # features shows it. Each is within the roundings of the truth.
    expected = np.asarray(half)[..., to_interleaved]
    assert_close(interleaved, expected, magnitude=norm(x))


@given(data=st.data(), dtype=ax.narrow_dtypes, layout=ax.layouts)
def test_low_precision_is_float32_rounded_once(data, dtype, layout):
    x, rotary_dim, base = data.draw(heads(dtype))
    positions = data.draw(ax.positions(x.shape[:-2]))
    wide = rotate(x.astype(np.float32), positions, rotary_dim, base, layout)
    actual = rotate(x, positions, rotary_dim, base, layout)
    np.testing.assert_array_equal(actual, np.asarray(wide).astype(dtype))


@jitted
def tables(positions, rotary_dim):
    return F.rope_cos_sin(positions, F.default_inv_freq(rotary_dim))


@jitted
def there_and_back(x, cotangent, cos, sin, layout):
    function = lambda x: F.apply_rope(x, cos, sin, layout=layout)
    rotated, pullback = jax.vjp(function, x)
    return rotated, pullback(cotangent)[0]


@pytest.mark.parametrize("layout", ("half", "interleaved"))
@pytest.mark.parametrize("order", ("heads_after", "heads_before"))
@pytest.mark.parametrize(
    "head_dim, rotary_dim", ((64, 64), (80, 32), (96, 96), (128, 64))
)
def test_real_sizes_low_precision_backward_and_oracle(
    layout, order, head_dim, rotary_dim
):
    x = normal((2, 37, 3, head_dim))
    positions = np.arange(37, dtype=np.int32) * 3533
    cos, sin = map(np.asarray, tables(positions, rotary_dim))
    expected = oracles.rope(x, positions, rotary_dim, 1e4, layout)
    if order == "heads_after":
        cos, sin = cos[:, None, :], sin[:, None, :]
    else:
        x, expected = np.swapaxes(x, 1, 2), np.swapaxes(expected, 1, 2)
    actual, _ = there_and_back(x, x, cos, sin, layout)
    assert_close(actual, expected, magnitude=norm(x))
    # The pullback is the inverse rotation, in the same two precisions.
    _, back = there_and_back(x, np.asarray(actual), cos, sin, layout)
    assert_close(back, np.asarray(x, np.float64), magnitude=norm(x), roundings=8)
    narrow = x.astype(jnp.bfloat16)
    wide = narrow.astype(np.float32)
    pairs = zip(
        there_and_back(narrow, narrow, cos, sin, layout),
        there_and_back(wide, wide, cos, sin, layout),
        strict=True,
    )
    for one, expected in pairs:
        assert_same_bits(one, np.asarray(expected).astype(jnp.bfloat16))


@pytest.mark.parametrize("layout", ("half", "interleaved"))
def test_decode_gives_the_bits_of_prefill(layout):
    x = normal((2, 9, 3, 64), jnp.bfloat16)
    positions = np.arange(9, dtype=np.int32) + 131_067
    whole = np.asarray(rotate(x, positions, 64, 1e4, layout))
    for i in range(9):
        step = rotate(x[:, i : i + 1], positions[i : i + 1], 64, 1e4, layout)
        assert_same_bits(step, whole[:, i : i + 1])


def test_left_padded_and_packed_rows_equal_each_document_alone():
    x = normal((7, 2, 6))
    alone = rotate(x[3:], np.arange(4, dtype=np.int32), 6)
    mask = np.array([0, 0, 0, 1, 1, 1, 1])
    segments = np.array([1, 1, 1, 2, 2, 2, 2])
    padded = rotate(x, jitted(F.positions_from_mask)(mask), 6)
    packed = rotate(x, jitted(F.positions_from_segment_ids)(segments), 6)
    assert_same_bits(np.asarray(padded)[3:], alone)
    assert_same_bits(np.asarray(packed)[3:], alone)


def test_nan_cos_gives_nan_rows_and_nan_gradients():
    def loss(x, positions):
        cos, sin = F.rope_cos_sin_from_positions(positions, 6, 1e4, 4)
        rotated = F.apply_rope(x, cos[:, None, :], sin[:, None, :])
        return rotated.sum(), rotated

    gradient, rotated = jax.jit(jax.grad(loss, has_aux=True))(
        host.ones((3, 2, 6)), jnp.array([0, 4, 3])
    )
    for t in (gradient, rotated):
        np.testing.assert_array_equal(np.isnan(t).all((1, 2)), [False, True, False])
        assert not np.isnan(t[np.array([0, 2])]).any()


@jitted
def gradients_of_cos_sin(x, g, cos, sin, layout):
    def loss(cos, sin):
        return jnp.sum(F.apply_rope(x, cos, sin, layout=layout) * g)

    return jax.grad(loss, (0, 1))(cos, sin)


@given(data=st.data(), layout=ax.layouts)
def test_gradients_of_cos_and_sin(data, layout):
    """Against float64: they add up over the axes that were broadcast."""
    x, g = (data.draw(ax.floats((2, 5, 3, 8))) for _ in range(2))
    cos, sin = (data.draw(ax.floats((5, 1, 3), bound=1.0)) for _ in range(2))

    actual = gradients_of_cos_sin(x, g, cos, sin, layout)
    x64, g64 = (np.asarray(t, np.float64)[..., :6] for t in (x, g))
    split = (2, 3) if layout == "half" else (3, 2)
    axis = -2 if layout == "half" else -1
    (xa, xb), (ga, gb) = (
        np.moveaxis(t.reshape(*t.shape[:-1], *split), axis, 0) for t in (x64, g64)
    )
    for a, e in zip(actual, (xa * ga + xb * gb, xa * gb - xb * ga), strict=True):
        e = e.sum(axis=(0, 2), keepdims=True)[0]
        # 2 * 3 heads of two products each, every term at most 64.
        np.testing.assert_allclose(a, e, rtol=0, atol=12 * 64 * 12 * 2.0**-24)


def test_equals_equinox_at_small_positions():
    """Equinox 0.13.8 rotates by halves, with float32 angles: close at 40 positions."""
    x = jnp.asarray(normal((40, 16)))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = eqx.filter_jit(eqx.nn.RotaryPositionalEmbedding(16))(x)
    cos, sin = jitted(F.rope_cos_sin_table)(40, 16)
    # Their angle below 40 is rounded twice: 40 * 2**-23.
    np.testing.assert_allclose(
        apply(x, cos, sin), expected, rtol=0, atol=norm(x) * 41 * 2.0**-23
    )


def test_float64_is_rotated_in_float64():
    if not jax.config.jax_enable_x64:
        pytest.skip("needs JAX_ENABLE_X64=1")
    x = normal((5, 2, 64), np.float64)
    positions = np.arange(5, dtype=np.int64) * 100_000
    actual = rotate(x, positions, 64)
    assert actual.dtype == jnp.float64
    cos, sin = (
        np.asarray(t, np.float64)[:, None]
        for t in F.rope_cos_sin(positions, F.default_inv_freq(64))
    )
    a, b = np.split(np.asarray(x), 2, axis=-1)
    expected = np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
    np.testing.assert_allclose(actual, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.errors
def test_unknown_layout_is_refused():
    x, cos = host.ones((3, 6)), host.ones((3, 3))
    with pytest.raises(
        ValueError, match="layout='neox' must be 'half' or 'interleaved'"
    ):
        F.apply_rope(x, cos, cos, layout="neox")


@pytest.mark.errors
def test_duplicated_tables_are_named():
    x, cos = host.ones((3, 6)), host.ones((3, 6))
    with pytest.raises(ValueError, match=r"cos.shape=\(3, 6\) .* every angle twice"):
        F.apply_rope(x, cos, cos)


@pytest.mark.errors
@pytest.mark.parametrize("shape", ((4, 3), (2, 1, 3, 3), (5, 3), (1, 1, 1, 1, 3)))
def test_cos_never_enlarges_x(shape):
    x, cos = host.ones((1, 3, 2, 6)), host.ones(shape)
    match = rf"cos.shape=\({', '.join(map(str, shape))}\) must broadcast"
    with pytest.raises(ValueError, match=match):
        F.apply_rope(x, cos, cos)


def test_cos_without_a_head_axis_stands_for_heads_before_the_sequence():
    """NumPy's rule, at every length: as many heads as tokens make no exception."""
    rope = F.Rope(F.default_inv_freq(6))
    x = host.asarray(normal((2, 4, 4, 6)))
    cos, sin = F.rotary_cos_sin(rope, np.arange(4))
    before = F.apply_rotary(rope, x, cos, sin, head_axis=-3)
    after = F.apply_rotary(rope, x, cos, sin, head_axis=-2)
    assert_same_bits(F.apply_rope(x, cos, sin), np.asarray(before))
    assert_same_bits(F.apply_rope(x, cos[:, None], sin[:, None]), np.asarray(after))
    assert not np.array_equal(before, after)


@pytest.mark.errors
def test_cos_without_a_head_axis_is_refused_where_it_does_not_fit():
    x, cos = host.ones((2, 5, 3, 6)), host.ones((5, 3))
    with pytest.raises(
        ValueError, match=r"insert the head axis .*, or use apply_rotary"
    ):
        F.apply_rope(x, cos, cos)


@pytest.mark.errors
def test_cos_and_sin_must_be_alike():
    with pytest.raises(
        ValueError, match=r"cos.shape=\(1, 3\) must equal sin.shape=\(3,"
    ):
        F.apply_rope(host.ones((3, 6)), host.ones((1, 3)), host.ones((3, 3)))
    with pytest.raises(ValueError, match="must have features"):
        F.apply_rope(host.ones((3, 6)), host.ones((3, 0)), host.ones((3, 0)))


@pytest.mark.parametrize("layout", ("half", "interleaved"))
@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float16))
def test_narrow_tangents_of_everything_are_rounded_once(layout, dtype):
    x, dx = (normal((5, 3, 8), dtype, seed) for seed in (0, 1))
    cos, sin, dcos, dsin = (normal((5, 1, 3), seed=seed) for seed in (2, 3, 4, 5))

    @jax.jit
    def tangent(x, dx):
        function = lambda *args: F.apply_rope(*args, layout=layout)
        return jax.jvp(function, (x, cos, sin), (dx, dcos, dsin))[1]

    wide = np.asarray(tangent(x.astype(np.float32), dx.astype(np.float32)))
    # One rounding to `dtype`, after float32 sums of four products of size at most 16.
    bound = np.abs(wide) * float(jnp.finfo(dtype).eps) / 2 + 4 * 16 * 2.0**-23
    assert (np.abs(np.asarray(tangent(x, dx), np.float32) - wide) <= bound).all()
