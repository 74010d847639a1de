"""What every module keeps: thin, final, and fixed where it holds nothing to train."""

import copy
import dataclasses
import inspect
import os
import pickle

import equinox as eqx
import host
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_same_bits, refused

import attnax
import attnax.functional as F

KEY = jax.random.key(0)
IDS = np.array([[1, 2, 3], [4, 0, 2]], np.int32)
TOKENS = jax.random.normal(jax.random.key(1), (2, 3, 8))
HEADS = jax.random.normal(jax.random.key(2), (2, 3, 5, 8))
IMAGES = jax.random.normal(jax.random.key(3), (2, 4, 6, 3))


def token(**options):
    return attnax.TokenEmbedding(11, 8, **{"key": KEY, **options})


def learned(**options):
    return attnax.LearnedPositionalEmbedding(
        **{"num_positions": 9, "d_model": 8, "key": KEY, **options}
    )


def sinusoidal(max_len=64):
    return attnax.PositionalEncoding(max_len, 8)


def rotary(**options):
    return attnax.RotaryEmbedding(8, 64, **options)


def patch(**options):
    sizes = {"image_size": (4, 6), "patch_size": (2, 3), "num_channels": 3}
    return attnax.PatchEmbedding(**{**sizes, "d_model": 8, "key": KEY, **options})


def with_params(module, other):
    return eqx.tree_at(lambda m: m.params, module, other.params)


INPUTS = {token: IDS, learned: TOKENS, sinusoidal: TOKENS, rotary: HEADS, patch: IMAGES}
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


@pytest.mark.parametrize(
    "one, other",
    (
        (token(), token(scale=2.0)),
        (token(scale=1.7), token(scale=1.7, scale_dtype=jnp.bfloat16)),
        (token(), token(init_std=0.5)),
        (token(), with_params(token(padding_id=2, mask_padding=True), token())),
        (learned(), learned(init_std=0.5)),
        (rotary(), rotary(base=500.0)),
        (patch(), patch(key=jax.random.key(5))),
    ),
)
def test_modules_that_differ_in_one_setting_share_nothing(one, other):
    make = next(m for m in INPUTS if type(m()) is type(one))
    first = np.asarray(one(INPUTS[make]))
    assert not np.array_equal(first, other(INPUTS[make]))
    assert_same_bits(one(INPUTS[make]), first)


@pytest.mark.errors
@pytest.mark.skipif(
    os.environ.get("ATTNAX_TYPE_CHECKING", "1") != "0", reason="annotated as float"
)
def test_a_number_of_numpy_is_a_static_setting():
    text = attnax.nn.TextEmbedding(11, 8, num_positions=9, scale=np.array(2.0), key=KEY)
    for module in (text, token(scale=np.array(2.0)), rotary(base=np.array(500.0))):
        assert isinstance(hash(jax.tree.structure(module)), int)
    assert type(text.scale) is float


def test_bounds_are_settings_too():
    sinusoidal(3)(TOKENS)
    with pytest.raises(ValueError, match=r"\[0, 2\)"):
        sinusoidal(2)(TOKENS)
    rows = jax.jit(sinusoidal(4))(TOKENS, jnp.asarray(2))
    np.testing.assert_array_equal(np.isnan(rows).all((0, 2)), [False, False, True])


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


@pytest.mark.errors
def test_settings_are_checked_when_built():
    for build, message in (
        (
            lambda: attnax.TokenEmbedding(0, 8, key=KEY),
            "vocab_size=0 must be a positive integer",
        ),
        (
            lambda: attnax.TokenEmbedding(8, -1, key=KEY),
            "d_model=-1 must be a positive integer",
        ),
        (
            lambda: token(padding_id=11),
            r"padding_id=11 must be an integer in \[0, 10\]",
        ),
        (
            lambda: token(mask_padding=True),
            "mask_padding=True must come with a padding",
        ),
        (lambda: token(scale_dtype=jnp.float32), "must come with a scale"),
        (lambda: token(init_std=-1.0), "init_std=-1.0 must be a finite number of"),
        (
            lambda: learned(num_positions=0),
            "num_positions=0 must be a positive integer",
        ),
        (
            lambda: learned(init_std=-1.0),
            "init_std=-1.0 must be a finite number of",
        ),
        (
            lambda: attnax.PositionalEncoding(0, 8),
            "max_len=0 must be a positive integer",
        ),
        (
            lambda: attnax.PositionalEncoding(8, 0),
            "d_model=0 must be a positive integer",
        ),
        (
            lambda: patch(image_size=(4, 7)),
            r"image_size=\(4, 7\) must be a multiple of patch_size=\(2, 3\)",
        ),
        (lambda: patch(patch_size=0), "patch_size=0 must be a positive integer"),
        (lambda: patch(image_size=0), "image_size=0 must be a positive integer"),
        (lambda: patch(image_size=-8), "image_size=-8 must be a positive integer"),
        (
            lambda: token(scale=1.9, scale_dtype=jnp.int32),
            "scale_dtype=int32 must be a real float",
        ),
        (lambda: patch(num_channels=0), "num_channels=0 must be a positive integer"),
    ):
        with pytest.raises(ValueError, match=message):
            build()


