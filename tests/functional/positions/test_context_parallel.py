"""The tokens that devices hold: splits of a sequence, and of every document."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import jitted, refused
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

ORDERS = ("contiguous", "zigzag", "striped")
every_order = pytest.mark.parametrize("order", ORDERS)
SIZES = ((8, 1), (24, 3))
indices = jitted(F.context_parallel_indices)
of_documents = jitted(F.document_zigzag_indices)


def held(seq_len, num_shards, shard, order):
    """What a device holds, by reshaping as Megatron-LM and Striped Attention do."""
    tokens = np.arange(seq_len, dtype=np.int32)
    if order == "contiguous":
        return tokens.reshape(num_shards, -1)[shard]
    if order == "striped":
        return tokens.reshape(-1, num_shards)[:, shard]
    chunks = tokens.reshape(2 * num_shards, -1)
    return np.concatenate([chunks[shard], chunks[-1 - shard]])


def held_of_documents(ends, num_shards, shard):
    """What a device holds of each document, one document after another."""
    parts = [
        begin + held(end - begin, num_shards, shard, "zigzag")
        for begin, end in itertools.pairwise(ends)
    ]
    return np.concatenate(parts)


@every_order
@pytest.mark.parametrize("seq_len, num_shards", SIZES)
def test_indices_and_permutations(seq_len, num_shards, order):
    shards = [held(seq_len, num_shards, i, order) for i in range(num_shards)]
    traced = jax.vmap(
        lambda i: F.context_parallel_indices(seq_len, num_shards, i, order=order)
    )
    actual = jax.jit(traced)(jnp.arange(num_shards))
    assert actual.dtype == jnp.int32
    np.testing.assert_array_equal(actual, shards)
    permutation = F.context_parallel_permutation(seq_len, num_shards, order=order)
    assert permutation.dtype == np.int32
    np.testing.assert_array_equal(permutation, np.concatenate(shards))
    back = F.context_parallel_permutation(
        seq_len, num_shards, order=order, inverse=True
    )
    assert back.dtype == np.int32
    np.testing.assert_array_equal(permutation[back], np.arange(seq_len))
    known = F.context_parallel_indices(seq_len, num_shards, num_shards - 1, order=order)
    np.testing.assert_array_equal(known, shards[-1])


def test_the_orders_of_other_people():
    """The comment of TransformerEngine's JAX code on what its reordering does."""
    permutation = F.context_parallel_permutation(8, 2, order="zigzag")
    assert permutation.tolist() == [0, 1, 6, 7, 2, 3, 4, 5]


def test_zigzag_balances_causal_attention():
    """Every device has the same number of pairs of a query and a key that it sees."""
    held = F.context_parallel_permutation(48, 4, order="zigzag").reshape(4, -1)
    assert len({int(tokens.sum()) for tokens in held}) == 1


ENDS = np.array([0, 8, 8, 32, 40], np.int32)


def test_every_document_split_on_its_own():
    """Past the last document, the tokens are split as one more."""
    total_len = 56
    ends = [*ENDS, total_len]
    shards = [held_of_documents(ends, 4, i) for i in range(4)]
    mapped = jax.vmap(lambda i: F.document_zigzag_indices(ENDS, total_len, 4, i))
    np.testing.assert_array_equal(jitted(mapped)(np.arange(4)), shards)
    batch = np.stack([ENDS, [0, 16, 16, 24, 24]])
    actual = np.stack([of_documents(batch, total_len, 4, i) for i in np.arange(4)], 1)
    np.testing.assert_array_equal(actual[0], shards)
    # Every token is held once.
    np.testing.assert_array_equal(np.sort(actual[1], axis=None), np.arange(total_len))


def test_traced_values_out_of_range():
    for shard in (-1, 4, 2**31 - 1, -(2**31)):
        shard = np.array(shard, np.int32)
        for order in ORDERS:
            np.testing.assert_array_equal(indices(8, 4, shard, order=order), [-1, -1])
        np.testing.assert_array_equal(of_documents(ENDS, 40, 4, shard), [-1] * 10)
    odd = ENDS - ENDS // 32 * 4
    actual = of_documents(np.stack([ENDS, odd, 2 * ENDS]), 40, 4, np.array(0))
    np.testing.assert_array_equal(actual[0], held_of_documents(ENDS, 4, 0))
    np.testing.assert_array_equal(actual[1:], [[-1] * 10] * 2)
    # Which no token has: a mistake is no other token's position.
    np.testing.assert_array_equal(
        jitted(F.segment_ids_of_tokens)(actual[1], ENDS), [0] * 10
    )


MESHES = pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))


def mesh_of(axis_type):
    return jax.make_mesh((2, 2), ("data", "seq"), axis_types=(axis_type,) * 2)


