"""Tables of texts, heads of their own and tied ones."""

import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st
from state_dicts import BERT, CASES, D, V, after, assert_same_tensors, state

from attnax import interop

DTYPES = (np.float32, ml_dtypes.bfloat16, np.float16)
named = pytest.mark.parametrize("case", CASES)


def test_tables_of_bert_are_those_of_the_file():
    family, shapes, same = CASES["bert, whole"]
    tensors = state(shapes, same)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    stem, params = "bert.embeddings.", checkpoint.params
    assert_same_bits(params.token.weight, tensors[f"{stem}word_embeddings.weight"])
    assert_same_bits(
        params.positions.weight, tensors[f"{stem}position_embeddings.weight"]
    )
    assert_same_bits(
        params.token_types.weight, tensors[f"{stem}token_type_embeddings.weight"]
    )
    assert checkpoint.head is None
    assert set(checkpoint.extra_tensors) == {
        f"{stem}LayerNorm.weight",
        f"{stem}LayerNorm.bias",
        "cls.predictions.bias",
        "cls.predictions.decoder.bias",
    }
    for name, array in checkpoint.extra_tensors.items():
        assert_same_bits(array, tensors[name])


@pytest.mark.parametrize("case", ("decoder, untied", "gptj", "t5, v1.1", "meta_llama"))
def test_a_head_of_its_own_is_a_table_of_its_own(case):
    family, shapes, _ = CASES[case]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    names = {s.role: s.name for s in checkpoint.tensors}
    assert_same_bits(checkpoint.params.weight, tensors[names["token"]])
    assert_same_bits(checkpoint.head.weight, tensors[names["head"]])


def test_tied_tells_a_head_that_happens_to_be_equal():
    family, shapes, same = CASES["falcon"]
    tensors = state(shapes, same)
    assert interop.params_from_checkpoint(tensors, family, tied=True).head is None
    own = interop.params_from_checkpoint(tensors, family, tied=False)
    assert_same_bits(own.head.weight, tensors["lm_head.weight"])
    assert_same_tensors(interop.checkpoint_from_params(own), tensors)


@pytest.mark.parametrize(
    ("case", "extra"),
    (
        ("bert, whole", {}),
        ("roberta", {}),
        ("gpt2, whole", {}),
        ("opt", {}),
        ("bloom", {"lm_head.weight": (V, D)}),
    ),
)
def test_tied_families_insist_on_it(case, extra):
    family, shapes, _ = CASES[case]
    with pytest.raises(ValueError, match="must equal the token table"):
        interop.params_from_checkpoint(state(shapes | extra), family)


def test_biases_are_those_of_the_head():
    shapes = after("bert.", BERT) | {"cls.predictions.decoder.weight": (V + 2, D)}
    shapes |= {"cls.predictions.bias": (V + 2,)}
    tensors = state(shapes)
    own = interop.params_from_checkpoint(tensors, "bert", tied=False)
    assert_same_tensors(interop.checkpoint_from_params(own), tensors)


def test_a_tied_family_may_be_told_not_to_be():
    shapes = CASES["gpt2, whole"][1]
    tensors = state(shapes)
    own = interop.params_from_checkpoint(tensors, "gpt2", tied=False)
    assert_same_bits(own.head.weight, tensors["lm_head.weight"])
    assert_same_tensors(interop.checkpoint_from_params(own), tensors)


@given(
    sizes=st.tuples(*[st.integers(1, 6)] * 4),
    dtype=st.sampled_from(DTYPES),
    tied=st.booleans(),
)
def test_text_of_any_size(sizes, dtype, tied):
    vocab_size, num_positions, num_types, width = sizes
    shapes = {
        "embeddings.word_embeddings.weight": (vocab_size, width),
        "embeddings.position_embeddings.weight": (num_positions, width),
        "embeddings.token_type_embeddings.weight": (num_types, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        "lm_head.decoder.weight": (vocab_size, width),
    }
    same = ("embeddings.word_embeddings.weight", "lm_head.decoder.weight")
    tensors = state(shapes, same if tied else (), dtype)
    checkpoint = interop.params_from_checkpoint(tensors, "roberta", tied=tied)
    assert (checkpoint.head is None) == tied
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)
