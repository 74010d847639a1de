"""New rows of transformers, by the moments of many."""

import pytest

from conformance.embeddings import vocabulary
from conformance.embeddings.records import load
from conformance.embeddings.report import error_of


@pytest.mark.parametrize("record", load("vocabulary"), ids=lambda record: record.name)
def test_golden(record):
    """`golden/vocabulary.json` names the code and its version."""
    assert error_of(record, vocabulary.ours, vocabulary.tolerance) <= 1
