"""Models with parameters of their own for each type of layer."""

from functools import partial

from .. import layers
from ..family import RopeFamily
from ..layers import full_if
from ..schemas.by_layer_type import by_layer_type
from ..schemas.checks import FRACTION, check_new_name, check_same
from ..widths import per_layer_config

# Parameters.

_GLOBAL_AND_LOCAL = partial(
    by_layer_type,
    thetas={
        "sliding_attention": ("rope_local_base_freq", 10_000.0),
        "full_attention": ("rope_theta", 1_000_000.0),
    },
    scaled=("full_attention",),
)
# The code of the release reads the type under its old name too: transformers 4.50 for
# Gemma 3, 4.53 for Gemma 3n, 4.57 for OLMo 3.
_GEMMA3 = partial(_GLOBAL_AND_LOCAL, old_type=True)
_OLMO3 = partial(
    by_layer_type,
    thetas={
        "sliding_attention": (None, 500_000.0),
        "full_attention": ("rope_theta", 500_000.0),
    },
    scaled=("full_attention",),
    old_type=True,
)
_MODERNBERT = partial(
    by_layer_type,
    thetas={
        "sliding_attention": ("local_rope_theta", 10_000.0),
        "full_attention": ("global_rope_theta", 160_000.0),
    },
    scaled=("full_attention", "sliding_attention"),
)


def neomme(context):
    """Parameters of NeoMME, whose full layers rotate a quarter of each head."""
    for params in (context.keys.given("rope_parameters") or {}).values():
        if isinstance(params, dict):
            check_new_name(context, "rope_parameters", params)
    return by_layer_type(
        context,
        thetas={
            "sliding_attention": ("rope_theta", 10_000.0),
            "full_attention": ("rope_theta", 1_000_000.0),
        },
        more={
            "sliding_attention": {FRACTION: 1.0},
            "full_attention": {FRACTION: 0.25},
        },
    )


def mimo(context):
    """Parameters of MiMo-V2; about a third of a head rotates unless they say otherwise.

    The released configs also hold names that the code does not read, with what it does.
    """
    keys, third = context.keys, {FRACTION: 0.334}
    labels = keys.get("rope_parameters", {})
    nested = {k: v for k, v in labels.items() if isinstance(v, dict)}
    plain = [k for k, v in nested.items() if v.get("rope_type") == "default"]
    out = by_layer_type(context, more=dict.fromkeys(plain, third))
    for label, params in out.items():
        if params:
            said = keys.given(FRACTION)
            check_same(context, FRACTION, said, params.values.get(FRACTION, 1.0))
            if label == "sliding_attention":
                said = keys.given("swa_rope_theta")
                check_same(context, "swa_rope_theta", said, params.get("rope_theta"))
    return out


def ultrabert(context):
    """Parameters of UltraBERT, whose `rope_theta` may list one base per layer."""
    keys = context.keys
    if keys.given("rope_parameters") is not None or keys.get("rope_theta") is None:
        return by_layer_type(context, shared=None)
    thetas = keys.given("rope_theta")
    if not isinstance(thetas, list):
        raise context.error(
            f"the config holds rope_theta={thetas!r}, which the code of "
            f"{context.model_type!r} takes as a list with one base per layer"
        )
    by_type = dict(zip(context.layer_types, thetas, strict=False))
    return {
        k: context.params({"rope_theta": v}, "rope_theta") for k, v in by_type.items()
    }


# Layer types.


def mimo_layers(keys, count):
    """Layers as `hybrid_layer_pattern` says, or the first and every sixth are full."""
    pattern = keys.given("hybrid_layer_pattern")
    if pattern is not None:
        return [full_if(sliding == 0) for sliding in pattern]
    return [full_if(i == 0 or (i + 1) % 6 == 0) for i in range(count)]


def lfm3(keys, count):
    """Convolutions, and one sliding and one full layer in every four."""
    types = ["conv"] * count
    for i in range(count):
        if i % 4 == 2 or (i % 4 == 0 and i > 0):
            types[i] = full_if(i % 4 == 2)
    return types


# Keys of single layers.


def global_head_dim(context, types):
    """Wider heads for the full layers of Gemma 4."""
    keys = context.keys
    if keys.given("per_layer_config") is not None:
        return per_layer_config(context, types)
    wide = {"head_dim": keys.given("global_head_dim", 512)}
    return {i: wide for i, name in enumerate(types) if name == "full_attention"}


_GEMMA4 = {
    "schema": by_layer_type,
    "layer_types": layers.last_is_full(layers.every(6)),
    "overrides": global_head_dim,
}
_EVERY_SIXTH = layers.every(6, "sliding_window_pattern")

ROWS = (
    ("gemma3_text", RopeFamily(schema=_GEMMA3, layer_types=_EVERY_SIXTH)),
    (
        "t5gemma2_text t5gemma2_decoder",
        RopeFamily(schema=_GLOBAL_AND_LOCAL, layer_types=_EVERY_SIXTH),
    ),
    ("gemma3n_text", RopeFamily(schema=_GEMMA3, layer_types=layers.every(5))),
    ("olmo3", RopeFamily(schema=_OLMO3, layer_types=layers.every(4))),
    (
        "modernbert modernbert-decoder",
        RopeFamily(
            schema=_MODERNBERT,
            layer_types=layers.from_first(3, "global_attn_every_n_layers"),
        ),
    ),
    ("gemma4_text gemma4_unified_text embedding_gemma2_text", RopeFamily(**_GEMMA4)),
    ("diffusion_gemma_text", RopeFamily(**_GEMMA4, reads_fraction=True)),
    (
        "beam",
        RopeFamily(
            schema=by_layer_type, layer_types=layers.last_is_full(layers.every(6))
        ),
    ),
    ("ultrabert", RopeFamily(schema=ultrabert, layer_types=layers.every(3))),
    ("lfm3", RopeFamily(schema=by_layer_type, layer_types=lfm3)),
    ("laguna mellum", RopeFamily(reads_fraction=True, schema=by_layer_type)),
    (
        "mimo_v2_flash",
        RopeFamily(reads_fraction=True, schema=mimo, layer_types=mimo_layers),
    ),
    (
        "zaya",
        RopeFamily(
            reads_fraction=True,
            schema=partial(by_layer_type, fraction=FRACTION),
            layer_types=layers.all_of("hybrid"),
        ),
    ),
    (
        "neomme",
        RopeFamily(
            reads_fraction=True,
            schema=neomme,
            layer_types=layers.last_is_full(layers.every(6)),
        ),
    ),
)
