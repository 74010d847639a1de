"""Signs of n-grams: defined by the n-gram, balanced, and not seen in the row."""

import ngram_oracles
import numpy as np
import pytest
from helpers import jitted

import attnax.functional as F

signs, rows = jitted(F.ngram_signs), jitted(F.ngram_row_ids)
HASHING = F.engram_hashings([1], min_rows=40, vocab_size=50, heads_per_ngram=3)[0]
TOKENS = np.random.default_rng(0).integers(0, 50, (40, 500), np.int32)


LARGE = (2**62 + 1, -(2**63) + 3, 0x9E3779B97F4A7C15)
HASHINGS = {
    # Heads of one size are apart, some numbers have one word, and some two.
    "xor of 64 bits": F.NgramHashing(
        [2, 3, 2, 1], [LARGE[:2], LARGE, [3, 5], [7]], [7, 9, 11, 13], vocab_size=50
    ),
    "xor of 32 bits": F.NgramHashing(
        [2, 3],
        [[36_313, 2**31 - 1], [1, 3, 2**40]],
        [7, 9],
        vocab_size=50,
        word_bits=32,
        short_rows=[7, 9],
        eos_id=4,
        fill_id=3,
    ),
    "sum of 64 bits": F.NgramHashing(
        [3, 3], [LARGE, LARGE[::-1]], [7, 9], vocab_size=50, combine="sum", id_offset=1
    ),
}


@pytest.mark.parametrize("name", HASHINGS)
def test_matches_integers_of_python(name):
    hashing = HASHINGS[name]
    found = signs(TOKENS[0, :200], hashing)
    np.testing.assert_array_equal(found, ngram_oracles.signs(hashing, TOKENS[0, :200]))


def test_a_sign_of_each_head_that_equal_ngrams_share():
    found = np.asarray(signs(TOKENS, HASHING))
    assert found.dtype == np.int8
    assert set(np.unique(found)) == {-1, 1}
    assert found.shape == (*TOKENS.shape, HASHING.num_heads)
    ngrams = TOKENS[:, 1:] * 50 + TOKENS[:, :-1]
    for head in range(3):  # those of 2-grams
        of_ngram = np.zeros(2500)
        of_ngram[ngrams] = found[:, 1:, head]
        np.testing.assert_array_equal(of_ngram[ngrams], found[:, 1:, head])


def test_half_of_the_ngrams_of_a_row_have_the_other_sign():
    found = np.asarray(signs(TOKENS, HASHING), np.int64)
    ids = np.asarray(rows(TOKENS, HASHING))
    # Means of n fair signs have the deviation 1 / sqrt(n): five of them, at most. Of
    # the 2-grams, at most 2500 signs are drawn; 20000 tokens read them.
    for head in range(HASHING.num_heads):
        count = 2500 if head < 3 else 20_000
        assert abs(found[..., head].mean()) < 5 / np.sqrt(count)
        assert abs((found[..., head] * (ids[..., head] % 2)).mean()) < 5 / np.sqrt(
            count
        )
        for other in range(head):
            both = (found[..., head] * found[..., other]).mean()
            assert abs(both) < 5 / np.sqrt(min(count, 2500))
    # Within each row: 2500 2-grams in 41 rows, of 61 signs each.
    sums = np.bincount(ids[..., 0].ravel(), found[..., 0].ravel())
    counts = np.bincount(ids[..., 0].ravel())
    assert (np.abs(sums / counts) < 5 / np.sqrt(61)).all()


def test_signs_know_documents_and_contexts_as_rows_do():
    segment_ids = np.repeat([[0, 1]], [3, 4], axis=1)
    token_ids = TOKENS[:1, :7]
    found = signs(token_ids, HASHING, segment_ids=segment_ids)
    np.testing.assert_array_equal(found[:, 3:], signs(token_ids[:, 3:], HASHING))
    context = F.ngram_context(token_ids[:, :3], HASHING)
    after = signs(token_ids[:, 3:], HASHING, context=context)
    np.testing.assert_array_equal(after, signs(token_ids, HASHING)[:, 3:])


def test_lost_ngrams_have_signs_too():
    hashing = HASHINGS["xor of 64 bits"]
    token_ids = np.zeros(200, np.int32)
    token_ids[[1, 2]] = 50, -1
    assert set(np.unique(signs(token_ids, hashing))) == {-1, 1}
