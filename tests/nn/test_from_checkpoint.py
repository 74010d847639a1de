"""Modules made of a loaded checkpoint: its very arrays, and no random draw."""

import re

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
# A class token with a position, four registers without, and six patches of 4 x 5.
DINO = interop.params_from_checkpoint(
    {
        "embeddings.cls_token": drawn(1, 1, 8),
        "embeddings.register_tokens": drawn(1, 4, 8),
        "embeddings.mask_token": drawn(1, 8),
        "embeddings.position_embeddings": drawn(1, 7, 8),
        "embeddings.patch_embeddings.projection.weight": drawn(8, 3, 4, 5),
        "embeddings.patch_embeddings.projection.bias": drawn(8),
    },
    "dinov2_with_registers",
    grid=(2, 3),
)


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


@pytest.mark.parametrize("size", ((8, 15), (12, 10)), ids=("its grid", "another"))
def test_embeddings_of_images(size):
    """Rows and columns differ in the grid, the patch and the image."""
    module = nn.VisionEmbedding.from_checkpoint(DINO)
    assert module.params is DINO.params
    assert (module.patch_size, module.table_grid) == ((4, 5), (2, 3))
    assert module.resampling == F.Resampling("bicubic", antialias=True)
    image, masked = drawn(2, *size, 3), np.arange(6) % 4 == 0
    expected = F.apply_vision_embedding(
        DINO.params,
        image,
        patch_size=(4, 5),
        table_grid=(2, 3),
        resampling=F.Resampling("bicubic", antialias=True),
        masked=masked,
    )
    assert expected.shape == (2, 11, 8)
    assert_same_bits(module(image, masked=masked), expected)


def test_fields_of_the_checkpoint_may_be_replaced():
    bilinear = F.Resampling("bilinear", antialias=False)
    changed = DINO._replace(
        patch_size=[np.int64(4), 5],
        grid=np.array([3, 2], np.int32),
        resampling=bilinear,
    )
    module = nn.VisionEmbedding.from_checkpoint(changed)
    assert (module.patch_size, module.table_grid) == ((4, 5), (3, 2))
    assert all(type(n) is int for n in (*module.patch_size, *module.table_grid))
    assert module.resampling is bilinear


def test_tables_without_positions_need_no_grid():
    bare = DINO._replace(params=DINO.params._replace(positions=None), grid=None)
    module = nn.VisionEmbedding.from_checkpoint(bare)
    assert module.table_grid is None
    assert module(drawn(8, 10, 3)).shape == (9, 8)


def test_numbers_of_numpy_hash_like_those_of_python():
    loaded = nn.TextEmbedding.from_checkpoint(
        GPT2, scale=np.float32(2), padding_id=np.int32(3), padding_position=np.int8(1)
    )
    settings = loaded.scale, loaded.padding_id, loaded.padding_position
    assert list(map(type, settings)) == [float, int, int]


INITIALIZED = {
    nn.TokenEmbedding: lambda key: nn.TokenEmbedding(11, 8, key=key),
    nn.TextEmbedding: lambda key: nn.TextEmbedding(11, 8, num_positions=9, key=key),
    nn.VisionEmbedding: lambda key: nn.VisionEmbedding(
        image_size=(8, 15),
        patch_size=(4, 5),
        num_channels=3,
        d_model=8,
        num_tokens_without_position=4,
        mask_token=True,
        resampling=F.Resampling("bicubic", antialias=True),
        key=key,
    ),
}


@pytest.mark.parametrize(
    ("module", "checkpoint"),
    (
        (nn.TokenEmbedding, LLAMA),
        (nn.TextEmbedding, GPT2),
        (nn.VisionEmbedding, DINO),
    ),
)
def test_it_is_the_module_that_init_makes(module, checkpoint):
    made = INITIALIZED[module](jax.random.key(0))
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


@pytest.mark.errors
def test_fields_of_images_are_checked():
    load = nn.VisionEmbedding.from_checkpoint
    for changes, message in (
        ({"params": LLAMA.params}, "checkpoint.params is a TokenEmbeddingParams"),
        ({"patch_size": None}, "checkpoint.patch_size=None must be known; pass patch"),
        ({"patch_size": (4, 0)}, "checkpoint.patch_size=(4, 0) must be a positive"),
        ({"grid": None}, "checkpoint.grid=None must be the grid of params.positions"),
        ({"grid": 6}, "checkpoint.grid=6 must be (rows, columns)"),
        ({"grid": (2, 0)}, "checkpoint.grid=(2, 0) must be (rows, columns)"),
        ({"resampling": "vit"}, "resampling='vit' must be an attnax.functional.Resam"),
    ):
        said = f"VisionEmbedding.from_checkpoint: {message}"
        with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
            load(DINO._replace(**changes))
    message = r"must have 50 rows for patch_size=\(5, 5\)"
    with pytest.raises(ValueError, match=message):
        load(DINO._replace(patch_size=5))
    # The table has rows for six patches.
    with pytest.raises(ValueError, match=r"must have 1 \+ 8 rows"):
        load(DINO._replace(grid=(2, 4)))
