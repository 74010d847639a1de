import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

import attnax.functional as F

NUM_POSITIONS = 9

add = jitted(F.apply_learned_positional_embedding)


def draw_params(data, dtype=jnp.float32, d_model=6):
    weight = data.draw(ax.floats((NUM_POSITIONS, d_model), dtype))
    return F.LearnedPositionalEmbeddingParams(weight=weight)


@given(data=st.data(), dtype=ax.dtypes, table=ax.dtypes, batch=ax.batches)
def test_adds_the_row_of_each_position_and_rounds_once(data, dtype, table, batch):
    params = draw_params(data, table)
    x = data.draw(ax.floats((*batch, 5, 6), dtype))
    some = data.draw(ax.integers((*batch, 5), 0, NUM_POSITIONS - 1))
    wide_x, weight = (np.asarray(a, np.float32) for a in (x, params.weight))
    prefix, explicit = add(params, x), add(params, x, some)
    for actual, rows in ((prefix, weight[:5]), (explicit, weight[some])):
        assert_same_bits(actual, (wide_x + rows).astype(dtype))


@given(data=st.data(), dtype=ax.dtypes)
def test_eager_is_compiled(data, dtype):
    params = draw_params(data)
    x = data.draw(ax.floats((2, 5, 6), dtype))
    some = data.draw(ax.integers((2, 5), 0, NUM_POSITIONS - 1))
    for args in ((params, x), (params, x, some)):
        assert_same_bits(add(*args), F.apply_learned_positional_embedding(*args))


@given(data=st.data(), dtype=ax.dtypes)
def test_prefix_is_the_explicit_form(data, dtype):
    params = draw_params(data)
    x = data.draw(ax.floats((2, 5, 6), dtype))
    expected, positions = add(params, x), np.arange(5)
    assert_same_bits(add(params, x, positions), expected)
    assert_same_bits(add(params, x, np.stack([positions, positions])), expected)


@jax.jit
def mapped_add(params, x, positions):
    """With positions of each row, and with those of the first for all."""
    apply = F.apply_learned_positional_embedding
    mapped = jax.vmap(apply, (None, 0, 0))(params, x, positions)
    return mapped, jax.vmap(apply, (None, 0, None))(params, x, positions[0])


@given(data=st.data())
def test_batch_equals_vmap(data):
    params = draw_params(data)
    x = data.draw(ax.floats((2, 5, 6)))
    some = data.draw(ax.integers((2, 5), 0, NUM_POSITIONS - 1))
    mapped, shared = mapped_add(params, x, some)
    assert_same_bits(mapped, add(params, x, some))
    assert_same_bits(shared, add(params, x, some[:1]))


@jax.jit
def pulled_back(cotangent, params, x, positions):
    apply = lambda *args: F.apply_learned_positional_embedding(*args, positions)
    return jax.vjp(apply, params, x)[1](cotangent)


@given(data=st.data(), batch=ax.batches)
def test_gradient_of_the_table_adds_up_its_uses(data, batch):
    params = draw_params(data)
    x = data.draw(ax.floats((*batch, 5, 6)))
    some = data.draw(ax.integers((*batch, 5), 0, NUM_POSITIONS - 1))
    cotangent = data.draw(ax.floats(x.shape))
    table, direct = pulled_back(cotangent, params, x, some)
    assert_same_bits(direct, cotangent)
    expected = np.zeros(params.weight.shape)
    np.add.at(expected, some, np.asarray(cotangent, np.float64))
    # At most thirty rows of size at most 8 meet.
    assert_close(table.weight, expected, magnitude=240.0, roundings=30)


@pytest.mark.parametrize("explicit", (False, True))
def test_gradient_of_a_narrow_table_adds_up_in_float32(explicit):
    x = np.zeros((4096, 2, 3), jnp.bfloat16)
    positions = np.arange(2)[None] if explicit else None
    weight = host.zeros((4, 3), jnp.bfloat16)
    params = F.LearnedPositionalEmbeddingParams(weight=weight)
    cotangent = np.full(x.shape, 0.01, jnp.bfloat16)
    gradient = pulled_back(cotangent, params, x, positions)[0].weight
    gradient = np.asarray(gradient, np.float64)
    exact = 4096 * float(jnp.bfloat16(0.01))
    np.testing.assert_allclose(gradient[:2], exact, rtol=2.0**-8)
    np.testing.assert_array_equal(gradient[2:], 0.0)


