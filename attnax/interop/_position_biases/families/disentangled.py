"""DeBERTa and SEW-D: one table of relative positions, projected in each layer."""

from ....functional import (
    DisentangledBias,
    DisentangledParams,
    project_relative_table,
)
from ..family import BiasFamily
from ..sizes import head_width
from ..stack import Layer, Source, Stack, Tensor, Use

_TERMS = ("c2p", "p2c")
_TABLE, _NORM = "encoder.rel_embeddings.weight", "encoder.LayerNorm.{}"
# Projections of positions of their own, of both versions.
_PROJECTIONS = {"pos_proj", "pos_q_proj", "pos_key_proj", "pos_query_proj"}


def _terms(keys):
    """The names in `pos_att_type`, which is a list or has them between bars."""
    return _listed(keys, "pos_att_type", (*_TERMS, "none", ""))


def _listed(keys, key, known):
    """The names under a key; capital letters count in a list, and not between bars."""
    given = keys.get(key) or ()
    if isinstance(given, str):
        given = [name.strip() for name in given.lower().split("|")]
    if not set(given) <= set(known):
        raise keys.error(
            f"{keys.said(key)}, whose names must be among {[*filter(None, known)]}"
        )
    return list(given)


def _limit(keys):
    """The distance from which on all have one row."""
    given = (
        keys.integer("max_relative_positions")
        if keys.get("max_relative_positions")
        else -1
    )
    return given if given > 0 else keys.integer("max_position_embeddings")


def _bias(keys, terms, count, buckets=None):
    width = head_width(keys)
    return DisentangledBias(
        keys.integer("num_attention_heads"),
        width,
        max_distance=_limit(keys),
        num_buckets=buckets,
        content_to_position="c2p" in terms,
        position_to_content="p2c" in terms,
        factor=(width * (1 + count)) ** -0.5,
    )


def _check_unusual(keys):
    width = head_width(keys)
    for key, needed in (("talking_head", False), ("attention_head_size", width)):
        if keys.get(key, needed) != needed:
            raise keys.error(f"{keys.said(key)}, which must be {needed}")


def _stack(keys, bias, projections, norm):
    """A stack by the projections of each term in a layer: `(field, name, has bias)`."""
    width = keys.integer("hidden_size")
    shared = [Tensor("table", (_TABLE,), (bias.num_rows, width))]
    if norm:
        shared += [
            Tensor(f"norm_{part}", (_NORM.format(part),), (width,))
            for part in ("weight", "bias")
        ]
    epsilon = keys.number("layer_norm_eps", 1e-7)
    make = _projected(bias.num_heads, epsilon)
    layers = []
    for layer in range(keys.integer("num_hidden_layers")):
        own = f"encoder.layer.{layer}.attention.self."
        tensors = list(shared)
        for field, name, has_bias in projections:
            stem = own + name
            tensors.append(
                Tensor(f"{field}.weight", (f"{stem}.weight",), (width, width))
            )
            if has_bias:
                tensors.append(Tensor(f"{field}.bias", (f"{stem}.bias",), (width,)))
        use = Use(bias, Source(make, tuple(tensors)))
        layers.append(Layer((use,), bias.factor))
    used = {name for _, name, _ in projections}
    without = [
        f"encoder.layer.0.attention.self.{name}.weight"
        for name in sorted(_PROJECTIONS - used)
    ]
    without += [] if norm else [_NORM.format("weight"), _NORM.format("bias")]
    return Stack(tuple(layers), tuple(without))


def _off(keys):
    """The stack without biases; with relative attention, it has the table at least."""
    if keys.get("relative_attention", False):
        return None
    return Stack((), (_TABLE, _NORM.format("weight")))


def _projected(num_heads, epsilon):
    """The maker of parameters from a table, its norm and the projections."""

    def make(table, norm_weight=None, norm_bias=None, **projections):
        def rows(field):
            if f"{field}.weight" not in projections:
                return None
            return project_relative_table(
                table,
                projections[f"{field}.weight"].T,
                projections.get(f"{field}.bias"),
                num_heads=num_heads,
                norm_weight=norm_weight,
                norm_bias=norm_bias,
                epsilon=epsilon,
                precision="highest",
            )

        return DisentangledParams(keys=rows("keys"), queries=rows("queries"))

    return make


def _chosen(terms, projections):
    return [one for term, one in zip(_TERMS, projections, strict=True) if term in terms]


def _deberta(keys):
    """Projections of positions of their own; the scale counts the names of the list."""
    terms = _terms(keys)
    _check_unusual(keys)
    if not keys.get("relative_attention", False) or not set(terms) & set(_TERMS):
        return _off(keys)
    projections = (("keys", "pos_proj", False), ("queries", "pos_q_proj", True))
    bias = _bias(keys, terms, len(terms))
    return _stack(keys, bias, _chosen(terms, projections), norm=False)


def _deberta_v2(keys):
    """Buckets, a norm of the table, and the layer's own projections if `shared`."""
    terms = [term for term in _TERMS if term in _terms(keys)]
    _check_unusual(keys)
    if not keys.get("relative_attention", False) or not terms:
        return _off(keys)
    buckets = keys.integer("position_buckets") if keys.get("position_buckets") else -1
    bias = _bias(keys, terms, len(terms), buckets if buckets > 0 else None)
    own = ("key_proj", "query_proj")
    if not keys.get("share_att_key", False):
        own = tuple(f"pos_{name}" for name in own)
    projections = [(f, n, True) for f, n in zip(("keys", "queries"), own, strict=True)]
    norms = _listed(keys, "norm_rel_ebd", ("layer_norm", "none", ""))
    return _stack(keys, bias, _chosen(terms, projections), norm="layer_norm" in norms)


_NOTE = "queries and keys of different numbers do not run"
ROWS = (
    ("deberta", BiasFamily({"encoder": _deberta}, "DeBERTa", note=_NOTE)),
    (
        "deberta-v2 sew-d",
        BiasFamily(
            {"encoder": _deberta_v2},
            "DeBERTa",
            # No fields of the class; without relative attention, nobody reads them.
            elsewhere=("position_buckets", "share_att_key", "norm_rel_ebd"),
            note=_NOTE,
        ),
    ),
)
