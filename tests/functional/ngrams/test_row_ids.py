"""Rows of n-grams: oracle, documents, contexts, maps, ids out of range."""

import itertools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import jitted, refused, slow
from hypothesis import given
from ngram_oracles import engram_rows, row, row_ids

import attnax.functional as F

rows = jitted(F.ngram_row_ids)

VOCAB, EOS, LENGTH = 30, 3, 9
# One for each way of hashing; sizes out of order, several multipliers, small moduli.
LARGE = (2**62 + 1, -(2**63) + 3, 0x9E3779B97F4A7C15, 12_345)
HASHINGS = {
    "engram": F.engram_hashings(
        [1], min_rows=50, vocab_size=VOCAB, ngram_size=4, heads_per_ngram=1
    )[0],
    "qwen4_exp": F.qwen4_exp_hashings(
        1, min_rows=50, vocab_size=VOCAB, eos_id=EOS, heads_per_ngram=2
    )[0],
    "blt": F.blt_hashing(
        num_rows=97, ngram_sizes=(3, 2), num_functions=1, vocab_size=VOCAB
    ),
    "sizes of blt": F.blt_hashing(
        num_rows=97, ngram_sizes=(3, 2), num_functions=2, vocab_size=VOCAB
    ),
    "canine": F.canine_hashing(num_rows=70, num_heads=2, vocab_size=VOCAB),
    "over_encoding": F.over_encoding_hashing(
        [91, 93, 95, 97], vocab_size=VOCAB, eos_id=EOS, fill_id=1
    ),
    "nanogpt": F.nanogpt_hashing(200, vocab_size=VOCAB),
    "short rows": F.NgramHashing(
        [2, 3], [LARGE[:2], LARGE[:3]], [99, 99], vocab_size=VOCAB, short_rows=[99, 7]
    ),
    "wrapping xor": F.NgramHashing(
        [2, 2, 4], [LARGE[:2], LARGE[1:3], LARGE], [2**30, 1, 500_002], vocab_size=VOCAB
    ),
    "wrapping sum": F.NgramHashing(
        [4, 3, 4],
        [LARGE, LARGE[1:], LARGE[::-1]],
        [3, 65_537, 41],
        vocab_size=VOCAB,
        combine="sum",
    ),
    "wrapping 32 bits": F.NgramHashing(
        [3, 2],
        [LARGE[:3], [2**31 - 1, 7]],
        [70_001, 5],
        vocab_size=VOCAB,
        word_bits=32,
        short_rows=(70_001, 0),
        eos_id=EOS,
    ),
}
tokens = ax.integers((2, LENGTH), 0, VOCAB - 1)
# Few ids, so that documents have two tokens on average, and ids come back.
segments = ax.integers((2, LENGTH), 0, 1)


@jitted
def _called(token_ids, hashing, segment_ids, context):
    options = {"segment_ids": segment_ids, "context": context}
    return F.ngram_row_ids(token_ids, hashing, **options), F.ngram_context(
        token_ids, hashing, **options
    )


def read(hashing, token_ids, segment_ids=0, context=-1):
    """Rows and the next context of two sequences, by one program for each hashing."""
    token_ids, segment_ids, context = (
        np.broadcast_to(np.asarray(values, np.int32), (2, length))
        for values, length in (
            (token_ids, LENGTH),
            (segment_ids, LENGTH),
            (context, hashing.context_len),
        )
    )
    found = _called(token_ids, hashing, segment_ids, context)
    return tuple(np.asarray(array) for array in found)


