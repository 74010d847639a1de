"""State dicts of every family: what is read, and the same bits written again."""

import copy
import pickle

import host
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits
from state_dicts import CASES, D, P, V, assert_same_tensors, state

import attnax.functional as F
from attnax import interop
from attnax.interop._checkpoint_families.table import CHECKPOINT_FAMILIES
from attnax.interop._checkpoints.names import EMBEDDINGS

DTYPES = (np.float32, ml_dtypes.bfloat16, np.float16)
named = pytest.mark.parametrize("case", CASES)


def test_every_family_has_a_case():
    assert {family for family, _, _ in CASES.values()} == set(CHECKPOINT_FAMILIES)


@named
@pytest.mark.parametrize("dtype", DTYPES)
def test_there_and_back_bit_for_bit(case, dtype):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same, dtype)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    for leaf in jax.tree.leaves((checkpoint.params, checkpoint.head)):
        assert isinstance(leaf, jax.Array) and leaf.dtype == dtype
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


@named
def test_other_tensors_of_the_model_are_not_read(case):
    family, shapes, same = CASES[case]
    others = {
        *("encoder.layer.0.attention.weight", "blocks.0.attn.qkv.weight"),
        *("model.layers.0.self_attn.rotary_emb.inv_freq", "classifier.weight"),
        "Transformer/encoderblock_0/LayerNorm_0/scale",
    }

    class Unread(dict):
        def __getitem__(self, name):
            assert name not in others
            return super().__getitem__(name)

    tensors = state(shapes, same)
    source = Unread(dict.fromkeys(others) | tensors)
    checkpoint = interop.params_from_checkpoint(source, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


@named
def test_layout_is_the_family_s_own_without_a_file(case):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    prefix = checkpoint.prefix.rstrip("./")  # read with or without its separator
    made = checkpoint._replace(tensors=None, prefix=prefix)
    written = interop.checkpoint_from_params(made)
    again = interop.params_from_checkpoint(written, family)
    assert again.prefix == checkpoint.prefix
    for a, b in zip(
        jax.tree.leaves((checkpoint.params, checkpoint.head)),
        jax.tree.leaves((again.params, again.head)),
        strict=True,
    ):
        assert_same_bits(a, b)


@named
def test_the_prefix_may_be_given(case):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same)
    found = interop.params_from_checkpoint(tensors, family)
    for prefix in {found.prefix, found.prefix.rstrip("./")}:
        given = interop.params_from_checkpoint(tensors, family, prefix=prefix)
        assert given.prefix == found.prefix and given.tensors == found.tensors


def test_prefixes_are_those_of_the_whole_model():
    prefixes = {
        "bert, bare": "",
        "bert, whole": "bert.",
        "opt": "model.decoder.",
        "decoder, of a multimodal model": "model.language_model.",
        "big_vision, class token": "params/img/",
        "clip_vision": "vision_model.",
    }
    for case, prefix in prefixes.items():
        family, shapes, same = CASES[case]
        checkpoint = interop.params_from_checkpoint(state(shapes, same), family)
        assert checkpoint.prefix == prefix


def test_buffers_are_dropped():
    family, shapes, same = CASES["bert, whole"]
    tensors = state(shapes, same)
    buffers = {
        "bert.embeddings.position_ids": np.arange(P)[None],
        "bert.embeddings.token_type_ids": np.zeros((1, P), np.int64),
    }
    checkpoint = interop.params_from_checkpoint(tensors | buffers, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


def test_arrays_of_the_mapping_are_copied():
    # JAX takes memory over as it is where it starts at a multiple of 64 bytes.
    memory = np.zeros(4096 * 8 * 4 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    table = memory[start:][: 4096 * 8 * 4].view(np.float32).reshape(4096, 8)
    table[:] = 1.0
    checkpoint = interop.params_from_checkpoint({"wte.weight": table}, "gptj")
    table[:] = 2.0
    assert float(checkpoint.params.weight.max()) == 1.0


def test_what_is_the_caller_s_is_copied():
    family, shapes, _ = CASES["bert, bare"]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    for name, array in checkpoint.extra_tensors.items():
        assert not np.shares_memory(array, tensors[name])


def test_what_is_the_caller_s_may_be_jax_arrays():
    family, shapes, _ = CASES["bert, bare"]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    rest = {
        name: jnp.asarray(array) for name, array in checkpoint.extra_tensors.items()
    }
    written = interop.checkpoint_from_params(checkpoint._replace(extra_tensors=rest))
    assert_same_tensors(written, tensors)


@pytest.mark.parametrize("case", ("bert, whole", "gpt2, bare", "dinov3"))
def test_checkpoints_are_pickled_and_copied(case):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same)
    read = interop.params_from_checkpoint(tensors, family)
    made = interop.EmbeddingCheckpoint(
        "gptj", F.TokenEmbeddingParams(host.ones((V, D)))
    )
    for checkpoint in (read, made):
        for again in (
            pickle.loads(pickle.dumps(checkpoint)),
            copy.copy(checkpoint),
            copy.deepcopy(checkpoint),
        ):
            assert type(again) is interop.EmbeddingCheckpoint
            assert again.tensors == checkpoint.tensors
            assert_same_tensors(
                interop.checkpoint_from_params(again),
                interop.checkpoint_from_params(checkpoint),
            )


def test_names_of_all_embeddings_are_known():
    names = {
        part
        for family in CHECKPOINT_FAMILIES.values()
        for tensor in family.tensors
        if not tensor.beside and family.separator == "."
        for name in tensor.names
        for part in name.split(".")[:-1] or [name]
    }
    # Of a longer name, or what stands after one of the others.
    inner = {"projection", "proj", "LayerNorm", "encoder", "decoder"}
    assert names - inner <= EMBEDDINGS


def test_any_array_of_numpy_or_jax_is_read():
    expected = np.arange(66, dtype=np.float32).reshape(V, D)
    for table in (np.asfortranarray(expected), jnp.asarray(expected)):
        checkpoint = interop.params_from_checkpoint({"wte.weight": table}, "gptj")
        assert_same_bits(checkpoint.params.weight, expected)
        written = interop.checkpoint_from_params(checkpoint)
        assert_same_tensors(written, {"wte.weight": expected})


@pytest.mark.skipif(not jax.config.jax_enable_x64, reason="needs 64-bit mode")
@named
def test_float64_is_kept_in_64_bit_mode(case):
    family, shapes, same = CASES[case]
    tensors = state(shapes, same, np.float64)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)
