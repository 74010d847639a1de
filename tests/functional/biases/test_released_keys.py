"""Biases of released models' code, which `golden/key_biases.json` names."""

import numpy as np
import pytest
from helpers import jitted
from query_biases import forms

import attnax.functional as F
from conformance.embeddings.records import load

RECORDS = {record.name: record for record in load("key_biases")}
DOWN = {"direction": "query_minus_key"}


def released(kind):
    names = [name for name in RECORDS if name.startswith(kind)]
    assert names
    return pytest.mark.parametrize("name", names)


def tensor(record, end):
    """The tensor of the layer, or of all layers, whose name ends so; or `None`."""
    names = (n for n in record.arrays if n.startswith("state ") and n.endswith(end))
    layer = f".{record.options['layer']}."
    found = [record.arrays[n] for n in names if "layer" not in n or layer in n]
    assert len(found) <= 1
    return found[0] if found else None


def assert_released(actual, expected):
    # Sums of at most 24 products of numbers of their own magnitude.
    atol = 8 * 2.0**-24 * (1 + np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def check(record, bias, params, **content):
    arrays, expected = record.arrays, record.arrays["expected"]
    places = [range(len(arrays[f"{n}_positions"])) for n in "qk"]
    inside = arrays.get("mask", True)
    for actual in forms(bias, params, *places, batch=len(expected), **content):
        assert_released(np.where(inside, actual, 0), expected)


@released(("deberta", "sew-d"))
def test_disentangled_attention(name):
    record = RECORDS[name]
    config, q, k = record.options["config"], record.arrays["q"], record.arrays["k"]
    limit = config.get("max_relative_positions", -1)
    buckets = config.get("position_buckets", -1)
    bias = F.DisentangledBias(
        *q.shape[-2:],
        max_distance=limit if limit > 0 else config["max_position_embeddings"],
        num_buckets=buckets if buckets > 0 else None,
    )
    assert bias.factor == pytest.approx(record.options["scale"])
    check(record, bias, rows_of(record, bias), q=q, k=k)


def rows_of(record, bias):
    """The projected tables of a checkpoint."""
    config, norm = record.options["config"], {}
    if "layer_norm" in config.get("norm_rel_ebd", "none"):
        arrays = ("weight", "bias")
        norm = {f"norm_{n}": tensor(record, f"LayerNorm.{n}") for n in arrays}
        norm["epsilon"] = config["layer_norm_eps"]
    first, own = config["model_type"] == "deberta", not config.get("share_att_key")
    names = ("pos_key_proj", "pos_query_proj") if own else ("key_proj", "query_proj")
    rows = [
        F.project_relative_table(
            tensor(record, "rel_embeddings.weight"),
            tensor(record, f"{name}.weight").T,
            tensor(record, f"{name}.bias"),
            num_heads=bias.num_heads,
            **norm,
        )
        for name in (("pos_proj", "pos_q_proj") if first else names)
    ]
    return F.DisentangledParams(*rows)


@released("wav2vec2-bert")
def test_keys_of_wav2vec2_bert(name):
    record = RECORDS[name]
    config, q = record.options["config"], record.arrays["q"]
    sides = ("left", "right")
    edges = {side: config[f"{side}_max_position_embeddings"] for side in sides}
    bias = F.RelativeKeyBias(*q.shape[-2:], **edges)
    keys = tensor(record, "distance_embedding.weight")
    check(record, bias, F.RelativeKeyParams(keys), q=q)


@released("speecht5")
def test_keys_of_speecht5(name):
    record = RECORDS[name]
    limit, q = (
        record.options["config"]["encoder_max_relative_position"],
        record.arrays["q"],
    )
    bias = F.RelativeKeyBias(*q.shape[-2:], left=limit - 1, right=limit, **DOWN)
    check(record, bias, F.RelativeKeyParams(tensor(record, "pe_k.weight")), q=q)


@released("granite")
def test_keys_of_granite_speech(name):
    record = RECORDS[name]
    config, q = record.options["config"]["encoder_config"], record.arrays["q"]
    limit = config.get("max_pos_emb", config.get("max_position_embeddings"))
    bias = F.RelativeKeyBias(*q.shape[-2:], left=limit, right=limit, **DOWN)
    keys = tensor(record, "rel_pos_emb.weight")
    check(record, bias, F.RelativeKeyParams(keys), q=q)


@released("vits")
def test_keys_and_values_of_vits(name):
    record = RECORDS[name]
    limit, q = record.options["config"]["window_size"], record.arrays["q"]
    edges = {"left": limit, "right": limit, "zero_outside": True}
    bias = F.RelativeKeyBias(*q.shape[-2:], **edges)
    check(record, bias, F.RelativeKeyParams(tensor(record, "emb_rel_k")[0]), q=q)
    values = F.RelativeValueParams(tensor(record, "emb_rel_v")[0])
    p = record.arrays["probabilities"]
    places = range(p.shape[-2]), range(p.shape[-1])
    actual = jitted(F.apply_relative_values)(bias, values, p, *places)
    assert_released(actual, record.arrays["expected_values"])
