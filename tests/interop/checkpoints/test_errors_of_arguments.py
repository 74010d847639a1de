"""Arguments, arrays and dtypes that are refused by name."""

import re

import host
import jax
import ml_dtypes
import numpy as np
import pytest
from helpers import refused
from zero_tensors import GPT2, bert, fails, vit, zeros

import attnax.functional as F
from attnax import interop

pytestmark = pytest.mark.errors
load, write = interop.params_from_checkpoint, interop.checkpoint_from_params


@pytest.mark.parametrize(
    ("dtype", "name"),
    (
        (np.int8, "int8"),
        (ml_dtypes.float8_e4m3fn, "float8_e4m3fn"),
        (np.complex64, "complex64"),
        (np.dtype("V2"), "void16"),
        (np.dtype(">f4"), ">f4"),
    ),
)
def test_dtypes_must_be_those_of_floats_that_jax_holds(dtype, name):
    with fails(f"'wte.weight' of dtype {name} must be one of ('bfloat16', 'float16'"):
        load({"wte.weight": np.zeros((3, 2), dtype)}, "gptj")


@pytest.mark.skipif(jax.config.jax_enable_x64, reason="not in 64-bit mode")
def test_float64_is_not_rounded_silently():
    with fails("'wte.weight' of dtype float64 must come with jax_enable_x64"):
        load(zeros(**GPT2, dtype=np.float64), "gpt2")


def test_tensors_must_be_arrays():
    with fails("'wte.weight' of type list must be a NumPy or JAX array"):
        load({"wte.weight": [[1.0]]}, "gptj")


def test_arrays_must_have_no_mask():
    masked = np.ma.masked_array(np.ones((3, 2), np.float32), np.eye(3, 2))
    with fails("'wte.weight' must be an array without a mask; fill it."):
        load({"wte.weight": masked}, "gptj")


def test_names_must_be_strings():
    with refused(
        "params_from_checkpoint: source has the key 3, which must be a string"
    ):
        load({3: np.ones(2)}, "gptj")


@pytest.mark.parametrize("family", (["bert"], None, 3))
def test_families_must_be_strings(family):
    with refused(re.escape(f"family={family!r} must be one of")):
        load({}, family)


def test_sources_must_be_known(tmp_path):
    with fails(f"source='{tmp_path}' must be a .safetensors or .npz file"):
        load(tmp_path, "gpt2")
    model = tmp_path / "model.bin"
    model.touch()
    with fails(f"source='{model}' must be a .safetensors or .npz file"):
        load(model, "gpt2")
    for name in ("folder", "a.safetensors", "a.npz", "a.json"):
        with fails(f"source='{tmp_path / name}' does not exist."):
            load(str(tmp_path / name), "gpt2")
    with refused("source is a list, but must be a mapping of arrays or a path"):
        load([1], "gpt2")


@pytest.mark.parametrize(
    ("option", "message"),
    (
        ({"prefix": 3}, "prefix=3 must be a string, or None"),
        ({"tied": "no"}, "tied='no' must be True or False"),
        ({"follow_links": "no"}, "follow_links='no' must be True or False"),
        ({"patch_size": "4"}, "patch_size='4' must be a positive integer or"),
        ({"grid": 3}, r"grid=3 must be \(rows, columns\), of positive integers"),
    ),
)
def test_options_are_of_their_kinds(option, message):
    family = "vit" if option.keys() & {"patch_size", "grid"} else "bert"
    tensors = vit() if family == "vit" else bert()
    with refused(f"params_from_checkpoint: {message}"):
        load(tensors, family, **option)


@pytest.mark.parametrize(
    ("field", "message"),
    (
        ({"prefix": None}, "checkpoint.prefix=None must be a string"),
        (
            {"head": 3},
            "checkpoint.head is an int, but must be an attnax.functional.To",
        ),
        ({"extra_tensors": []}, "checkpoint.extra_tensors is a list, but must be a ma"),
        ({"extra_tensors": {3: 0}}, "checkpoint.extra_tensors has the key 3, which mu"),
        ({"tensors": "wte"}, "checkpoint.tensors is a str, but must be what params_fr"),
    ),
)
def test_fields_are_of_their_kinds(field, message):
    made = interop.EmbeddingCheckpoint(
        "gptj", F.TokenEmbeddingParams(host.ones((3, 2)))
    )
    with refused(f"checkpoint_from_params: {message}"):
        write(made._replace(**field))
    with refused("checkpoint_from_params: checkpoint is a dict, but must be an Emb"):
        write(made._asdict())
