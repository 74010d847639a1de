"""Biases that depend on the distance alone, as a matrix and at single pairs."""

import jax.numpy as jnp

from ...._checks import INT32_MAX, INT32_MIN, nan_unless
from .distances import of_rank, saturating_difference
from .entries import entry_at
from .spread import spread


def matrix_by_distance(values, pairs, dtype):
    """The bias of every pair, `(*batch, num_heads, q_len, k_len)`, in `dtype`.

    `values(distance)` are the biases `(num_heads, *distance)` of int32 distances. Where
    positions count up, it is called with the distances of the diagonals alone.
    """
    q_len, k_len = pairs.lengths
    if pairs.offset is not None:
        diagonals = values(pairs.diagonal_distances())
        return spread(diagonals, (q_len,), (k_len,), dtype)
    return jnp.moveaxis(values(pairs.distances()), 0, -3).astype(dtype)


def nan_at_invalid(biases, pairs):
    """Biases with NaN at pairs of positions that are out of bounds."""
    return nan_unless_valid(biases, pairs.valid())


def nan_unless_valid(biases, valid):
    """Biases with NaN at pairs that are not valid, whose batch axes broadcast.

    `valid` is `(*batch, q_len, k_len)`, or `None` where all pairs are.
    """
    if valid is None:
        return biases
    valid = jnp.asarray(of_rank(valid[..., None, :, :], biases.ndim))
    return jnp.where(valid, biases, nan_unless(valid, biases.dtype))


def nan_at_invalid_indices(bias, pairs):
    """A function of indices that gives NaN where a position is not valid."""
    if pairs.q_valid is None and pairs.k_valid is None:
        return bias
    q, k = (
        entry_at(jnp.ones(positions.shape, bool) if valid is None else valid, 1)
        for positions, valid in ((pairs.q, pairs.q_valid), (pairs.k, pairs.k_valid))
    )

    def bias_or_nan(batch, head, q_index, k_index):
        value = bias(batch, head, q_index, k_index)
        valid = q(batch, q_index) & k(batch, k_index)
        shape = jnp.broadcast_shapes(valid.shape, value.shape)
        valid, value = jnp.broadcast_to(valid, shape), jnp.broadcast_to(value, shape)
        return jnp.where(valid, value, nan_unless(valid, value.dtype))

    return bias_or_nan


def distance_at(pairs):
    """The function from a batch index and the indices of a pair to its distance."""
    if pairs.offset is not None and _fits(pairs):
        return lambda batch, q_index, k_index: k_index - q_index + pairs.offset
    q, k = (entry_at(t, 1) for t in (pairs.q, pairs.k))

    def distance(batch, q_index, k_index):
        return saturating_difference(k(batch, k_index), q(batch, q_index))

    return distance


def _fits(pairs):
    """Whether int32 holds every distance of known positions."""
    q_len, k_len = pairs.lengths
    return INT32_MIN <= pairs.offset - q_len and pairs.offset + k_len <= INT32_MAX


def key_at(pairs):
    """The function from a batch index and the indices of a pair to the key position."""
    k = entry_at(pairs.k, 1)
    return lambda batch, q_index, k_index: k(batch, k_index)


def query_at(pairs):
    """The function from a batch index and the indices of a pair to the query's."""
    if pairs.first_q is not None:
        return lambda batch, q_index, k_index: q_index + pairs.first_q
    q = entry_at(pairs.q, 1)
    return lambda batch, q_index, k_index: q(batch, q_index)
