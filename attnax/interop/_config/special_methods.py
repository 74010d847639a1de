"""Methods that the code of several families has in place of a common one.

A method returns `(inv_freq, attention_factor)`, or `None` where the common ones apply.
"""

from ... import functional as F
from .methods import longrope_factors


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
    _, chosen, is_long = longrope_factors(params, rotary_dim, seq_len)
    params.ignore("factor", "attention_factor")
    factors = params.number("short_mscale"), params.number("long_mscale")
    return F.longrope_inv_freq(rotary_dim, base, factors=chosen), factors[is_long]
