"""A vector for each pair of tokens of a complex of molecules, by their places."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ...._checks import (
    array_of,
    broadcast_batches,
    check_axes,
    check_key,
    check_params,
    check_table,
    int32_in_range,
    integer,
    nan_unless,
    number,
    positive_integer,
)
from ...._dtypes import default_float_dtype, result_dtype
from ...._public import public
from ...._sharding import explicit_axes
from ..core.automatic_axes import with_automatic_axes
from ..core.distances import of_rank, saturating_difference
from ..core.parameters import draw_normal
from ..core.table import biases_at

_MOST = 2**20


class PairEncodingParams(NamedTuple):
    """Parameters of an encoding of pairs.

    Attributes:
        table: Rows for the distance of residues, of tokens inside a residue, for pairs
            of one entity, and for the distance of copies, one group after another.
    """

    table: Float[Array, "num_rows width"]


@public
def init_pair_encoding(
    key: PRNGKeyArray,
    width: SupportsIndex,
    *,
    max_distance: SupportsIndex = 32,
    max_copies: SupportsIndex = 2,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
) -> PairEncodingParams:
    """Draws the table of an encoding of pairs.

    Args:
        key: A random key of JAX.
        width: Width of the vectors. Positive.
        max_distance: Distance of residues or tokens beyond which all share a row. Not
            negative.
        max_copies: Distance of copies beyond which all share a row. Not negative.
        init_std: Standard deviation of the table. Not negative.
        dtype: Dtype of the table, default JAX's float; it is drawn in float32 or wider
            and rounded once.

    Returns:
        The table, `4 * max_distance + 2 * max_copies + 7` rows.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> init_pair_encoding(jax.random.key(0), 256).table.shape
        (139, 256)

    Reference:
        Abramson et al., Accurate structure prediction of biomolecular interactions with
        AlphaFold 3, 2024, supplement, algorithm 3.
        https://doi.org/10.1038/s41586-024-07487-w
    """
    check_key(key)
    width = positive_integer("width", width)
    sizes = _sizes(max_distance, max_copies)
    init_std = number("init_std", init_std, 0)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    table = draw_normal(key, (sum(sizes), width), init_std, dtype)
    return PairEncodingParams(table=table)


@public
def apply_pair_encoding(
    params: PairEncodingParams,
    residues: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence,
    tokens: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence,
    chains: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence,
    copies: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence,
    entities: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence,
    *,
    max_distance: SupportsIndex = 32,
    max_copies: SupportsIndex = 2,
    dtype: DTypeLike | None = None,
) -> Float[Array, "*batch seq_len seq_len width"]:
    """Returns a vector for each pair of tokens of a complex of molecules.

    The vector of the tokens `i` and `j` is the sum of four rows of the table:

    - by `residues[i] - residues[j]` if both are in one chain;
    - by `tokens[i] - tokens[j]` if both are in one residue of one chain;
    - one row if both are of one entity;
    - by `copies[i] - copies[j]` if they are in different chains.

    Distances are clipped to `max_distance` or `max_copies`. Each of the three groups of
    distances has a last row for the pairs that its condition leaves out. AlphaFold 3
    and ESMFold2 begin with these vectors.

    Args:
        params: The table.
        residues: Number of the residue in its chain. Any int32.
        tokens: Number of the token.
        chains: Number of the chain, `asym_id` in the code of models.
        copies: Number of the chain among those of its entity, `sym_id`.
        entities: Number of the entity, which copies of a chain share, `entity_id`.
        max_distance: Distance of residues or tokens beyond which all share a row. Not
            negative, and that of `init_pair_encoding`.
        max_copies: Distance of copies beyond which all share a row. Not negative, and
            that of `init_pair_encoding`.
        dtype: Dtype of the result, default that of the table. Arithmetic is in float32
            or wider and rounded once.

    Returns:
        Vectors `(*batch, seq_len, seq_len, width)`, the first token of a pair first. A
        traced number outside int32 gives NaN at its pairs.

    Raises:
        ValueError: If the table has another number of rows, a known number is outside
            int32, or shapes do not fit together.

    Example:
        >>> params = init_pair_encoding(jax.random.key(0), 256)
        >>> one_chain = [0, 0, 0]
        >>> apply_pair_encoding(
        ...     params, [0, 1, 2], [0, 1, 2], one_chain, one_chain, one_chain
        ... ).shape
        (3, 3, 256)

    Reference:
        Abramson et al., Accurate structure prediction of biomolecular interactions with
        AlphaFold 3, 2024, supplement, algorithm 3.
        https://doi.org/10.1038/s41586-024-07487-w
    """
    check_params(params, PairEncodingParams)
    check_table("params.table", params.table)
    sizes = _sizes(max_distance, max_copies)
    if params.table.shape[0] != sum(sizes):
        raise ValueError(
            f"params.table.shape={params.table.shape} must have {sum(sizes)} rows for "
            f"{max_distance=} and {max_copies=}."
        )
    dtype = result_dtype("dtype", dtype, params.table.dtype)
    numbers = {"residues": residues, "tokens": tokens, "chains": chains}
    numbers |= {"copies": copies, "entities": entities}
    numbers, masks = _checked(numbers)
    arrays = {"table": params.table, "numbers": numbers, "masks": masks}

    def vectors(arrays):
        return _vectors(**arrays, sizes=sizes).astype(dtype)

    return with_automatic_axes(vectors, arrays, _axes(params.table, numbers))


def _sizes(max_distance, max_copies):
    """Number of rows of each group."""
    max_distance = integer("max_distance", max_distance, 0, _MOST)
    max_copies = integer("max_copies", max_copies, 0, _MOST)
    return 2 * max_distance + 2, 2 * max_distance + 2, 1, 2 * max_copies + 2


def _checked(numbers):
    """The numbers as int32 by name, and masks of valid tokens, all of equal rank."""
    checked, masks = {}, []
    for name, values in numbers.items():
        values, valid = int32_in_range(name, array_of(name, values))
        check_axes(name, values, "seq_len")
        checked[name] = values
        masks += [] if valid is None else [valid]
    lengths = {name: values.shape[-1] for name, values in checked.items()}
    for name, length in lengths.items():
        if length != lengths["residues"]:
            raise ValueError(
                f"{name}.shape={checked[name].shape} must end in the length of "
                f"residues, {lengths['residues']}."
            )
    batches = {name: values.shape[:-1] for name, values in checked.items()}
    rank = len(broadcast_batches(batches)) + 1
    checked = {name: of_rank(values, rank) for name, values in checked.items()}
    return checked, [of_rank(mask, rank) for mask in masks]


def _axes(table, numbers):
    """The mesh axes of the vectors: those of the numbers, and of the table's columns.

    The second token of a pair has none, because its axis is that of the first one.
    """
    every = [explicit_axes(x) or (None,) * x.ndim for x in numbers.values()]
    tokens = (next(filter(None, axes), None) for axes in zip(*every, strict=True))
    return *tokens, None, (explicit_axes(table) or (None,))[-1]


def _vectors(table, numbers, masks, sizes):
    """The sums of the rows of each pair, in the compute dtype."""
    table = jnp.asarray(table)
    # A row of zeros stands for what adds nothing.
    table = jnp.concatenate([table, jnp.zeros_like(table[:1])])
    terms = [biases_at(table, rows) for rows in _rows(numbers, sizes)]
    vectors = jnp.moveaxis(functools.reduce(jnp.add, terms), 0, -1)
    for valid in masks:
        valid = (valid[..., :, None] & valid[..., None, :])[..., None]
        vectors = jnp.where(valid, vectors, nan_unless(valid, vectors.dtype))
    return vectors


def _rows(numbers, sizes):
    """The row of each group for every pair."""
    first = {name: values[..., :, None] for name, values in numbers.items()}
    second = {name: values[..., None, :] for name, values in numbers.items()}
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    same = {name: first[name] == second[name] for name in numbers}
    residue = same["chains"] & same["residues"]

    def row(group, name, in_scope):
        distance = saturating_difference(first[name], second[name])
        most = np.int32(sizes[group] // 2 - 1)
        places = jnp.clip(distance, -most, most) + most
        return starts[group] + jnp.where(in_scope, places, np.int32(sizes[group] - 1))

    return (
        row(0, "residues", same["chains"]),
        row(1, "tokens", residue),
        jnp.where(same["entities"], starts[2], starts[-1]),
        row(3, "copies", ~same["chains"]),
    )
