"""Factors on cos and sin, on the softmax scale and on queries, beside frequencies."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ..._checks import (
    int32_in_range,
    is_integer,
    is_number,
    nan_where_invalid,
    number,
    positive_integer,
)
from ..._public import public
from .frequencies import check_factor


@public
def yarn_attention_factor(
    factor: float,
    *,
    mscale: float | None = None,
    mscale_all_dim: float | None = None,
    rule: str = "huggingface",
) -> float:
    """What YaRN multiplies cos and sin by, so that scores grow by its square.

    With `g(m) = 0.1 * m * ln(factor) + 1`, the rule of `"huggingface"` is
    `g(mscale) / g(mscale_all_dim)` where both are given and not 0, else `g(1)`; that of
    `"deepseek"` is always `g(mscale) / g(mscale_all_dim)`, with 1 and 0 for what is
    not given. They differ where one of the two is given.

    Args:
        factor: How many times longer the context becomes. At least 1.
        mscale: Weight of the logarithm in the numerator, from 0 on. `None` is not
            given.
        mscale_all_dim: Weight in the denominator, likewise. Models with
            multi-head latent attention scale the softmax by it instead: see
            `yarn_softmax_factor`.
        rule: `"huggingface"` or `"deepseek"`.

    Returns:
        The factor, to pass as `attention_factor`.

    Raises:
        ValueError: If `factor` is below 1, a weight negative or not finite, or `rule`
            unknown.

    Example:
        >>> round(yarn_attention_factor(40.0), 4)
        1.3689
        >>> round(yarn_attention_factor(40.0, mscale=0.707, rule="deepseek"), 4)
        1.2608

    Reference:
        Peng et al., YaRN, 2023, eq. 22. https://arxiv.org/abs/2309.00071; DeepSeek-V2,
        2024, section 3.1.4. https://arxiv.org/abs/2405.04434
    """
    check_factor(factor)
    weights = {"mscale": mscale, "mscale_all_dim": mscale_all_dim}
    for weight_name, weight in weights.items():
        if weight is not None:
            _check_weight(weight_name, weight)
    if rule not in ("huggingface", "deepseek"):
        raise ValueError(f"{rule=} must be 'huggingface' or 'deepseek'.")
    if rule == "deepseek":
        mscale = 1.0 if mscale is None else mscale
        mscale_all_dim = 0.0 if mscale_all_dim is None else mscale_all_dim
    elif not (mscale and mscale_all_dim):
        mscale, mscale_all_dim = 1.0, 0.0
    return _growth(factor, mscale) / _growth(factor, mscale_all_dim)


@public
def yarn_softmax_factor(factor: float, *, mscale_all_dim: float) -> float:
    """What models with multi-head latent attention multiply the softmax scale by.

    `(0.1 * mscale_all_dim * ln(factor) + 1) ** 2`: the other half of YaRN's correction
    in DeepSeek-V2, V3 and their relatives, beside `yarn_attention_factor`.

    Args:
        factor: How many times longer the context becomes. At least 1.
        mscale_all_dim: Weight of the logarithm, from 0 on. 0 is no correction.

    Returns:
        The factor on `1 / sqrt(head_dim)`.

    Raises:
        ValueError: If `factor` is below 1, or the weight negative or not finite.

    Example:
        >>> round(yarn_softmax_factor(40.0, mscale_all_dim=1.0), 4)
        1.8739

    Reference:
        DeepSeek-V2, 2024, section 3.1.4. https://arxiv.org/abs/2405.04434; the rule as
        in Hugging Face transformers 5.23, `yarn_apply_mscale`.
    """
    check_factor(factor)
    _check_weight("mscale_all_dim", mscale_all_dim)
    return _growth(factor, mscale_all_dim) ** 2


@public
def longrope_attention_factor(factor: float, original_max_len: int) -> float:
    """What LongRoPE multiplies cos and sin by: `sqrt(1 + ln factor / ln original)`.

    Args:
        factor: How many times longer the context becomes. At least 1.
        original_max_len: Trained length in tokens. At least 2.

    Returns:
        The factor, to pass as `attention_factor`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> round(longrope_attention_factor(32.0, 4096), 4)
        1.1902

    Reference:
        Abdin et al., Phi-3 Technical Report, 2024. https://arxiv.org/abs/2404.14219;
        the rule as in Hugging Face transformers 5.23, `_compute_longrope_parameters`.
    """
    check_factor(factor)
    if not (is_number(original_max_len) and original_max_len >= 2):
        raise ValueError(f"{original_max_len=} must be at least 2.")
    return math.sqrt(1 + math.log(factor) / math.log(original_max_len))


@public
def query_temperature(
    positions: Integer[Array | np.ndarray, "*positions"] | Sequence,
    *,
    beta: float,
    original_max_len: int,
    offset: int = 0,
) -> Float[Array, "*positions"]:
    """What some models multiply queries by: `1 + beta ln(1 + floor(m / original))`.

    Ministral 3 and Mistral 4 read `beta` from `llama_4_scaling_beta` and count
    positions from 0; Llama 4 does it in its layers without rotary positions, with
    `offset=1`, `beta=0.1` and 8192.

    Args:
        positions: Integer positions from 0 on.
        beta: Weight of the logarithm. Finite.
        original_max_len: Positions before the first step, an integer. Positive.
        offset: Added to the positions. 0 or 1.

    Returns:
        float32, the shape of `positions`; 1 at the first `original_max_len - offset`.
        Traced positions below 0 or outside int32 give NaN.

    Raises:
        ValueError: If `original_max_len` is no positive integer, `beta` not finite,
            `offset` neither 0 nor 1, `positions` are not integers, or a known one is
            out of range.

    Example:
        >>> query_temperature(jnp.arange(0, 9, 4), beta=0.1, original_max_len=4)
        Array([1.       , 1.0693147, 1.1098613], dtype=float32)

    Reference:
        Llama 4 and Ministral 3 in Hugging Face transformers 5.23,
        `attn_temperature_tuning` and `get_llama_4_attn_scale`.
    """
    original_max_len = positive_integer("original_max_len", original_max_len)
    if not is_number(beta):
        raise ValueError(f"{beta=} must be finite.")
    if not is_integer(offset) or offset not in (0, 1):
        raise ValueError(f"{offset=} must be 0 or 1.")
    positions, valid = int32_in_range("positions", positions, 0)
    # As integers: a float32 quotient may round up across a step. Unsigned, where the
    # last position plus the offset still fits; negative ones become NaN below.
    length = jnp.uint32(min(original_max_len, 2**32 - 1))
    steps = (positions.astype(jnp.uint32) + jnp.uint32(offset)) // length
    temperature = 1.0 + float(beta) * jnp.log1p(steps.astype(jnp.float32))
    return nan_where_invalid(valid, temperature)


def check_attention_factor(attention_factor) -> None:
    """The rule of what cos and sin are multiplied by: it is static, and no array."""
    number("attention_factor", attention_factor, 1e-15, 1e15)


def times_attention_factor(cos_sin, attention_factor):
    """Cos and sin times a static factor, with no product where it is 1."""
    if attention_factor == 1.0:
        return cos_sin
    cos, sin = cos_sin
    factor = np.float32(attention_factor)
    return factor * cos, factor * sin


def _check_weight(name, weight):
    if not (is_number(weight) and weight >= 0):
        raise ValueError(f"{name}={weight!r} must be a finite number from 0 on.")


def _growth(factor, weight):
    return 0.1 * float(weight) * math.log(factor) + 1.0
