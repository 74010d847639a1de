"""The rotary embedding of a released model from its Hugging Face config."""

from collections.abc import Mapping
from dataclasses import replace

from ... import functional as F
from ..._public import public
from ...functional import Rope
from ...functional._rope.record import LAYOUTS
from .chosen_part import part_names
from .layers import current_name
from .methods import TYPES, frequencies, rope_type
from .models import check_all_read, find
from .names import check_inner_spelling
from .values import MOST, MOST_FREQUENCIES, shown


@public
def rope_from_hf(
    config: Mapping,
    *,
    part: str | None = None,
    layer_type: str | None = None,
    seq_len: int | None = None,
    layout: str | None = None,
) -> Rope | None:
    """The rotary embedding that a model has, from its `config.json` alone.

    What the config does not tell comes from a table by `model_type`, made from the
    source of transformers 5.23: the layout, where in the head the rotating channels
    stand, the axes, and the defaults of missing keys. A key about rotary positions
    that the model does not read is an error, never a default.

    Args:
        config: A dict as in `config.json`, of version 4 (`rope_theta`, `rope_scaling`)
            or 5 (`rope_parameters`, nested by layer type where layers differ).
        part: Which part of a model of text and pictures, sound or speech, by its name
            in `config_parts`; the language model if not given.
        layer_type: Which layers, where the config has parameters by layer type.
        seq_len: Length in tokens to make the rope for; methods whose frequencies depend
            on it (dynamic NTK, LongRoPE) ask for it, others do not read it.
        layout: How channels are paired, instead of what the table says; needed for a
            `model_type` that is not in it. See `attnax.functional.Rope`.

    Returns:
        The rope; `None` for a `layer_type` that has none. Without `layer_type`, the one
        that the parameters describe: `ropes_from_hf` says which layers use it, and
        there are models, such as Falcon with `alibi`, where none does.

    Raises:
        ValueError: If a key is missing, unknown, contradicts another or is out of its
            range; if the language model has no rotary positions and another part has
            them; if several parts without a language model, or several layer types with
            parameters of their own, leave a choice; if a length is needed; if the model
            rotates by something else than integer positions.

    Example:
        >>> config = {"model_type": "llama", "head_dim": 128, "rope_theta": 500_000.0}
        >>> rope_from_hf(config)
        Rope(64 pairs from 1 to 2.46e-06, layout='half')

    Reference:
        Hugging Face transformers 5.23, `modeling_rope_utils.py` and the classes of each
        model. https://github.com/huggingface/transformers
    """
    _check_arguments(layer_type, seq_len, layout)
    context = find(config, part, layout)
    params = context.family.schema(context)
    chosen = _chosen(context, params, layer_type)
    if chosen is None:
        return None
    label, indices = chosen
    make = _maker(context, params, seq_len, layout)
    ropes = {make(label, index) for index in indices or (None,)}
    if len(ropes) > 1:
        raise context.error(
            f"layers of model_type={context.model_type!r} have different rotary "
            "embeddings; use ropes_from_hf"
        )
    return ropes.pop()


@public
def ropes_from_hf(
    config: Mapping,
    *,
    part: str | None = None,
    seq_len: int | None = None,
    layout: str | None = None,
) -> list[Rope | None]:
    """The rotary embedding of every layer, from a model's `config.json` alone.

    Args:
        config: See `rope_from_hf`.
        part: See `rope_from_hf`.
        seq_len: See `rope_from_hf`.
        layout: See `rope_from_hf`.

    Returns:
        One rope per layer in order; `None` for a layer that does not rotate queries and
        keys. Layers that share one hold the same object: make its cos and sin once.

    Raises:
        ValueError: As `rope_from_hf` does, or if the number of layers is not known.

    Example:
        >>> sizes = {"head_dim": 8, "num_hidden_layers": 3, "sliding_window_pattern": 3}
        >>> [rope is None for rope in ropes_from_hf({"model_type": "cohere2", **sizes})]
        [False, False, True]

    Reference:
        Hugging Face transformers 5.23, the classes of each model.
        https://github.com/huggingface/transformers
    """
    _check_arguments(None, seq_len, layout)
    context = find(config, part, layout)
    if not context.layer_types:
        raise context.error(
            "num_hidden_layers is missing, and no default of "
            f"model_type={context.model_type!r} is known; use rope_from_hf"
        )
    params = context.family.schema(context)
    rotates = context.family.rotates(context, context.layer_types)
    make = _maker(context, params, seq_len, layout)
    out = []
    for index, name in enumerate(context.layer_types):
        label = context.family.label(name) if None not in params else None
        on = rotates[index] and params.get(label) is not None
        out.append(make(label, index) if on else None)
    return out


@public
def config_parts(config: Mapping) -> tuple[str, ...]:
    """The names of the parts of a config that have rotary positions.

    A name is that of the key without `_config`, with a dot between levels: `"text"`,
    `"vision"`, `"thinker.text"`. A text whose keys stand at the level of the whole, as
    in the first configs of Qwen2-VL, has its name too. Parts whose positions are known
    and refused are among them, and the error says why.

    Args:
        config: See `rope_from_hf`.

    Returns:
        The names that `rope_from_hf` and `ropes_from_hf` take as `part`, the language
        model first, then in the order of the config. Empty for a model without parts.
        Parts that are not in the config, and that the model's code fills in, are not
        listed.

    Raises:
        ValueError: If the config is no dict, or a part of a known model is none.

    Example:
        >>> text, vision = {"model_type": "qwen3"}, {"model_type": "pixtral"}
        >>> config = {"text_config": text, "vision_config": vision}
        >>> config_parts({"model_type": "lighton_ocr", **config})
        ('text', 'vision')
        >>> config_parts({"model_type": "llama"})
        ()

    Reference:
        Hugging Face transformers 5.23, the classes of each model.
        https://github.com/huggingface/transformers
    """
    return part_names(config)


