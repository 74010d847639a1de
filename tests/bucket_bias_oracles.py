"""Biases by distance in float64, written from the papers, pair by pair."""

import mpmath
import numpy as np


def bucket(distance, num_buckets, max_distance, bidirectional):
    """Raffel et al. 2020, section 2.1, of key minus query, with a logarithm."""
    distance = int(distance)
    if bidirectional:
        num_buckets //= 2
        first, distance = num_buckets * (distance > 0), abs(distance)
    else:
        first, distance = 0, max(-distance, 0)
    exact = num_buckets // 2
    if distance < exact:
        return first + distance
    with mpmath.workdps(60):
        share = mpmath.log(mpmath.mpf(distance) / exact)
        share /= mpmath.log(mpmath.mpf(max_distance) / exact)
        # A logarithm that is a whole number may come out a little below it.
        steps = int(mpmath.floor(share * (num_buckets - exact) + mpmath.mpf(10) ** -50))
    return first + min(exact + steps, num_buckets - 1)


def t5_bias(table, q_positions, k_positions, max_distance, bidirectional):
    """`(*batch, heads, queries, keys)` from a table of buckets and heads."""
    table = np.asarray(table, np.float64)
    known = {}

    def value(q, k):
        distance = int(k) - int(q)
        if distance not in known:
            known[distance] = bucket(distance, len(table), max_distance, bidirectional)
        return table[known[distance]]

    return by_pairs(q_positions, k_positions, value)


def by_pairs(q_positions, k_positions, value):
    """`(*batch, heads, queries, keys)` from vectors `value(query, key)` over heads."""
    q_positions, k_positions = np.asarray(q_positions), np.asarray(k_positions)
    if q_positions.ndim > 1 or k_positions.ndim > 1:
        batch = max(len(p) for p in (q_positions, k_positions) if p.ndim > 1)
        rows = (
            np.broadcast_to(p, (batch, p.shape[-1])) for p in (q_positions, k_positions)
        )
        return np.stack([by_pairs(q, k, value) for q, k in zip(*rows, strict=True)])
    pairs = [[value(q, k) for k in k_positions] for q in q_positions]
    return np.moveaxis(np.array(pairs, np.float64), -1, 0)


def block_ids(attention_mask, block_size):
    """Guo et al. 2022, section 3.1: the block of each token; -1 of padding.

    Tokens after the last whole block belong to that block; without one, to none.
    """
    ids = []
    for row in np.asarray(attention_mask):
        whole = sum(
            bool(token) and place % block_size == block_size - 1
            for place, token in enumerate(row)
        )
        numbers = [
            place // block_size if token else -1 for place, token in enumerate(row)
        ]
        ids.append([min(number, whole - 1) for number in numbers])
    return np.array(ids)


def segment_bias(table, segments, q_rows, num_segments, num_buckets, max_distance):
    """CPM-Ant: buckets of distances in one segment, a row for each pair of segments."""
    table = np.asarray(table, np.float64)
    made = []
    for row in np.asarray(segments):

        def value(q, k, row=row):
            if row[q] == row[k]:
                return table[bucket(k - q, num_buckets, max_distance, True)]
            return table[num_buckets + row[q] * num_segments + row[k]]

        made.append(by_pairs(q_rows, range(len(row)), value))
    return np.stack(made)


def clipped_bias(table, q_positions, k_positions, max_distance, symmetric):
    """Phi-4's audio encoder: rows for distances -max to max - 1, or absolute."""
    table = np.asarray(table, np.float64)

    def value(q, k):
        if symmetric:
            return table[min(abs(int(k) - int(q)), max_distance - 1)]
        return table[
            min(max(int(k) - int(q), -max_distance), max_distance - 1) + max_distance
        ]

    return by_pairs(q_positions, k_positions, value)


def gated_bias(bias, hidden, weight, offset, constant):
    """Chen et al. 2022 (WavLM), eqs. 3 to 6, with the bias `(heads, queries, keys)`.

    The hidden states `(batch, queries, width)` are split among the heads; eight outputs
    of one linear map are summed by four into the two gates.
    """
    bias, hidden = np.asarray(bias, np.float64), np.asarray(hidden, np.float64)
    weight, offset = np.asarray(weight, np.float64), np.asarray(offset, np.float64)
    constant = np.asarray(constant, np.float64).reshape(-1)
    batch, queries, _ = hidden.shape
    gates = np.empty((batch, len(bias), queries))
    for b, h, q in np.ndindex(gates.shape):
        part = hidden[b, q].reshape(len(bias), -1)[h]
        outputs = weight @ part + offset
        update, reset = (1 / (1 + np.exp(-outputs[i : i + 4].sum())) for i in (0, 4))
        # The update gate of the paper is one minus this one.
        gates[b, h, q] = 2 - update + update * reset * constant[h]
    return gates[..., None] * bias


def hidden_bias(weight, offset, hidden, distances, num_heads, max_distance):
    """Qi et al. 2020 (ProphetNet), from `ngram_relative_logits` of its code.

    Each query's hidden state `(batch, queries, width)` makes a row of buckets for each
    head; distances are `(queries, keys)`, and the buckets causal.
    """
    hidden = np.asarray(hidden, np.float64)
    rows = hidden @ np.asarray(weight, np.float64).T + np.asarray(offset, np.float64)
    num_buckets = len(offset) // num_heads
    batch, queries, _ = hidden.shape
    made = np.empty((batch, num_heads, queries, distances.shape[-1]))
    for b, h, q, k in np.ndindex(made.shape):
        place = bucket(distances[q, k], num_buckets, max_distance, False)
        made[b, h, q, k] = rows[b, q, place * num_heads + h]
    return made
