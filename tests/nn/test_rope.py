import copy
import dataclasses
import pickle

import equinox as eqx
import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import rope_oracles
import strategies as ax
from helpers import assert_close, assert_same_bits, refused, slow
from hypothesis import given
from hypothesis import strategies as st
from ropes import ROPES, inputs

import attnax
import attnax.functional as F
from attnax.interop import rope_from_hf

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


def test_default_positions_that_fit_are_not_checked_by_the_program():
    bounded, free = (
        attnax.RotaryEmbedding.from_rope(F.Rope(F.default_inv_freq(8)), **options)
        for options in ({"max_positions": 9}, {})
    )
    x = host.ones((5, 3, 8))
    assert str(jax.make_jaxpr(bounded)(x)) == str(jax.make_jaxpr(free)(x))
    with_check = jax.make_jaxpr(bounded)(x, jnp.arange(5))
    assert str(with_check) != str(jax.make_jaxpr(free)(x, jnp.arange(5)))


# -- the head axis


def test_heads_stand_where_the_module_says():
    after = attnax.RotaryEmbedding(8, 100, base=500.0)
    before = attnax.RotaryEmbedding(8, 100, base=500.0, head_axis=-3)
    none = attnax.RotaryEmbedding(8, 100, base=500.0, head_axis=None)
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 8)).astype(np.float32)
    positions = np.arange(10, dtype=np.int32).reshape(2, 5)

    @jax.jit
    def outputs(x, positions):
        turned = x.swapaxes(1, 2)
        given = after(x, positions), before(turned, positions).swapaxes(1, 2)
        default = after(x), before(turned).swapaxes(1, 2)
        return *given, none(x[..., 1, :], positions), *default, none(x[..., 1, :])

    for start in (0, 3):
        one, other, single = map(np.asarray, outputs(x, positions)[start : start + 3])
        assert_same_bits(other, one)
        assert_same_bits(single, one[..., 1, :])


# -- any record


# YaRN behind channels that pass, three axes with a factor, blocks.
records = pytest.mark.parametrize(
    "name",
    (
        *("half_trailing", "strided", "blocks_at_2"),
        *slow("to_half_trailing", "alternating_of_4", "one_pair"),
    ),
)
# Two rows of five.
FEW = np.array([0, 1, 255, 2049, 32_767, 131_071, 9, 2**24 + 1, 4095, 2], np.int32)
FEW = FEW.reshape(2, 5)


@records
def test_a_module_of_a_record_is_the_oracle_and_the_function(name):
    rope, _ = ROPES[name]
    module = attnax.RotaryEmbedding.from_rope(rope)
    before = attnax.RotaryEmbedding.from_rope(rope, head_axis=-3, max_positions=2**27)
    x, positions = inputs(name, FEW)

    @jax.jit
    def outputs(x, positions):
        turned = before(x.swapaxes(1, 2), positions).swapaxes(1, 2)
        mapped = jax.vmap(module)(x, positions)
        return module(x, positions), turned, mapped, F.rotate(rope, x, positions)

    actual, turned, mapped, function = map(np.asarray, outputs(x, positions))
    magnitude = max(1.0, rope.attention_factor)
    magnitude *= 1.0 + float(np.linalg.norm(x, axis=-1).max())
    assert_close(actual, rope_oracles.rotate(rope, x, positions), magnitude=magnitude)
    for other in (turned, mapped, function):
        assert_same_bits(other, actual)


@records
def test_cos_and_sin_of_a_record_are_those_of_the_function(name):
    rope, _ = ROPES[name]
    _, positions = inputs(name, FEW)
    module = attnax.RotaryEmbedding.from_rope(rope, max_positions=2**27)
    expected = [np.asarray(t) for t in F.rotary_cos_sin(rope, positions)]
    made = module.cos_sin_for_positions(positions)
    narrow = module.cos_sin_for_positions(positions, out_dtype=jnp.bfloat16)
    for wide, rounded, t in zip(made, narrow, expected, strict=True):
        assert_same_bits(wide, t)
        assert_same_bits(rounded, t.astype(jnp.bfloat16))


