"""What the records of position biases have in common."""

from collections.abc import Mapping
from typing import Any

from .distances import INT32


class PositionBias:
    """The kind of all records of position biases, for annotations and `isinstance`.

    A record says everything that a model fixes about its bias, and holds no arrays: it
    is frozen and hashable, equal to another of equal settings, and static under `jit`.
    `init_position_bias` draws its parameters; `apply_position_bias` and
    `position_bias_score_mod` take the record, its parameters, and the positions of
    queries and keys. Users make the records of the schemes, such as `T5Bias`, and not
    this one.

    Attributes:
        num_heads: Number of heads.

    Example:
        >>> isinstance(T5Bias(8, bidirectional=True), PositionBias)
        True
    """

    # What a scheme lacks here it inherits: most have no parameters beside a table, read
    # nothing beside positions and have no channels.

    num_heads: int

    @property
    def _bounds(self) -> tuple[int, int]:
        """The bounds of positions of queries, `[low, high)`."""
        return INT32

    @property
    def _k_bounds(self) -> tuple[int, int]:
        """The bounds of positions of keys, by default those of queries."""
        return self._bounds

    @property
    def _reads(self) -> Mapping[str, Any]:
        """What the bias reads beside positions, by "q" and "k"; see `content.py`."""
        return {}

    def _init(self, key, init_std, dtype) -> Any:
        """Draws parameters."""
        del key, init_std, dtype

    def _check(self, params) -> None:
        """Raises unless `params` are those of this record."""
        if params is not None:
            raise ValueError(
                f"params must be None: {type(self).__name__} has no parameters."
            )

    def _matrix(self, params, pairs, content, dtype) -> Any:
        """The bias of every pair, `(*batch, num_heads, q_len, k_len)`."""
        raise NotImplementedError

    def _score(self, params, pairs, content) -> Any:
        """The function from indices to a bias: `(batch, head, q_index, k_index)`."""
        raise NotImplementedError

    def _channels(self, params, pairs, content, kernel) -> Any:
        """Channels of queries and of keys whose product is the bias.

        They are `(*batch, num_heads, q_len, width)` and
        `(*batch, num_heads or 1, k_len, width)`, in `kernel.dtype`; the product, times
        `kernel.scale`, is the bias, up to a constant in each row where the scheme says
        so. `product_channels` makes them of two factors. Invalid positions become NaN
        elsewhere.
        """
        del params, pairs, content, kernel
        raise ValueError(
            f"bias must be a sum of products of a query and a key, which a "
            f"{type(self).__name__} is not; use apply_position_bias or "
            "position_bias_score_mod."
        )


def check_bias(bias, argument="bias") -> None:
    """Raises unless `bias` is a record of a position bias."""
    if not isinstance(bias, PositionBias):
        raise TypeError(
            f"{argument} must be a record of a position bias such as T5Bias, not a "
            f"{type(bias).__name__}."
        )


def set_fields(record, **fields) -> None:
    """Sets the fields of a frozen record."""
    for name, value in fields.items():
        object.__setattr__(record, name, value)
