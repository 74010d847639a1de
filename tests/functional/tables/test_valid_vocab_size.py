"""Tables with more rows than tokens: lookups and logits see the tokens alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, jitted, refused
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from lookups import unembed

import attnax.functional as F
from attnax import nn

RNG = np.random.default_rng(0)
# Five tokens; what stands in the rows of the padding must not matter.
TOKENS = RNG.normal(size=(5, 6)).astype(np.float32)
PADDED = np.concatenate([TOKENS, np.full((3, 6), 1e9, np.float32)])
IDS = np.array([[4, 0, 2], [1, 4, 3]], np.int32)
X = RNG.normal(size=(2, 3, 6)).astype(np.float32)
OF_TOKENS, OF_PADDED = (F.TokenEmbeddingParams(w) for w in (TOKENS, PADDED))

lookup = jitted(F.apply_token_embedding)


@jitted
def losses_and_gradient(params, x, **options):
    def loss(params):
        logits = F.apply_token_unembedding(params, x, **options)
        return jax.nn.logsumexp(logits, axis=-1).sum(), logits

    (_, logits), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return logits, gradient.weight


def test_ids_of_the_padding_are_out_of_range():
    assert_same_bits(lookup(OF_PADDED, IDS, valid_vocab_size=5), lookup(OF_TOKENS, IDS))
    rows = lookup(OF_PADDED, np.array([4, 5, 7, 8, -1]), valid_vocab_size=5)
    np.testing.assert_array_equal(
        np.isnan(rows).all(-1), [False, True, True, True, True]
    )


@pytest.mark.parametrize("soft_cap", (None, 2.0))
def test_logits_of_the_padding_have_no_part_in_a_softmax(soft_cap):
    plain, of_tokens = losses_and_gradient(OF_TOKENS, X, soft_cap=soft_cap)
    options = {"valid_vocab_size": 5, "soft_cap": soft_cap}
    logits, gradient = losses_and_gradient(OF_PADDED, X, **options)
    of_all, _ = losses_and_gradient(OF_PADDED, X, soft_cap=soft_cap)
    assert_same_bits(logits[..., :5], np.asarray(of_all)[..., :5])
    # Products of six terms below 8, added up in the order of another width.
    near = {"rtol": 0, "atol": 6 * 8 * 2.0**-23}
    np.testing.assert_allclose(logits[..., :5], plain, **near)
    np.testing.assert_array_equal(logits[..., 5:], -np.inf)
    np.testing.assert_array_equal(gradient[5:], 0.0)
    np.testing.assert_allclose(gradient[:5], of_tokens, **near)


def test_a_dtype_without_infinity_has_its_lowest_number():
    options = {"valid_vocab_size": 5, "dtype": jnp.float8_e4m3fn}
    logits = np.asarray(unembed(OF_PADDED, X, **options), np.float32)
    np.testing.assert_array_equal(logits[..., 5:], -448.0)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_a_sharded_table(axis_type):
    expected = unembed(OF_PADDED, X, valid_vocab_size=5)
    rows = lookup(OF_PADDED, IDS, valid_vocab_size=5)
    mesh = jax.make_mesh((4,), ("a",), axis_types=(axis_type,))
    with jax.set_mesh(mesh):
        params = jax.device_put(OF_PADDED, NamedSharding(mesh, P("a", None)))
        x, ids = jax.device_put((X, IDS), NamedSharding(mesh, P()))
        options = {"valid_vocab_size": 5}
        assert_same_bits(lookup(params, ids, **options), rows)
        if axis_type is AxisType.Explicit:
            options["out_sharding"] = P(None, None, "a")
        logits = unembed(params, x, **options)
        if axis_type is AxisType.Explicit:
            assert jax.typeof(logits).sharding.spec == P(None, None, "a")
        np.testing.assert_allclose(logits, expected, rtol=0, atol=6 * 8 * 2.0**-23)


def test_the_module_knows_its_vocabulary():
    module = nn.TokenEmbedding(8, 6, valid_vocab_size=5, key=jax.random.key(0))
    logits = jax.jit(lambda x: module.unembed(x))(X)
    np.testing.assert_array_equal(np.isneginf(logits[0, 0]), np.arange(8) >= 5)
    assert np.isnan(jax.jit(lambda ids: module(ids))(np.array([5]))).all()


@pytest.mark.errors
@pytest.mark.parametrize("size", (0, 9, 2.5))
def test_the_number_of_tokens_is_one_of_rows(size):
    message = rf"valid_vocab_size={size} must be an integer in \[1, 8\]"
    with refused(message):
        F.apply_token_embedding(OF_PADDED, IDS, valid_vocab_size=size)
    with refused(message):
        F.apply_token_unembedding(OF_PADDED, X, valid_vocab_size=size)


@pytest.mark.errors
def test_a_known_id_of_the_padding_is_named():
    with pytest.raises(ValueError, match=r"token_ids\[1\]=5 must lie in \[0, 5\)"):
        F.apply_token_embedding(OF_PADDED, np.array([4, 5]), valid_vocab_size=5)
    with pytest.raises(ValueError, match=r"padding_id=5 must be an integer in"):
        F.apply_token_embedding(OF_PADDED, IDS, valid_vocab_size=5, padding_id=5)
