"""The n-gram hashes of published models, by what their papers and code say."""

import jax
import numpy as np
import pytest
from helpers import jitted, refused
from ngram_oracles import row_ids

import attnax.functional as F
from conformance.embeddings import ngrams, records

GOLDEN = records.load("ngrams")
rows = jitted(F.ngram_row_ids)


# The defaults of each model, and what they do not tell apart; the rest is slow.
QUICK = ("248320, layer 2", "1 functions", "2 functions", "canine: 8", "cache")


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(
            record,
            id=record.name,
            marks=()
            if any(part in record.name for part in QUICK)
            else pytest.mark.slow,
        )
        for record in GOLDEN
    ],
)
def test_rows_are_those_of_transformers(record):
    np.testing.assert_array_equal(ngrams.ours(record), record.arrays["expected"])


def test_rows_of_deepseek_v41():
    # `engram_num_embeddings` of the config of DeepSeek-V4.1-Flash.
    hashings = F.engram_hashings(
        [1, 14], min_rows=16_000_000, vocab_size=99_092, ngram_size=4
    )
    assert [h.num_rows for h in hashings] == [384_006_168, 384_016_682]
    moduli = [m for h in hashings for m in h.moduli]
    assert moduli == sorted(set(moduli))
    assert min(moduli) > 16_000_000
    assert {h.ngram_sizes for h in hashings} == {(2,) * 8 + (3,) * 8 + (4,) * 8}


def test_multipliers_of_engram_are_those_of_the_demo():
    hashings = F.engram_hashings([3, 15], min_rows=[20, 30], vocab_size=1000, seed=5)
    for layer, hashing in zip((3, 15), hashings, strict=True):
        drawn = np.random.default_rng(5 + 10007 * layer)
        bound = np.iinfo(np.int64).max // 1000 // 2
        expected = 2 * drawn.integers(0, bound, size=(3,), dtype=np.int64) + 1
        assert hashing.multipliers[0] == tuple(expected[:2])
        assert hashing.multipliers[-1] == tuple(expected)
        assert hashing.fill_id == 2
    # NumPy does not promise that another version draws the same.
    (hashing,) = F.engram_hashings([1], min_rows=500, vocab_size=98_627)
    drawn = 76993395940407, 4862694818241, 36129212583461
    assert hashing.multipliers[-1] == drawn
    # The search for primes starts anew for each size, without those that are taken.
    primes = (23, 29, 31, 37, 41, 43, 47, 53)
    assert hashings[0].moduli[:8] == primes
    assert hashings[0].moduli[8] == 59
    assert hashings[1].moduli[0] > hashings[0].moduli[-1]


def test_layers_of_qwen4_exp_have_consecutive_primes():
    of = {"vocab_size": 50, "eos_id": 3, "min_rows": 90, "heads_per_ngram": 2}
    first, second = F.qwen4_exp_hashings(2, **of)
    assert first.moduli + second.moduli == (97, 101, 103, 107, 109, 113, 127, 131)
    assert first.multipliers != second.multipliers
    assert first.fill_id == first.eos_id == 3


def test_released_sizes_of_qwen4_exp():
    (hashing,) = F.qwen4_exp_hashings(1, vocab_size=248_320, eos_id=248_046)
    multipliers = 23703573157769, 20109073645365, 8052911324071
    assert hashing.multipliers[-1] == multipliers
    assert (hashing.num_rows, hashing.padded_rows(128)) == (320_001_446, 320_001_536)


def test_layers_of_engram_with_as_many_least_rows_share_primes_out():
    # Each layer goes on where the last one stopped, and takes none of another size.
    layers = F.engram_hashings(
        [1, 2], min_rows=[20, 30], vocab_size=9, heads_per_ngram=2
    )
    assert [layer.moduli for layer in layers] == [(23, 29, 31, 37), (41, 43, 47, 53)]


def test_numbers_of_over_encoding_are_digits_of_ids():
    # No remainder is taken where a table has a row for each n-gram.
    hashing = F.over_encoding_hashing([10_001, 100_003], vocab_size=100)
    found = np.asarray(rows(np.array([1, 23, 4]), hashing)) - hashing.offsets
    assert found.tolist() == [[1, 1], [123, 123], [2304, 12_304]]


def test_sizes_of_longcat():
    # The sizes of LongCat-2.0: 16 tables, 2-grams to 5-grams. Two ends in a row.
    vocab_size, eos = 163_840, 2
    sizes = [int(100.567 * vocab_size) + 2 * i + 1 for i in range(16)]
    hashing = F.over_encoding_hashing(
        sizes, vocab_size=vocab_size, ngram_size=5, eos_id=eos
    )
    token_ids = np.random.default_rng(0).integers(3, vocab_size, 14, np.int32)
    token_ids[[5, 6, 13]] = eos
    np.testing.assert_array_equal(rows(token_ids, hashing), row_ids(hashing, token_ids))


