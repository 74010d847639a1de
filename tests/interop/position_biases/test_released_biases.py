"""Position biases of configs as they were released, and of files with their names.

`golden/hf_configs.json.gz` holds configs as they were published, with their sources.
Models that are not in it have the defaults of their class in transformers 5.23.
"""

import gzip
import json
import pathlib

import numpy as np
import pytest

import attnax.functional as F
from attnax.interop import (
    position_bias_from_hf,
    position_bias_params_from_checkpoint,
)

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "hf_configs.json.gz"
PUBLISHED = {
    record["source"]: record["config"]
    for record in json.loads(gzip.decompress(GOLDEN.read_bytes()))["configs"]
}
INTEL = "intel/intel-extension-for-pytorch:"
OLD_BLOOM = PUBLISHED[INTEL + "tests/cpu/hf_configs/bloom/config.json"]
MPT = PUBLISHED[
    INTEL + "examples/cpu/llm/inference/utils/model_config/mosaicml_mpt-7b_config.json"
]
BLOOM = PUBLISHED[
    "Deep-Spark/DeepSparkHub:models/nlp/llm/bloom-7b1/pytorch/models/bloom/config.json"
]
T5_XXL = PUBLISHED[
    "pytorch/torchtitan:tests/assets/flux_test_encoders/t5-v1_1-xxl/config.json"
]
GEMMA = PUBLISHED["sophgo/LLM-TPU:models/Gemma4/config/config.json"]
INKLING = PUBLISHED["lightseekorg/smg:crates/multimodal/src/registry/inkling.rs"]
# deberta-v3-base/config.json in satishsingh-singh90/legal-Q-and-A-with-haystack; its
# 12 layers are alike, and one is enough for its tensors.
DEBERTA = {
    "model_type": "deberta-v2",
    "hidden_size": 768,
    "layer_norm_eps": 1e-07,
    "max_position_embeddings": 512,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "position_buckets": 256,
    "relative_attention": True,
    "share_att_key": True,
    "type_vocab_size": 0,
}
GEMMA_BIAS = F.GemmaAudioBias(8, 128, 1024, left=12, right=0)


def slopes(num_heads):
    return F.AlibiBias(num_heads, form="key")


@pytest.mark.parametrize(
    ("config", "part", "bias", "places", "scale"),
    (
        pytest.param(BLOOM, None, slopes(32), [None] * 30, 128**-0.5, id="bloom-7b1"),
        # One layer, whose width has the old name `n_embed`.
        pytest.param(OLD_BLOOM, None, slopes(16), [None], 128**-0.5, id="bloom, old"),
        pytest.param(MPT, None, slopes(32), [None] * 32, 128**-0.5, id="mpt-7b"),
        # No key for the largest distance.
        pytest.param(
            T5_XXL, "encoder", F.T5Bias(64, bidirectional=True), [0] * 24, 1.0, id="t5"
        ),
        pytest.param(
            T5_XXL,
            "decoder",
            F.T5Bias(64, bidirectional=False),
            [0] * 24,
            1.0,
            id="t5, decoder",
        ),
        pytest.param(GEMMA, None, GEMMA_BIAS, list(range(12)), None, id="gemma 4"),
    ),
)
def test_published_config(config, part, bias, places, scale):
    biases = position_bias_from_hf(config, part=part)
    assert {term.bias for layer in biases.layers for term in layer.terms} == {bias}
    assert [t.params_index for layer in biases.layers for t in layer.terms] == places
    assert {layer.scale for layer in biases.layers} == {scale}


def test_published_inkling_has_a_window_in_five_layers_of_six():
    biases = position_bias_from_hf(INKLING)
    extents = [term.bias.extent for layer in biases.layers for term in layer.terms]
    assert extents == ([512] * 5 + [1024]) * 11


@pytest.mark.parametrize("name", ("gemma-4-26B-A4B", "Gemma-4-31B-IT-NVFP4"))
def test_a_published_gemma_without_audio_has_no_bias(name):
    (config,) = (PUBLISHED[source] for source in PUBLISHED if name in source)
    assert position_bias_from_hf(config) is None


def test_a_published_falcon_rotates_and_has_no_slopes():
    falcons = [c for c in PUBLISHED.values() if c.get("model_type") == "falcon"]
    assert len(falcons) == 2
    assert [position_bias_from_hf(config) for config in falcons] == [None, None]


def test_published_deberta_v3():
    biases = position_bias_from_hf(DEBERTA)
    bias = F.DisentangledBias(12, 64, max_distance=512, num_buckets=256)
    assert {term.bias for layer in biases.layers for term in layer.terms} == {bias}
    assert {layer.scale for layer in biases.layers} == {192**-0.5}
    assert biases.num_params == 12


def zeros(**shapes):
    """Tensors of a file, by the names of the code of transformers and their shapes."""
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def numbered(prefix, count, **shapes):
    """Tensors of each layer, whose names have `{}` in the place of its number."""
    return zeros(
        **{
            prefix.format(layer) + name: shape
            for layer in range(count)
            for name, shape in shapes.items()
        }
    )


