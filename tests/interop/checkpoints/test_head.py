"""Files of tied models that hold the head and not the table."""

import re

import numpy as np
import pytest
from helpers import assert_same_bits

from attnax import interop
from attnax.interop._checkpoint_families.table import CHECKPOINT_FAMILIES

load, write = interop.params_from_checkpoint, interop.checkpoint_from_params


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


CASES = {
    "decoder": ("decoder", {"lm_head.weight": (11, 6)}, ""),
    "decoder, nested": ("decoder", {"model.lm_head.weight": (11, 6)}, "model."),
    "gptj": ("gptj", {"lm_head.weight": (11, 6), "lm_head.bias": (11,)}, ""),
    "gpt_neox": ("gpt_neox", {"embed_out.weight": (11, 6)}, ""),
    "meta_llama": ("meta_llama", {"output.weight": (11, 6)}, ""),
    "t5": ("t5", {"lm_head.weight": (11, 6)}, ""),
    "bloom": (
        "bloom",
        {
            "lm_head.weight": (11, 6),
            "word_embeddings_layernorm.weight": (6,),
            "word_embeddings_layernorm.bias": (6,),
        },
        "",
    ),
    "gpt2": (
        "gpt2",
        {"lm_head.weight": (11, 6), "transformer.wpe.weight": (9, 6)},
        "transformer.",
    ),
    "bert": (
        "bert",
        {
            "cls.predictions.decoder.weight": (11, 6),
            "bert.embeddings.position_embeddings.weight": (9, 6),
            "bert.embeddings.token_type_embeddings.weight": (2, 6),
            "bert.embeddings.LayerNorm.weight": (6,),
            "bert.embeddings.LayerNorm.bias": (6,),
        },
        "bert.",
    ),
    "opt, projected": (
        "opt",
        {
            "lm_head.weight": (11, 4),
            "model.decoder.embed_positions.weight": (9, 6),
            "model.decoder.project_in.weight": (6, 4),
            "model.decoder.project_out.weight": (4, 6),
        },
        "model.decoder.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_head_is_the_table_where_the_caller_says_that_it_is_tied(case):
    family, shapes, prefix = CASES[case]
    tensors = {name: draw(*shape) for name, shape in shapes.items()}
    head = tensors[next(iter(shapes))]
    loaded = load(tensors, family, tied=True)
    assert (loaded.prefix, loaded.head) == (prefix, None)
    assert_same_bits(getattr(loaded.params, "token", loaded.params).weight, head)
    written = write(loaded)
    assert written.keys() == tensors.keys()
    for name, array in tensors.items():
        assert_same_bits(written[name], array)


def test_a_table_that_is_there_is_read_as_ever():
    tensors = {"model.embed_tokens.weight": draw(11, 6), "lm_head.weight": draw(11, 6)}
    loaded = load(tensors, "decoder", tied=True)
    assert {s.name for s in loaded.tensors} == set(tensors)
    assert write(loaded).keys() == tensors.keys()


@pytest.mark.errors
@pytest.mark.parametrize("case", CASES)
def test_without_a_word_the_table_may_be_tied(case):
    family, shapes, _ = CASES[case]
    head = next(iter(shapes))
    message = (
        f"; {head!r} is there, and is the table too if the model ties the two "
        "(tie_word_embeddings of its config): pass tied=True if it does."
    )
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load({name: draw(*shape) for name, shape in shapes.items()}, family)
    wanted = CHECKPOINT_FAMILIES[family].tensors[0].names[0]
    assert f"{wanted!r}" in str(caught.value)
    assert "must be in source, alone or after a prefix" in str(caught.value)


@pytest.mark.errors
def test_a_name_that_ends_like_a_head_is_no_head():
    tensors = {"film_head.weight": draw(11, 6)}
    for tied in (None, True):
        with pytest.raises(ValueError, match=r"name.* is 'film_head.weight'\.$"):
            load(tensors, "decoder", tied=tied)


@pytest.mark.errors
def test_a_head_of_its_own_is_no_table():
    tensors = {"lm_head.weight": draw(11, 6)}
    with pytest.raises(ValueError, match=r"name.* is 'lm_head.weight'\.$"):
        load(tensors, "decoder", tied=False)
    with pytest.raises(ValueError, match=r"'model\.embed_tokens\.weight'"):
        load(tensors, "decoder", prefix="model")
    twice = {"a.lm_head.weight": draw(11, 6), "b.lm_head.weight": draw(11, 6)}
    with pytest.raises(ValueError, match=r"after each of prefix=\['a\.', 'b\.'\]"):
        load(twice, "decoder", tied=True)