@pytest.mark.parametrize(
    "name",
    (
        *("engram", "qwen4_exp", "wrapping xor", "wrapping sum", "wrapping 32 bits"),
        *slow("blt", "canine", "over_encoding", "nanogpt", "sizes of blt"),
    ),
)
@given(token_ids=tokens, segment_ids=segments)
def test_matches_integers_of_python(name, token_ids, segment_ids):
    hashing = HASHINGS[name]
    plain, packed = (read(hashing, token_ids, s)[0] for s in (0, segment_ids))
    assert plain.dtype == np.int32
    assert plain.shape == (2, LENGTH, hashing.num_heads)
    for b in range(2):
        np.testing.assert_array_equal(plain[b], row_ids(hashing, token_ids[b]))
        expected = row_ids(hashing, token_ids[b], segment_ids=segment_ids[b])
        np.testing.assert_array_equal(packed[b], expected)
    offsets = np.array(hashing.offsets)
    assert (plain >= offsets).all()
    assert (plain < offsets + np.array(hashing.row_counts)).all()


def test_released_sizes_are_those_of_int64_where_int32_is_always_wrong():
    # MaxText draws multipliers of 31 bits and multiplies in int32, "to avoid overflow".
    # With the 64-bit multipliers of the released code, int32 finds no row of a 3-gram.
    hashing = F.engram_hashings([1], min_rows=646_400, vocab_size=99_092)[0]
    token_ids = np.random.default_rng(0).integers(0, 99_092, 400, np.int32)
    primes = hashing.moduli[:8], hashing.moduli[8:]
    multipliers = hashing.multipliers[-1]
    expected = engram_rows(token_ids, multipliers, primes) + np.array(hashing.offsets)
    np.testing.assert_array_equal(rows(token_ids, hashing), expected)

    narrow = F.NgramHashing(
        hashing.ngram_sizes,
        hashing.multipliers,
        hashing.moduli,
        vocab_size=99_092,
        fill_id=2,
        word_bits=32,
    )
    wrong = np.asarray(rows(token_ids, narrow))
    assert (wrong == expected)[:, 8:].mean() < 0.001


def test_the_last_rows_of_a_table_that_int32_just_counts():
    modulus = 2**31 - 1
    hashing = F.NgramHashing([1], [[1]], [modulus], vocab_size=modulus)
    token_ids = np.array([0, modulus - 1, 2**30], np.int32)
    np.testing.assert_array_equal(rows(token_ids, hashing)[:, 0], token_ids)


# Windows are the same for all ways of hashing: one with each setting of theirs.
WINDOWS = pytest.mark.parametrize("name", ("engram", "wrapping 32 bits"))


@WINDOWS
@given(token_ids=tokens, segment_ids=segments)
def test_a_prefix_and_what_follows_are_the_whole(name, token_ids, segment_ids):
    hashing = HASHINGS[name]
    # The two sequences are one.
    rows_of_first, context = read(hashing, token_ids[0], segment_ids[0])
    # A document that starts with the second part has nothing before it.
    starts = segment_ids[0, -1] != segment_ids[1, 0]
    before = np.where(starts, -1, context)
    rows_of_last, _ = read(hashing, token_ids[1], segment_ids[1], before)
    whole = row_ids(hashing, token_ids.ravel(), segment_ids=segment_ids.ravel())
    found = np.concatenate([rows_of_first[0], rows_of_last[0]])
    np.testing.assert_array_equal(found, whole)


@WINDOWS
def test_token_by_token_is_the_whole(name):
    hashing = HASHINGS[name]
    token_ids = np.random.default_rng(1).integers(0, VOCAB, (2, LENGTH), np.int32)
    token_ids[0, 4] = EOS

    @jax.jit
    def decode(token_ids):
        def step(context, token):
            token = token[:, None]
            found = F.ngram_row_ids(token, hashing, context=context)
            return F.ngram_context(token, hashing, context=context), found[:, 0]

        start = jnp.full((2, hashing.context_len), -1, jnp.int32)
        return jax.lax.scan(step, start, token_ids.T)

    context, found = decode(token_ids)
    whole, context_of_whole = read(hashing, token_ids)
    np.testing.assert_array_equal(np.swapaxes(found, 0, 1), whole)
    np.testing.assert_array_equal(context, context_of_whole)


