"""The rope type that parameters name, checked against the types that are known."""

from .methods import COMMON

# What to do about types of other engines, and about names that several codes share.
_FOREIGN = {
    "su": "write 'longrope', which only the Phi-3 family calls 'su'",
    "mrope": "write 'default' with mrope_section, in a model whose positions have "
    "several axes: 'qwen2_5_vl_text' has them in sections, 'qwen3_vl_text' in turn",
    "xdrope": "write 'dynamic' with alpha if the model is Hunyuan's, whose code alone "
    "reads it",
    "ntk": "engines differ in its formula: make a Rope of ntk_inv_freq or of "
    "mixed_ntk_inv_freq",
    "deepseek_yarn": "write 'yarn'; its attention factor is yarn_attention_factor with "
    "rule='deepseek'",
    "telechat3-yarn": "write 'yarn' with attention_factor = 0.07 * ln(factor) + 1",
}


def rope_type(context, params):
    """The rope type under either of its names; raises unless the code takes it."""
    family, kind = context.family, _named(context, params)
    if kind == "axial" and family.axial:
        kind = "default"
    taken = family.types or COMMON
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
    if kind in (*COMMON, *(context.family.types or ()), "axial"):
        return kind
    hint = _FOREIGN.get(kind, f"known are {', '.join(COMMON)}")
    raise context.error(f"{params.where} has an unknown rope_type={kind!r}; {hint}")
