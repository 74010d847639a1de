"""What every module keeps: thin, final, and fixed where it holds nothing to train."""

import copy
import inspect
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_same_bits
from modules import (
    HEADS,
    IDS,
    IMAGES,
    INPUTS,
    KEY,
    TOKENS,
    learned,
    patch,
    rotary,
    sinusoidal,
    token,
)

import attnax
import attnax.functional as F

everything = pytest.mark.parametrize("make", INPUTS)
fixed = pytest.mark.parametrize("make", (sinusoidal, rotary))


def test_calls_are_the_functions():
    assert_same_bits(token()(IDS), F.apply_token_embedding(token().params, IDS))
    assert_same_bits(
        token().unembed(TOKENS), F.apply_token_unembedding(token().params, TOKENS)
    )
    assert_same_bits(
        learned()(TOKENS),
        F.apply_learned_positional_embedding(learned().params, TOKENS),
    )
    assert_same_bits(
        learned()(TOKENS, IDS),
        F.apply_learned_positional_embedding(learned().params, TOKENS, IDS),
    )
    assert_same_bits(
        sinusoidal()(TOKENS, 7), F.apply_positional_encoding(TOKENS, start=7)
    )
    assert_same_bits(
        patch()(IMAGES),
        F.apply_patch_embedding(patch().params, IMAGES, patch_size=(2, 3)),
    )


def test_params_are_what_init_draws():
    for module, params in (
        (token(), F.init_token_embedding(KEY, 11, 8)),
        (learned(), F.init_learned_positional_embedding(KEY, 9, 8)),
        (
            patch(),
            F.init_patch_embedding(KEY, patch_size=(2, 3), num_channels=3, d_model=8),
        ),
    ):
        assert_same_bits(module.weight, params.weight)
        assert jax.tree.structure(module.params) == jax.tree.structure(params)
    assert_same_bits(patch().bias, np.zeros(8, np.float32).astype(patch().bias.dtype))
    assert patch(use_bias=False).bias is None


def test_options_of_the_functions_pass_through():
    options = {"padding_id": 2, "mask_padding": True, "scale": 1.7}
    module = token(
        **options, scale_dtype=jnp.bfloat16, init_std=0.5, dtype=jnp.bfloat16
    )
    params = F.init_token_embedding(
        KEY, 11, 8, init_std=0.5, dtype=jnp.bfloat16, padding_id=2
    )
    assert_same_bits(module.weight, params.weight)
    expected = F.apply_token_embedding(
        params, IDS, dtype=jnp.float32, scale_dtype=jnp.bfloat16, **options
    )
    assert_same_bits(module(IDS, dtype=jnp.float32), expected)
    options = {"soft_cap": 3.0, "accumulation_dtype": jnp.float32, "dtype": jnp.float32}
    x = TOKENS.astype(jnp.bfloat16)
    assert_same_bits(
        module.unembed(x, **options), F.apply_token_unembedding(params, x, **options)
    )
    # A wider table, multiplied as it is.
    options = {"compute_dtype": jnp.float32, "precision": "highest"}
    wide = token(dtype=jnp.float32)
    expected = F.apply_token_unembedding(wide.params, x, **options)
    assert_same_bits(wide.unembed(x, **options), expected)
    assert not np.array_equal(wide.unembed(x), expected)
    assert learned(init_std=0.0, dtype=jnp.bfloat16).weight.dtype == jnp.bfloat16
    assert not np.any(np.asarray(learned(init_std=0.0).weight))
    assert patch(dtype=jnp.bfloat16).weight.dtype == jnp.bfloat16


@everything
def test_leaves_are_exactly_the_params(make):
    module = make()
    params = getattr(module, "params", ())
    leaves, expected = jax.tree.leaves(module), jax.tree.leaves(params)
    assert [id(leaf) for leaf in leaves] == [id(leaf) for leaf in expected]


@everything
def test_single_examples_batches_and_vmap_agree(make):
    module, inputs = make(), INPUTS[make]
    batched = np.asarray(module(inputs))
    # Matrix products may add up in another order for another number of rows.
    atol = 64 * 2.0**-23 if make is patch else 0
    close = {"rtol": 0, "atol": atol}
    np.testing.assert_allclose(jax.vmap(module)(jnp.asarray(inputs)), batched, **close)
    for one, of_batch in zip(inputs, batched, strict=True):
        np.testing.assert_allclose(module(one), of_batch, **close)