def test_the_plain_settings_are_a_record():
    options = {"base": 500.0, "rotary_dim": 6, "layout": "interleaved"}
    module = attnax.RotaryEmbedding(8, 100, **options)
    rope = F.Rope(F.default_inv_freq(6, 500.0), "interleaved")
    assert module.rope == rope
    assert (module.rotary_dim, module.layout) == (6, "interleaved")
    x = host.asarray(np.random.default_rng(0).normal(size=(5, 3, 8)), jnp.float32)
    other = attnax.RotaryEmbedding.from_rope(rope, max_positions=100)
    assert_same_bits(other(x), np.asarray(module(x)))
    assert_same_bits(other(x), np.asarray(F.rotate(rope, x, np.arange(5))))


def test_released_models():
    """YaRN, and three axes in sections: each as the record that it is read as."""
    yarn = {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4}
    scaling = {"type": "mrope", "mrope_section": [1, 1, 2]}
    for config, positions in (
        (
            {"model_type": "gpt_oss", "head_dim": 8, "rope_scaling": yarn},
            np.arange(5) + 131_072,
        ),
        (
            {
                "model_type": "qwen2_vl",
                "hidden_size": 24,
                "num_attention_heads": 3,
                "rope_scaling": scaling,
            },
            F.positions_from_grid((1, 1, 5)),
        ),
    ):
        rope = rope_from_hf({"rope_theta": 150_000.0, **config})
        module = attnax.RotaryEmbedding.from_rope(rope)
        x = host.asarray(np.random.default_rng(0).normal(size=(5, 3, 8)), jnp.float32)
        expected = rope_oracles.rotate(rope, x, np.asarray(positions, np.int32))
        magnitude = rope.attention_factor * (1 + np.linalg.norm(x, axis=-1).max())
        assert_close(module(x, positions), expected, magnitude=float(magnitude))


def test_a_module_of_a_record_has_no_leaves_and_goes_everywhere(tmp_path):
    rope, _ = ROPES["half_trailing"]
    make = attnax.RotaryEmbedding.from_rope
    module = make(rope, max_positions=9, head_axis=-3)
    assert jax.tree.leaves(module) == []
    x = host.ones((3, 5, 69), jnp.float32)
    expected = np.asarray(module(x))
    same = make(rope, max_positions=9, head_axis=-3)
    for other in (same, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert (other, hash(other)) == (module, hash(module))
        assert_same_bits(other(x), expected)
    changed = dataclasses.replace(rope, attention_factor=1.0)
    for other in (
        make(rope, max_positions=9),
        make(rope, head_axis=-3),
        make(changed),
    ):
        assert other != module
    eqx.tree_serialise_leaves(tmp_path / "rope.eqx", module)
    loaded = eqx.tree_deserialise_leaves(tmp_path / "rope.eqx", same)
    assert_same_bits(loaded(x), expected)
    cast = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), module)
    assert_same_bits(cast(x), expected)
    assert "rope=Rope(32 pairs from 1 to" in repr(module)
    traces = []

    @eqx.filter_jit
    def call(module, x):
        traces.append(module)
        return module(x)

    for one in (module, same):
        assert_same_bits(call(one, x), expected)
    assert len(traces) == 1


class Layer(eqx.Module):
    """A projection, and what it projects rotated."""

    weight: jax.Array
    rotary: attnax.RotaryEmbedding

    def __init__(self, key, rotary):
        self.weight = jax.random.normal(key, (8, 8), jnp.float32) / 8
        self.rotary = rotary

    def __call__(self, x):
        return self.rotary(jnp.tanh(x @ self.weight))


