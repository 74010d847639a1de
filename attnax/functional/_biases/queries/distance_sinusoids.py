"""Products of queries with projected sinusoids of the distance, `x . W r(c)`.

The distance `c` is the position of the query minus that of the key, the other way round
than elsewhere, since Transformer-XL's sinusoids are those of it.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ...._checks import INT32_MAX, exceeds, positive_integer, positive_multiple
from ..._angles.cos_sin import cos_sin
from ..._sinusoids.frequencies import geometric_inv_freq
from ..core.by_distance import distance_at
from ..core.distances import of_rank
from ..core.entries import entry_at
from ..core.products import Product, products_by_distance, sum_of_products_at

LAYOUTS = ("interleaved", "sin_cos")


class Sinusoids(NamedTuple):
    """Sinusoids of distances, `(2, d_model / 2)` of them: sines, then cosines.

    Attributes:
        inv_freq: Radians per token, in float64.
        layout: The order of the features that weights read: `"interleaved"` or
            `"sin_cos"`.
        limits: The least and the greatest distance; others have the sinusoids of the
            nearest of the two. `None` where each distance has its own.
    """

    inv_freq: np.ndarray
    layout: str
    limits: tuple[int, int] | None


def sinusoids_of(d_model, layout, frequency_shift=0.0, limits=None) -> Sinusoids:
    """The sinusoids of `d_model` features, with frequencies from 1 to 1 / 10000."""
    inv_freq = geometric_inv_freq(d_model / 2, 10_000.0, frequency_shift, 1.0)
    return Sinusoids(inv_freq, layout, limits)


def checked_sizes(num_heads, head_dim, d_model):
    """Checked sizes of a projection of sinusoids, by their names."""
    return {
        "num_heads": positive_integer("num_heads", num_heads),
        "head_dim": positive_integer("head_dim", head_dim),
        "d_model": positive_multiple("d_model", d_model, 2),
    }


def sinusoid_products(x, weight, sinusoids, pairs, precision):
    """Products `(*batch, num_heads, q_len, k_len)` of queries and projected sinusoids.

    `x` is `(*batch, num_heads, q_len, head_dim)` and `weight` is
    `(num_heads, head_dim, d_model)`, both of one dtype.
    """
    if _rows_are_cheaper(x, weight, sinusoids, pairs):
        first, rows = _rows(weight, sinusoids, pairs, precision)
        last = first + rows.shape[1] - 1
        return products_by_distance(
            x,
            rows,
            lambda distance: distance.clip(first, last) - first,
            pairs,
            precision,
        )
    of_q, of_k = sinusoid_channels(x, weight, sinusoids, pairs, precision)
    # One axis of heads for all keys: an einsum does not broadcast it.
    products = jnp.einsum(
        "...hqm,...km->...hqk", of_q, of_k.squeeze(-3), precision=precision
    )
    if sinusoids.limits is not None:
        products = _limited(products, x, weight, sinusoids, pairs, precision)
    return products


def sinusoid_products_at(x, weight, sinusoids, pairs, precision):
    """The same as a function of indices, `(batch, head, q_index, k_index)`.

    Few distances have a row each. Where there are many, each call adds `d_model`
    products, and no array of all pairs is made.
    """
    if sinusoids.limits is not None:
        low, high = sinusoids.limits
        if high - low < weight.shape[-1]:
            distances = np.arange(-high, 1 - low, dtype=np.int32)
            rows = _projected(-distances, weight, sinusoids, precision)
            row_of = lambda distance: jnp.clip(distance, -high, -low) + high
            return sum_of_products_at([Product(x, rows)], row_of, pairs, precision)
    of_q, of_k = sinusoid_channels(x, weight, sinusoids, pairs, precision)
    of_q, of_k = entry_at(of_q, 3), entry_at(of_k.squeeze(-3), 2)

    def at(batch, head, q_index, k_index):
        a, b = of_q(batch, head, q_index), of_k(batch, k_index)
        rank = max(a.ndim, b.ndim)
        return (of_rank(a, rank) * of_rank(b, rank)).sum(-1)

    if sinusoids.limits is None:
        return at
    return _limited_at(at, x, weight, sinusoids, pairs, precision)


def sinusoid_channels(x, weight, sinusoids, pairs, precision):
    """Factors of the products: `(*batch, num_heads, q_len, d_model)` and of keys.

    Those of keys are `(*batch, 1, k_len, d_model)`, sines and cosines of their
    positions. Those of queries are `weight` applied backwards, turned by the angles of
    their positions. Limits are left out.
    """
    turned = jnp.einsum(
        "...hqd,hdtm->t...hqm", x, _by_part(weight, sinusoids), precision=precision
    )
    of_sin, of_cos = turned[0], turned[1]
    (q_sin, q_cos), (k_sin, k_cos) = (
        (of_rank(t[..., None, :, :], x.ndim) for t in _sin_cos(p, sinusoids, x.dtype))
        for p in (pairs.q, pairs.k)
    )
    of_q = jnp.concatenate(
        [of_cos * q_sin - of_sin * q_cos, of_sin * q_sin + of_cos * q_cos], -1
    )
    return of_q, jnp.concatenate([k_sin, k_cos], -1)


def _rows(weight, sinusoids, pairs, precision):
    """The first distance, key minus query, and `W r` of it and those that follow.

    Distances of opposite signs share their cosines, and their sines but for the sign.
    """
    distances = pairs.diagonal_distances()
    if sinusoids.limits is not None:
        low, high = sinusoids.limits
        distances = np.unique(distances.clip(-high, -low))
    first, last = int(distances[0]), int(distances[-1])
    near, far = _lengths(first, last)
    lengths = np.arange(near, far + 1, dtype=np.int32)
    of_sin, of_cos = _of_parts(lengths, weight, sinusoids, precision)
    rows = []
    if first < 0:
        behind = (of_cos + of_sin)[max(1, -last) - near : 1 - first - near]
        rows.append(jnp.flip(behind, 0))
    if last >= 0:
        rows.append((of_cos - of_sin)[: last + 1 - near])
    return first, jnp.swapaxes(jnp.concatenate(rows), 0, 1)


def _lengths(first, last):
    """The least and the greatest absolute value from `first` to `last`."""
    return max(0, first, -last), max(-first, last)


def _projected(distances, weight, sinusoids, precision):
    """`W r` of distances, query minus key, `(num_heads, n, head_dim)`."""
    of_sin, of_cos = _of_parts(distances, weight, sinusoids, precision)
    return jnp.swapaxes(of_sin + of_cos, 0, 1)


def _of_parts(distances, weight, sinusoids, precision):
    """The part of `W r` that is of sines, and that of cosines.

    Both are `(n, num_heads, head_dim)`: to move the heads once, at the end, is faster.
    """
    weight = _by_part(weight, sinusoids)
    sin_cos = _sin_cos(distances, sinusoids, weight.dtype)
    return [
        jnp.einsum("nm,hdm->nhd", wave, weight[:, :, part], precision=precision)
        for part, wave in enumerate(sin_cos)
    ]


def _rows_are_cheaper(x, weight, sinusoids, pairs):
    """Whether rows of all distances take fewer products than turned queries."""
    if pairs.offset is None:
        return False
    (q_len, k_len), (_, head_dim, d_model) = pairs.lengths, weight.shape
    last = pairs.offset + k_len - 1
    first = pairs.offset - (q_len - 1)
    if not -INT32_MAX <= first <= last <= INT32_MAX:
        return False  # the rows are of int32 distances
    if sinusoids.limits is not None:
        first, last = np.clip((first, last), *(-n for n in reversed(sinusoids.limits)))
    near, far = _lengths(int(first), int(last))
    count = far - near + 1
    batch = math.prod(x.shape[:-3])
    by_rows = count * head_dim * d_model + batch * q_len * k_len * head_dim
    by_turns = batch * q_len * d_model * (head_dim + k_len)
    return not exceeds(by_rows, by_turns)


def _limited(products, x, weight, sinusoids, pairs, precision):
    """Products with those of the nearest limit at distances beyond it."""
    ends = _products_of_limits(x, weight, sinusoids, precision)
    distances = of_rank(pairs.distances()[..., None, :, :], products.ndim)
    low, high = (-limit for limit in sinusoids.limits)
    products = jnp.where(distances > low, ends[..., :1], products)
    return jnp.where(distances < high, ends[..., 1:], products)


def _limited_at(product, x, weight, sinusoids, pairs, precision):
    """The same as a function of indices."""
    ends = entry_at(_products_of_limits(x, weight, sinusoids, precision), 3)
    low, high = (-limit for limit in sinusoids.limits)
    distance_of = distance_at(pairs)

    def at(batch, head, q_index, k_index):
        distance = distance_of(batch, q_index, k_index)
        of_limits = ends(batch, head, q_index)
        value = product(batch, head, q_index, k_index)
        value = jnp.where(distance > low, of_limits[..., 0], value)
        return jnp.where(distance < high, of_limits[..., 1], value)

    return at


def _products_of_limits(x, weight, sinusoids, precision):
    """Products with the rows of both limits, `(*batch, num_heads, q_len, 2)`."""
    limits = np.array(sinusoids.limits, np.int32)
    rows = _projected(limits, weight, sinusoids, precision)
    return jnp.einsum("...hqd,hnd->...hqn", x, rows, precision=precision)


def _by_part(weight, sinusoids):
    """The weight of each sine and of each cosine, `(num_heads, head_dim, 2, pairs)`."""
    *lead, d_model = weight.shape
    if sinusoids.layout == "sin_cos":
        return weight.reshape(*lead, 2, d_model // 2)
    return jnp.swapaxes(weight.reshape(*lead, d_model // 2, 2), -1, -2)


def _sin_cos(positions, sinusoids, dtype):
    cos, sin = cos_sin(positions, sinusoids.inv_freq)
    return sin.astype(dtype), cos.astype(dtype)
