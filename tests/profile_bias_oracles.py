"""The bank of profiles of Inkling, pair by pair, as its released code describes it."""

import numpy as np


def bias(mix, bank, q_positions, k_positions):
    """`mix . bank[:, query - key]` inside the bank, and 0 outside.

    `mix` is `(batch, q_len, heads, d_rel)`, `bank` is `(d_rel, extent)`.
    """
    mix, bank = (np.asarray(x, np.float64) for x in (mix, bank))
    out = np.zeros((mix.shape[0], mix.shape[2], len(q_positions), len(k_positions)))
    for i, j in np.ndindex(out.shape[2:]):
        distance = int(q_positions[i]) - int(k_positions[j])
        if 0 <= distance < bank.shape[1]:
            out[:, :, i, j] = mix[:, i] @ bank[:, distance]
    return out


def temperature(positions, alpha, floor):
    """`1 + alpha ln(max(1, (position + 1) / floor))`."""
    positions = np.asarray(positions, np.float64)
    return 1 + alpha * np.log(np.maximum((positions + 1) / floor, 1))


def clip_norm(x, threshold):
    """Vectors no longer than `threshold`."""
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return x * np.minimum(threshold / (norm + 1e-6), 1)
