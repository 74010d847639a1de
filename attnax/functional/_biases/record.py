"""What the records of position biases have in common."""

from typing import Any, Protocol

from ..._checks import INT32_MAX, INT32_MIN

# The bounds of positions, `[low, high)`, where any int32 is one.
INT32 = (INT32_MIN, INT32_MAX + 1)


class PositionBias(Protocol):
    """A record of settings, from which the three forms of a bias are made."""

    num_heads: int

    @property
    def _bounds(self) -> tuple[int, int]:
        """The bounds of positions, `[low, high)`."""

    @property
    def _reads(self) -> tuple[str, ...]:
        """What the bias depends on beside positions: "q" and "k", queries and keys."""

    def _init(self, key, init_std, dtype) -> Any:
        """Draws parameters."""

    def _check(self, params) -> None:
        """Raises unless `params` are those of this record."""

    def _matrix(self, params, pairs, content, dtype) -> Any:
        """The bias of every pair, `(*batch, num_heads, q_len, k_len)`."""

    def _score(self, params, pairs, content) -> Any:
        """The function from indices to a bias: `(batch, head, q_index, k_index)`."""


def set_fields(record, **fields) -> None:
    """Sets the fields of a frozen record."""
    for name, value in fields.items():
        object.__setattr__(record, name, value)
