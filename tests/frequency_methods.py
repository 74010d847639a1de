"""Every frequency method once: its oracle, its settings, and what a config calls it.

An oracle returns one mpf per pair, in 60 digits, written from the paper.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import mpmath
import numpy as np
import oracles

import attnax.functional as F


def linear(width, base, factor):
    """Chen et al. 2023, eq. 4: the position divided by the factor."""
    with mpmath.workdps(60):
        return [frequency / factor for frequency in oracles.inv_freq(width, base)]


def ntk(width, base, factor):
    """Peng et al. 2023, definition 1: the plain frequencies of another base."""
    with mpmath.workdps(60):
        power = mpmath.mpf(width) / (width - 2)
        return oracles.inv_freq(width, mpmath.mpf(base) * mpmath.mpf(factor) ** power)


def dynamic_ntk(width, base, factor, original_max_len, seq_len):
    """The rule of transformers, `_compute_dynamic_ntk_parameters`."""
    with mpmath.workdps(60):
        longest = max(seq_len, original_max_len)
        scale = mpmath.mpf(factor) * longest / original_max_len - mpmath.mpf(factor) + 1
        return ntk(width, base, scale)


def yarn(width, base, factor, original_max_len, fast=32.0, slow=1.0, truncate=True):
    """Peng et al. 2023, section 3.2; the ramp over indices as in the authors' code."""
    out = []
    with mpmath.workdps(60):

        def index(turns):
            # Where `original_max_len * base ** (-2 i / width)` is so many turns.
            share = original_max_len / (2 * mpmath.pi * mpmath.mpf(turns))
            return mpmath.mpf(width) / 2 * mpmath.log(share, base)

        first, last = index(fast), index(slow)
        if truncate:
            first, last = mpmath.floor(first), mpmath.ceil(last)
        first, last = max(first, 0), min(last, width - 1)
        if first == last:
            last += mpmath.mpf("0.001")
        for i, frequency in enumerate(oracles.inv_freq(width, base)):
            kept = min(max((last - i) / (last - first), 0), 1)
            out.append(kept * frequency + (1 - kept) * frequency / factor)
    return out


def llama3(width, base, factor, low, high, original_max_len):
    """Grattafiori et al. 2024: three cases by the wavelength, as Meta wrote them."""
    out = []
    with mpmath.workdps(60):
        for frequency in oracles.inv_freq(width, base):
            wavelength = 2 * mpmath.pi / frequency
            if wavelength < mpmath.mpf(original_max_len) / high:
                out.append(frequency)
            elif wavelength > mpmath.mpf(original_max_len) / low:
                out.append(frequency / factor)
            else:
                smooth = (original_max_len / wavelength - low) / (high - low)
                out.append((1 - smooth) * frequency / factor + smooth * frequency)
    return out


def longrope(width, base, factors):
    """Ding et al. 2024, eq. 3: a factor on every wavelength."""
    with mpmath.workdps(60):
        wavelength = lambda i: mpmath.mpf(base) ** (mpmath.mpf(2 * i) / width)
        return [1 / (factor * wavelength(i)) for i, factor in enumerate(factors)]


