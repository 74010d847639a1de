"""The ropes of a released model for rows of several lengths, from its config."""

from collections.abc import Mapping, Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Integer

from ..._checks import INT32_MAX
from ..._public import public
from ...functional import RopesByLength
from ...functional._rope.by_length import checked_lengths
from .context import find
from .layer_ropes import chosen_layers
from .one_rope import rope_type
from .rope import rope_from_hf


@public
def ropes_by_length_from_hf(
    config: Mapping,
    *,
    max_lengths: Sequence[SupportsIndex]
    | Integer[np.ndarray, " num_ropes"]
    | None = None,
    part: str | None = None,
    layer_type: str | None = None,
    layout: str | None = None,
) -> RopesByLength | None:
    """Returns the ropes of a model for rows of several lengths, from its `config.json`.

    `attnax.functional.rope_by_length` gives each row of a batch the rope of its own
    length. transformers takes the longest row of the batch for all of them.

    Args:
        config: A dict as in `config.json`, see `rope_from_hf`.
        max_lengths: The lengths, in tokens, to make ropes for: each rope is that of
            `rope_from_hf` with one of them as `seq_len`, and serves the rows that it is
            the least length for. `None` serves rows of every length, by the two lists
            of LongRoPE, or by the one rope of a method that does not depend on the
            length. Dynamic NTK needs lengths.
        part: Name of a part, see `rope_from_hf`.
        layer_type: Type of the layers, see `rope_from_hf`.
        layout: Pairing of the channels, see `rope_from_hf`.

    Returns:
        The ropes and their lengths, or `None` for a `layer_type` without a rope.

    Raises:
        ValueError: If `rope_from_hf` would raise, if `max_lengths` do not increase
            between 1 and 2**31 - 1, or if a method needs them.

    Example:
        >>> dynamic = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
        >>> sizes = {"head_dim": 8, "max_position_embeddings": 2048}
        >>> config = {"model_type": "llama", "rope_parameters": dynamic, **sizes}
        >>> ropes_by_length_from_hf(config, max_lengths=(2048, 8192)).max_lengths
        (2048, 8192)

    Reference:
        Hugging Face transformers 5.23, `modeling_rope_utils.dynamic_rope_update`.
        https://github.com/huggingface/transformers
    """
    where = {"part": part, "layer_type": layer_type, "layout": layout}
    if max_lengths is None:
        lengths = _lengths(config, **where)
        seq_lens = lengths if len(lengths) > 1 else (None,)
    else:
        seq_lens = lengths = checked_lengths(max_lengths)
    ropes = [rope_from_hf(config, seq_len=seq_len, **where) for seq_len in seq_lens]
    made = [rope for rope in ropes if rope is not None]
    return RopesByLength(made, lengths) if made else None


def _lengths(config, part, layer_type, layout):
    """The lengths at which a method changes, the last of all lengths at the end."""
    context = find(config, part, layout)
    params = context.family.schema(context)
    chosen = chosen_layers(context, params, layer_type)
    values = None if chosen is None else params[chosen[0]]
    if values is None or rope_type(context, values) != "longrope":
        return (INT32_MAX,)
    return values.integer("original_max_position_embeddings"), INT32_MAX