@MESHES
@every_order
def test_positions_and_ids_of_the_part_of_a_device(axis_type, order):
    """Made on each device from cumulative lengths, in shard_map, manual in part too."""
    ends = np.array([[0, 3, 5, 11], [0, 1, 1, 9]], np.int32)

    def part(ends):
        tokens = F.context_parallel_indices(12, 2, lax.axis_index("seq"), order=order)
        return F.positions_of_tokens(tokens, ends), F.segment_ids_of_tokens(
            tokens, ends
        )

    whole = (
        jitted(F.positions_from_cumulative_lengths)(ends, 12),
        jitted(F.segment_ids_from_cumulative_lengths)(ends, 12),
    )
    permutation = F.context_parallel_permutation(12, 2, order=order)
    with jax.set_mesh(mesh_of(axis_type)):
        ends = jax.device_put(ends, P("data"))
        manual = jax.shard_map(part, in_specs=P("data"), out_specs=P("data", "seq"))
        in_part = jax.shard_map(
            part, axis_names={"seq"}, in_specs=P(), out_specs=P(None, "seq")
        )
        for function in (manual, in_part):
            for actual, expected in zip(jax.jit(function)(ends), whole, strict=True):
                np.testing.assert_array_equal(actual, expected[:, permutation])


@MESHES
def test_documents_split_in_shard_map(axis_type):
    ends = np.array([0, 4, 12], np.int32)
    part = lambda ends: F.document_zigzag_indices(ends, 16, 2, lax.axis_index("seq"))
    with jax.set_mesh(mesh_of(axis_type)):
        mapped = jax.shard_map(part, in_specs=P(), out_specs=P("seq"))
        actual = np.asarray(jax.jit(mapped)(ends)).reshape(2, -1)
    for shard in range(2):
        expected = held_of_documents([*ends, 16], 2, shard)
        np.testing.assert_array_equal(actual[shard], expected)


@pytest.mark.parametrize(
    "of_tokens, of_ends, expected",
    (
        (P("seq"), P(), P("seq")),
        (P("seq"), P("data"), P("data", "seq")),
        (P("data", "seq"), P("data"), P("data", "seq")),
        (P("data"), P(), P("data", None)),
    ),
    ids=str,
)
def test_results_lie_where_tokens_lie(of_tokens, of_ends, expected):
    """Under explicit axes; the tokens of a row may be sharded."""
    mesh = mesh_of(AxisType.Explicit)
    ends, tokens = np.array([0, 3, 5]), np.arange(8)
    if of_ends:
        ends = np.stack([ends, [0, 1, 7]])
    if "data" in of_tokens:
        tokens = np.stack([tokens, tokens[::-1]])
    plain = jitted(F.positions_of_tokens)(tokens, ends)
    with jax.set_mesh(mesh):
        put = lambda array, spec: jax.device_put(array, NamedSharding(mesh, spec))
        for function in (F.positions_of_tokens, F.segment_ids_of_tokens):
            result = jax.jit(function)(put(tokens, of_tokens), put(ends, of_ends))
            assert jax.typeof(result).sharding.spec == expected
            if function is F.positions_of_tokens:
                np.testing.assert_array_equal(result, plain)


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    (
        ((10, 4, 0), "seq_len=10 must be a multiple of num_shards=4 .* pad it to 12"),
        ((12, 4, 0), r"seq_len=12 must be a multiple of 2 \* num_shards=4 .* to 16 to"),
        ((0, 4, 0), "seq_len=0 must be an integer in"),
        ((8, 0, 0), "num_shards=0 must be a positive integer"),
        ((8, 4, 4), r"shard_index=4 must lie in \[0, 4\)"),
        ((8, 4, -1), r"shard_index=-1 must lie in \[0, 4\)"),
        ((8, 4, 1.0), "shard_index.dtype=float64 must be integer"),
        ((8, 4, np.arange(2)), r"shard_index.shape=\(2,\) must be \(\), one device"),
        ((8, 4, []), r"shard_index.shape=\(0,\) must be \(\), one device"),
    ),
)
def test_splits_are_checked(arguments, message):
    order = "zigzag" if "2 " in message else "contiguous"
    with refused(f"^context_parallel_indices: {message}"):
        F.context_parallel_indices(*arguments, order=order)
    if "shard_index" not in message:
        with refused(f"^context_parallel_permutation: {message}"):
            F.context_parallel_permutation(*arguments[:2], order=order)
    elif "dtype" not in message:
        with refused(f"^document_zigzag_indices: {message}"):
            F.document_zigzag_indices([0, 8], *arguments)


@pytest.mark.errors
def test_orders_and_documents_are_checked():
    message = "order='ring' must be 'contiguous', 'zigzag' or 'striped'"
    with pytest.raises(ValueError, match=message):
        F.context_parallel_indices(8, 2, 0, order="ring")
    with pytest.raises(ValueError, match=message):
        F.context_parallel_permutation(8, 2, order="ring")
    with refused("inverse=1 must be True or False"):
        F.context_parallel_permutation(8, 2, order="zigzag", inverse=1)
    message = r"cumulative_lengths\[2\]=6 must be a multiple of 2 \* num_shards=2; pad"
    with pytest.raises(ValueError, match=f"^document_zigzag_indices: {message}"):
        F.document_zigzag_indices([0, 4, 6], 8, 2, 0)
    message = r"total_len=6 must be a multiple of 2 \* num_shards=2 .* pad it to 8"
    with pytest.raises(ValueError, match=f"^document_zigzag_indices: {message}"):
        F.document_zigzag_indices([0, 4], 6, 2, 0)
    message = r"cumulative_lengths\[1\]=16 must be at most total_len=8"
    with pytest.raises(ValueError, match=f"^document_zigzag_indices: {message}"):
        F.document_zigzag_indices([0, 16], 8, 2, 0)
