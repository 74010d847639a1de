"""Compares attnax with the embeddings of transformers, timm, torch and others.

    python -m conformance.embeddings                   # every part
    python -m conformance.embeddings --only resizing   # one part
    python -m conformance.embeddings --golden          # writes tests/golden

Needs `pip install -e ".[conformance]"`. The exit status is 1 if anything disagrees.
"""

import importlib
import sys

from tqdm import tqdm

from .records import save
from .report import arguments, error_of, shown

# Each part has `records()`, which runs the other code, `ours(record)`, which runs
# attnax, and `tolerance(record)`, the absolute error that the arithmetic explains.
PARTS = (
    *("resizing", "sinusoids", "patch_kernels", "checkpoints"),
    *("ngrams", "fused", "vocabulary"),
)


def main():
    args = arguments("python -m conformance.embeddings", __doc__, PARTS)
    errors = []
    for name in args.only:
        part = importlib.import_module(f".{name}", __package__)
        records = list(tqdm(part.records(), desc=name, unit="record"))
        if args.golden:
            save(name, records)
        for record in records:
            errors.append((name, record, error_of(record, part.ours, part.tolerance)))
    return shown(errors)


if __name__ == "__main__":
    sys.exit(main())