def test_rows_of_modded_nanogpt():
    token_ids = np.random.default_rng(0).integers(0, 50_257, 9, np.int32)
    number = (36313 * token_ids[1:]) ^ (27191 * token_ids[:-1])
    expected = np.concatenate([[251_519], number % 251_519])
    found = rows(token_ids, F.nanogpt_hashing(251_520))
    np.testing.assert_array_equal(found[:, 0], expected)


def test_32_bits_wrap_to_negative_numbers():
    half, factors = 42_301_440, (17351, 60961, 45259)
    hashing = F.NgramHashing(
        [2, 3],
        [factors[:2], factors],
        [half - 1] * 2,
        vocab_size=50_304,
        short_rows=[half - 1] * 2,
        word_bits=32,
    )
    token_ids = np.random.default_rng(0).integers(37_000, 47_000, 9, np.int32)
    x = token_ids.astype(np.int64)
    a, b, c = factors
    number = ((a * x[2:]) ^ (b * x[1:-1]) ^ (c * x[:-2])).astype(np.int32)
    assert (number < 0).any()
    expected = half + np.concatenate([[half - 1] * 2, number % (half - 1)])
    np.testing.assert_array_equal(rows(token_ids, hashing)[:, 1], expected)


def test_signs_of_modded_nanogpt_are_rows_of_a_table():
    # One sign per channel, from a table of 8192 rows: row 0 for the first token.
    hashing = F.NgramHashing(
        [2], [[1, 1]], [8192], vocab_size=50_304, short_rows=[0], word_bits=32
    )
    token_ids = np.random.default_rng(1).integers(0, 50_257, 9, np.int32)
    expected = np.concatenate([[0], (token_ids[1:] ^ token_ids[:-1]) % 8192])
    np.testing.assert_array_equal(rows(token_ids, hashing)[:, 0], expected)


def test_records_are_static_and_readable():
    hashing = F.canine_hashing()
    assert jax.tree.leaves(hashing) == []
    assert hashing == F.canine_hashing() and hash(hashing) == hash(F.canine_hashing())
    assert hashing != F.canine_hashing(num_heads=7)
    assert repr(hashing) == (
        "NgramHashing(8 heads of 1-grams, 131072 rows, vocab_size=1114112, "
        "combine='sum', id_offset=1)"
    )
    of_three = F.over_encoding_hashing([5, 7, 9], vocab_size=4, ngram_size=4)
    assert repr(of_three).startswith("NgramHashing(3 heads of 2-, 3- and 4-grams, 21 ")
    assert repr(F.nanogpt_hashing(1000)) == (
        "NgramHashing(1 head of 2-grams, 1000 rows, vocab_size=50304, "
        "short_rows=(999,), word_bits=32)"
    )
    document = pytest.importorskip("wadler_lindig").pformat(hashing)
    assert document == repr(hashing)


def test_rows_are_padded_to_shards():
    hashing = F.NgramHashing([2, 3], [[1, 3], [1, 3, 5]], [97, 101], vocab_size=9)
    assert hashing.num_rows == 198
    assert (hashing.offsets, hashing.row_counts) == ((0, 97), (97, 101))
    assert (hashing.num_heads, hashing.context_len) == (2, 2)
    assert [hashing.padded_rows(n) for n in (1, 8, 198, 199)] == [198, 200, 198, 199]


GOOD = {
    "ngram_sizes": [2, 3],
    "multipliers": [[3, 5], [7, 11, 13]],
    "moduli": [97, 101],
    "vocab_size": 50,
}
RECORD_ERRORS = {
    r"ngram_sizes=\(0, 3\) must be integers in \[1, 64\]": {"ngram_sizes": [0, 3]},
    r"ngram_sizes=\(\) must be integers": {"ngram_sizes": []},
    r"multipliers=\[\[3, 5\]\] must be 2 sequences": {"multipliers": [[3, 5]]},
    r"multipliers\[1\]=\(7, 11\) must be 3 integers, one per token": {
        "multipliers": [[3, 5], [7, 11]]
    },
    r"multipliers\[0\]\[1\]=18446744073709551616 must be an integer in": {
        "multipliers": [[3, 2**64], [7, 11, 13]]
    },
    r"moduli=\(97,\) must be 2 integers, one per head": {"moduli": [97]},
    r"moduli\[0\]=0 must be an integer in \[1, 2147483647\]": {"moduli": [0, 97]},
    r"moduli\[1\]=100 must be prime; the next prime is 101": {
        "moduli": [97, 100],
        "distinct_primes": True,
    },
    r"moduli\[1\]=97 must differ from those before it": {
        "moduli": [97, 97],
        "distinct_primes": True,
    },
    r"multipliers\[1\]=\(3, 5\) with moduli\[1\]=97 must not be those of head 0": {
        "ngram_sizes": [2, 2],
        "multipliers": [[3, 5], [3, 5]],
        "moduli": [97, 97],
    },
    r"short_rows\[1\]=102 must be an integer in \[0, 101\]": {"short_rows": [0, 102]},
    r"short_rows=\(1,\) must be 2 integers": {"short_rows": [1]},
    r"vocab_size=0 must be an integer in": {"vocab_size": 0},
    r"combine='and' must be 'xor' or 'sum'": {"combine": "and"},
    r"word_bits=16 must be 64 or 32": {"word_bits": 16},
    r"fill_id=-1 must be an integer in": {"fill_id": -1},
    r"eos_id=-1 must be an integer in": {"eos_id": -1},
    r"id_offset=-1 must be an integer in": {"id_offset": -1},
    r"the 2147483744 rows of all 2 heads must be at most 2147483647": {
        "moduli": [97, 2**31 - 1]
    },
}


