"""Hashes of n-grams by Python's integers, token by token, from the papers."""

import numpy as np


def wrapped(number, bits):
    """An integer as a signed one of so many bits keeps it."""
    half = 2 ** (bits - 1)
    return (number + half) % 2**bits - half


def ngram(tokens, t, size, *, eos_id=None, segments=None):
    """The token at `t` and those before it in its document, newest first."""
    found = [tokens[t]]
    for s in range(t - 1, t - size, -1):
        other = segments is not None and segments[s] != segments[s + 1]
        if s < 0 or tokens[s] == eos_id or other:
            break
        found.append(tokens[s])
    return found


def row(hashing, head, found, token_map=None):
    """The row of one n-gram, which is cut short at the start of its document."""
    offset = sum(hashing.row_counts[:head])
    size, modulus = hashing.ngram_sizes[head], hashing.moduli[head]
    if hashing.short_rows is not None and len(found) < size:
        return offset + hashing.short_rows[head]
    found = found[:size] + [hashing.fill_id] * (size - len(found))
    total = number(hashing, head, found, token_map)
    return offset + wrapped(total, hashing.word_bits) % modulus


def number(hashing, head, found, token_map=None):
    """The number of one n-gram before the remainder; it has all its tokens."""
    total = 0
    for token, factor in zip(found, hashing.multipliers[head], strict=True):
        token = token if token_map is None else int(token_map[token])
        term = (token + hashing.id_offset) * factor
        total = total + term if hashing.combine == "sum" else total ^ term
    return total


def sign(hashing, head, found):
    """The sign of one n-gram, from the two words of its number."""
    size = hashing.ngram_sizes[head]
    found = found[:size] + [hashing.fill_id] * (size - len(found))
    high, low = divmod(number(hashing, head, found) % 2**hashing.word_bits, 2**32)
    salt = (head + 1) * 0x9E3779B1 % 2**32
    return -1 if _murmur(low ^ _murmur(high) ^ salt) >= 2**31 else 1


def _murmur(word):
    """The end of MurmurHash3 for 32 bits (Appleby, 2011)."""
    word = (word ^ word // 2**16) * 0x85EBCA6B % 2**32
    word = (word ^ word // 2**13) * 0xC2B2AE35 % 2**32
    return word ^ word // 2**16


def signs(hashing, token_ids):
    """Signs `(seq_len, num_heads)` of one sequence."""
    tokens = [int(token) for token in token_ids]
    return np.array(
        [
            [
                sign(hashing, h, ngram(tokens, t, size, eos_id=hashing.eos_id))
                for h, size in enumerate(hashing.ngram_sizes)
            ]
            for t in range(len(tokens))
        ]
    )


def row_ids(hashing, token_ids, *, segment_ids=None, token_map=None):
    """Rows `(seq_len, num_heads)` of one sequence."""
    tokens = [int(token) for token in token_ids]
    rows = np.empty((len(tokens), hashing.num_heads), np.int64)
    for t in range(len(tokens)):
        for head, size in enumerate(hashing.ngram_sizes):
            found = ngram(tokens, t, size, eos_id=hashing.eos_id, segments=segment_ids)
            rows[t, head] = row(hashing, head, found, token_map)
    return rows


def engram_rows(token_ids, multipliers, primes):
    """Rows of one layer of Engram before the offsets, in NumPy's int64.

    `primes` are those of each size of n-grams; ids before the first one are 2.
    """
    ids = np.asarray(token_ids, np.int64)
    columns = []
    for size, of_size in enumerate(primes, 2):
        number = np.zeros_like(ids)
        for k in range(size):
            before = np.concatenate([np.full(k, 2), ids[: ids.size - k]])
            number ^= before * np.int64(multipliers[k])
        columns += [number % prime for prime in of_size]
    return np.stack(columns, -1)