def test_forward_mode():
    weight = np.random.default_rng(0).normal(size=(NUM_POSITIONS, 3))
    weight = jnp.asarray(weight.astype(np.float32))
    x, some = np.ones((2, 3, 3), np.float32), np.array([[1, 1, 8], [0, 3, 1]])

    @jax.jit
    def apply(weight):
        params = F.LearnedPositionalEmbeddingParams(weight=weight)
        rows = F.apply_learned_positional_embedding(params, jnp.asarray(x), some)
        return rows**2

    check_grads(apply, (weight,), order=2, atol=0.1, rtol=0.05)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded_batch(axis_type):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    params = F.init_learned_positional_embedding(jax.random.key(1), 9, 8)
    x = np.random.default_rng(0).normal(size=(4, 6, 8))
    x = x.astype(params.weight.dtype)
    positions = np.arange(24, dtype=np.int32).reshape(4, 6) % 9
    plain = add(params, x), add(params, x, positions)
    with jax.set_mesh(mesh):
        x = jax.device_put(x, NamedSharding(mesh, P("a")))
        positions = jax.device_put(positions, NamedSharding(mesh, P("a")))
        params = jax.device_put(params, NamedSharding(mesh, P()))
        for actual, expected in zip(
            (add(params, x), add(params, x, positions)),
            plain,
            strict=True,
        ):
            assert_same_bits(actual, expected)
            assert actual.sharding.is_equivalent_to(x.sharding, 3)


@pytest.mark.parametrize("dtype", (None, jnp.float32, jnp.bfloat16))
def test_init_draws_the_stated_normal(dtype):
    params = F.init_learned_positional_embedding(
        jax.random.key(3), 1000, 64, init_std=0.5, dtype=dtype
    )
    expected = jnp.result_type(float) if dtype is None else dtype
    assert params.weight.dtype == expected
    weight = np.asarray(params.weight, np.float64)
    assert np.abs(weight).max() <= 1.0  # truncated at two
    # The standard deviation of a normal distribution truncated at two is 0.8796.
    # Six standard errors are allowed.
    assert abs(weight.mean()) < 6 * 0.5 / weight.size**0.5
    assert abs(weight.std() - 0.5 * 0.8796) < 6 * 0.5 / (2 * weight.size) ** 0.5


@pytest.mark.errors
def test_init_is_checked():
    key = jax.random.key(0)
    for size in (0, -2):
        with pytest.raises(
            ValueError, match=f"num_positions={size} must be a positive integer"
        ):
            F.init_learned_positional_embedding(key, size, 4)
        with pytest.raises(
            ValueError, match=f"d_model={size} must be a positive integer"
        ):
            F.init_learned_positional_embedding(key, 4, size)
    with pytest.raises(
        ValueError, match=r"init_std=-0.5 must be a finite number of at least 0"
    ):
        F.init_learned_positional_embedding(key, 4, 4, init_std=-0.5)
    with pytest.raises(ValueError, match="dtype=int32 must be a real float"):
        F.init_learned_positional_embedding(key, 4, 4, dtype=jnp.int32)


@pytest.mark.errors
@pytest.mark.parametrize("jit", (False, True))
def test_a_sequence_longer_than_the_table_is_refused_while_tracing(jit):
    params = F.LearnedPositionalEmbeddingParams(weight=host.ones((4, 3)))
    apply = F.apply_learned_positional_embedding
    apply = jax.jit(apply) if jit else apply
    with pytest.raises(ValueError, match="seq_len=5 must be at most num_positions=4"):
        apply(params, host.ones((2, 5, 3)))
    assert apply(params, host.ones((2, 4, 3))).shape == (2, 4, 3)


@pytest.mark.errors
def test_shapes_are_checked():
    params = F.LearnedPositionalEmbeddingParams(weight=host.ones((4, 3)))
    apply = F.apply_learned_positional_embedding
    for dtype in (jnp.int32, jnp.complex64):
        with refused(f"x.dtype={jnp.dtype(dtype)} must be a real float dtype"):
            apply(params, host.ones((2, 3), dtype))
    with pytest.raises(ValueError, match=r"x.shape=\(2, 5\) must end in the width of"):
        apply(params, host.ones((2, 5)))
    for shape in ((3,), (2, 1), (3, 2), (1, 2, 2)):
        message = rf"{re.escape(str(shape))} must broadcast to \(2, 2\), the batch"
        with refused(message):
            apply(params, host.ones((2, 2, 3)), host.zeros(shape, jnp.int32))


@pytest.mark.errors
def test_a_position_to_count_from_is_told_so():
    params = F.LearnedPositionalEmbeddingParams(host.ones((9, 3)))
    for positions in (5, [5], [[5], [5]]):
        with refused(r"axes of x; to count from it on, pass it plus jnp.arange"):
            F.apply_learned_positional_embedding(
                params, host.ones((2, 4, 3)), positions
            )
