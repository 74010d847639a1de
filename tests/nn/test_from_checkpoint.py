"""Modules made of a loaded checkpoint: its very arrays, and no random draw."""

import jax
import numpy as np
import pytest
from helpers import assert_same_bits, refused

import attnax.functional as F
from attnax import interop, nn

RNG = np.random.default_rng(0)
IDS = np.array([[1, 2, 3], [4, 0, 2]], np.int32)


def drawn(*shape):
    return RNG.normal(size=shape).astype(np.float32)


GPT2 = interop.params_from_checkpoint(
    {"wte.weight": drawn(11, 8), "wpe.weight": drawn(9, 8)}, "gpt2"
)
LLAMA = interop.params_from_checkpoint({"embed_tokens.weight": drawn(11, 8)}, "llama")


def test_token_tables():
    module = nn.TokenEmbedding.from_checkpoint(LLAMA, scale=2.0, padding_id=0)
    assert module.params is LLAMA.params
    expected = F.apply_token_embedding(LLAMA.params, IDS, scale=2.0, padding_id=0)
    assert_same_bits(module(IDS), expected)


def test_tables_of_texts():
    module = nn.TextEmbedding.from_checkpoint(GPT2, padding_position=1)
    assert module.params is GPT2.params
    positions = np.array([2, 1, 4], np.int32)
    expected = F.apply_text_embedding(GPT2.params, IDS, positions=positions)
    assert_same_bits(module(IDS, positions=positions), expected)


@pytest.mark.parametrize(
    ("module", "checkpoint"),
    ((nn.TokenEmbedding, LLAMA), (nn.TextEmbedding, GPT2)),
)
def test_it_is_the_module_that_init_makes(module, checkpoint):
    options = {} if module is nn.TokenEmbedding else {"num_positions": 9}
    made = module(11, 8, **options, key=jax.random.key(0))
    loaded = module.from_checkpoint(checkpoint)
    assert jax.tree.structure(loaded) == jax.tree.structure(made)


@pytest.mark.errors
def test_other_checkpoints_are_refused():
    for module, checkpoint, kind in (
        (nn.TokenEmbedding, GPT2, "TextEmbeddingParams"),
        (nn.TextEmbedding, LLAMA, "TokenEmbeddingParams"),
    ):
        name = rf"^{module.__name__}\.from_checkpoint"
        with pytest.raises(ValueError, match=f"{name}: checkpoint.params is a {kind}"):
            module.from_checkpoint(checkpoint)
        with refused(f"{name}: checkpoint is a dict, but must be an EmbeddingCheckp"):
            module.from_checkpoint({})
        with pytest.raises(ValueError, match=f"{name}: padding_id=11 must "):
            fits = LLAMA if module is nn.TokenEmbedding else GPT2
            module.from_checkpoint(fits, padding_id=11)