@WINDOWS
def test_packed_documents_are_each_by_itself(name):
    hashing, lengths = HASHINGS[name], (4, 1, 4)
    rng = np.random.default_rng(2)
    documents = [rng.integers(0, VOCAB, length, np.int32) for length in lengths]
    segment_ids = np.repeat([7, 2, 7], lengths)
    packed, _ = read(hashing, np.concatenate(documents), segment_ids)
    alone = np.concatenate([row_ids(hashing, document) for document in documents])
    np.testing.assert_array_equal(packed[0], alone)


def test_pictures_of_deepseek_v41():
    # Its tokens of pictures are dead: padding stands for them and for all before them.
    hashing, cut = HASHINGS["engram"], 5
    token_ids = np.random.default_rng(5).integers(0, VOCAB, LENGTH)
    is_picture = np.isin(np.arange(LENGTH), (2, 3, 4))
    expected = np.zeros((LENGTH, hashing.num_heads), np.int64)
    for t in range(LENGTH):
        reach = range(t, max(t - 4, -1), -1)
        found = list(itertools.takewhile(lambda s: not is_picture[s], reach))
        found = [int(token_ids[s]) for s in found]
        padded = found + [hashing.fill_id] * (4 - len(found))
        for head in range(hashing.num_heads):
            expected[t, head] = row(hashing, head, padded)
    segment_ids = np.repeat([0, 1, 2], [2, 3, 4])
    token_ids = np.where(is_picture, hashing.fill_id, token_ids)
    found, _ = read(hashing, token_ids, segment_ids)
    np.testing.assert_array_equal(found[0], expected)
    # Right after a picture, decoding starts without a context.
    rest, _ = read(hashing, np.roll(token_ids, -cut))
    np.testing.assert_array_equal(rest[0, : LENGTH - cut], expected[cut:])


def test_the_end_of_a_document_belongs_to_it():
    hashing = HASHINGS["qwen4_exp"]
    token_ids = np.array([[5, 6, EOS, 7, 8, 1, 1, 1, 1], [5, 9, EOS, 7, 8, 1, 1, 1, 1]])
    found, _ = read(hashing, token_ids)
    for b in range(2):
        for part in slice(3), slice(3, None):
            expected = row_ids(hashing, token_ids[b, part])
            np.testing.assert_array_equal(found[b, part], expected)
    assert (found[0, 2] != found[1, 2]).any()  # the end reads what it ends


def test_segment_ids_may_be_wider_than_jax_holds():
    segment_ids = np.array([0, 2**32, 2**32])
    found = F.ngram_row_ids([4, 5, 6], HASHINGS["engram"], segment_ids=segment_ids)
    expected = F.ngram_row_ids([4, 5, 6], HASHINGS["engram"], segment_ids=[0, 1, 1])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ("wrapping xor", "wrapping 32 bits"))
@pytest.mark.parametrize("dtype", (np.uint8, *slow(np.int64)))
def test_every_integer_dtype_and_both_modes_of_jax(name, dtype):
    hashing = HASHINGS[name]
    token_ids = np.arange(LENGTH).astype(dtype)
    expected = row_ids(hashing, token_ids)
    for x64 in False, True:
        with jax.enable_x64(x64):
            found = jax.jit(lambda ids: F.ngram_row_ids(ids, hashing))(token_ids)
        assert found.dtype == jnp.int32
        np.testing.assert_array_equal(found, expected)


def test_batch_is_vmap():
    hashing = HASHINGS["over_encoding"]
    rng = np.random.default_rng(3)
    token_ids = rng.integers(0, VOCAB, (2, 3, LENGTH), np.int32)
    segment_ids = rng.integers(0, 2, (2, 1, LENGTH), np.int32)
    context = rng.integers(-1, VOCAB, (3, 2), np.int32)

    def of_one(ids, segments, before):
        options = {"segment_ids": segments, "context": before}
        return F.ngram_row_ids(ids, hashing, **options), F.ngram_context(
            ids, hashing, **options
        )

    both = jax.jit(of_one)(token_ids, segment_ids, context)
    inner = jax.vmap(of_one, in_axes=(0, None, 0))
    mapped = jax.jit(jax.vmap(inner, in_axes=(0, 0, None)))(
        token_ids, segment_ids[:, 0], context
    )
    jax.tree.map(np.testing.assert_array_equal, both, mapped)


