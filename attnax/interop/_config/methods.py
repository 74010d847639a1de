"""From the RoPE parameters of one layer to its frequencies and attention factor."""

from ... import functional as F
from .vocabulary import FOREIGN_TYPES

TYPES = (
    "default",
    "linear",
    "dynamic",
    "yarn",
    "longrope",
    "llama3",
    "proportional",
)


def rope_type(context, params, renames):
    """The type under either of its names; two that contradict are an error."""
    renamed = [
        renames.get(t, t) for t in (params.given("rope_type"), params.given("type"))
    ]
    new, old = renamed
    if new is not None and old is not None and new != old:
        raise context.error(
            f"{params.where} holds rope_type={params.values['rope_type']!r} and "
            f"type={params.values['type']!r}, which contradict each other; keep one"
        )
    kind = new if new is not None else "default" if old is None else old
    if kind in TYPES or kind == "axial":
        return kind
    hint = FOREIGN_TYPES.get(kind)
    hint = f"write {hint}" if hint else f"known are {', '.join(TYPES)}"
    raise context.error(f"{params.where} has an unknown rope_type={kind!r}; {hint}")


def frequencies(context, params, kind, head_dim, rotary_dim, seq_len):
    """`(inv_freq, attention_factor)` by one of the methods of Hugging Face."""
    base = params.number(context, "rope_theta")
    if base <= 0.0:
        raise context.error(f"{params.said('rope_theta')}, which must be positive")
    if kind == "default":
        return F.default_inv_freq(rotary_dim, base), 1.0
    if kind == "linear":
        factor = params.number(context, "factor")
        # It says how long the training was, and the method has no use for it.
        params.ignore("original_max_position_embeddings")
        return F.linear_inv_freq(rotary_dim, base, factor=factor), 1.0
    if kind == "proportional":
        fraction = params.number(context, "partial_rotary_factor", 1.0)
        factor = params.number(context, "factor", 1.0)
        inv_freq = F.proportional_inv_freq(
            head_dim, base, fraction=fraction, factor=factor
        )
        return inv_freq, 1.0
    return _BY_LENGTH[kind](context, params, rotary_dim, base, seq_len)


def _dynamic(context, params, rotary_dim, base, seq_len):
    trained = context.keys.integer(context, "max_position_embeddings")
    said = params.given("original_max_position_embeddings")
    if said not in (None, trained):
        raise context.error(
            f"{params.where} holds original_max_position_embeddings={said!r}, but "
            f"'dynamic' counts from max_position_embeddings={trained}; write one length"
        )
    inv_freq = F.dynamic_ntk_inv_freq(
        rotary_dim,
        base,
        factor=params.number(context, "factor"),
        original_max_len=trained,
        seq_len=_required_length(context, params, "dynamic", seq_len, trained),
    )
    return inv_freq, 1.0


def _yarn(context, params, rotary_dim, base, seq_len):
    original = params.integer(context, "original_max_position_embeddings")
    factor = _factor(context, params, original)
    inv_freq = F.yarn_inv_freq(
        rotary_dim,
        base,
        factor=factor,
        original_max_len=original,
        # 0 stands for the default too, as in Hugging Face's own code.
        beta_fast=params.number(context, "beta_fast", 32.0) or 32.0,
        beta_slow=params.number(context, "beta_slow", 1.0) or 1.0,
        truncate=params.get("truncate", True),
    )
    # No weight and a weight of 0 are the same to this rule.
    mscale, mscale_all_dim = (
        params.number(context, name, 0.0) for name in ("mscale", "mscale_all_dim")
    )
    computed = F.yarn_attention_factor(
        factor, mscale=mscale, mscale_all_dim=mscale_all_dim
    )
    return inv_freq, params.number(context, "attention_factor", computed)


def longrope_factors(context, params, rotary_dim, seq_len):
    """The original length, the factors of the pairs, and whether they are the long."""
    original = params.integer(context, "original_max_position_embeddings")
    lists = {}
    for name in ("short_factor", "long_factor"):
        lists[name] = [float(factor) for factor in params.require(context, name)]
        if len(lists[name]) != rotary_dim // 2:
            raise context.error(
                f"{params.where}[{name!r}] holds {len(lists[name])} numbers, but the "
                f"{rotary_dim} rotating channels have {rotary_dim // 2} pairs"
            )
    seq_len = _required_length(context, params, "longrope", seq_len, original)
    is_long = seq_len > original
    return original, lists["long_factor" if is_long else "short_factor"], is_long


def _longrope(context, params, rotary_dim, base, seq_len):
    original, chosen, _ = longrope_factors(context, params, rotary_dim, seq_len)
    factor = _factor(context, params, original)
    computed = F.longrope_attention_factor(factor, original)
    inv_freq = F.longrope_inv_freq(rotary_dim, base, factors=chosen)
    return inv_freq, params.number(context, "attention_factor", computed)


def _llama3(context, params, rotary_dim, base, seq_len):
    names = ("factor", "low_freq_factor", "high_freq_factor")
    inv_freq = F.llama3_inv_freq(
        rotary_dim,
        base,
        **{name: params.number(context, name) for name in names},
        original_max_len=params.integer(context, "original_max_position_embeddings"),
    )
    return inv_freq, 1.0


_BY_LENGTH = {
    "dynamic": _dynamic,
    "yarn": _yarn,
    "longrope": _longrope,
    "llama3": _llama3,
}


def _factor(context, params, original):
    """The factor that is given, or how much longer the served context is."""
    if params.get("factor") is not None:
        return params.number(context, "factor")
    served = context.keys.integer(context, "max_position_embeddings")
    if served < original:
        raise context.error(
            f"{params.where} holds no factor, and max_position_embeddings={served} is "
            f"below original_max_position_embeddings={original}; write factor"
        )
    return served / original


def _required_length(context, params, kind, seq_len, trained):
    if seq_len is None:
        raise context.error(
            f"{params.where} has rope_type={kind!r}, whose frequencies depend on the "
            f"length: pass seq_len, up to {trained} or beyond; keys that were rotated "
            "for another length do not fit"
        )
    return seq_len
