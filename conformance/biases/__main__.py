"""Compares attnax with the position biases of transformers and timm.

    python -m conformance.biases                   # every part
    python -m conformance.biases --only windows    # one part
    python -m conformance.biases --golden          # writes tests/golden

Each record comes from running the code of others. attnax makes the biases from its
config, reads their parameters from its tensors, and applies them to its positions. The
scale of a layer must be that of its module.
Needs `pip install -e ".[conformance]"`. The exit status is 1 if anything disagrees.
"""

import argparse
import importlib
import sys

import numpy as np
import torch
from tqdm import tqdm

from ..embeddings.records import save
from . import compare, without_config

# Each part has `records()`, which runs the other code.
PARTS = (
    *("t5_stacks", "t5_blocks", "bucket_encoders", "hidden_states"),
    *("boxes", "box_relations", "alibi", "windows", "class_rows", "offsets"),
    *("log_coordinates", "decomposed", "resized_tables", "relative_keys"),
    *("relative_windows", "relative_blocks", "pairs", "disentangled"),
    *("transformer_xl", "xlnet", "funnel", "audio", "profiles"),
)


def error_of(record):
    """The error of a record in tolerances; more than 1 is a disagreement."""
    if compare.is_refused(record):
        try:
            compare.ours(record)
        except ValueError as error:
            return 0.0 if "counts distances" in str(error) else np.inf
        return np.inf
    if not compare.has_its_scale(record):
        return np.inf
    actual = np.asarray(compare.ours(record), np.float64)
    expected = np.asarray(record.arrays["expected"], np.float64)
    if actual.shape != expected.shape:
        return np.inf
    error = np.abs(actual - expected).max()
    return error / compare.tolerance(record) if error else 0.0


def first_of_each(records):
    """A record of each stack of each model type, the first with a config."""
    found = {}
    for record in records:
        if without_config.has_no_layer(record) or compare.is_refused(record):
            continue
        options = record.options
        key = options["config"]["model_type"], options["part"], options.get("keys")
        found.setdefault(key, record)
    return found


def main():
    parser = argparse.ArgumentParser(
        prog="python -m conformance.biases",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--golden", action="store_true", help="write tests/golden")
    args = parser.parse_args()
    torch.set_num_threads(1)  # small tensors
    lines, golden = [], {}
    for name in args.only:
        part = importlib.import_module(f".{name}", __package__)
        records = part.records()
        records = [r for r in records if not without_config.is_nothing(r.options)]
        golden |= first_of_each(records) | golden
        for record in tqdm(records, desc=name, unit="record"):
            error = error_of(record)
            status = "agreed" if error <= 1 else "DISAGREED"
            lines.append((status, name, record.name, f"{error:.2g}", record.source))
    if args.golden:
        save("position_biases", golden.values())
    for line in sorted(lines):
        print("  ".join(line))
    wrong = sum(line[0] != "agreed" for line in lines)
    print(f"\n{len(lines)} records: {len(lines) - wrong} agreed, {wrong} disagreed")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