def _check_arguments(layer_type, seq_len, layout):
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"{layout=} must be one of {LAYOUTS}.")
    if not isinstance(layer_type, str | None):
        raise ValueError(f"{layer_type=} must be a name.")
    whole = isinstance(seq_len, int) and not isinstance(seq_len, bool)
    if seq_len is not None and not (whole and 0 < seq_len <= 2**53):
        raise ValueError(
            f"seq_len={shown(seq_len)} must be a positive int, at most 2**53."
        )


def _chosen(context, params, layer_type):
    """The label of the parameters to read, and the layers that have them.

    `None` for a layer type that does not rotate.
    """
    types, family = context.layer_types, context.family
    rotates = family.rotates(context, types)
    nested = None not in params
    labels = [family.label(name) if nested else None for name in types]
    if layer_type is None:
        if not params:
            raise context.error("the config holds rotary parameters of no layer")
        label, *others = params
        if any(not _are_same(params[label], params[other]) for other in others):
            raise context.error(
                f"model_type={context.model_type!r} has rotary parameters by layer "
                f"type; pass layer_type, one of {sorted(params)}"
            )
        return label, [i for i, on in enumerate(rotates) if on and labels[i] in params]
    layer_type = current_name(layer_type)
    if nested and layer_type in params:
        return layer_type, [i for i, label in enumerate(labels) if label == layer_type]
    if layer_type not in types:
        choices = sorted({*filter(None, params), *types})
        raise context.error(f"{layer_type=} must be one of {choices}")
    indices = [i for i, name in enumerate(types) if name == layer_type]
    on = {rotates[i] for i in indices}
    if len(on) > 1:
        raise context.error(
            f"some layers of {layer_type=} rotate and others do not; use ropes_from_hf"
        )
    return (labels[indices[0]], indices) if True in on else None


def _are_same(one, other):
    """Whether two layer types have the same parameters, so that there is no choice."""
    return one is not None and other is not None and one.values == other.values


def _maker(context, params, seq_len, layout):
    """From a label and a layer to its rope; layers that are alike share one.

    The layer may be none in particular, `None`.
    """
    changes = context.changes() if context.layer_types else {}
    per_layer, found, ropes, pairs = context.family.per_layer, {}, {}, 0
    own = {
        label: per_layer(context, shared) if per_layer and shared is not None else {}
        for label, shared in params.items()
    }

    def make(label, index):
        nonlocal pairs
        values = own[label].get(index, params[label])
        changed = changes.get(index, {})
        key = id(values), repr(changed)
        if key not in found:
            rope = _rope(context.changed(changed), values, seq_len, layout)
            found[key] = ropes.setdefault(rope, rope)
            pairs += rope.rotary_pairs if rope else 0
            if pairs > MOST_FREQUENCIES:
                raise context.error(
                    f"the layers have more than {MOST_FREQUENCIES} frequencies of "
                    "their own in all"
                )
        return found[key]

    return make


def _rope(context, params, seq_len, layout):
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
    kind = rope_type(context, params, family.renames)
    kind = "default" if kind == "axial" and family.axial else kind
    taken = family.types or tuple(TYPES)
    if kind not in taken or (family.axial and kind != "default"):
        raise context.error(
            f"{params.where} has rope_type={kind!r}, which the code of "
            f"model_type={context.model_type!r} does not take"
        )
    head_dim = family.head_dim(context)
    rotary_dim = _rotary_dim(context, params, kind, head_dim)
    if family.axial is not None:
        rope = family.axial(context, rotary_dim, params.number(context, "rope_theta"))
        return _with_layout(rope, layout) if layout else rope
    made = None
    if family.method is not None:
        made = family.method(context, params, kind, rotary_dim, seq_len)
    if made is None:
        made = frequencies(context, params, kind, head_dim, rotary_dim, seq_len)
    inv_freq, attention_factor = made
    own = family.layout if isinstance(family.layout, str) else family.layout(context)
    return Rope(
        -inv_freq if family.reverse else inv_freq,
        own if layout is None else layout,
        rotary_start=family.rotary_start,
        attention_factor=attention_factor,
        **_axes(context, params, inv_freq.size),
    )


def _rotary_dim(context, params, kind, head_dim):
    """How many channels rotate; code that rotates all of them reads no fraction."""
    rotary_dim = head_dim
    if context.family.reads_fraction or kind != "default":
        fraction = params.number(context, "partial_rotary_factor", 1.0)
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
    if context.family.axes is None:
        return {}
    rule, default = context.family.axes
    sections = params.get("mrope_section", default)
    interleaved = params.given("mrope_interleaved", params.given("interleaved"))
    strided = rule is F.strided_axes
    if interleaved is not None and bool(interleaved) != strided:
        raise context.error(
            f"{params.where} holds mrope_interleaved={interleaved}, but the code of "
            f"model_type={context.model_type!r} has its axes "
            f"{'in turn' if strided else 'in sections'}"
        )
    if len(sections) != 3:
        raise context.error(f"mrope_section={sections} must hold three sections")
    sections = [int(section) for section in sections]
    if sum(sections) != pairs and not strided:
        raise context.error(f"mrope_section={sections} must sum to the {pairs} pairs")
    axes = rule(sections, pairs)
    return {"axis_of_pair": axes, "num_axes": 3}


def _with_layout(rope, layout):
    blocks = rope.num_blocks if layout == rope.layout else 1
    return replace(rope, layout=layout, num_blocks=blocks)
