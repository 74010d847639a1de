"""Float64 references for the position biases of papers, written from their equations.

Positions are integers, `i` of a query and `j` of a key. Biases are `(heads, q, k)`, or
`(batch, heads, q, k)` where they depend on the content; queries and keys are
`(batch, positions, heads, head_dim)`. They are added to the scaled scores. Biases of
keys after the query are those of the formula; a causal mask removes them.
"""

import math

import numpy as np


def kerple_log(q_positions, k_positions, r1, r2):
    """Chi et al. 2022 (KERPLE), the logarithmic kernel: -r1 ln(1 + r2 |i - j|)."""
    return _per_pair(
        q_positions,
        k_positions,
        [
            lambda i, j, a=a, b=b: -a * math.log1p(b * abs(i - j))
            for a, b in zip(_floats(r1), _floats(r2), strict=True)
        ],
    )


def kerple_power(q_positions, k_positions, r1, r2):
    """Chi et al. 2022 (KERPLE), the power kernel: -r1 |i - j|^r2, 0 < r2 <= 2."""
    return _per_pair(
        q_positions,
        k_positions,
        [
            lambda i, j, a=a, b=b: -a * float(abs(i - j)) ** b
            for a, b in zip(_floats(r1), _floats(r2), strict=True)
        ],
    )


def fire(
    q_positions, k_positions, c, threshold, weight1, bias1, weight2, bias2, *, eps
):
    """Li et al. 2024 (FIRE): f(psi(i - j) / psi(max(L, i))), psi(x) = ln(|c x| + 1).

    `f` has one hidden layer with ReLU: `weight1` is (hidden,), `weight2` (heads,
    hidden). `eps` is added to the denominator, as the listing in the paper does.
    """
    weight1, bias1, weight2, bias2 = (
        np.asarray(t, np.float64) for t in (weight1, bias1, weight2, bias2)
    )
    c, threshold = float(c), abs(float(threshold))
    out = np.empty((len(bias2), len(q_positions), len(k_positions)))
    for row, i in enumerate(_integers(q_positions)):
        normalizer = math.log(abs(c * max(threshold, i)) + 1) + eps
        for column, j in enumerate(_integers(k_positions)):
            ratio = math.log(abs(c * (i - j)) + 1) / normalizer
            hidden = np.maximum(ratio * weight1 + bias1, 0)
            out[:, row, column] = weight2 @ hidden + bias2
    return out


def sandwich(q_positions, k_positions, num_heads, width, *, base=10_000.0, first=1):
    """Chi et al. 2023 (Sandwich): (sum_n cos((i - j) / base^(2n/width)) - width/2) / h.

    The sum has `width / 2` terms from `n = first` on, and `h` is `8 head / num_heads`
    for the heads 1, 2, .... It is written as the product of sinusoidal embeddings.
    """
    terms = range(first, first + width // 2)

    def embedding(position):
        angles = [position / base ** (2 * n / width) for n in terms]
        return np.array([*map(math.sin, angles), *map(math.cos, angles)])

    q = np.array([embedding(i) for i in _integers(q_positions)])
    k = np.array([embedding(j) for j in _integers(k_positions)])
    ratios = [8 * head / num_heads for head in range(1, num_heads + 1)]
    return np.stack([(q @ k.T - width / 2) / ratio for ratio in ratios])


def cope(query, key, table, visible, *, scale, factor):
    """Golovneva et al. 2024 (CoPE): factor q_i . e[p_ij], linear between rows of e.

    p_ij is the sum of sigmoid(scale q_i . k_l) over the visible keys l from j on, but
    at most `len(table) - 1`. `table` is (num_positions, head_dim), `visible` is (batch,
    q, k), True where a query attends to a key.
    """
    query, key, table = (np.asarray(t, np.float64) for t in (query, key, table))
    batch, q_len, num_heads, _ = query.shape
    k_len = key.shape[1]
    out = np.empty((batch, num_heads, q_len, k_len))
    for b, i, h in np.ndindex(batch, q_len, num_heads):
        position = 0.0
        for j in reversed(range(k_len)):
            if visible[b][i][j]:
                score = scale * float(query[b, i, h] @ key[b, j, h])
                position += 1 / (1 + math.exp(-score))
            place = min(position, len(table) - 1.0)
            below = math.floor(place)
            above = min(below + 1, len(table) - 1)
            row = table[below] + (place - below) * (table[above] - table[below])
            out[b, h, i, j] = factor * float(query[b, i, h] @ row)
    return out


def forgetting(gate_logits, q_positions, k_positions):
    """Lin et al. 2025 (Forgetting Transformer): the sum of ln f_l over j < l <= i.

    f is the sigmoid of `gate_logits`, (batch, keys, heads), one for each key position.
    For a key after the query it is minus the sum over i < l <= j, which is positive.
    """
    gate_logits = np.asarray(gate_logits, np.float64)
    log_gates = -np.logaddexp(0, -gate_logits)
    places = {position: n for n, position in enumerate(_integers(k_positions))}
    batch, _, num_heads = gate_logits.shape
    out = np.empty((batch, num_heads, len(q_positions), len(k_positions)))
    for row, i in enumerate(_integers(q_positions)):
        for column, j in enumerate(_integers(k_positions)):
            low, high = sorted((places[i], places[j]))
            gone = [math.fsum(g) for g in _gates(log_gates[:, low + 1 : high + 1])]
            sums = np.reshape(gone, (batch, num_heads))
            out[:, :, row, column] = sums if j <= i else -sums
    return out


def _gates(log_gates):
    """The gates of every pair of a sequence and a head, one list for each."""
    batch, _, num_heads = log_gates.shape
    return [log_gates[b, :, h] for b in range(batch) for h in range(num_heads)]


def _per_pair(q_positions, k_positions, bias_of_heads):
    """A matrix for each head, pair by pair."""
    rows, columns = _integers(q_positions), _integers(k_positions)
    return np.array([[[f(i, j) for j in columns] for i in rows] for f in bias_of_heads])


def _integers(positions):
    return [int(p) for p in positions]


def _floats(values):
    return [float(v) for v in np.asarray(values).ravel()]
