"""Biases of released models' code, which `golden/transformer_xl_biases.json` names."""

import numpy as np
import pytest
from query_biases import matrix

import attnax.functional as F
from conformance.embeddings.records import load

RECORDS = {record.name: record for record in load("transformer_xl_biases")}


def released(*kinds):
    names = [name for name in RECORDS if name.startswith(kinds)]
    assert len(names) >= len(kinds)
    return pytest.mark.parametrize("name", names)


def tensor(record, *ends):
    """The tensor of the layer whose name has one of these ends, or `None`."""
    layer = f".{record.options['layer']}."
    arrays = record.arrays.items()
    found = [
        array
        for name, array in arrays
        if name.startswith("state ") and layer in name and name.endswith(ends)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def check(record, bias, params, *, expected="expected", sign=1, **tokens):
    """Compares the bias; their sums and ours are of 12 products in each key."""
    arrays = record.arrays
    places = (sign * arrays[f"{n}_positions"] for n in ("q", "k"))
    actual = np.asarray(matrix(bias, params, *places, **tokens))
    size = 1 + np.abs(arrays[expected]).max()
    # Sums of products of numbers that cancel have few roundings of their own size.
    atol = 8 * 2.0**-24 * size
    np.testing.assert_allclose(actual, arrays[expected], rtol=0, atol=atol)


@released("wav2vec2-conformer", "nemotron")
def test_conformers(name):
    record = RECORDS[name]
    q, k = record.arrays["q"], record.arrays["k"]
    sizes = *q.shape[2:], record.options["config"]["hidden_size"]
    weight = tensor(record, "linear_pos.weight", "relative_k_proj.weight")
    params = F.TransformerXLBiasParams(
        weight.reshape(sizes), v=tensor(record, "bias_v"), u=tensor(record, "bias_u")
    )
    check(record, F.TransformerXLBias(*sizes), params, q=q, k=k)
    without = F.TransformerXLBias(*sizes, key_term=False)
    check(record, without, params, q=q, expected="expected_position")


@released("xlnet", "funnel")
def test_xlnet_and_funnel(name):
    record = RECORDS[name]
    arrays, config = record.arrays, record.options["config"]
    tokens = {"q": arrays["q"], "k": arrays["k"]}
    sizes = *arrays["q"].shape[2:], config["d_model"]
    keys, settings, sign = tensor(record, "seg_embed"), {"layout": "sin_cos"}, 1
    if config.get("clamp_len", -1) > 0:
        settings["max_distance"] = config["clamp_len"]
    if config.get("bi_data"):
        sign = np.array([[1], [-1]])
    if "q_segments" in arrays:
        settings["segments"] = True
        tokens = {n: (x, arrays[f"{n}_segments"]) for n, x in tokens.items()}
    if config["model_type"] == "funnel":
        keys = keys[::-1]
        settings |= {"class_segment": 2, "class_token": config["separate_cls"]}
    params = F.TransformerXLBiasParams(
        weight=np.moveaxis(tensor(record, ".r", "r_kernel"), 0, -1),
        v=tensor(record, "r_r_bias"),
        u=tensor(record, "r_w_bias"),
        s=tensor(record, "r_s_bias"),
        segment_keys=keys,
    )
    bias = F.TransformerXLBias(*sizes, **settings)
    check(record, bias, params, sign=sign, **tokens)


@released("gemma3n", "gemma4")
def test_audio_towers(name):
    record = RECORDS[name]
    config, q = record.options["config"], record.arrays["q"]
    prefix = "conf_" if config["model_type"].startswith("gemma3n") else ""
    left, right = (
        config[f"{prefix}attention_context_{side}"] for side in ("left", "right")
    )
    sizes = *q.shape[2:], config["hidden_size"]
    weight = tensor(record, "pos_proj.weight", "relative_k_proj.weight")
    params = F.GemmaAudioBiasParams(
        weight.reshape(sizes), tensor(record, "per_dim_scale")
    )
    bias = F.GemmaAudioBias(*sizes, left=left - 1, right=right)
    # The released code computes the bias of each query's own block; a key beyond it is
    # outside the span too.
    check(record, bias, params, q=q)


@released("inkling_text", "inkling2_text")
def test_inkling(name):
    record = RECORDS[name]
    config, q = record.options["config"], record.arrays["relative_states"]
    bank = tensor(record, "rel_logits_proj.proj")
    settings = {}
    if record.options["layer"] == 1:  # the layer of all tokens
        settings = {"floor": config["log_scaling_n_floor"]}
        settings |= {"alpha": config["log_scaling_alpha"]}
    if config["model_type"] == "inkling2_text":
        settings["max_norm"] = config["rel_l2_clip_threshold"]
    params = F.ProfileBiasParams(bank, tensor(record, "rel_l2_clip.scale"))
    bias = F.ProfileBias(*q.shape[2:], bank.shape[1], **settings)
    check(record, bias, params, q=q)
