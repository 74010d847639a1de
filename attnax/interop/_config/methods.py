"""The methods of Hugging Face: from RoPE parameters to frequencies.

A method takes a `Wanted` and returns `(inv_freq, attention_factor)`. A method that the
code of single families has in place of a common one takes the context of the model too,
and returns `None` where the common ones apply.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ... import functional as F
from .keys import Keys


@dataclass(frozen=True)
class Wanted:
    """The case that a method makes frequencies for.

    Attributes:
        keys: The part of the config.
        params: The parameters of RoPE.
        head_dim: Width of a head.
        rotary_dim: Number of its channels that rotate.
        base: Base of the frequencies.
        seq_len: Length in tokens, or `None` if the caller passed none.
    """

    keys: Keys
    params: Keys
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
    trained = wanted.keys.integer("max_position_embeddings")
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


def _longrope_factors(params, rotary_dim, seq_len):
    """The original length, the factors of the pairs, and whether they are the long."""
    original = params.integer("original_max_position_embeddings")
    lists = {}
    for name in ("short_factor", "long_factor"):
        lists[name] = [float(factor) for factor in params.require(name)]
        if len(lists[name]) != rotary_dim // 2:
            raise params.error(
                f"{params.where}[{name!r}] holds {len(lists[name])} numbers, but the "
                f"{rotary_dim} rotating channels have {rotary_dim // 2} pairs"
            )
    said = f"{params.where} has rope_type='longrope'"
    is_long = required_length(params, said, seq_len, original) > original
    return original, lists["long_factor" if is_long else "short_factor"], is_long


def _longrope(wanted):
    params = wanted.params
    original, chosen, _ = _longrope_factors(params, wanted.rotary_dim, wanted.seq_len)
    computed = F.longrope_attention_factor(_factor(wanted, original), original)
    inv_freq = F.longrope_inv_freq(wanted.rotary_dim, wanted.base, factors=chosen)
    return inv_freq, params.number("attention_factor", computed)


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
COMMON: dict[str, Callable[[Wanted], tuple[np.ndarray, float]]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
    "proportional": _proportional,
}
# Names that say nothing without the code of a model: for families that list them.
OF_FAMILIES = {"ntk": _mixed_ntk}
METHODS = COMMON | OF_FAMILIES


def _factor(wanted, original):
    """The factor in the parameters, or how much longer the served context is."""
    if wanted.params.get("factor") is not None:
        return wanted.params.number("factor")
    served = wanted.keys.integer("max_position_embeddings")
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
            f"{trained} or beyond; keys that were rotated for another length do not fit"
        )
    return seq_len


# In place of the common methods, in the code of several families.


def ntk_with_alpha(context, params, kind, rotary_dim, seq_len):
    """Hunyuan's `dynamic` with `alpha`, which depends on no length."""
    if kind != "dynamic" or not params.get("alpha"):
        return None
    # Its configs hold these too, and its code does not read them.
    params.ignore("factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim")
    base, alpha = params.number("rope_theta"), params.number("alpha")
    return F.ntk_inv_freq(rotary_dim, base, factor=alpha), 1.0


def longrope_with_two_factors(context, params, kind, rotary_dim, seq_len):
    """LongRoPE with an attention factor for short texts and one for long ones.

    The released code of PhiMoE and Phi-3-small does this. transformers 5.23 does not
    pass the length there, and takes the short factors for every text.
    """
    if kind != "longrope":
        return None
    base = params.number("rope_theta")
    _, chosen, is_long = _longrope_factors(params, rotary_dim, seq_len)
    params.ignore("factor", "attention_factor")
    factors = params.number("short_mscale"), params.number("long_mscale")
    return F.longrope_inv_freq(rotary_dim, base, factors=chosen), factors[is_long]