@pytest.mark.errors
@pytest.mark.parametrize("message", RECORD_ERRORS)
def test_errors_of_records(message):
    with refused(f"NgramHashing: {message}"):
        F.NgramHashing(**{**GOOD, **RECORD_ERRORS[message]})


@pytest.mark.errors
def test_errors_of_padded_rows():
    hashing = F.NgramHashing([1], [[1]], [2**31 - 1], vocab_size=9)
    with refused("NgramHashing.padded_rows: multiple=0 must be an integer in"):
        hashing.padded_rows(0)
    message = "multiple=8 must not pad the 2147483647 rows beyond 2147483647"
    with pytest.raises(ValueError, match=message):
        hashing.padded_rows(8)


SCHEME_ERRORS = [
    (
        F.engram_hashings,
        {"layer_ids": [1, 1], "min_rows": 5, "vocab_size": 50},
        r"layer_ids=\(1, 1\) must not be negative, and differ",
    ),
    (
        F.engram_hashings,
        {"layer_ids": [1], "min_rows": [5], "vocab_size": 50},
        r"min_rows=\(5,\) must be one integer, or 2",
    ),
    (
        F.engram_hashings,
        {"layer_ids": [], "min_rows": 5, "vocab_size": 50},
        r"layer_ids=\(\) must have at least one layer",
    ),
    *(
        (
            function,
            options | {"vocab_size": 50, "min_rows": 2**31 - 20},
            "min_rows=2147483628 must leave a prime up to 2147483647 for each head",
        )
        for function, options in (
            (F.engram_hashings, {"layer_ids": [1]}),
            (F.qwen4_exp_hashings, {"num_layers": 1, "eos_id": 3}),
        )
    ),
    (
        F.over_encoding_hashing,
        {"row_counts": [91, 93, 97, 97], "vocab_size": 50},
        r"row_counts=\(91, 93, 97, 97\) must differ for n-grams of one size",
    ),
    (F.blt_hashing, {"ngram_sizes": (3, 2, 3)}, r"ngram_sizes=\(3, 2, 3\) must differ"),
    (
        F.engram_hashings,
        {"layer_ids": [1], "min_rows": 5, "vocab_size": 50, "ngram_size": 1},
        r"ngram_size=1 must be an integer in \[2, 64\]",
    ),
    (
        F.qwen4_exp_hashings,
        {"num_layers": 1, "vocab_size": 50, "eos_id": 50},
        r"eos_id=50 must be an integer in \[0, 49\]",
    ),
    (
        F.blt_hashing,
        {"num_functions": 12},
        r"num_functions=12 must be an integer in \[1, 11\]",
    ),
    (
        F.canine_hashing,
        {"num_heads": 17},
        r"num_heads=17 must be an integer in \[1, 16\]",
    ),
    (
        F.over_encoding_hashing,
        {"row_counts": [7, 9, 11], "vocab_size": 50},
        r"row_counts=\(7, 9, 11\) must be as many integers",
    ),
    (
        F.nanogpt_hashing,
        {"num_rows": 1},
        r"num_rows=1 must be an integer in \[2, 2147483647\]",
    ),
]


@pytest.mark.errors
@pytest.mark.parametrize("function, arguments, message", SCHEME_ERRORS)
def test_errors_of_schemes(function, arguments, message):
    with refused(f"{function.__name__}: {message}"):
        function(**arguments)


@pytest.mark.errors
def test_a_table_in_which_older_tokens_would_not_count():
    message = r"row_counts\[1\]=64 must not divide vocab_size=16\*\*2, or tokens so far"
    with pytest.raises(ValueError, match=message):
        F.over_encoding_hashing([33, 64], vocab_size=16)
    message = "the 3221225472 rows of all 3 heads must be .* use fewer rows, or an"
    with pytest.raises(ValueError, match=message):
        F.blt_hashing(num_rows=2**30, ngram_sizes=(2, 3, 4))
