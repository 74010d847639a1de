import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits

import attnax.functional as F
from attnax import nn

KEY = jax.random.key(0)
IDS = np.array([[1, 2, 3], [4, 0, 2]], np.int32)
TYPES = np.array([[0, 0, 1], [0, 1, 1]], np.int32)
POSITIONS = np.array([[2, 3, 4], [1, 1, 2]], np.int32)


def make(**options):
    options = {"num_positions": 9, "num_token_types": 2, **options}
    return nn.TextEmbedding(11, 8, **options, key=KEY)


def test_params_are_what_init_draws():
    options = {"init_std": 0.5, "padding_id": 1, "dtype": jnp.bfloat16}
    module = make(**options)
    params = F.init_text_embedding(
        KEY, 11, 8, num_positions=9, num_token_types=2, **options
    )
    assert jax.tree.structure(module.params) == jax.tree.structure(params)
    jax.tree.map(assert_same_bits, module.params, params)
    bare = make(num_positions=None, num_token_types=None)
    assert len(jax.tree.leaves(bare)) == 1


def test_calls_are_the_functions():
    options = {"scale": 1.7, "padding_id": 1, "padding_position": 1}
    module = make(**options)
    inputs = {"token_type_ids": TYPES, "positions": POSITIONS}
    expected = F.apply_text_embedding(module.params, IDS, **inputs, **options)
    assert_same_bits(module(IDS, **inputs), expected)
    assert_same_bits(module(IDS, **inputs, key=KEY), expected)
    plain = make()
    inputs = {"token_type_ids": TYPES, "dtype": jnp.bfloat16}
    expected = F.apply_text_embedding(plain.params, IDS, **inputs)
    assert_same_bits(plain(IDS, **inputs), expected)


def test_options_reach_the_gradient():
    module = make(padding_id=4, padding_position=2)
    loss = lambda module: jnp.sum(
        module(IDS, token_type_ids=TYPES, positions=POSITIONS)
    )
    gradients = eqx.filter_grad(loss)(module).params
    assert not np.any(gradients.token.weight[4])
    assert not np.any(gradients.positions.weight[2])
    np.testing.assert_array_equal(gradients.token.weight[2], 2.0)
    np.testing.assert_array_equal(gradients.positions.weight[1], 2.0)


def test_leaves_are_exactly_the_params():
    module = make()
    leaves, expected = jax.tree.leaves(module), jax.tree.leaves(module.params)
    assert [id(leaf) for leaf in leaves] == [id(leaf) for leaf in expected]
    assert len(leaves) == 3


def test_modules_of_other_settings_share_nothing():
    inputs = {"token_type_ids": TYPES}
    first = np.asarray(make()(IDS, **inputs))
    assert not np.array_equal(make(scale=2.0)(IDS, **inputs), first)
    assert_same_bits(make()(IDS, **inputs), first)


def test_saved_and_loaded(tmp_path):
    module = make()
    eqx.tree_serialise_leaves(tmp_path / "module.eqx", module)
    fresh = jax.tree.map(jnp.zeros_like, module)
    loaded = eqx.tree_deserialise_leaves(tmp_path / "module.eqx", fresh)
    inputs = {"token_type_ids": TYPES}
    assert_same_bits(loaded(IDS, **inputs), module(IDS, **inputs))


@pytest.mark.errors
def test_settings_are_checked_when_built():
    for options, message in (
        ({"num_positions": 0}, "num_positions=0 must be a positive integer"),
        ({"num_token_types": 0}, "num_token_types=0 must be a positive integer"),
        ({"init_std": -1.0}, r"init_std=-1.0 must be a finite number of"),
        ({"padding_id": 11}, r"padding_id=11 must be an integer in \[0, 10\]"),
        ({"padding_position": 9}, r"padding_position=9 must be an integer in \[0, 8\]"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)
    with pytest.raises(ValueError, match="positions must come with a table"):
        make(num_positions=None, padding_position=1)


@pytest.mark.errors
def test_types_are_not_made_up():
    with pytest.raises(ValueError, match="token_type_ids must be given if, and only"):
        make()(IDS)
