"""Biases of released models' code, which `golden/sequence_biases.json` names."""

import numpy as np
import pytest
from bias_laws import matrix

import attnax.functional as F
from conformance.embeddings.records import load

RECORDS = {record.name: record for record in load("sequence_biases")}
COORDINATES = {"1d": "position", "horizontal": "center_x", "vertical": "center_y"}


def released(kind):
    names = [name for name in RECORDS if name.startswith(kind)]
    assert names
    return pytest.mark.parametrize("name", names)


def tensor(record, end):
    """The tensor of the file whose name ends so; `None` without one."""
    arrays = record.arrays.items()
    found = [a for n, a in arrays if n.startswith("state ") and n.endswith(end)]
    assert len(found) <= 1
    return found[0] if found else None


def check(record, bias, params, *, tolerance=4, **tokens):
    """Compares the bias; the sum of a few numbers is off by some roundings."""
    arrays = record.arrays
    count = arrays["expected"].shape[-1]
    places = (arrays.get(f"{n}_positions", np.arange(count)) for n in ("q", "k"))
    actual = matrix(bias, params, *places, **tokens)
    expected = arrays["expected"]
    actual = np.broadcast_to(actual, expected.shape)
    atol = tolerance * 2.0**-24 * (1 + np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@released("layoutlm")
def test_layoutlm(name):
    record = RECORDS[name]
    config = record.options["config"]
    heads, factor = config["num_attention_heads"], 1.0
    if config["model_type"] == "layoutlmv3":
        # Its sum of scores and biases is divided.
        factor = (config["hidden_size"] // heads) ** -0.5
    terms = {}
    if config["has_relative_attention_bias"]:
        sizes = config["rel_pos_bins"], config["max_rel_pos"]
        terms["rel_pos"] = F.T5Bias(heads, *sizes, bidirectional=True, factor=factor)
    elif config["model_type"] == "layoutlmv3":
        assert not record.arrays["expected"].any()  # the boxes alone add nothing
        return
    if config["has_spatial_attention_bias"]:
        sizes = config["rel_2d_pos_bins"], config["max_rel_2d_pos"]
        for side, axis in (("left", "x"), ("bottom", "y")):
            terms[f"rel_pos_{axis}"] = F.BoxBias(
                heads, *sizes, coordinate=side, factor=factor
            )
    tables = (tensor(record, f"{term}_bias.weight").T for term in terms)
    bias, boxes = F.SumBias(tuple(terms.values())), record.arrays["boxes"]
    tokens = {name: boxes for name in bias._reads}
    check(record, bias, tuple(map(F.TableBiasParams, tables)), **tokens)


@released("udop")
def test_udop(name):
    record = RECORDS[name]
    config, terms, tables = record.options["config"], [], []
    for n, kind in enumerate(config["relative_bias_args"]):
        sequence = kind["type"] == "1d"
        terms.append(
            F.BoxBias(
                config["num_heads"],
                kind["relative_attention_num_buckets"],
                kind.get("max_distance", 128 if sequence else 100),
                coordinate=COORDINATES[kind["type"]],
                scale=1 if sequence else kind.get("scaling_factor", 100),
                prefix_rows=kind.get("prefix_bucket", False),
            )
        )
        end = "relative_attention_bias.weight"
        table = tensor(record, f"encoder.relative_bias.biases.{n}.{end}")
        if table is None:  # tied
            table = tensor(record, f"encoder.block.0.layer.0.SelfAttention.{end}")
        tables.append(F.TableBiasParams(table))
    boxes, at = record.arrays["boxes"], record.arrays["q_positions"]
    if boxes.dtype == np.float64:  # with a picture; known, so that none is rounded
        actual = F.apply_position_bias(
            F.SumBias(terms), tuple(tables), at, at, q=boxes, k=boxes
        )
        expected = record.arrays["expected"]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=4 * 2.0**-23)
    else:
        check(record, F.SumBias(terms), tuple(tables), q=boxes, k=boxes)


@released("pp_doclayout_v2")
def test_pp_doclayout(name):
    record = RECORDS[name]
    config, boxes = record.options["config"], record.arrays["boxes"]
    weight, offset = (tensor(record, f"pos_proj.{n}") for n in ("weight", "bias"))
    bias = F.BoxRelationBias(
        len(offset),
        config["relation_bias_embed_dim"],
        base=config["relation_bias_theta"],
        scale=config["relation_bias_scale"],
    )
    params = F.BoxRelationBiasParams(weight[..., 0, 0].T, offset)
    # Angles of up to 1300 in float32, of both, and sums over 32 coefficients below 1.
    check(record, bias, params, tolerance=2 * 1300, q=boxes, k=boxes)


@released("cpmant")
def test_cpmant(name):
    record = RECORDS[name]
    config, arrays = record.options["config"], record.arrays
    bias = F.SegmentBias(
        config["num_attention_heads"],
        config["segment_types"],
        num_buckets=config["position_bias_num_buckets"],
        max_distance=config["position_bias_max_distance"],
    )
    params = F.TableBiasParams(tensor(record, "relative_attention_bias"))
    check(record, bias, params, q=arrays["q_segments"], k=arrays["k_segments"])


@released("phi4_multimodal_audio")
def test_phi4_audio(name):
    record = RECORDS[name]
    config = record.options["config"]
    bias = F.ClippedDistanceBias(
        config["num_attention_heads"],
        config["bias_max_distance"],
        symmetric=config["bias_symmetric"],
    )
    check(record, bias, F.TableBiasParams(tensor(record, "bias_values.weight")))


@released("wavlm")
def test_wavlm(name):
    record = RECORDS[name]
    config, hidden = record.options["config"], record.arrays["hidden"]
    heads = config["num_attention_heads"]
    sizes = config["num_buckets"], config["max_bucket_distance"]
    table = F.T5Bias(heads, *sizes, bidirectional=True)
    weight, offset, scale = (
        tensor(record, f"layers.1.attention.gru_rel_pos_{n}")
        for n in ("linear.weight", "linear.bias", "const")
    )
    params = F.GatedBiasParams(
        bias=F.TableBiasParams(tensor(record, "rel_attn_embed.weight")),
        gate=F.BiasGateParams(weight.T, offset, scale.reshape(-1)),
    )
    hidden = hidden.reshape(*hidden.shape[:-1], heads, -1)
    bias = F.GatedBias(table, hidden.shape[-1])
    check(record, bias, params, tolerance=16, q=hidden)


@released("prophetnet")
def test_prophetnet(name):
    record = RECORDS[name]
    config, hidden = record.options["config"], record.arrays["hidden"]
    heads, num_buckets = config["num_decoder_attention_heads"], config["num_buckets"]
    weight, offset = (
        tensor(record, f"layers.1.self_attn.relative_pos_embeddings.{n}")
        for n in ("weight", "bias")
    )
    params = F.HiddenStateBiasParams(
        weight.T.reshape(-1, num_buckets, heads), offset.reshape(num_buckets, heads)
    )
    bias = F.HiddenStateBias(
        heads, len(params.weight), num_buckets, config["relative_max_distance"]
    )
    check(record, bias, params, tolerance=16, q=hidden)


@released("longt5")
def test_longt5_summaries(name):
    record = RECORDS[name]
    config, arrays = record.options["config"], record.arrays
    blocks = F.global_blocks(
        arrays["attention_mask"], block_size=config["global_block_size"]
    )
    np.testing.assert_array_equal(blocks.q_positions, arrays["q_positions"])
    np.testing.assert_array_equal(blocks.k_positions, arrays["k_positions"])
    bias = F.T5Bias(
        config["num_heads"],
        config["relative_attention_num_buckets"],
        config["relative_attention_max_distance"],
        bidirectional=True,
    )
    table = tensor(record, "global_relative_attention_bias.weight")
    check(record, bias, F.TableBiasParams(table))
