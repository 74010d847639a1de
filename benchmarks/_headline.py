"""The cases that the README and the first picture show."""

from ._report import timings
from ._rows import Row, by_suite, rows

HEADLINE = (
    "rotation Llama-3-8B, half, float32, forward",
    "rotation Llama-3-8B, half, bfloat16, forward",
    "rotation Llama-3-8B, half, bfloat16, backward",
    "rotation Llama-3-8B (Meta), interleaved, float32, forward",
    "rotation Llama-3-8B (Meta), interleaved, bfloat16, backward",
    "cos and sin, 8k",
    "positions to rotated q and k, float32, 4 layers",
    "rotate in every layer, bfloat16, 4 layers",
    "patches ViT-B/16, 8 images of 224, float32, forward",
    "patches ViT-B/16, 8 images of 224, float32, input gradient",
    "patches SigLIP-2, packed, 4 images of 256 patches, float32, forward",
    "positions 14x14 to 24x24, bicubic, antialiased, forward",
    "positions of 8 images of at most 256 patches, bilinear, antialiased, gradient",
    "lookup 32k x 128, 8k tokens, float32",
    "lookup 32k x 128, 8k tokens, bfloat16, gradient",
)


def headline(records: list[dict]) -> list[Row]:
    """Their rows, in the order of `HEADLINE`; all of them must have been timed."""
    found = {row.case: row for row in rows(records)}
    if missing := [case for case in HEADLINE if case not in found]:
        raise ValueError(f"headline: not among the records: {missing}")
    return [found[case] for case in HEADLINE]


def headline_tables(records: list[dict]) -> str:
    """Their lines of the tables of `report`, a table per suite."""
    suites = {row.suite for row in headline(records)}
    return "\n\n".join(
        timings(found, HEADLINE)
        for suite, found in by_suite(records).items()
        if suite in suites
    )
