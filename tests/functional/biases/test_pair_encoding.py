"""Vectors of pairs of tokens against AlphaFold 3's supplement."""

import jax
import jax.numpy as jnp
import numpy as np
import pair_bias_oracles as oracle
import pytest
from helpers import assert_close, assert_same_bits, jitted, refused
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from query_biases import normal

import attnax.functional as F
from conformance.embeddings.records import load

# Two copies of a chain of seven tokens, one residue of which has three, and another.
NUMBERS = {
    "residues": [0, 1, 1, 1, 2, 9, -4, 0, 1, 1, 1, 2, 9, -4, 0, 5],
    "tokens": [*range(16)],
    "chains": [0] * 7 + [1] * 7 + [2] * 2,
    "copies": [0] * 7 + [1] * 7 + [3] * 2,
    "entities": [0] * 14 + [1] * 2,
}
NUMBERS = {name: np.array(x, np.int32) for name, x in NUMBERS.items()}
SIZES = {"max_distance": 3, "max_copies": 1}
PARAMS = F.PairEncodingParams(normal(0, 21, 5))
encoded = jitted(F.apply_pair_encoding)

# The sum of four rows below 4.
CLOSE = {"magnitude": 16.0}


def expected(table, numbers):
    names = ("residues", "chains", "copies", "entities", "tokens")
    sizes = {"residues": SIZES["max_distance"], "copies": SIZES["max_copies"]}
    return oracle.encoding(table.T, *(numbers[name] for name in names), **sizes)


def test_the_sum_of_four_rows():
    actual = encoded(PARAMS, **NUMBERS, **SIZES)
    assert_close(actual, expected(PARAMS.table, NUMBERS), **CLOSE)
    listed = {name: x.tolist() for name, x in NUMBERS.items()}
    assert_same_bits(F.apply_pair_encoding(PARAMS, **listed, **SIZES), actual)


def test_a_batch():
    numbers = {n: np.stack([x, x[::-1]]) for n, x in NUMBERS.items()}
    numbers["tokens"] = NUMBERS["tokens"]
    actual = encoded(PARAMS, **numbers, **SIZES)
    other = {n: x[::-1] for n, x in NUMBERS.items()} | {"tokens": NUMBERS["tokens"]}
    for n, one in enumerate((NUMBERS, other)):
        assert_close(actual[n], expected(PARAMS.table, one), **CLOSE)


@pytest.mark.parametrize(
    "axes", ((None, "a", None), ("a", "b", None), ("b", None, "a"))
)
def test_explicit_meshes(axes):
    *of_tokens, of_columns = axes
    numbers = {n: np.stack([x, x[::-1]]) for n, x in NUMBERS.items()}
    params = F.PairEncodingParams(normal(0, 21, 4))
    whole = encoded(params, **numbers, **SIZES)
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        numbers = jax.device_put(numbers, P(*of_tokens))
        params = jax.device_put(params, P(None, of_columns))
        actual = encoded(params, **numbers, **SIZES)
        # The axis of a sequence is that of the first token of a pair.
        assert jax.typeof(actual).sharding.spec == P(*of_tokens, None, of_columns)
    assert_same_bits(actual, whole)


def test_gradients():
    weight = normal(1, 16, 16, 5)

    def loss(params):
        return jnp.sum(weight * encoded(params, **NUMBERS, **SIZES))

    actual = jax.jit(jax.grad(loss))(PARAMS).table
    # The vectors are linear in the table.
    units = np.eye(21)
    wanted = [
        np.sum(weight * expected(u[:, None] * np.ones(5), NUMBERS), (0, 1))
        for u in units
    ]
    # At most 256 pairs in a row.
    assert_close(actual, np.array(wanted), magnitude=256.0)


def test_low_precision_is_float32_rounded_once():
    low = F.PairEncodingParams(jnp.asarray(PARAMS.table, jnp.bfloat16))
    wide = F.PairEncodingParams(low.table.astype(jnp.float32))
    actual = encoded(low, **NUMBERS, **SIZES)
    of_wide = encoded(wide, **NUMBERS, **SIZES)
    assert_same_bits(actual, of_wide.astype(jnp.bfloat16))
    assert_same_bits(encoded(low, **NUMBERS, **SIZES, dtype=jnp.float32), of_wide)


def test_extreme_numbers():
    ends = np.array([-(2**31), 2**31 - 1, 0, 0], np.int32)
    numbers = {name: x[:4] for name, x in NUMBERS.items()} | {"residues": ends}
    actual = encoded(PARAMS, **numbers, **SIZES)
    assert_close(actual, expected(PARAMS.table, numbers), **CLOSE)


def test_a_traced_number_outside_int32_gives_nan():
    tokens = NUMBERS["tokens"].astype(np.uint32)
    tokens[3] = 2**31
    actual = np.asarray(encoded(PARAMS, **(NUMBERS | {"tokens": tokens}), **SIZES))
    bad = np.arange(16) == 3
    assert (np.isnan(actual).all(-1) == (bad[:, None] | bad)).all()


def test_initial_table():
    key = jax.random.key(0)
    params = F.init_pair_encoding(key, 8, init_std=0.5, dtype=jnp.float32)
    assert params.table.shape == (139, 8)
    assert 0.4 < params.table.std() < 0.6
    low = F.init_pair_encoding(key, 8, init_std=0.5, dtype=jnp.bfloat16)
    assert_same_bits(low.table, params.table.astype(jnp.bfloat16))


def test_esmfold2_of_transformers():
    (record,) = (r for r in load("key_biases") if r.name == "esmfold2")
    config, arrays = record.options["config"], record.arrays
    names = {"residues": "residue_index", "tokens": "token_index"}
    names |= {"chains": "asym_id", "copies": "sym_id", "entities": "entity_id"}
    actual = encoded(
        F.PairEncodingParams(arrays["state input_embedder.rel_pos.embed.weight"].T),
        **{name: arrays[theirs].astype(np.int32) for name, theirs in names.items()},
        max_distance=config["num_relative_residx_bins"],
        max_copies=config["num_relative_chain_bins"],
    )
    assert_close(actual, arrays["expected"], **CLOSE)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("changed", "message"),
    (
        ({"max_distance": 4}, r"params\.table\.shape=\(21, 5\) must have 25 rows"),
        ({"max_copies": -1}, "max_copies=-1 must be an integer in"),
        ({"tokens": np.arange(15)}, r"tokens\.shape=\(15,\) must end in the length"),
        ({"tokens": np.float32(NUMBERS["tokens"])}, r"tokens\.dtype=float32 must be"),
        ({"tokens": np.arange(16) + 2**31}, r"tokens\[0\]=2147483648 must lie in"),
        (
            {"tokens": np.ones((2, 16), int), "copies": np.ones((3, 16), int)},
            r"residues with batch axes \(\), tokens with batch axes \(2,\), chains",
        ),
    ),
)
def test_errors(changed, message):
    with refused(f"apply_pair_encoding: {message}"):
        F.apply_pair_encoding(PARAMS, **(NUMBERS | SIZES | changed))
