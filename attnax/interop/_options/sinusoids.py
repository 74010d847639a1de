"""Sinusoids of positions by the name of the code that they come from."""

import math
from typing import Any

from ..._checks import INT32_MAX, INT32_MIN, check_flags, integer, number
from ..._public import public
from .sinusoid_family import SinusoidFamilies, SinusoidFamily


@public
def sinusoid_options(family: str, **settings: Any) -> dict[str, Any]:
    """Returns keyword arguments of `functional.sinusoids` for a family's sinusoids.

    Args:
        family: The name of a family, such as `"paper"`, `"fairseq"`, `"whisper"` or
            `"diffusers"`, or a model type of transformers, such as `"xglm"`. The table
            in `docs/sinusoids/sinusoids.md` says what each family does and which
            models use it.
        settings: Settings of that code under its own names, where a model departs from
            their defaults; for example `padding_idx` of `"fairseq"`, or
            `flip_sin_to_cos` and `downscale_freq_shift` of `"diffusers"`.

    Returns:
        A new dict, to be unpacked into the call.

    Raises:
        ValueError: If the family or one of the settings is not known, or a setting is
            out of its range.

    Example:
        >>> options = sinusoid_options("whisper")
        >>> sinusoids(jnp.arange(1500), 8, **options).shape
        (1500, 8)

    Reference:
        fairseq 0.12.2 sinusoidal_positional_embedding.py; tensor2tensor 1.15
        common_attention.py `get_timing_signal_1d`; transformers 5.23.0 modeling_X.py
        of m2m_100, musicgen, whisper, roformer, gemma4, kimi_k25; diffusers 0.42.1
        embeddings.py `get_timestep_embedding`; mlx 0.32.4 positional_encoding.py;
        MaxText embeddings.py `PositionalEmbedding`; AXLearn attention.py
        `sinusoidal_positional_embeddings`; x-transformers x_transformers.py
        `ScaledSinusoidalEmbedding`.
    """
    return SINUSOIDS.options(family, settings)


def _paper():
    return {}


def _tensor2tensor(max_timescale=10_000.0):
    """Frequencies fall from 1 to 1 / max_timescale; odd widths end with zeros."""
    return {
        "base": number("max_timescale", max_timescale, 1.0),
        "frequency_shift": 1.0,
        "layout": "sin_cos",
        "odd_width": "zero",
    }


def _fairseq(padding_idx=1):
    if padding_idx is not None:  # fairseq too takes None for no padding
        padding_idx = integer("padding_idx", padding_idx, INT32_MIN, INT32_MAX)
    return {**_tensor2tensor(), "padding_position": padding_idx}


def _seamless_m4t(padding_idx=0):
    return _fairseq(padding_idx)


def _musicgen():
    return {**_tensor2tensor(), "layout": "cos_sin"}


def _whisper(max_timescale=10_000.0):
    return {**_tensor2tensor(max_timescale), "odd_width": "refuse"}


def _maxtext(max_wavelength=10_000.0):
    base = number("max_wavelength", max_wavelength, 1.0)
    return {**_tensor2tensor(), "base": base, "odd_width": "drop"}


def _gemma4_audio():
    return _maxtext()


def _roformer():
    return {"layout": "sin_cos"}


def _x_transformers(theta=10_000.0):
    base = number("theta", theta, 1.0)
    return {"base": base, "layout": "sin_cos", "odd_width": "refuse"}


def _diffusers(
    flip_sin_to_cos=False, downscale_freq_shift=1.0, scale=1.0, max_period=10_000.0
):
    check_flags(flip_sin_to_cos=flip_sin_to_cos)
    return {
        "base": number("max_period", max_period, 1.0),
        "frequency_shift": number("downscale_freq_shift", downscale_freq_shift),
        "position_scale": number("scale", scale, positive=True),
        "layout": "cos_sin" if flip_sin_to_cos else "sin_cos",
        "odd_width": "zero",
    }


def _mlx(min_freq=1e-4, max_freq=1.0, scale=None, cos_first=False, full_turns=False):
    check_flags(cos_first=cos_first, full_turns=full_turns)
    low = number("min_freq", min_freq, positive=True)
    high = number("max_freq", max_freq, positive=True)
    if not 1 <= high / low < math.inf:
        raise ValueError(
            f"{min_freq=} must be at most {max_freq=}, and their quotient finite."
        )
    return {
        "base": high / low,
        "frequency_shift": 1.0,
        "position_scale": high * (2 * math.pi if full_turns else 1.0),
        "layout": "cos_sin" if cos_first else "sin_cos",
        "odd_width": "refuse",
        "scale": "unit" if scale is None else number("scale", scale),
    }


def _kimi_k25():
    return {
        "position_offset": -1,
        "padding_position": 0,
        "layout": "sin_cos",
        "odd_width": "refuse",
    }


SINUSOIDS = SinusoidFamilies(
    (
        SinusoidFamily("axlearn", _whisper),
        SinusoidFamily("diffusers", _diffusers),
        SinusoidFamily(
            "fairseq",
            _fairseq,
            "fsmt kosmos-2 kosmos-2.5 kosmos_2_5_text_model kosmos_2_text_model "
            "nllb-moe speech_to_text xglm",
        ),
        SinusoidFamily("gemma4_audio", _gemma4_audio),
        SinusoidFamily("kimi_k25", _kimi_k25, "kimi_k25_vision"),
        SinusoidFamily("m2m_100", _fairseq),
        SinusoidFamily("maxtext", _maxtext),
        SinusoidFamily("mlx", _mlx),
        SinusoidFamily(
            "musicgen",
            _musicgen,
            "musicgen_decoder musicgen_melody musicgen_melody_decoder",
        ),
        SinusoidFamily("paper", _paper),
        SinusoidFamily("roformer", _roformer, "marian pegasus"),
        SinusoidFamily("seamless_m4t", _seamless_m4t, "seamless_m4t_v2"),
        SinusoidFamily("tensor2tensor", _tensor2tensor),
        SinusoidFamily("videomae", _paper),
        SinusoidFamily(
            "whisper",
            _whisper,
            "qwen2_5_omni_audio_encoder qwen3_omni_moe_audio_encoder",
        ),
        SinusoidFamily("x_transformers", _x_transformers),
    )
)
