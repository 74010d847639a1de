"""Sinusoids by the name of the code they come from."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from ..._checks import INT32_MAX, INT32_MIN, is_integer
from ..._public import public
from .._model_types import family_of


@public
def sinusoid_options(family: str, **settings: Any) -> dict[str, Any]:
    """Keyword arguments of `functional.sinusoids` for the sinusoids of a family.

    Args:
        family: A name of the table in `docs/sinusoids/sinusoids.md`, which says what
            each family does and which models use it: `"paper"`, `"fairseq"`,
            `"whisper"`, `"diffusers"` ...; or a model type of transformers, such as
            `"xglm"`.
        settings: What that code calls its own settings, where a model departs from
            their defaults: `padding_idx` of `"fairseq"`, `flip_sin_to_cos` and
            `downscale_freq_shift` of `"diffusers"` ...

    Returns:
        A new dict, to be unpacked into the call.

    Raises:
        ValueError: If the family, or a setting of it, is not known, or one is out of
            its range.

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
    return _options(SINUSOIDS, _TYPES, family, settings)


@public
def grid_sinusoid_options(family: str, **settings: Any) -> dict[str, Any]:
    """Keyword arguments of `functional.grid_sinusoids` for the sinusoids of a family.

    Args:
        family: A name of the table in `docs/sinusoids/sinusoids.md`: `"vit_mae"`,
            `"rt_detr"`, `"big_vision"`, `"timm"`, `"diffusers"`, `"cogvideox"` ...; or
            a model type of transformers.
        settings: What that code calls its own settings, where a model departs from
            their defaults. `"diffusers"` needs `grid_size`, `(rows, columns)`.

    Returns:
        A new dict, to be unpacked into the call.

    Raises:
        ValueError: If the family, or a setting of it, is not known, or one is missing
            or out of its range.

    Example:
        >>> options = grid_sinusoid_options("vit_mae", cls_token=False)
        >>> grid_sinusoids(positions_from_grid((2, 3)), 8, **options).shape
        (6, 8)

    Reference:
        big_vision models/vit.py `posemb_sincos_2d`; MoCo v3 vits.py
        `build_2d_sincos_position_embedding`; MAE util/pos_embed.py
        `get_2d_sincos_pos_embed`; transformers 5.23.0 modeling_vit_mae.py
        `build_2d_sinusoidal_position_embedding`; timm 1.0.31 pos_embed_sincos.py
        `build_sincos2d_pos_embed`; diffusers 0.42.1 embeddings.py
        `get_2d_sincos_pos_embed`, `get_3d_sincos_pos_embed`.
    """
    return _options(GRID_SINUSOIDS, _GRID_TYPES, family, settings)


def _options(families, types, family, settings):
    family = family_of(family, families, types, {})
    known = inspect.signature(families[family]).parameters
    for name in settings:
        if name not in known:
            raise ValueError(
                f"{name}={settings[name]!r} must be a setting of "
                f"{family=}: {sorted(known)}."
            )
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in settings:
            raise ValueError(f"{name} must be given for {family=}.")
    return families[family](**settings)


def _base(name, value):
    if not 1 <= value < math.inf:
        raise ValueError(f"{name}={value!r} must be at least 1 and finite.")
    return float(value)


def _positive(name, value):
    if not 0 < value < math.inf:
        raise ValueError(f"{name}={value!r} must be positive and finite.")
    return float(value)


def _paper():
    return {}


def _tensor2tensor(max_timescale=10_000.0):
    """Both halves from 1 down to 1 / max_timescale, zeros at the end of odd widths."""
    return {
        "base": _base("max_timescale", max_timescale),
        "frequency_shift": 1.0,
        "layout": "sin_cos",
        "odd_width": "zero",
    }


def _fairseq(padding_idx=1):
    known = padding_idx is not None  # None is no padding, in fairseq too
    if known and not (
        is_integer(padding_idx) and INT32_MIN <= padding_idx <= INT32_MAX
    ):
        raise ValueError(f"{padding_idx=} must be an int32, or None.")
    return {**_tensor2tensor(), "padding_position": padding_idx}


def _seamless_m4t(padding_idx=0):
    return _fairseq(padding_idx)


def _musicgen():
    return {**_tensor2tensor(), "layout": "cos_sin"}


def _whisper(max_timescale=10_000.0):
    return {**_tensor2tensor(max_timescale), "odd_width": "refuse"}


def _maxtext(max_wavelength=10_000.0):
    base = _base("max_wavelength", max_wavelength)
    return {**_tensor2tensor(), "base": base, "odd_width": "drop"}


def _gemma4_audio():
    return _maxtext()


def _roformer():
    return {"layout": "sin_cos"}


def _x_transformers(theta=10_000.0):
    base = _base("theta", theta)
    return {"base": base, "layout": "sin_cos", "odd_width": "refuse"}


def _diffusers(
    flip_sin_to_cos=False, downscale_freq_shift=1.0, scale=1.0, max_period=10_000.0
):
    if not math.isfinite(downscale_freq_shift):
        raise ValueError(f"{downscale_freq_shift=} must be finite.")
    return {
        "base": _base("max_period", max_period),
        "frequency_shift": float(downscale_freq_shift),
        "position_scale": _positive("scale", scale),
        "layout": "cos_sin" if flip_sin_to_cos else "sin_cos",
        "odd_width": "zero",
    }


