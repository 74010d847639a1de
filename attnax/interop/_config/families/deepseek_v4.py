"""DeepSeek-V4: sliding layers are `main`, compressed ones have a base of their own."""

from ..family import RopeFamily
from ..schemas.by_layer_type import by_layer_type
from ..schemas.checks import FRACTION, check_same, without_nulls
from ..schemas.given import given_parameters, with_original_length


def parameters(context):
    """Parameters of `main` and `compress`.

    `qk_rope_head_dim` stands for the fraction, or repeats the width that it makes.
    """
    head_dim = context.keys.integer("head_dim")
    out = _main_and_compress(context, head_dim)
    said = context.keys.given("qk_rope_head_dim")
    for params in filter(None, out.values()):
        made = int(head_dim * params.number(FRACTION))
        check_same(context, "qk_rope_head_dim", said, made)
    return out


def _main_and_compress(context, head_dim):
    keys = context.keys
    main, compress = keys.get("rope_theta"), keys.get("compress_rope_theta")
    more = {FRACTION: _fraction(keys, head_dim)}
    given, where = given_parameters(context)
    values = given or {}
    if {"main", "compress"} <= values.keys():
        thetas = {"main": ("rope_theta", main), "compress": ("rope_theta", main)}
        both = {"main": more, "compress": more}
        return by_layer_type(context, thetas=thetas, more=both)
    values = without_nulls(values)
    # The code overwrites both of these.
    check_same(context, FRACTION, values.get(FRACTION), more[FRACTION])
    if values.get("rope_theta") != main:
        check_same(context, "rope_theta", values.get("rope_theta"), compress)
    if values.get("rope_type", values.get("type")) == "yarn":
        values.setdefault("attention_factor", 1.0)
    scaled = {**values, "rope_theta": compress, **more}
    return {
        "main": context.params({"rope_theta": main, **more}, "rope_theta"),
        "compress": with_original_length(context, scaled, where),
    }


def _fraction(keys, head_dim):
    fraction, width = keys.given(FRACTION), keys.given("qk_rope_head_dim")
    if fraction is None and width is not None:
        return width / head_dim
    return 64 / 512 if fraction is None else fraction


_BY_RATIO = {
    0: "sliding_attention",
    4: "compressed_sparse_attention",
    128: "heavily_compressed_attention",
}


def layer_types(keys, count):
    """Two heavily compressed layers, then both kinds of compression in turn."""
    ratios = keys.given("compress_ratios")
    if ratios is not None:
        if set(ratios) - set(_BY_RATIO):
            raise keys.error(f"compress_ratios={ratios} must be of {list(_BY_RATIO)}")
        return [_BY_RATIO[ratio] for ratio in ratios][:count]
    types = ["heavily_compressed_attention"] * min(count, 2)
    names = ("heavily_compressed_attention", "compressed_sparse_attention")
    return types + [names[i % 2] for i in range(max(count - 2, 0))]


ROWS = (
    (
        "deepseek_v4",
        RopeFamily(
            layout="interleaved",
            rotary_start="trailing",
            reads_fraction=True,
            schema=parameters,
            label=lambda t: "main" if t == "sliding_attention" else "compress",
            layer_types=layer_types,
            padded=True,
        ),
    ),
)