def swin(prefix):
    own = "encoder.layers.{}.blocks.{}.attention.self.relative_position_bias_table"
    heads = {0: (2, 3), 1: (2, 6), 2: (6, 12), 3: (2, 24)}
    return zeros(
        **{
            prefix + own.format(stage, block): (169, count)
            for stage, (blocks, count) in heads.items()
            for block in range(blocks)
        }
    )


def beit():
    own = "beit.encoder.relative_position_bias.relative_position_bias_table"
    return zeros(**{own: (27 * 27 + 3, 12)})


def sam():
    whole, own = (2, 5, 8, 11), "vision_encoder.layers.{}.attn.rel_pos_{}"
    return zeros(
        **{
            own.format(layer, axis): (127 if layer in whole else 27, 64)
            for layer in range(12)
            for axis in "hw"
        }
    )


def wavlm():
    own = "wavlm.encoder.layers.{}.attention."
    gate = {"gru_rel_pos_const": (1, 12, 1, 1), "gru_rel_pos_linear.bias": (8,)}
    gate |= {"gru_rel_pos_linear.weight": (8, 64)}
    table = {own.format(0) + "rel_attn_embed.weight": (320, 12)}
    return zeros(**table) | numbered(own, 12, **gate)


def layoutlmv3():
    names = {"": (12, 32), "x_": (12, 64), "y_": (12, 64)}
    own = "layoutlmv3.encoder.rel_pos_{}bias.weight"
    return zeros(**{own.format(axis): shape for axis, shape in names.items()})


def levit():
    """14 x 14 patches, then 7 x 7 and 4 x 4; queries between have half the sides."""
    tables = {}
    for stage, (side, heads) in enumerate(((14, 4), (7, 8), (4, 12))):
        own = f"levit.encoder.stages.{stage}.layers."
        for layer in range(4):
            tables[f"{own}{2 * layer}.module.attention_biases"] = (heads, side**2)
        if stage < 2:
            tables[f"{own}8.attention_biases"] = ((8, 16)[stage], side**2)
    return zeros(**tables)


def parakeet():
    shapes = {"bias_u": (8, 128), "bias_v": (8, 128)}
    shapes["relative_k_proj.weight"] = (1024, 1024)
    return numbered("encoder.layers.{}.self_attn.", 1, **shapes)


def deberta():
    own = "deberta.encoder."
    shapes = {"rel_embeddings.weight": (512, 768)}
    shapes |= {"LayerNorm.weight": (768,), "LayerNorm.bias": (768,)}
    for part in ("query", "key"):
        stem = f"layer.0.attention.self.{part}_proj"
        shapes |= {f"{stem}.weight": (768, 768), f"{stem}.bias": (768,)}
    return zeros(**{own + name: shape for name, shape in shapes.items()})


def t5():
    own = "{}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    return zeros(**{own.format(stack): (32, 64) for stack in ("encoder", "decoder")})


# Published configs; those that hold little more than a model type are the defaults of
# its class.
@pytest.mark.parametrize(
    ("config", "part", "tensors", "num_params"),
    (
        pytest.param(T5_XXL, "encoder", t5, 1, id="t5-v1_1-xxl"),
        pytest.param(T5_XXL, "decoder", t5, 1, id="t5-v1_1-xxl, decoder"),
        pytest.param(
            DEBERTA | {"num_hidden_layers": 1}, None, deberta, 1, id="deberta-v3-base"
        ),
        pytest.param(
            {"model_type": "swin"}, None, lambda: swin("swin."), 12, id="swin"
        ),
        pytest.param(
            {"model_type": "mask2former", "backbone_config": {"model_type": "swin"}},
            None,
            lambda: swin("model.pixel_level_module.encoder."),
            12,
            id="mask2former",
        ),
        pytest.param(
            {"model_type": "sam", "vision_config": {"model_type": ""}},
            None,
            sam,
            12,
            id="sam",
        ),
        pytest.param(
            {"model_type": "beit", "use_shared_relative_position_bias": True},
            None,
            beit,
            1,
            id="beit",
        ),
        pytest.param({"model_type": "wavlm"}, None, wavlm, 12, id="wavlm"),
        pytest.param(
            {"model_type": "layoutlmv3"}, None, layoutlmv3, 1, id="layoutlmv3"
        ),
        pytest.param({"model_type": "levit"}, None, levit, 14, id="levit"),
        pytest.param(
            {"model_type": "parakeet_ctc", "encoder_config": {"num_hidden_layers": 1}},
            None,
            parakeet,
            1,
            id="parakeet_ctc",
        ),
    ),
)
def test_tensors_of_a_file_with_a_head_are_found(config, part, tensors, num_params):
    """Each of them is needed, and a file has others too."""
    tensors = tensors()
    others = zeros(**{"classifier.weight": (2, 3), "lm_head.weight": (4, 2)})
    params = position_bias_params_from_checkpoint(tensors | others, config, part=part)
    assert len(params) == num_params
    biases = position_bias_from_hf(config, part=part)
    for number in range(len(biases.layers)):
        for bias, own in biases.terms(params, number):
            bias._check(own)
    del tensors[next(n for n in reversed(tensors) if n.startswith(part or ""))]
    with pytest.raises(ValueError, match="must be in source"):
        position_bias_params_from_checkpoint(tensors, config, part=part)