@everything
def test_key_is_keyword_only_and_ignored(make):
    module, inputs = make(), INPUTS[make]
    parameter = inspect.signature(type(module).__call__).parameters["key"]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert_same_bits(module(inputs, key=KEY), module(inputs))


def test_in_a_sequential():
    layers = eqx.nn.Sequential([token(), sinusoidal(), learned()])
    expected = learned()(sinusoidal()(token()(IDS)))
    assert_same_bits(layers(IDS), expected)
    assert_same_bits(layers(IDS, key=KEY), expected)


class Counted(attnax.TokenEmbedding):
    """A subclass whose call takes pairs: ids, and a name to log them by."""

    def __call__(self, named_ids):
        name, ids = named_ids
        return f"{len(ids)} {name}", super().__call__(ids)


def test_a_subclass_may_take_other_arguments():
    counted = Counted(11, 8, key=KEY)
    text, rows = counted(("tokens", IDS))
    assert text == "2 tokens"
    assert_same_bits(rows, token()(IDS))


@everything
def test_copies_and_pickles_are_the_same_module(make):
    module, inputs = make(), INPUTS[make]
    expected = module(inputs)
    copies = copy.copy(module), copy.deepcopy(module)
    for other in (*copies, pickle.loads(pickle.dumps(module))):
        assert jax.tree.structure(other) == jax.tree.structure(module)
        assert_same_bits(other(inputs), expected)


@everything
def test_saved_and_loaded(make, tmp_path):
    module, inputs = make(), INPUTS[make]
    eqx.tree_serialise_leaves(tmp_path / "module.eqx", module)
    fresh = make(key=jax.random.key(9)) if hasattr(module, "params") else make()
    loaded = eqx.tree_deserialise_leaves(tmp_path / "module.eqx", fresh)
    assert_same_bits(loaded(inputs), module(inputs))


class Model(eqx.Module):
    """One of everything, and a head on top."""

    token: attnax.TokenEmbedding
    sinusoidal: attnax.PositionalEncoding
    rotary: attnax.RotaryEmbedding

    def __call__(self, ids):
        x = self.sinusoidal(self.token(ids))
        x = self.rotary(x.reshape(*x.shape[:-1], 1, -1)).reshape(x.shape)
        return self.token.unembed(x)


def test_100_steps_of_adamw_leave_everything_fixed_as_it_is():
    model = Model(token(), sinusoidal(), rotary())
    before = sinusoidal()(TOKENS), rotary()(HEADS)
    optimizer = optax.adamw(1e-2, weight_decay=0.5)

    @eqx.filter_jit
    def step(model, state):
        loss = lambda model: jnp.mean(model(IDS) ** 2)
        gradients = eqx.filter_grad(loss)(model)
        with jax.numpy_dtype_promotion("standard"):  # other people's code
            updates, state = optimizer.update(gradients, state, model)
        return eqx.apply_updates(model, updates), state

    state = optimizer.init(eqx.filter(model, eqx.is_array))
    weight = np.asarray(model.token.weight)
    for _ in range(100):
        model, state = step(model, state)
    assert not np.array_equal(model.token.weight, weight)
    assert_same_bits(model.sinusoidal(TOKENS), before[0])
    assert_same_bits(model.rotary(HEADS), before[1])


@fixed
def test_a_cast_of_every_leaf_leaves_everything_fixed_as_it_is(make):
    module = make()
    cast = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), module)
    assert_same_bits(cast(INPUTS[make]), module(INPUTS[make]))


@pytest.mark.parametrize("make", (token, learned, patch))
def test_a_cast_of_every_leaf_casts_the_params_and_no_more(make):
    module, inputs = make(), INPUTS[make]
    cast = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), module)
    assert {leaf.dtype for leaf in jax.tree.leaves(cast)} == {jnp.dtype(jnp.bfloat16)}
    if make is not token:
        inputs = inputs.astype(jnp.bfloat16)
    assert cast(inputs).dtype == jnp.bfloat16


@everything
def test_decode_compiles_once(make):
    module, inputs = make(), INPUTS[make]
    traces = []

    @eqx.filter_jit
    def call(module, inputs, *start):
        traces.append(module)
        return module(inputs, *start)

    for step in range(3):
        extra = (jnp.asarray(step, jnp.int32),) if make is sinusoidal else ()
        call(module, inputs, *extra)
    assert len(traces) == 1