def proportional(width, base, fraction, factor):
    """Gemma 4 in transformers: the turning pairs in decimal arithmetic."""
    turning = int(Decimal(str(fraction)) * width / 2)
    plain = linear(width, base, factor)
    return plain[:turning] + [mpmath.mpf(0)] * (width // 2 - turning)


def mixed_ntk(width, base, factor, power):
    """Su 2023, eq. 10 to 13: an exponential of a power of the pair's number."""
    with mpmath.workdps(60):
        a = mpmath.log(factor) / (mpmath.mpf(width) / 2) ** power
        scale = lambda m: mpmath.exp(a * mpmath.mpf(m) ** power)
        plain = oracles.inv_freq(width, base)
        return [frequency / scale(m) for m, frequency in enumerate(plain, 1)]


WIDTH, BASE = 64, 500_000.0
LLAMA = {"model_type": "llama", "hidden_size": 256, "num_attention_heads": 4}
PLAIN = F.default_inv_freq(WIDTH, BASE)


@dataclass(frozen=True)
class Method:
    """A frequency method, with settings for heads of `WIDTH` features.

    Attributes:
        function: The function of `attnax.functional`.
        oracle: The frequencies from the width, the base and the settings in order.
        settings: Keyword arguments of the function.
        roundings: Bound of the error, in units of 2**-53 of the plain frequencies,
            beyond the 16 that these have themselves.
        laws: Other settings with the frequencies that they give at `BASE`, to within
            one unit in the last place.
        parameters: The settings as RoPE parameters of a config.
        model: Config of a model whose code has the method.
        attention_factor: Factor on cos and sin that the config implies.
    """

    function: Callable[..., np.ndarray]
    oracle: Callable[..., list]
    settings: dict[str, Any] = field(default_factory=dict)
    roundings: float = 0
    laws: tuple[tuple[dict[str, Any], np.ndarray], ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=lambda: LLAMA)
    attention_factor: float = 1.0


SHORT = [1.0 + i / 32 for i in range(32)]
LONG = [2.0 + i for i in range(32)]
_BOUNDS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
# By their `rope_type`.
METHODS = {
    "default": Method(F.default_inv_freq, oracles.inv_freq),
    "linear": Method(
        F.linear_inv_freq,
        linear,
        {"factor": 8.0},
        roundings=1,
        laws=(({"factor": 1.0}, PLAIN),),
        parameters={"factor": 8.0},
    ),
    "dynamic": Method(
        F.dynamic_ntk_inv_freq,
        dynamic_ntk,
        {"factor": 2.0, "original_max_len": 2048, "seq_len": 9000},
        # ntk's, of a factor with three roundings in units of `factor * ratio`.
        roundings=8 + 2 + 6,
        laws=(
            ({"factor": 2.0, "original_max_len": 2048, "seq_len": 1}, PLAIN),
            ({"factor": 2.0, "original_max_len": 2048, "seq_len": 2048}, PLAIN),
        ),
        parameters={"factor": 2.0},
    ),
    "yarn": Method(
        F.yarn_inv_freq,
        yarn,
        {"factor": 4.0, "original_max_len": 4096, "beta_fast": 32.0, "beta_slow": 1.0},
        # The ramp and its bounds: see the tests of bands.
        roundings=36 + 5,
        laws=(
            ({"factor": 1.0, "original_max_len": 4096}, PLAIN),
            ({"factor": 1.0, "original_max_len": 4096, "truncate": False}, PLAIN),
        ),
        parameters={"factor": 4.0, "original_max_position_embeddings": 4096},
        attention_factor=F.yarn_attention_factor(4.0),
    ),
    "llama3": Method(
        F.llama3_inv_freq,
        llama3,
        {"factor": 8.0, **_BOUNDS, "original_max_len": 8192},
        # The share of the blend: see the tests of bands.
        roundings=19 * 4 / 3 + 5,
        laws=(({"factor": 1.0, **_BOUNDS, "original_max_len": 8192}, PLAIN),),
        parameters={
            "factor": 8.0,
            **_BOUNDS,
            "original_max_position_embeddings": 8192,
        },
    ),
    "longrope": Method(
        F.longrope_inv_freq,
        longrope,
        {"factors": LONG},
        roundings=1,
        laws=(({"factors": [1.0] * 32}, PLAIN),),
        parameters={
            "short_factor": SHORT,
            "long_factor": LONG,
            "original_max_position_embeddings": 4096,
            "factor": 32.0,
        },
        attention_factor=F.longrope_attention_factor(32.0, 4096),
    ),
    "proportional": Method(
        F.proportional_inv_freq,
        proportional,
        {"fraction": 0.25, "factor": 1.0},
        roundings=1,
        laws=(({"fraction": 1.0}, PLAIN),),
        parameters={"partial_rotary_factor": 0.25},
    ),
    "ntk": Method(
        F.mixed_ntk_inv_freq,
        mixed_ntk,
        {"factor": 2.0, "power": 0.625},
        # Two roundings of the exponent, below ln(2) < 1, one of its power, a quotient.
        roundings=2 + 2,
        laws=(
            ({"factor": 1.0}, PLAIN),
            ({"factor": 4.0, "power": 0.0}, PLAIN / 4.0),
            # With `power=1`: another base, and a quotient for all pairs.
            (
                {"factor": 2.0},
                F.default_inv_freq(WIDTH, 2.0 * BASE) / 2.0 ** (2 / WIDTH),
            ),
        ),
        parameters={"factor": 2.0, "mixed_b": 0.625},
        model=LLAMA | {"model_type": "new"},
    ),
}
# The functions that no config names, by the same record.
FURTHER = {
    "ntk-aware": Method(
        F.ntk_inv_freq,
        ntk,
        {"factor": 8.0},
        # A power with an exponent rounded once, ln(8) < 3, and a product.
        roundings=3 + 2,
        laws=(({"factor": 1.0}, PLAIN),),
    ),
}
