"""Models with layers without attention between those that have it."""

from .... import functional as F
from .. import layers
from ..family import RopeFamily
from ..schemas.checks import FRACTION, check_same
from ..schemas.flat import flat


def bamba(context):
    """Parameters of Bamba: half of a head rotates, whatever stands beside them."""
    keys = context.keys
    half = keys.defaults["default_partial_rotary_factor"]
    check_same(context, FRACTION, keys.given(FRACTION), half)
    width = half * context.family.head_dim(context)
    check_same(context, "attn_rotary_emb", keys.given("attn_rotary_emb"), width)
    return flat(context, fraction=None)


# Layer types.


def listed(key):
    """Layers that `key` lists attend; the others are linear."""

    def rule(keys, count):
        indices = frozenset(keys.get(key) or ())
        names = ("linear_attention", "full_attention")
        return [names[i in indices] for i in range(count)]

    return rule


def lfm2(keys, count):
    """Layers that `full_attn_idxs` lists attend; without the list, all do."""
    indices = frozenset(keys.get("full_attn_idxs", range(count)))
    return ["full_attention" if i in indices else "conv" for i in range(count)]


def olmo_hybrid(keys, count):
    """Every fourth layer attends; in a shorter model, the last does."""
    types = layers.every(4, other="linear_attention")(keys, count)
    return types if "full_attention" in types else [*types[:-1], "full_attention"]


def recurrent_gemma(keys, count):
    """`block_types` repeats over the layers."""
    blocks = keys.get("block_types", ("recurrent", "recurrent", "attention"))
    names = {"recurrent": "linear_attention", "attention": "sliding_attention"}
    if not blocks or set(blocks) - set(names):
        raise keys.error(f"block_types={blocks} must be of {list(names)}")
    return [names[blocks[i % len(blocks)]] for i in range(count)]


def zamba2(keys, count):
    """54 layers, of which every sixth and some more are hybrid."""
    gaps = (*(6,) * 7, 4, 3)  # layers without attention before each hybrid one
    types = []
    for gap in gaps:
        types += ["linear_attention"] * (gap - (gap == 6 and bool(types))) + ["hybrid"]
    return types + ["linear_attention"] * 2


# Zamba 2.


def of_shared_attention(context):
    """Twice the usual width, for the input is two hidden states side by side."""
    keys = context.keys
    if keys.given("head_dim") is not None:
        return keys.integer("head_dim")
    hidden_size = keys.integer("hidden_size")
    return 2 * hidden_size // keys.integer("num_attention_heads")


def long_context(wanted):
    """Frequencies with the larger base that `use_long_context` switches on.

    The code of the release does this. transformers 5.23 still announces it in a
    warning, but no longer does it.
    """
    if not wanted.context.keys.get("use_long_context"):
        return None
    if wanted.kind != "default":
        raise wanted.context.error(
            f"the config holds use_long_context=True and {wanted.params.where} with "
            f"rope_type={wanted.kind!r}; keep one of the two"
        )
    return F.ntk_inv_freq(wanted.rotary_dim, wanted.base, factor=8.0), 1.0


ROWS = (
    ("falcon_h1", RopeFamily(layer_types=layers.all_of("hybrid"))),
    (
        "bamba",
        RopeFamily(
            reads_fraction=True,
            schema=bamba,
            elsewhere=("attn_rotary_emb",),
            layer_types=listed("attn_layer_indices"),
        ),
    ),
    (
        "granitemoehybrid",
        RopeFamily(
            layer_types=layers.all_of("linear_attention"),
            rotates=layers.where_on("position_embedding_type", "rope"),
        ),
    ),
    ("lfm2", RopeFamily(layer_types=lfm2)),
    ("lfm2_moe", RopeFamily()),
    (
        "minimax",
        RopeFamily(
            layer_types=layers.every(
                2, special="linear_attention", other="full_attention"
            )
        ),
    ),
    ("olmo_hybrid", RopeFamily(layer_types=olmo_hybrid)),
    (
        "qwen3_next",
        RopeFamily(
            reads_fraction=True,
            layer_types=layers.every(
                4, "full_attention_interval", other="linear_attention"
            ),
        ),
    ),
    (
        "recurrent_gemma",
        RopeFamily(
            reads_fraction=True, types=("default",), layer_types=recurrent_gemma
        ),
    ),
    (
        "zamba2",
        RopeFamily(
            head_dim=of_shared_attention,
            method=long_context,
            layer_types=zamba2,
            rotates=layers.where_on("use_mem_rope", True),
        ),
    ),
)
