"""What the functions of position biases have in common: reading their arguments."""

from ...._checks import check_precision
from .content import Content, content_of
from .distances import Pairs, pairs_of
from .record import check_bias


def checked_inputs(
    bias, params, q_positions, k_positions, q, k, precision
) -> tuple[Pairs, Content]:
    """The pairs, and what `bias` reads of their tokens, all of it checked."""
    check_bias(bias)
    bias._check(params)
    check_precision(precision)
    pairs = pairs_of(q_positions, k_positions, bias._bounds, bias._k_bounds)
    content, valid = content_of(bias, pairs, q, k, precision)
    return pairs.where(*valid), content
