import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits
from hypothesis import given
from hypothesis import strategies as st

import attnax
import attnax.functional as F

# The whole head rotates, or all but its last features.
SIZES = (((5, 1, 2), 2), ((1, 5, 4, 7), 6), ((2, 3, 5, 4, 96), 96), ((5, 4, 70), 64))


@given(data=st.data(), sizes=st.sampled_from(SIZES), layout=ax.layouts, base=ax.bases)
def test_call_is_the_oracle(data, sizes, layout, base):
    shape, rotary_dim = sizes
    x = data.draw(ax.floats(shape))
    module = attnax.RotaryEmbedding(
        x.shape[-1], 2**27, base=base, rotary_dim=rotary_dim, layout=layout
    )
    positions = np.abs(data.draw(ax.positions(x.shape[:-2])))
    magnitude = 1.0 + float(np.linalg.norm(x, axis=-1).max())
    for actual, where in (
        (module(x, positions), positions),
        (module(x), np.broadcast_to(np.arange(x.shape[-3]), x.shape[:-2])),
    ):
        expected = oracles.rope(x, where, rotary_dim, base, layout)
        assert_close(actual, expected, magnitude=magnitude)


def test_cos_sin_in_the_modules_dtype_but_rotation_in_float32():
    module = attnax.RotaryEmbedding(8, 9, dtype=jnp.bfloat16)
    positions = np.arange(9)
    cos, sin = module.cos_sin_for_positions(positions)
    wide = module.cos_sin_for_positions(positions, out_dtype=jnp.float32)
    assert_same_bits(cos, np.asarray(wide[0]).astype(jnp.bfloat16))
    assert_same_bits(sin, np.asarray(wide[1]).astype(jnp.bfloat16))
    x = host.asarray(np.random.default_rng(0).normal(size=(9, 2, 8)), jnp.float32)
    assert_same_bits(module(x), attnax.RotaryEmbedding(8, 9)(x))


def test_batch_equals_vmap_and_single_example():
    rope = attnax.RotaryEmbedding(8, 100)
    module = jax.jit(rope)
    x = np.random.default_rng(0).normal(size=(4, 5, 3, 8)).astype(np.float32)
    positions = np.arange(20, dtype=np.int32).reshape(4, 5)
    batched = np.asarray(module(x, positions))
    assert_same_bits(jax.jit(jax.vmap(rope))(x, positions), batched)
    assert_same_bits(module(x[2], positions[2]), batched[2])


def test_no_leaves_and_no_shared_state():
    modules = [
        attnax.RotaryEmbedding(8, 100),
        attnax.RotaryEmbedding(8, 100, base=500.0),
        attnax.RotaryEmbedding(8, 100, layout="interleaved"),
        attnax.RotaryEmbedding(8, 100, rotary_dim=4),
    ]
    x = host.asarray(np.random.default_rng(0).normal(size=(5, 3, 8)), jnp.float32)
    outputs = [np.asarray(m(x)) for m in modules]
    for i, module in enumerate(modules):
        assert jax.tree.leaves(module) == []
        for j in range(i):
            assert not np.array_equal(outputs[i], outputs[j])
    np.testing.assert_array_equal(modules[0](x), outputs[0])


def test_traced_positions_past_the_bound_are_nan():
    module = attnax.RotaryEmbedding(8, 4)
    rotated = jax.jit(module)(host.ones((3, 2, 8)), jnp.array([3, 4, -1]))
    np.testing.assert_array_equal(np.isnan(rotated).all((1, 2)), [False, True, True])


@pytest.mark.errors
@pytest.mark.parametrize("head_dim", (0, 7))
def test_odd_head_dim_is_refused(head_dim):
    message = f"head_dim={head_dim} must be positive and even"
    with pytest.raises(ValueError, match=message):
        attnax.RotaryEmbedding(head_dim, 16)


@pytest.mark.errors
def test_settings_are_checked_when_built():
    with pytest.raises(ValueError, match="rotary_dim=3 must be positive and even"):
        attnax.RotaryEmbedding(8, 16, rotary_dim=3)
    with pytest.raises(ValueError, match="rotary_dim=10 must be at most head_dim=8"):
        attnax.RotaryEmbedding(8, 16, rotary_dim=10)
    with pytest.raises(ValueError, match="layout='pairs' must be 'half'"):
        attnax.RotaryEmbedding(8, 16, layout="pairs")
    with pytest.raises(ValueError, match="max_positions=0 must be positive"):
        attnax.RotaryEmbedding(8, 0)
    with pytest.raises(ValueError, match=r"base=-1.0 must be positive"):
        attnax.RotaryEmbedding(8, 16, base=-1.0)
    with pytest.raises(ValueError, match="dtype=int32 must be a real float"):
        attnax.RotaryEmbedding(8, 16, dtype=jnp.int32)


@pytest.mark.errors
def test_calls_are_checked():
    module = attnax.RotaryEmbedding(8, 4)
    with pytest.raises(ValueError, match=r"x.shape=\(3, 2, 6\) must be"):
        module(host.ones((3, 2, 6)))
    with pytest.raises(ValueError, match="seq_len=5 must be at most max_positions=4"):
        module(host.ones((5, 2, 8)))
    with pytest.raises(ValueError, match=r"position_ids\[2\]=4 must lie in \[0, 4\)"):
        module(host.ones((3, 2, 8)), jnp.array([0, 1, 4]))
    assert F.apply_rope is attnax.apply_rope
