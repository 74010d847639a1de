"""The cases that the README and the first picture show."""

from .rows import Row, rows
from .tables import timings

_GEMMA = "lookup Gemma-3-270M, 262k x 640 (above 32 MiB), 8k tokens by Zipf's law"
# Every kernel, both dtypes, forward and backward, and what is left in whole models.
HEADLINE = (
    "rotation Llama-3-8B, half, float32, forward",
    "rotation Llama-3-8B, half, float32, backward",
    "rotation Llama-3-8B, half, bfloat16, forward",
    "rotation Llama-3-8B, half, bfloat16, backward",
    "rotation Llama-3-8B (Meta), interleaved, float32, forward",
    "rotation Llama-3-8B (Meta), interleaved, bfloat16, forward",
    "rotation Llama-3-8B (Meta), interleaved, bfloat16, backward",
    "rotation Llama-3-8B decode, half, bfloat16, one token",
    "cos and sin, 8k",
    "positions to rotated q and k, float32, 4 layers",
    "positions to rotated q and k, bfloat16, 4 layers",
    "attention Qwen3-0.6B, 512 tokens, bfloat16, forward",
    "decoder of 4 layers, vocabulary of 32000 (above 32 MiB), bfloat16, "
    "step of training, 512 tokens",
    "patches ViT-B/16, 8 images of 224, float32, forward",
    "patches ViT-B/16, 8 images of 224, float32, weight gradient",
    "patches ViT-B/16, 8 images of 224, float32, input gradient",
    "patches ViT-B/16, 8 images of 224, bfloat16, forward",
    "positions 14x14 to 24x24, bicubic, antialiased, forward",
    "positions of 8 images of at most 256 patches, bilinear, antialiased, gradient",
    "lookup 32k x 128, 8k tokens, float32",
    f"{_GEMMA}, bfloat16",
    f"{_GEMMA}, bfloat16, gradient",
)


def headline(records: list[dict]) -> list[Row]:
    """Their rows, in the order of `HEADLINE`; all of them must have been timed."""
    found = {row.case: row for row in rows(records)}
    if missing := [case for case in HEADLINE if case not in found]:
        raise ValueError(f"headline: not among the records: {missing}")
    return [found[case] for case in HEADLINE]


def headline_tables(records: list[dict]) -> str:
    """A table for each suite that they are of."""
    suites = {}
    for row in headline(records):
        suites.setdefault(row.suite, []).append(row)
    return "\n\n".join(map(timings, suites.values()))