def _mlx(min_freq=1e-4, max_freq=1.0, scale=None, cos_first=False, full_turns=False):
    low = _positive("min_freq", min_freq)
    high = _positive("max_freq", max_freq)
    if not 1 <= high / low < math.inf:
        raise ValueError(
            f"{min_freq=} must be at most {max_freq=}, and their quotient finite."
        )
    if scale is not None and not math.isfinite(scale):
        raise ValueError(f"{scale=} must be finite, or None.")
    return {
        "base": high / low,
        "frequency_shift": 1.0,
        "position_scale": high * (2 * math.pi if full_turns else 1.0),
        "layout": "cos_sin" if cos_first else "sin_cos",
        "odd_width": "refuse",
        "scale": "unit" if scale is None else float(scale),
    }


def _kimi_k25():
    return {
        "position_offset": -1,
        "padding_position": 0,
        "layout": "sin_cos",
        "odd_width": "refuse",
    }


SINUSOIDS: dict[str, Callable[..., dict[str, Any]]] = {
    "axlearn": _whisper,
    "diffusers": _diffusers,
    "fairseq": _fairseq,
    "gemma4_audio": _gemma4_audio,
    "kimi_k25": _kimi_k25,
    "m2m_100": _fairseq,
    "maxtext": _maxtext,
    "mlx": _mlx,
    "musicgen": _musicgen,
    "paper": _paper,
    "roformer": _roformer,
    "seamless_m4t": _seamless_m4t,
    "tensor2tensor": _tensor2tensor,
    "videomae": _paper,
    "whisper": _whisper,
    "x_transformers": _x_transformers,
}

# Model types of transformers under other names than these.
_TYPES = {
    **dict.fromkeys(
        (
            *("fsmt", "kosmos-2", "kosmos-2.5", "kosmos_2_5_text_model"),
            *("kosmos_2_text_model", "nllb-moe", "speech_to_text", "xglm"),
        ),
        "fairseq",
    ),
    **dict.fromkeys(("marian", "pegasus"), "roformer"),
    **dict.fromkeys(
        ("musicgen_decoder", "musicgen_melody", "musicgen_melody_decoder"), "musicgen"
    ),
    **dict.fromkeys(
        ("qwen2_5_omni_audio_encoder", "qwen3_omni_moe_audio_encoder"), "whisper"
    ),
    "kimi_k25_vision": "kimi_k25",
    "seamless_m4t_v2": "seamless_m4t",
}


def _columns_first(cls_token=False):
    return {"axis_order": (1, 0), "num_prefix_tokens": int(cls_token)}


def _rows_first(temperature=10_000.0, cls_token=False):
    base = _base("temperature", temperature)
    return {"base": base, "num_prefix_tokens": int(cls_token)}


def _vit_mae(cls_token=True):
    return _columns_first(cls_token)


def _aimv2():
    return _columns_first()


def _moco_v3(temperature=10_000.0):
    # `grid_w` there counts rows: its meshgrid has the first axis outermost.
    return _rows_first(temperature, cls_token=True)


def _big_vision(temperature=10_000.0):
    base = _base("temperature", temperature)
    return {"axis_order": (1, 0), "base": base, "frequency_shift": 1.0}


def _timm(temperature=10_000.0, interleave_sin_cos=False):
    base = _base("temperature", temperature)
    return {"base": base, "per_axis": interleave_sin_cos}


def _diffusers_2d(
    grid_size, base_size=16, interpolation_scale=1.0, cls_token=False, extra_tokens=0
):
    sizes = (grid_size, grid_size) if is_integer(grid_size) else tuple(grid_size)
    if len(sizes) != 2 or not all(is_integer(size) and size > 0 for size in sizes):
        raise ValueError(
            f"{grid_size=} must be a positive integer or two, of rows and columns."
        )
    if not is_integer(extra_tokens) or extra_tokens < 0:
        raise ValueError(f"{extra_tokens=} must be an integer from 0 on.")
    spread = _positive("base_size", base_size)
    shrink = _positive("interpolation_scale", interpolation_scale)
    scales = tuple(spread / int(size) / shrink for size in sizes)
    return {
        "axis_order": (1, 0),
        "position_scale": scales,
        "num_prefix_tokens": extra_tokens if cls_token else 0,
    }


def _cogvideox(spatial_interpolation_scale=1.0, temporal_interpolation_scale=1.0):
    space, time = (
        1 / _positive(name, value)
        for name, value in (
            ("spatial_interpolation_scale", spatial_interpolation_scale),
            ("temporal_interpolation_scale", temporal_interpolation_scale),
        )
    )
    return {
        "axis_order": (0, 2, 1),
        "axis_shares": (2, 3, 3),
        "position_scale": (time, space, space),
    }


GRID_SINUSOIDS: dict[str, Callable[..., dict[str, Any]]] = {
    "aimv2": _aimv2,
    "big_vision": _big_vision,
    "cogvideox": _cogvideox,
    "diffusers": _diffusers_2d,
    "mae": _columns_first,
    "moco_v3": _moco_v3,
    "rt_detr": _rows_first,
    "timm": _timm,
    "vit_mae": _vit_mae,
}

_GRID_TYPES = {"aimv2_vision_model": "aimv2"}
