"""Compares attnax with the embeddings of transformers, timm, torch and others.

    python -m conformance.embeddings                   # every part
    python -m conformance.embeddings --only resizing   # one part
    python -m conformance.embeddings --golden          # writes tests/golden

Needs `pip install -e ".[conformance]"`. The exit status is 1 if anything disagrees.
"""

import argparse
import importlib
import sys

import numpy as np
from tqdm import tqdm

from .records import save

# Each part has `records()`, which runs the other code, `ours(record)`, which runs
# attnax, and `tolerance(record)`, the absolute error that the arithmetic explains.
PARTS = ("resizing", "sinusoids", "patch_kernels", "checkpoints")


def errors(part, records):
    """Pairs of a record and its error in tolerances; more than 1 is a disagreement."""
    for record in records:
        actual = np.asarray(part.ours(record), np.float64)
        expected = np.asarray(record.arrays["expected"], np.float64)
        if actual.shape != expected.shape:
            yield record, np.inf
        else:
            error = np.abs(actual - expected).max()
            yield record, error / part.tolerance(record) if error else 0.0


def main():
    parser = argparse.ArgumentParser(
        prog="python -m conformance.embeddings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--golden", action="store_true", help="write tests/golden")
    args = parser.parse_args()
    lines = []
    for name in args.only:
        part = importlib.import_module(f".{name}", __package__)
        records = list(tqdm(part.records(), desc=name, unit="record"))
        if args.golden:
            save(name, records)
        for record, error in errors(part, records):
            status = "agreed" if error <= 1 else "DISAGREED"
            lines.append((status, name, record.name, f"{error:.2g}", record.source))
    for line in sorted(lines):
        print("  ".join(line))
    wrong = sum(line[0] != "agreed" for line in lines)
    print(f"\n{len(lines)} records: {len(lines) - wrong} agreed, {wrong} disagreed")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
