"""What the records of position biases have in common."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .channels import Kernel
from .content import Content
from .distances import INT32, Pairs


class PositionBias:
    """The kind of all records of position biases, for annotations and `isinstance`.

    A record says everything that a model fixes about its bias, and holds no arrays: it
    is frozen and hashable, equal to another of equal settings, and static under `jit`.
    `init_position_bias` draws its parameters; `apply_position_bias`,
    `position_bias_score_mod` and `position_bias_channels` take the record, its
    parameters, and the positions of queries and keys. Users make the records of the
    schemes, such as `T5Bias`, and not this one.

    Attributes:
        num_heads: Number of heads.

    Example:
        >>> isinstance(T5Bias(8, bidirectional=True), PositionBias)
        True
    """

    # A scheme defines `_matrix` and `_score`, and `_init` and `_check` if it has
    # parameters, and what differs from the other defaults below. Arguments have been
    # checked before `_matrix`, `_score` and `_channels` are called, and their callers
    # put NaN at pairs with a position out of bounds. `sequences/t5.py` is the shortest
    # example, with the two decorators that every record has.

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

    def _init(self, key, init_std: float, dtype: np.dtype) -> Any:
        """Draws parameters of `dtype`; `None` where there are none."""
        del key, init_std, dtype

    def _check(self, params: Any, argument: str = "params") -> None:
        """Raises unless `params` are those of this record."""
        if params is not None:
            raise ValueError(
                f"{argument} must be None: {type(self).__name__} has no parameters."
            )

    def _matrix(
        self, params: Any, pairs: Pairs, content: Content, dtype: np.dtype
    ) -> Any:
        """The bias of every pair, `(*batch, num_heads, q_len, k_len)`, in `dtype`.

        It is made in float32 or wider and rounded once. Where `pairs.offset` is not
        `None`, few distances occur, and each is worth computing once.
        """
        raise NotImplementedError

    def _score(self, params: Any, pairs: Pairs, content: Content) -> Callable[..., Any]:
        """The function `(batch, head, q_index, k_index)` to a bias.

        Its arguments are integers, or arrays of integers that broadcast, and the bias
        is in float32 or wider.
        """
        raise NotImplementedError

    def _channels(
        self, params: Any, pairs: Pairs, content: Content, kernel: Kernel
    ) -> Any:
        """Channels of queries and of keys whose product is the bias.

        They are `(*batch, num_heads, q_len, width)` and
        `(*batch, num_heads or 1, k_len, width)`, in `kernel.dtype`; the product, times
        `kernel.scale`, is the bias, up to a constant in each row where the scheme says
        so. `product_channels` makes them of two factors.
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
