"""Embeddings loaded from the state dicts of tiny models give what these gave."""

import numpy as np
import pytest
from helpers import assert_same_bits

from attnax import interop
from attnax.interop._checkpoint_families.table import CHECKPOINT_FAMILIES
from conformance.embeddings import checkpoints
from conformance.embeddings.records import load

RECORDS = load("checkpoints")
named = pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)


@named
def test_embedding_is_that_of_the_model(record):
    actual = np.asarray(checkpoints.ours(record))
    expected = record.arrays["expected"]
    assert actual.dtype == expected.dtype == np.float32
    assert actual.shape == expected.shape
    error = np.abs(actual.astype(np.float64) - expected).max()
    assert error <= checkpoints.tolerance(record)


@named
def test_state_dicts_there_and_back(record):
    tensors = {
        name.removeprefix("state "): array
        for name, array in record.arrays.items()
        if name.startswith("state ")
    }
    grid = {"grid": tuple(record.options["grid"])} if "grid" in record.options else {}
    family = record.options["family"]
    checkpoint = interop.params_from_checkpoint(tensors, family, **grid)
    written = interop.checkpoint_from_params(checkpoint)
    assert {stored.name for stored in checkpoint.tensors} <= written.keys()
    for name, array in written.items():
        assert_same_bits(array, tensors[name])


def test_every_family_is_compared():
    compared = {record.options["family"] for record in RECORDS}
    # Meta's own code is no package; its tables are those of `decoder` by other names.
    assert set(CHECKPOINT_FAMILIES) - compared == {"meta_llama"}