@given(token_ids=tokens, map_seed=st.integers(0, 3))
def test_ids_are_mapped_before_they_are_hashed(token_ids, map_seed):
    hashing = F.engram_hashings([2], min_rows=40, vocab_size=6, pad_id=2)[0]
    token_map = np.random.default_rng(map_seed).integers(0, 6, VOCAB, np.int32)
    found = rows(token_ids, hashing, token_map=token_map)
    for b in range(2):
        expected = row_ids(hashing, token_ids[b], token_map=token_map)
        np.testing.assert_array_equal(found[b], expected)


def test_the_end_of_a_document_is_an_id_before_the_map():
    hashing = F.over_encoding_hashing([91, 93], vocab_size=6, eos_id=20)
    token_map = np.arange(VOCAB, dtype=np.int32) % 6
    token_ids = np.array([5, 20, 4, 2, 1])
    found = rows(token_ids, hashing, token_map=token_map)
    expected = row_ids(hashing, token_ids, token_map=token_map)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("bad", (-1, -2, VOCAB, -(2**31), 2**31 - 1))
def test_traced_ids_out_of_range_have_no_row(bad):
    for name in "engram", "wrapping 32 bits":
        hashing = HASHINGS[name]
        token_ids = np.array([4, 5, bad, 6, 7, 8, 9, 10, 11], np.int32)
        found, _ = read(hashing, token_ids)
        safe = np.where(token_ids == bad, 0, token_ids)
        expected = row_ids(hashing, safe)
        # The token itself, and all whose n-grams reach it.
        for head, size in enumerate(hashing.ngram_sizes):
            expected[2 : 2 + size, head] = -1
        np.testing.assert_array_equal(found[0], expected)
        # A part after the other, too.
        _, context = read(hashing, [*range(12, 17), *token_ids[:4]])
        after, _ = read(hashing, [*token_ids[4:], 1, 1, 1, 1], context=context)
        np.testing.assert_array_equal(after[0, :5], expected[4:])


def test_ids_without_a_row_do_not_reach_another_document():
    hashing = HASHINGS["engram"]
    token_ids, segment_ids = np.arange(LENGTH), np.arange(LENGTH) > 1
    token_ids[1] = VOCAB
    found, _ = read(hashing, token_ids, segment_ids)
    np.testing.assert_array_equal(found[0, 2:], row_ids(hashing, token_ids[2:]))
    assert (found[0, 1] == -1).all()


def test_traced_maps_and_contexts_out_of_range_have_no_row():
    hashing = HASHINGS["engram"]
    found = rows(np.array([0, 1]), hashing, token_map=np.array([5, VOCAB, 5]))
    assert (found[0] >= 0).all() and (found[1] == -1).all()
    found = read(hashing, 4, context=[-1, -3, 5])[0][0, 0]
    reach = np.array(hashing.ngram_sizes) > 2
    np.testing.assert_array_equal(found == -1, reach)
    found = read(hashing, 4, context=[-1, VOCAB, -1])[0][0, 0]
    np.testing.assert_array_equal(found, row_ids(hashing, [4])[0])  # -1 cuts it off


def test_ngrams_that_read_a_fill_without_a_row_have_none():
    # The map holds for `fill_id`. Short n-grams with a row of their own do not read it.
    of = [2, 2], [[3, 5], [7, 9]], [97, 89]
    token_map = np.arange(VOCAB)
    token_map[2] = VOCAB
    for short_rows, lost in (None, True), ((5, 6), False):
        hashing = F.NgramHashing(
            *of, vocab_size=VOCAB, fill_id=2, short_rows=short_rows
        )
        found = np.asarray(rows(np.array([4, 5]), hashing, token_map=token_map))
        expected = row_ids(hashing, [4, 5])
        expected[0] = -1 if lost else expected[0]
        np.testing.assert_array_equal(found, expected)