def test_stacked_layers_and_gradients_share_the_record():
    rope = F.Rope(F.default_inv_freq(8), attention_factor=1.25)
    rotary = attnax.RotaryEmbedding.from_rope(rope, max_positions=64)
    keys = jax.random.split(jax.random.key(0), 3)
    layers = eqx.filter_vmap(Layer, in_axes=(0, None))(keys, rotary)
    assert len(jax.tree.leaves(layers)) == 1
    x = host.asarray(np.random.default_rng(0).normal(size=(5, 3, 8)), jnp.float32)

    @eqx.filter_jit
    @eqx.filter_value_and_grad(has_aux=True)
    def scanned(layers, x):
        arrays, fixed = eqx.partition(layers, eqx.is_array)
        step = lambda x, layer: (eqx.combine(layer, fixed)(x), None)
        x, _ = jax.lax.scan(step, x, arrays)
        return jnp.sum(x**2), x

    @jax.jit
    def one_by_one(weights, x):
        for weight in weights:
            x = F.rotate(rope, jnp.tanh(x @ weight), jnp.arange(5))
        return jnp.sum(x**2), x

    (_, actual), gradient = scanned(layers, x)
    assert gradient.rotary == rotary
    expected = jax.grad(one_by_one, has_aux=True)(layers.weight, x)
    # Products of eight terms of size below 4, in three layers, added up otherwise.
    close = {"rtol": 0, "atol": 3 * 8 * 4 * 2.0**-23}
    np.testing.assert_allclose(actual, expected[1], **close)
    # Their gradients are sums over 15 tokens of such terms.
    close["atol"] *= 15 * 8
    np.testing.assert_allclose(gradient.weight, expected[0], **close)


def test_the_bound_holds_for_every_coordinate():
    rope = F.Rope(F.default_inv_freq(8), axis_of_pair=(0, 1, 1, 0))
    module = attnax.RotaryEmbedding.from_rope(rope, max_positions=4)
    x = host.ones((4, 2, 8), jnp.float32)
    positions = np.array([[0, 3], [4, 0], [3, 3], [0, -1]], np.int32)
    rotated = jax.jit(module)(x, positions)
    bad = [False, True, False, True]
    np.testing.assert_array_equal(np.isnan(rotated).all((1, 2)), bad)
    np.testing.assert_array_equal(np.isnan(rotated).any((1, 2)), bad)
    cos, _ = jax.jit(module.cos_sin_for_positions)(positions)
    np.testing.assert_array_equal(np.isnan(cos).all(-1), bad)
    with pytest.raises(ValueError, match=r"positions\[1, 0\]=4 must lie in \[0, 4\)"):
        module(x, positions)


@pytest.mark.errors
@pytest.mark.parametrize("head_dim", (0, 7))
def test_odd_head_dim_is_refused(head_dim):
    message = f"head_dim={head_dim} must be positive and even"
    with pytest.raises(ValueError, match=message):
        attnax.RotaryEmbedding(head_dim, 16)


@pytest.mark.errors
def test_settings_are_checked_when_built():
    make = attnax.RotaryEmbedding
    for build, message in (
        (lambda: make(8, 16, rotary_dim=3), "rotary_dim=3 must be positive and even"),
        (
            lambda: make(7, 16, rotary_dim=8),
            "rotary_dim=8 must be at most head_dim=7",
        ),
        (
            lambda: make(8, 16, layout="pairs"),
            "layout='pairs' must be 'half' or 'inter",
        ),
        (lambda: make(8, 0), "max_positions=0 must be a positive integer"),
        (lambda: make(8, 16, base=-1.0), "base=-1.0 must be finite and positive"),
        (lambda: make(8, 16, base=1e-300), "base=1e-300 must give frequencies below"),
        (lambda: make(8, 16, dtype=jnp.int32), "dtype=int32 must be a real float"),
        (
            lambda: make(8, 16, head_axis=-1),
            r"head_axis=-1 must be -2, -3 or None",
        ),
    ):
        with pytest.raises(ValueError, match=f"^RotaryEmbedding: {message}"):
            build()
    for build, message in (
        (lambda: make(8.0, 16), "head_dim=8.0 must be positive and even"),
        (
            lambda: make(8, 16, rotary_dim=4.0),
            "rotary_dim=4.0 must be positive and even",
        ),
        (lambda: make(8, 3.7), "max_positions=3.7 must be a positive integer"),
        (lambda: make(8, float("nan")), "max_positions=nan must be a positive"),
    ):
        with refused(f"^RotaryEmbedding: {message}"):
            build()


