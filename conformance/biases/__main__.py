"""Compares attnax with the position biases of transformers and timm.

    python -m conformance.biases                   # every part
    python -m conformance.biases --only windows    # one part
    python -m conformance.biases --golden          # writes tests/golden

Each record comes from running the code of others. attnax makes the biases from its
config, reads their parameters from its tensors, and applies them to its positions. The
scale of a layer must be that of its module.
Needs `pip install -e ".[conformance]"`. The exit status is 1 if anything disagrees.
"""

import importlib
import sys

import numpy as np
import torch
from tqdm import tqdm

from ..embeddings import report
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
    return report.error_of(record, compare.ours, compare.tolerance)


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
    args = report.arguments("python -m conformance.biases", __doc__, PARTS)
    torch.set_num_threads(1)  # small tensors
    errors, golden = [], {}
    for name in args.only:
        records = importlib.import_module(f".{name}", __package__).records()
        records = [r for r in records if not without_config.is_nothing(r.options)]
        golden |= first_of_each(records) | golden
        for record in tqdm(records, desc=name, unit="record"):
            errors.append((name, record, error_of(record)))
    if args.golden:
        save("position_biases", golden.values())
    return report.shown(errors)


if __name__ == "__main__":
    sys.exit(main())