def test_rows_of_lost_ids_are_nan_in_a_lookup():
    hashing = HASHINGS["canine"]
    table = F.TokenEmbeddingParams(np.ones((hashing.num_rows, 2), np.float32))
    read = jax.jit(
        lambda ids: F.apply_token_embedding(table, F.ngram_row_ids(ids, hashing))
    )
    x = np.asarray(read(np.array([VOCAB, 3])))
    assert np.isnan(x[0]).all() and (x[1] == 1).all()


def test_a_context_longer_than_the_sequence():
    hashing = HASHINGS["engram"]
    first = F.ngram_context([7], hashing)
    np.testing.assert_array_equal(first, [-1, -1, 7])
    second = F.ngram_context([8], hashing, context=first)
    np.testing.assert_array_equal(second, [-1, 7, 8])
    third = F.ngram_context([8, 9], hashing, segment_ids=[0, 1], context=first)
    np.testing.assert_array_equal(third, [-1, -1, 9])
    assert F.ngram_context([7], HASHINGS["canine"]).shape == (0,)


@pytest.mark.errors
@pytest.mark.parametrize("function", (F.ngram_row_ids, F.ngram_signs))
def test_errors_of_known_values(function):
    hashing = HASHINGS["engram"]
    with pytest.raises(ValueError, match=r"token_ids\[1\]=30 must lie in \[0, 30\)"):
        function([1, 30], hashing)
    with pytest.raises(ValueError, match=r"token_ids\[0\]=-1 must lie in"):
        function(np.array([-1]), hashing)
    with pytest.raises(ValueError, match=r"context\[2\]=-3 must lie in \[-2, 30\)"):
        function([1], hashing, context=[0, 1, -3])
    with pytest.raises(ValueError, match=r"token_map\[0\]=30 must lie in \[0, 30\)"):
        function([0], hashing, token_map=[30])


@pytest.mark.errors
@pytest.mark.parametrize("function", (F.ngram_row_ids, F.ngram_context))
def test_errors_of_shapes_and_kinds(function):
    name, hashing = function.__name__, HASHINGS["engram"]
    with refused(f"{name}: hashing is a tuple, but must be an NgramHashing"):
        function([1], (2, 3))
    with refused(f"{name}: token_ids.dtype=float32 must be integer"):
        function(np.ones(3, np.float32), hashing)
    with refused(r"token_ids.shape=\(\) must be \(..., seq_len\)"):
        function(3, hashing)
    with refused(r"segment_ids.shape=\(2,\) must broadcast to \(3,\), the token ids"):
        function([1, 2, 3], hashing, segment_ids=[0, 1])
    with refused(r"context.shape=\(2,\) must broadcast to \(3,\), the tokens before"):
        function([1, 2, 3], hashing, context=[0, 1])
    with refused(r"context.shape=\(2, 3\) must broadcast to \(1, 3\)"):
        function([[1, 2, 3]], hashing, context=[[0, 1, 2], [0, 1, 2]])


@pytest.mark.errors
def test_errors_of_special_ids():
    hashing = F.over_encoding_hashing([91, 93], vocab_size=6, eos_id=20)
    message = "hashing.eos_id=20 must be below 6, the number of ids; pass the token_map"
    with pytest.raises(ValueError, match=message):
        F.ngram_row_ids([1], hashing)
    hashing = F.engram_hashings([1], min_rows=40, vocab_size=6, pad_id=7)[0]
    with pytest.raises(ValueError, match=r"hashing\.fill_id=7 must be below 3"):
        F.ngram_row_ids([1], hashing, token_map=[1, 2, 3])
    with refused(r"token_map.shape=\(1, 3\) must be \(num_ids,\)"):
        F.ngram_row_ids([1], hashing, token_map=[[1, 2, 3]])