@pytest.mark.errors
def test_records_are_checked_when_they_come_in():
    make, rope = attnax.RotaryEmbedding.from_rope, F.Rope(F.default_inv_freq(8))
    of_a_stack = jax.tree.map(lambda t: t[0], F.stack_ropes([rope]))
    for other in (None, of_a_stack, np.ones(4)):
        with refused(
            r"^RotaryEmbedding.from_rope: rope is an? \w+, but must be a Rope; a"
        ):
            make(other)
    for bound in (0, -1):
        with pytest.raises(
            ValueError, match=f"max_positions={bound} must be a positive"
        ):
            make(rope, max_positions=bound)
    with pytest.raises(ValueError, match="head_axis=-1 must be -2, -3 or"):
        make(rope, head_axis=-1)


@pytest.mark.errors
def test_calls_are_checked():
    module = attnax.RotaryEmbedding(8, 4)
    with pytest.raises(ValueError, match=r"x.shape=\(3, 2, 6\) must end in head_dim=8"):
        module(host.ones((3, 2, 6)))
    with pytest.raises(ValueError, match="seq_len=5 must be at most max_positions=4"):
        module(host.ones((5, 2, 8)))
    with pytest.raises(ValueError, match="seq_len=5 must be at most max_positions=4"):
        attnax.RotaryEmbedding(8, 4, head_axis=-3)(host.ones((2, 5, 8)))
    with pytest.raises(ValueError, match=r"positions\[2\]=4 must lie in \[0, 4\)"):
        module(host.ones((3, 2, 8)), jnp.array([0, 1, 4]))
    name = r"^RotaryEmbedding.cos_sin_for_positions: "
    with pytest.raises(ValueError, match=rf"{name}position_ids\[2\]=4 must lie in"):
        module.cos_sin_for_positions(np.array([0, 1, 4]))
    with pytest.raises(ValueError, match=f"{name}out_dtype=int8 must be a real float"):
        module.cos_sin_for_positions(np.arange(3), out_dtype=jnp.int8)
    assert F.apply_rope is attnax.apply_rope


@pytest.mark.errors
def test_a_position_to_count_from_is_refused():
    """It would turn every token by the same angle; `start` is that of sinusoids."""
    module = attnax.RotaryEmbedding(8, 64)
    x = host.ones((2, 4, 3, 8))
    for positions in (np.array([[5], [5]]), np.array([5]), np.array([[5]])):
        with refused(
            "^RotaryEmbedding: positions.shape=.* holds 1 position, but x.shap"
        ):
            module(x, positions)
    for positions in (5, np.int32(5), np.array(5), [5], [[5], [5]]):
        with refused(r"^RotaryEmbedding: positions.* plus jnp.arange\(seq_len\)"):
            module(x, positions)


@pytest.mark.errors
def test_fractions_are_told_where_they_go():
    module = attnax.RotaryEmbedding(8, 64)
    for call in (
        module.cos_sin_for_positions,
        lambda p: module(host.ones((2, 1, 8)), p),
    ):
        with refused(r"position(s|_ids).dtype=float64 must be integer.*numerics='floa"):
            call([0.5, 1.0])


@pytest.mark.errors
def test_a_record_of_several_axes_has_no_default_positions():
    """Row and column are no text: equal coordinates would be a guess."""
    rope = F.axial_rope((4, 4))
    module = attnax.RotaryEmbedding.from_rope(rope)
    message = "positions must be given for a rope of several axes, with 2 coordinates"
    with pytest.raises(ValueError, match=f"^RotaryEmbedding: {message}"):
        module(host.ones((6, 3, 8)))
    with refused(r"^RotaryEmbedding: positions.shape=\(6,\) must end in the 2 coord"):
        module(host.ones((6, 3, 8)), np.arange(6))
