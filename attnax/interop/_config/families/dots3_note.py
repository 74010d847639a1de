"""dots3.note: latent attention; sliding layers have bases and widths of their own."""

from .. import widths
from ..family import RopeFamily
from ..schemas.checks import (
    FRACTION,
    check_beside,
    check_same,
    without,
    without_nulls,
)
from ..schemas.given import given_parameters, with_original_length
from .latent import LATENT, NOT_PROPORTIONAL


def parameters(context):
    """Parameters of each layer type; the fraction follows from the widths."""
    keys = context.keys
    base = keys.given("rope_theta", keys.defaults["default_rope_theta"])
    types = dict.fromkeys(context.layer_types)
    out = {name: _of_type(context, name, base) for name in types}
    check_beside(context, out, {}, ["rope_theta"], None)
    return out


def _of_type(context, name, base):
    is_sliding = name == "sliding_attention"
    given, where = given_parameters(context)
    own = given or {}
    if any(isinstance(v, dict) for v in own.values()):
        own = own.get(name) or {}
    check_same(context, FRACTION, own.get(FRACTION), _fraction(context, name))
    own = without(without_nulls(own), FRACTION)
    if given is None and is_sliding:
        own["rope_theta"] = context.keys.given("swa_rope_theta", 50_000.0)
    own.setdefault("rope_theta", base)
    out = with_original_length(context, own, where)
    if is_sliding:
        said = context.keys.given("swa_rope_theta")
        check_same(context, "swa_rope_theta", said, own["rope_theta"])
    return out


def _fraction(context, name):
    """The fraction of a head that rotates in the layers of one type."""
    layer = context.at(context.layer_types.index(name))
    sizes = ("qk_rope_head_dim", "head_dim")
    rotary, whole = (layer.keys.integer(size) for size in sizes)
    return rotary / whole


def layer_types(keys, count):
    """The first two layers and every fourth after them do not slide."""
    full = "full_attention" if keys.get("use_dsa") is False else "indexed_attention"
    if not keys.get("use_sliding_window", True):
        return [full] * count
    return [full if i < 2 or i % 4 == 1 else "sliding_attention" for i in range(count)]


def sliding_widths(context, types):
    """Keys of the sliding layers, whose heads have widths of their own."""
    keys = context.keys
    if keys.given("per_layer_config") is not None:
        return widths.per_layer_config(context, types)
    head_dim = keys.given("swa_head_dim", 256)
    nope = keys.given("swa_qk_nope_head_dim", 192)
    rotary = keys.given("swa_qk_rope_head_dim", head_dim - nope)
    narrow = {"head_dim": head_dim, "qk_rope_head_dim": rotary}
    return {i: narrow for i, name in enumerate(types) if name == "sliding_attention"}


ROWS = (
    (
        "dots3_note_text",
        RopeFamily(
            **LATENT,
            layout="interleaved_to_half",
            types=NOT_PROPORTIONAL,
            schema=parameters,
            layer_types=layer_types,
            overrides=sliding_widths,
        ),
    ),
)
