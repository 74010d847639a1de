"""Factors on cos and sin, on the softmax scale and on queries, beside frequencies."""

import math
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ..._checks import (
    choice,
    int32_in_range,
    integer,
    nan_where_invalid,
    number,
    positive_integer,
)
from ..._public import public
from .frequencies import extension_factor


@public
def yarn_attention_factor(
    factor: SupportsFloat,
    *,
    mscale: SupportsFloat | None = None,
    mscale_all_dim: SupportsFloat | None = None,
    rule: str = "huggingface",
) -> float:
    """The factor by which YaRN multiplies cos and sin; scores grow by its square.

    Let `g(m) = 0.1 * m * ln(factor) + 1`. The `"huggingface"` rule is
    `g(mscale) / g(mscale_all_dim)` if both weights are given and not 0, and `g(1)` if
    not. The `"deepseek"` rule is always `g(mscale) / g(mscale_all_dim)`; a weight that
    is not given is 1 for `mscale` and 0 for `mscale_all_dim`. The rules differ where
    only one weight is given.

    Args:
        factor: How many times longer the context becomes. At least 1.
        mscale: Weight of the logarithm in the numerator. Not negative. `None` means
            that it is not given.
        mscale_all_dim: Weight of the logarithm in the denominator. Not negative. `None`
            means that it is not given. Models with multi-head latent attention use it
            to scale the softmax: see `yarn_softmax_factor`.
        rule: `"huggingface"` or `"deepseek"`.

    Returns:
        The factor, to pass as `attention_factor`.

    Raises:
        ValueError: If `factor` is below 1, a weight is negative or not finite, or
            `rule` is unknown.

    Example:
        >>> round(yarn_attention_factor(40.0), 4)
        1.3689
        >>> round(yarn_attention_factor(40.0, mscale=0.707, rule="deepseek"), 4)
        1.2608

    Reference:
        Peng et al., YaRN, 2023, eq. 22. https://arxiv.org/abs/2309.00071; DeepSeek-V2,
        2024, section 3.1.4. https://arxiv.org/abs/2405.04434
    """
    factor = extension_factor(factor)
    if mscale is not None:
        mscale = number("mscale", mscale, 0.0)
    if mscale_all_dim is not None:
        mscale_all_dim = number("mscale_all_dim", mscale_all_dim, 0.0)
    choice("rule", rule, ("huggingface", "deepseek"))
    if rule == "deepseek":
        mscale = 1.0 if mscale is None else mscale
        mscale_all_dim = 0.0 if mscale_all_dim is None else mscale_all_dim
    elif not (mscale and mscale_all_dim):
        mscale, mscale_all_dim = 1.0, 0.0
    return _growth(factor, mscale) / _growth(factor, mscale_all_dim)


@public
def yarn_softmax_factor(
    factor: SupportsFloat, *, mscale_all_dim: SupportsFloat
) -> float:
    """The factor on the softmax scale of models with multi-head latent attention.

    It is `(0.1 * mscale_all_dim * ln(factor) + 1) ** 2`. DeepSeek-V2, DeepSeek-V3 and
    their relatives apply it as well as `yarn_attention_factor`.

    Args:
        factor: How many times longer the context becomes. At least 1.
        mscale_all_dim: Weight of the logarithm. Not negative. 0 means no correction.

    Returns:
        The factor on `1 / sqrt(head_dim)`.

    Raises:
        ValueError: If `factor` is below 1, or the weight is negative or not finite.

    Example:
        >>> round(yarn_softmax_factor(40.0, mscale_all_dim=1.0), 4)
        1.8739

    Reference:
        DeepSeek-V2, 2024, section 3.1.4. https://arxiv.org/abs/2405.04434; the rule as
        in Hugging Face transformers 5.23, `yarn_apply_mscale`.
    """
    factor = extension_factor(factor)
    mscale_all_dim = number("mscale_all_dim", mscale_all_dim, 0.0)
    return _growth(factor, mscale_all_dim) ** 2


@public
def longrope_attention_factor(
    factor: SupportsFloat, original_max_len: SupportsFloat
) -> float:
    """The factor by which LongRoPE multiplies cos and sin.

    It is `sqrt(1 + ln(factor) / ln(original_max_len))`.

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
    factor = extension_factor(factor)
    original_max_len = number("original_max_len", original_max_len, 2.0)
    return math.sqrt(1 + math.log(factor) / math.log(original_max_len))


@public
def query_temperature(
    positions: Integer[Array | np.ndarray, "*positions"] | Sequence | SupportsIndex,
    *,
    beta: SupportsFloat,
    original_max_len: SupportsIndex,
    offset: SupportsIndex = 0,
) -> Float[Array, "*positions"]:
    """The factor by which some models multiply the query of each position.

    It is `1 + beta * ln(1 + floor((position + offset) / original_max_len))`. Ministral
    3 and Mistral 4 read `beta` from `llama_4_scaling_beta` and use `offset=0`. Llama 4
    has the factor in its layers without rotary positions, with `offset=1`, `beta=0.1`
    and `original_max_len=8192`.

    Args:
        positions: Integer positions, not negative.
        beta: Weight of the logarithm. Finite.
        original_max_len: Number of positions before the first step. Positive.
        offset: Number added to the positions. 0 or 1.

    Returns:
        The factors in float32, in the shape of `positions`. The first
        `original_max_len - offset` positions give 1. Traced positions below 0 or
        outside int32 give NaN.

    Raises:
        ValueError: If `original_max_len` is not a positive integer, `beta` is not
            finite, `offset` is neither 0 nor 1, `positions` are not integers, or a
            known position is out of range.

    Example:
        >>> query_temperature(jnp.arange(0, 9, 4), beta=0.1, original_max_len=4)
        Array([1.       , 1.0693147, 1.1098613], dtype=float32)

    Reference:
        Llama 4 and Ministral 3 in Hugging Face transformers 5.23,
        `attn_temperature_tuning` and `get_llama_4_attn_scale`.
    """
    original_max_len = positive_integer("original_max_len", original_max_len)
    beta = number("beta", beta)
    offset = integer("offset", offset, 0, 1)
    positions, valid = int32_in_range("positions", positions, 0)
    # The quotient is one of integers: in float32 it may round up across a step. The
    # integers are unsigned, so that the last position plus the offset still fits;
    # negative positions become NaN below.
    length = jnp.uint32(min(original_max_len, 2**32 - 1))
    steps = (positions.astype(jnp.uint32) + jnp.uint32(offset)) // length
    temperature = 1.0 + beta * jnp.log1p(steps.astype(jnp.float32))
    return nan_where_invalid(valid, temperature)


def static_attention_factor(attention_factor) -> float:
    """The factor on cos and sin as a float; it is static."""
    return number("attention_factor", attention_factor, 1e-15, 1e15)


def times_attention_factor(cos_sin, attention_factor):
    """Cos and sin times a static factor, with no product where it is 1."""
    if attention_factor == 1.0:
        return cos_sin
    cos, sin = cos_sin
    factor = np.float32(attention_factor)
    return factor * cos, factor * sin


def _growth(factor, weight):
    return 0.1 * weight * math.log(factor) + 1.0
