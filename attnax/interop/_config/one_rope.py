"""The rope of one layer, from its part of the config and its parameters."""

from dataclasses import replace

from ... import functional as F
from ...functional import Rope
from .methods import COMMON_METHODS, METHODS, Wanted
from .unread import SEVERAL_AXES, check_all_read
from .values import MOST
from .wrong_keys import check_inner_spelling

# Advice about types of other engines, and about names that several codes share.
_FOREIGN = {
    "su": "write 'longrope', which only the Phi-3 family calls 'su'",
    "mrope": "write 'default' with mrope_section, for a model whose positions have "
    f"several axes, such as {SEVERAL_AXES}",
    "xdrope": "write 'dynamic' with alpha if the model is Hunyuan's, whose code alone "
    "reads it",
    "ntk": "engines differ in its formula: make a Rope of ntk_inv_freq or of "
    "mixed_ntk_inv_freq",
    "deepseek_yarn": "write 'yarn'; its attention factor is yarn_attention_factor with "
    "rule='deepseek'",
    "telechat3-yarn": "write 'yarn' with attention_factor = 0.07 * ln(factor) + 1",
}


def rope_of_layer(context, params, seq_len, layout):
    """The rope of one layer; `None` for null parameters."""
    if params is None:
        return None
    check_inner_spelling(context, params)
    try:
        rope = _made(context, params, seq_len, layout)
    except (ValueError, ArithmeticError) as error:
        if hasattr(error, "path"):  # it says already where in the config
            raise
        raise context.error(f"{params.where}: {str(error).rstrip('.')}") from error
    check_all_read(context, params, rope)
    return rope


def _made(context, params, seq_len, layout):
    family = context.family
    kind = rope_type(context, params)
    head_dim = family.head_dim(context)
    rotary_dim = _rotary_dim(context, params, kind, head_dim)
    if family.axial is not None:
        rope = family.axial(context, rotary_dim, params.number("rope_theta"))
        return _with_layout(rope, layout) if layout else rope
    inv_freq, attention_factor = _frequencies(
        context, params, kind, head_dim, rotary_dim, seq_len
    )
    own = family.layout if isinstance(family.layout, str) else family.layout(context)
    return Rope(
        -inv_freq if family.reverse else inv_freq,
        own if layout is None else layout,
        rotary_start=family.rotary_start,
        attention_factor=attention_factor,
        **_axes(context, params, inv_freq.size),
    )


def rope_type(context, params):
    """The rope type under either of its names; raises unless the code takes it."""
    family, kind = context.family, _named(context, params)
    if kind == "axial" and family.axial:
        kind = "default"
    taken = family.types or COMMON_METHODS
    if kind not in taken or (family.axial and kind != "default"):
        raise context.error(
            f"{params.where} has rope_type={kind!r}, which the code of "
            f"model_type={context.model_type!r} does not take"
        )
    return kind


def _named(context, params):
    renames = context.family.renames
    new, old = (renames.get(t, t) for t in map(params.given, ("rope_type", "type")))
    if new is not None and old is not None and new != old:
        raise context.error(
            f"{params.where} holds rope_type={params.values['rope_type']!r} and "
            f"type={params.values['type']!r}, which contradict each other; keep one"
        )
    kind = new if new is not None else "default" if old is None else old
    if kind in (*COMMON_METHODS, *(context.family.types or ()), "axial"):
        return kind
    hint = _FOREIGN.get(kind, f"known are {', '.join(COMMON_METHODS)}")
    raise context.error(f"{params.where} has an unknown rope_type={kind!r}; {hint}")


def _frequencies(context, params, kind, head_dim, rotary_dim, seq_len):
    """`(inv_freq, attention_factor)` by the family's method or that of the type."""
    base = params.number("rope_theta")
    if base <= 0.0:
        raise context.error(f"{params.said('rope_theta')}, which must be positive")
    wanted = Wanted(context, params, kind, head_dim, rotary_dim, base, seq_len)
    rule = context.family.method
    made = None if rule is None else rule(wanted)
    return METHODS[kind](wanted) if made is None else made


def _rotary_dim(context, params, kind, head_dim):
    """The number of channels that rotate."""
    rotary_dim = head_dim
    # Code that always rotates the whole head reads no fraction.
    if context.family.reads_fraction or kind != "default":
        fraction = params.number("partial_rotary_factor", 1.0)
        if fraction > 1.0 and context.family.axial is None:
            raise context.error(
                f"partial_rotary_factor={fraction} must be at most 1, for it is a part "
                f"of head_dim={head_dim}"
            )
        if kind != "proportional":  # there it says how many of the pairs turn
            rotary_dim = int(head_dim * fraction)
    if max(head_dim, rotary_dim) > MOST:
        raise context.error(
            f"head_dim={head_dim} (or hidden_size over num_attention_heads) must be at "
            f"most {MOST}"
        )
    if rotary_dim <= 0 or rotary_dim % 2 != 0:
        raise context.error(
            f"head_dim={head_dim} (or hidden_size over num_attention_heads) and "
            f"partial_rotary_factor={params.get('partial_rotary_factor', 1.0)} make "
            f"{rotary_dim} rotating channels, which must be positive and even"
        )
    return rotary_dim


def _axes(context, params, pairs):
    """Settings of a `Rope` of three axes; none for a model with one axis."""
    if context.family.axes is None:
        return {}
    rule, default = context.family.axes
    sections = params.get("mrope_section", default)
    strided = rule is F.strided_axes
    _check_interleaved(context, params, strided)
    if len(sections) != 3:
        raise context.error(f"mrope_section={sections} must hold three sections")
    sections = [int(section) for section in sections]
    if sum(sections) != pairs and not strided:
        raise context.error(f"mrope_section={sections} must sum to the {pairs} pairs")
    return {"axis_of_pair": rule(sections, pairs), "num_axes": 3}


def _check_interleaved(context, params, strided):
    """Raises if the config says another order of the axes than the code has."""
    said = params.given("mrope_interleaved", params.given("interleaved"))
    if said is not None and bool(said) != strided:
        raise context.error(
            f"{params.where} holds mrope_interleaved={said}, but the code of "
            f"model_type={context.model_type!r} has its axes "
            f"{'interleaved' if strided else 'in sections'}"
        )


def _with_layout(rope, layout):
    blocks = rope.num_blocks if layout == rope.layout else 1
    return replace(rope, layout=layout, num_blocks=blocks)
