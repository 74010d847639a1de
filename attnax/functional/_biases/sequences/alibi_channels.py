"""ALiBi as extra channels: digits of the position of each key, and slopes of queries.

The bias is `slope * (j - base)` for a key at `j`, which differs from
`slope * (j - i)` by a constant in each row. The base lies amid the queries, and the
digits of `j - base` are at most 255, which 8 bits hold.
"""

import jax.numpy as jnp
import numpy as np

from ...._checks import INT32_MAX, INT32_MIN
from ..core.distances import saturating_difference

_BITS = 8  # of a digit, as many as bfloat16 holds
_FARTHEST = 2 ** (3 * _BITS) - 1


def alibi_channels(slopes, pairs, kernel):
    """Channels of queries and of keys; `slopes` are those of the heads."""
    base = _base(pairs)
    far = jnp.clip(saturating_difference(pairs.k, base), -_FARTHEST, _FARTHEST)
    size, of_q, of_k = jnp.abs(far), [], []
    for place in range(_num_digits(pairs)):
        factor = 2.0 ** (_BITS * place) / kernel.scale
        pieces, shift = _slope_pieces(slopes * factor, kernel)
        digit = jnp.sign(far) * (size >> (_BITS * place) & 255)
        of_q += pieces
        of_k += [(digit << shift).astype(kernel.dtype)] * len(pieces)
    q_len, _ = pairs.lengths
    q = jnp.asarray(np.stack(of_q, -1))[:, None]  # (num_heads, 1, width)
    q = jnp.broadcast_to(q, (q.shape[0], q_len, q.shape[-1]))
    return q, jnp.stack(of_k, -1)[..., None, :, :]


def _base(pairs):
    """The position in the middle of the queries, `(*batch, 1)`.

    Keys near a single query then have small digits, and the scores no large terms.
    """
    if pairs.first_q is not None:
        return np.array([_middle(pairs)], np.int32)
    low = high = pairs.q
    if pairs.q_valid is not None:
        low = jnp.where(pairs.q_valid, low, INT32_MAX)
        high = jnp.where(pairs.q_valid, high, INT32_MIN)
    low = jnp.min(low, axis=-1, keepdims=True, initial=INT32_MAX)
    high = jnp.max(high, axis=-1, keepdims=True, initial=INT32_MIN)
    return (low >> 1) + (high >> 1) + (low & high & 1)


def _middle(pairs):
    """The base of known positions that count up."""
    q_len, _ = pairs.lengths
    return (2 * pairs.first_q + q_len - 1) // 2


def _num_digits(pairs):
    """As many digits as known positions need, or else three, for 16 million keys."""
    if pairs.offset is None:
        return 3
    _, k_len = pairs.lengths
    middle = _middle(pairs)
    first = pairs.first_q + pairs.offset
    farthest = max(abs(first - middle), abs(first + k_len - 1 - middle), 1)
    return min(3, -(-farthest.bit_length() // _BITS))


def _slope_pieces(slopes, kernel):
    """Pieces that add up to the slopes over a power of two, and its exponent.

    The power of two keeps them in the range of float16.
    """
    info = jnp.finfo(kernel.dtype)
    if info.nmant < _BITS - 1:
        raise ValueError(
            f"dtype={kernel.dtype.name} must hold the integers up to 255; take "
            "bfloat16 or wider."
        )
    excess = np.abs(slopes).max() / float(info.max)
    shift = max(0, int(np.ceil(np.log2(excess))) + 1) if excess > 0 else 0
    if shift > _BITS:
        raise ValueError(
            f"scale={kernel.scale} must be larger: {kernel.dtype.name} does not hold "
            "the slopes divided by it."
        )
    rest, pieces = slopes * 2.0**-shift, []
    # Wider dtypes begin with what bfloat16 holds too: their products may be made in
    # bfloat16 on accelerators, and the slope is then as exact as two pieces are.
    first = kernel.dtype if info.bits == 16 else jnp.dtype(jnp.bfloat16)
    count = kernel.pieces or 2
    for piece in range(count):
        narrow = first if piece < count - 1 else kernel.dtype
        pieces.append(rest.astype(narrow).astype(kernel.dtype))
        rest = rest - pieces[-1].astype(np.float64)
        if not rest.any():
            break
    return pieces, shift
