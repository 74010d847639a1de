"""Sinusoids of grids by the name of the code that they come from."""

from typing import Any

from ..._checks import (
    check_flags,
    grid_sizes,
    integer,
    is_integer,
    number,
    positive_integer,
)
from ..._public import public
from .sinusoid_family import SinusoidFamilies, SinusoidFamily


@public
def grid_sinusoid_options(family: str, **settings: Any) -> dict[str, Any]:
    """Returns keyword arguments of `functional.grid_sinusoids` for a family.

    Args:
        family: The name of a family, such as `"vit_mae"`, `"rt_detr"`, `"big_vision"`,
            `"timm"`, `"diffusers"` or `"cogvideox"`, or a model type of transformers.
            The table in `docs/sinusoids/sinusoids.md` says what each family does.
        settings: Settings of that code under its own names, where a model departs from
            their defaults. `"diffusers"` needs `grid_size`, `(rows, columns)`.

    Returns:
        A new dict, to be unpacked into the call.

    Raises:
        ValueError: If the family or one of the settings is not known, or a setting is
            missing or out of its range.

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
    return GRID_SINUSOIDS.options(family, settings)


def _columns_first(cls_token=False):
    check_flags(cls_token=cls_token)
    return {"axis_order": (1, 0), "num_prefix_tokens": int(cls_token)}


def _rows_first(temperature=10_000.0, cls_token=False):
    check_flags(cls_token=cls_token)
    base = number("temperature", temperature, 1.0)
    return {"base": base, "num_prefix_tokens": int(cls_token)}


def _vit_mae(cls_token=True):
    return _columns_first(cls_token)


def _aimv2():
    return _columns_first()


def _moco_v3(temperature=10_000.0):
    # `grid_w` of that code counts rows: the first axis of its meshgrid is outermost.
    return _rows_first(temperature, cls_token=True)


def _big_vision(temperature=10_000.0):
    base = number("temperature", temperature, 1.0)
    return {"axis_order": (1, 0), "base": base, "frequency_shift": 1.0}


def _timm(temperature=10_000.0, interleave_sin_cos=False):
    check_flags(interleave_sin_cos=interleave_sin_cos)
    base = number("temperature", temperature, 1.0)
    return {"base": base, "per_axis": interleave_sin_cos}


def _diffusers(
    grid_size, base_size=16, interpolation_scale=1.0, cls_token=False, extra_tokens=0
):
    check_flags(cls_token=cls_token)
    extra_tokens = integer("extra_tokens", extra_tokens, 0)
    spread = number("base_size", base_size, positive=True)
    shrink = number("interpolation_scale", interpolation_scale, positive=True)
    scales = tuple(
        spread / size / shrink for size in _two_sizes("grid_size", grid_size)
    )
    return {
        "axis_order": (1, 0),
        "position_scale": scales,
        "num_prefix_tokens": extra_tokens if cls_token else 0,
    }


def _two_sizes(argument, sizes):
    """Rows and columns; an integer is both."""
    if is_integer(sizes):
        return (positive_integer(argument, sizes),) * 2
    return grid_sizes(argument, sizes)


def _cogvideox(spatial_interpolation_scale=1.0, temporal_interpolation_scale=1.0):
    space, time = (
        1 / number(argument, scale, positive=True)
        for argument, scale in (
            ("spatial_interpolation_scale", spatial_interpolation_scale),
            ("temporal_interpolation_scale", temporal_interpolation_scale),
        )
    )
    return {
        "axis_order": (0, 2, 1),
        "axis_shares": (2, 3, 3),
        "position_scale": (time, space, space),
    }


GRID_SINUSOIDS = SinusoidFamilies(
    (
        SinusoidFamily("aimv2", _aimv2, "aimv2_vision_model"),
        SinusoidFamily("big_vision", _big_vision),
        SinusoidFamily("cogvideox", _cogvideox),
        SinusoidFamily("diffusers", _diffusers),
        SinusoidFamily("mae", _columns_first),
        SinusoidFamily("moco_v3", _moco_v3),
        SinusoidFamily("rt_detr", _rows_first),
        SinusoidFamily("timm", _timm),
        SinusoidFamily("vit_mae", _vit_mae),
    )
)