@pytest.mark.errors
def test_calls_are_checked():
    with pytest.raises(ValueError, match=r"token_ids\[0\]=11 must lie in \[0, 11\)"):
        token()(np.array([11]))
    with pytest.raises(ValueError, match="seq_len=10 must be at most num_positions=9"):
        learned()(host.ones((10, 8)))
    with pytest.raises(ValueError, match=r"x.shape=\(2, 7\) must end in d_model=8"):
        sinusoidal()(host.ones((2, 7)))
    message = r"image.shape=\(6, 4, 3\) must end in \(4, 6, 3\); .*every divisible size"
    with pytest.raises(ValueError, match=message):
        patch()(host.ones((6, 4, 3)))


# Arguments that a module has under another name, or has no use for.
ELSEWHERE = {
    "rotate": {"rope"},
    "apply_vision_embedding": {"table_grid"},  # of image_size
    "apply_packed_vision_embedding": {"table_grid"},
}


@pytest.mark.parametrize(
    ("call", "function"),
    (
        (attnax.nn.TokenEmbedding.__call__, F.apply_token_embedding),
        (attnax.nn.TokenEmbedding.unembed, F.apply_token_unembedding),
        (attnax.nn.TextEmbedding.__call__, F.apply_text_embedding),
        (
            attnax.nn.LearnedPositionalEmbedding.__call__,
            F.apply_learned_positional_embedding,
        ),
        (attnax.nn.PositionalEncoding.__call__, F.apply_positional_encoding),
        (attnax.nn.RotaryEmbedding.__call__, F.rotate),
        (attnax.nn.PatchEmbedding.__call__, F.apply_patch_embedding),
        (attnax.nn.VisionEmbedding.__call__, F.apply_vision_embedding),
        (attnax.nn.VisionEmbedding.packed, F.apply_packed_vision_embedding),
    ),
)
def test_modules_take_what_their_functions_take(call, function):
    names = lambda thing: set(inspect.signature(thing).parameters)
    module = getattr(attnax.nn, call.__qualname__.partition(".")[0])
    given = names(module) | names(call) | {"params"}
    assert names(function) - given <= ELSEWHERE.get(function.__name__, set())


def test_numbers_of_numpy_are_settings():
    size, key = np.int64, jax.random.key(0)
    modules = (
        attnax.TokenEmbedding(size(5), size(4), padding_id=size(1), key=key),
        attnax.PositionalEncoding(size(8), size(4)),
        attnax.RotaryEmbedding(size(4), size(8), base=size(100), head_axis=size(-3)),
        attnax.LearnedPositionalEmbedding(
            num_positions=size(8), d_model=size(4), init_std=np.float32(0.5), key=key
        ),
        attnax.nn.TextEmbedding(
            size(5), size(4), num_positions=size(8), scale=np.float32(2), key=key
        ),
    )
    for module in modules:
        assert hash(jax.tree.structure(module)) is not None
        settings = [getattr(module, f.name) for f in dataclasses.fields(module)]
        assert not any(isinstance(value, np.generic) for value in settings)


@pytest.mark.errors
def test_sizes_of_modules_are_integers():
    for build, message in (
        (lambda: attnax.RotaryEmbedding(8, 16.5), "max_positions=16.5 must be a posit"),
        (lambda: attnax.PositionalEncoding(16.5, 4), "max_len=16.5 must be a positive"),
        (lambda: attnax.PositionalEncoding(16, 4.0), "d_model=4.0 must be a positive"),
        (
            lambda: attnax.TokenEmbedding(True, 8, key=jax.random.key(0)),
            "vocab_size=True must be a positive integer",
        ),
    ):
        with refused(rf"^\w+: {message}"):
            build()
