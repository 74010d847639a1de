"""The public surface: signatures of the design, docstrings, tests and docs."""

import inspect
import pathlib

import jax.numpy as jnp
import pytest

import attnax
import attnax.functional as F

ROOT = pathlib.Path(__file__).parent.parent
MODULES = (
    "TokenEmbedding",
    "PositionalEncoding",
    "RotaryEmbedding",
    "PatchEmbedding",
    "LearnedPositionalEmbedding",
)
FUNCTIONS = (
    "apply_rope",
    "rope_cos_sin_table",
    "rope_cos_sin_from_positions",
    "rope_inv_freq",
)


def exported(module):
    # The type-checking hook leaves its own name in every module.
    return {n for n in dir(module) if not n.startswith("_")} - {"jaxtyping"}


# Records that users read and never make.
NEVER_MADE = (
    F.PositionBias,
    F.SelectedRows,
    *(attnax.interop.BiasTerm, attnax.interop.LayerBias, attnax.interop.ModelBiases),
)
SURFACE = (F, attnax.nn, attnax.interop)
PUBLIC = [(module, name) for module in SURFACE for name in sorted(exported(module))]


def parameters(function, kind):
    signature = inspect.signature(function)
    return [p.name for p in signature.parameters.values() if p.kind is kind]


POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD


@pytest.mark.parametrize(
    "name, positional",
    (
        ("TokenEmbedding", ["vocab_size", "d_model"]),
        ("PositionalEncoding", ["max_len", "d_model"]),
        ("RotaryEmbedding", ["head_dim", "max_positions"]),
        ("PatchEmbedding", []),
        ("LearnedPositionalEmbedding", []),
        ("apply_rope", ["x", "cos", "sin"]),
        ("rope_cos_sin_table", ["max_seq_len", "head_dim", "base", "dtype"]),
        (
            "rope_cos_sin_from_positions",
            ["position_ids", "head_dim", "base", "table_len", "out_dtype"],
        ),
        ("rope_inv_freq", ["head_dim", "base", "dtype"]),
    ),
)
def test_signatures_at_the_top_level(name, positional):
    assert parameters(getattr(attnax, name), POSITIONAL) == positional


def test_keyword_only_arguments():
    keyword = inspect.Parameter.KEYWORD_ONLY
    assert "key" in parameters(attnax.TokenEmbedding, keyword)
    rotary = inspect.signature(attnax.RotaryEmbedding).parameters
    assert rotary["base"].default == 10_000.0
    assert rotary["dtype"].default == jnp.float32
    patch = parameters(attnax.PatchEmbedding, keyword)
    assert {"image_size", "patch_size", "num_channels", "d_model", "key"} <= set(patch)
    learned = inspect.signature(attnax.LearnedPositionalEmbedding).parameters
    assert learned["init_std"].default == 0.02


def test_nothing_private_leaks():
    parts = {"functional", "interop", "nn"}
    assert exported(attnax) == {*MODULES, *FUNCTIONS, *parts}
    others = {"FusedEmbedding", "PerLayerEmbedding"}
    others |= {"RelativePositionBias", "TextEmbedding", "VisionEmbedding"}
    assert exported(attnax.nn) == {*MODULES, *others}
    assert exported(attnax.interop) == {
        "BiasTerm",
        "EmbeddingCheckpoint",
        "LayerBias",
        "ModelBiases",
        "checkpoint_from_params",
        "config_parts",
        "grid_sinusoid_options",
        "multimodal_rule_from_hf",
        "params_from_checkpoint",
        "position_bias_from_hf",
        "position_bias_params_from_checkpoint",
        "position_bias_parts",
        "resampling",
        "rope_from_hf",
        "ropes_by_length_from_hf",
        "ropes_from_hf",
        "sinusoid_options",
    }


@pytest.mark.parametrize("module, name", PUBLIC)
def test_every_export_is_documented_and_tested(module, name):
    thing = getattr(module, name)
    docstring = inspect.getdoc(thing)
    if hasattr(thing, "_fields") or thing in NEVER_MADE:
        assert "Attributes:" in docstring
    else:
        sections = ["Example:", "Reference:"]
        if not name.startswith("positions_from"):
            sections += ["Args:", "Raises:"]
        assert all(section in docstring for section in sections)
    pages = "".join(p.read_text() for p in (ROOT / "docs").rglob("*.md"))
    assert f"`{name}" in pages
    tests = "".join(p.read_text() for p in (ROOT / "tests").rglob("*.py"))
    assert f".{name}" in tests or f" {name}(" in tests


def test_functional_does_not_import_equinox():
    for path in (ROOT / "attnax" / "functional").rglob("*.py"):
        assert "equinox" not in path.read_text()


def test_typed():
    assert (ROOT / "attnax" / "py.typed").exists()
    assert attnax.__version__.count(".") == 2
