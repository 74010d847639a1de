"""The methods of Hugging Face: from RoPE parameters to frequencies.

A method takes a `Wanted` and returns `(inv_freq, attention_factor)`. The method of a
family may also return `None`, which leaves the case to the method of the rope type.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import functional as F
from .tracked_keys import TrackedKeys


@dataclass(frozen=True)
class Wanted:
    """The case that a method makes frequencies for.

    Attributes:
        context: The `Context` of the layer.
        params: The parameters of RoPE.
        kind: The rope type.
        head_dim: Width of a head.
        rotary_dim: Number of its channels that rotate.
        base: Base of the frequencies.
        seq_len: Length in tokens, or `None` if the caller passed none.
    """

    context: Any
    params: TrackedKeys
    kind: str
    head_dim: int
    rotary_dim: int
    base: float
    seq_len: int | None


def _default(wanted):
    return F.default_inv_freq(wanted.rotary_dim, wanted.base), 1.0


def _linear(wanted):
    factor = wanted.params.number("factor")
    # The length says how the model was trained, and the method does not use it.
    wanted.params.ignore("original_max_position_embeddings")
    return F.linear_inv_freq(wanted.rotary_dim, wanted.base, factor=factor), 1.0


def _proportional(wanted):
    fraction = wanted.params.number("partial_rotary_factor", 1.0)
    factor = wanted.params.number("factor", 1.0)
    inv_freq = F.proportional_inv_freq(
        wanted.head_dim, wanted.base, fraction=fraction, factor=factor
    )
    return inv_freq, 1.0


def _dynamic(wanted):
    params = wanted.params
    trained = wanted.context.keys.integer("max_position_embeddings")
    said = params.given("original_max_position_embeddings")
    if said not in (None, trained):
        raise params.error(
            f"{params.where} holds original_max_position_embeddings={said!r}, but "
            f"'dynamic' counts from max_position_embeddings={trained}; write one length"
        )
    inv_freq = F.dynamic_ntk_inv_freq(
        wanted.rotary_dim,
        wanted.base,
        factor=params.number("factor"),
        original_max_len=trained,
        seq_len=required_length(
            params, f"{params.where} has rope_type='dynamic'", wanted.seq_len, trained
        ),
    )
    return inv_freq, 1.0


def _yarn(wanted):
    params = wanted.params
    original = params.integer("original_max_position_embeddings")
    factor = _factor(wanted, original)
    inv_freq = F.yarn_inv_freq(
        wanted.rotary_dim,
        wanted.base,
        factor=factor,
        original_max_len=original,
        # 0 stands for the default too, as in Hugging Face's own code.
        beta_fast=params.number("beta_fast", 32.0) or 32.0,
        beta_slow=params.number("beta_slow", 1.0) or 1.0,
        truncate=params.get("truncate", True),
    )
    # This rule treats no weight and a weight of 0 alike.
    computed = F.yarn_attention_factor(
        factor,
        mscale=params.number("mscale", 0.0),
        mscale_all_dim=params.number("mscale_all_dim", 0.0),
    )
    return inv_freq, params.number("attention_factor", computed)


def _longrope_factors(wanted):
    """The original length, a factor for each pair, and whether the text is long."""
    params, pairs = wanted.params, wanted.rotary_dim // 2
    original = params.integer("original_max_position_embeddings")
    lists = {}
    for name in ("short_factor", "long_factor"):
        lists[name] = [float(factor) for factor in params.require(name)]
        if len(lists[name]) != pairs:
            raise params.error(
                f"{params.where}[{name!r}] holds {len(lists[name])} numbers, but the "
                f"{wanted.rotary_dim} rotating channels have {pairs} pairs"
            )
    said = f"{params.where} has rope_type='longrope'"
    is_long = required_length(params, said, wanted.seq_len, original) > original
    return original, lists["long_factor" if is_long else "short_factor"], is_long


def _longrope(wanted):
    original, chosen, _ = _longrope_factors(wanted)
    computed = F.longrope_attention_factor(_factor(wanted, original), original)
    inv_freq = F.longrope_inv_freq(wanted.rotary_dim, wanted.base, factors=chosen)
    return inv_freq, wanted.params.number("attention_factor", computed)


def _llama3(wanted):
    params = wanted.params
    inv_freq = F.llama3_inv_freq(
        wanted.rotary_dim,
        wanted.base,
        factor=params.number("factor"),
        low_freq_factor=params.number("low_freq_factor"),
        high_freq_factor=params.number("high_freq_factor"),
        original_max_len=params.integer("original_max_position_embeddings"),
    )
    return inv_freq, 1.0


def _mixed_ntk(wanted):
    inv_freq = F.mixed_ntk_inv_freq(
        wanted.rotary_dim,
        wanted.base,
        factor=wanted.params.number("factor"),
        power=wanted.params.number("mixed_b", 1.0),
    )
    return inv_freq, 1.0


# By their `rope_type`, for every family that does not restrict its types.
COMMON_METHODS: dict[str, Callable[[Wanted], tuple[np.ndarray, float]]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
    "proportional": _proportional,
}
# By rope types whose meaning depends on the model, for families that list them.
_METHODS_OF_FAMILIES = {"ntk": _mixed_ntk}
METHODS = COMMON_METHODS | _METHODS_OF_FAMILIES
# The methods that need `original_max_position_embeddings` among the parameters.
NEED_ORIGINAL_LENGTH = frozenset(("yarn", "longrope", "llama3"))


def _factor(wanted, original):
    """The factor in the parameters, or how much longer the served context is."""
    if wanted.params.get("factor") is not None:
        return wanted.params.number("factor")
    served = wanted.context.keys.integer("max_position_embeddings")
    if served < original:
        raise wanted.params.error(
            f"{wanted.params.where} holds no factor, and max_position_embeddings="
            f"{served} is below original_max_position_embeddings={original}; write "
            "factor"
        )
    return served / original


def required_length(keys, said, seq_len, trained):
    """`seq_len`, on which the frequencies of what the config `said` depend."""
    if seq_len is None:
        raise keys.error(
            f"{said}, whose frequencies depend on the length: pass seq_len, up to "
            f"{trained} or beyond, or several lengths to ropes_by_length_from_hf; keys "
            "that were rotated for another length do not fit"
        )
    return seq_len


# Methods that several families have in place of the common ones.


def ntk_with_alpha(wanted):
    """Hunyuan's `dynamic` with `alpha`, which depends on no length."""
    params = wanted.params
    if wanted.kind != "dynamic" or not params.get("alpha"):
        return None
    # Its configs hold these too, and its code does not read them.
    params.ignore("factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim")
    alpha = params.number("alpha")
    return F.ntk_inv_freq(wanted.rotary_dim, wanted.base, factor=alpha), 1.0


def longrope_with_two_factors(wanted):
    """LongRoPE with an attention factor for short texts and one for long ones.

    The released code of PhiMoE and Phi-3-small does this. transformers 5.23 does not
    pass the length there, and takes the short factors for every text.
    """
    if wanted.kind != "longrope":
        return None
    params = wanted.params
    _, chosen, is_long = _longrope_factors(wanted)
    params.ignore("factor", "attention_factor")
    factors = params.number("short_mscale"), params.number("long_mscale")
    inv_freq = F.longrope_inv_freq(wanted.rotary_dim, wanted.base, factors=chosen)
    return inv_freq, factors[is_long]
