"""Other parameters, written the way the file had them."""

import os

import host
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits
from state_dicts import CASES, D, V, assert_same_tensors, state

import attnax.functional as F
from attnax import interop


@pytest.mark.errors  # runs where no annotation refuses them first
@pytest.mark.parametrize("grid", ([3, 3], (np.int64(3), 3)))
def test_grids_are_tuples_of_ints(grid):
    family, shapes, _ = CASES["vit"]
    tensors = state(shapes)
    if os.environ.get("ATTNAX_TYPE_CHECKING", "1") == "0":
        checkpoint = interop.params_from_checkpoint(tensors, family, grid=grid)
        assert type(checkpoint.grid) is tuple and checkpoint.grid == (3, 3)
        assert {type(side) for side in checkpoint.grid} == {int}
    checkpoint = interop.params_from_checkpoint(tensors, family)
    changed = checkpoint._replace(patch_size=4, grid=grid)
    assert_same_tensors(interop.checkpoint_from_params(changed), tensors)


def test_a_vocabulary_grows_with_all_that_goes_with_it():
    family, shapes, same = CASES["bert, whole"]
    checkpoint = interop.params_from_checkpoint(state(shapes, same), family)
    table = F.TokenEmbeddingParams(host.ones((V + 2, D)))
    params = checkpoint.params._replace(token=table)
    extra = dict(checkpoint.extra_tensors)
    for name in ("cls.predictions.bias", "cls.predictions.decoder.bias"):
        extra[name] = np.zeros(V + 2, np.float32)
    grown = checkpoint._replace(params=params, extra_tensors=extra)
    written = interop.checkpoint_from_params(grown)
    assert written["cls.predictions.decoder.weight"].shape == (V + 2, D)
    interop.params_from_checkpoint(written, family)


def test_what_is_the_caller_s_is_written_in_row_order_too():
    family, shapes, _ = CASES["opt, projected"]
    tensors = state(shapes)
    columns = {name: np.asfortranarray(array) for name, array in tensors.items()}
    checkpoint = interop.params_from_checkpoint(columns, family)
    extra = {name: columns[name] for name in checkpoint.extra_tensors}
    by_hand = checkpoint._replace(extra_tensors=extra)
    assert any(not array.flags.c_contiguous for array in extra.values())
    for given in (checkpoint, by_hand):
        assert_same_tensors(interop.checkpoint_from_params(given), tensors)


def test_a_distillation_token_is_not_guessed():
    family, shapes, _ = CASES["timm, distilled"]
    checkpoint = interop.params_from_checkpoint(state(shapes), family)
    written = interop.checkpoint_from_params(checkpoint._replace(tensors=None))
    assert "dist_token" not in written
    assert written["reg_token"].shape == (1, 1, D)


def test_other_parameters_are_written_as_the_file_had_them():
    family, shapes, _ = CASES["deit"]
    checkpoint = interop.params_from_checkpoint(state(shapes), family)
    params = jax.tree.map(lambda leaf: jnp.ones_like(leaf), checkpoint.params)
    rows = jnp.full((2 + 4 * 5, D), 2.0)
    params = params._replace(positions=params.positions._replace(weight=rows))
    changed = checkpoint._replace(params=params, grid=(4, 5))
    written = interop.checkpoint_from_params(changed)
    assert written.keys() == shapes.keys()
    assert written["deit.embeddings.position_embeddings"].shape == (1, 22, D)
    again = interop.params_from_checkpoint(written, family, grid=(4, 5))
    assert_same_bits(again.params.positions.weight, rows)


def test_registers_may_have_a_dtype_of_their_own():
    family, shapes, _ = CASES["dinov2_with_registers"]
    tensors = state(shapes)
    name = "embeddings.register_tokens"
    tensors |= state({name: shapes[name]}, dtype=ml_dtypes.bfloat16)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


def test_what_the_file_did_not_hold_gets_its_usual_name():
    family, shapes, _ = CASES["vit"]
    checkpoint = interop.params_from_checkpoint(state(shapes), family)
    params = checkpoint.params._replace(mask_token=host.ones(D))
    written = interop.checkpoint_from_params(checkpoint._replace(params=params))
    assert written["vit.embeddings.mask_token"].shape == (1, 1, D)
    params = checkpoint.params._replace(mask_token=None)
    written = interop.checkpoint_from_params(checkpoint._replace(params=params))
    assert written.keys() == shapes.keys()


def test_parameters_made_here_are_written_by_the_usual_names():
    params = F.TokenEmbeddingParams(weight=host.ones((V, D)))
    made = interop.EmbeddingCheckpoint("decoder", params, params, prefix="model.")
    written = interop.checkpoint_from_params(made)
    assert written.keys() == {"model.embed_tokens.weight", "lm_head.weight"}
