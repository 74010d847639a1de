"""Sums of codebooks, hashed tables and per-layer embeddings of released models."""

import pytest

from conformance.embeddings import fused
from conformance.embeddings.records import load
from conformance.embeddings.report import error_of

RECORDS = load("fused")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_golden(record):
    """`golden/fused.json` names the code and its version."""
    assert error_of(record, fused.ours, fused.tolerance) <= 1


def test_rounding_once_differs_from_the_released_sums():
    """MusicGen in bfloat16 tells the two apart, so the record says which it is."""
    (record,) = (r for r in RECORDS if r.name == "MusicgenDecoder, bfloat16")
    settings = {"row_counts": record.options["settings"]["row_counts"]}
    once = record._replace(options=record.options | {"settings": settings})
    assert error_of(once, fused.ours, fused.tolerance) > 1
