"""The table of a run, and the command line around it."""

import argparse
import collections
import itertools
import json
import logging

import torch
import transformers

from .compare import DISAGREED


def report(lines):
    """Prints the table and its counts."""
    rows = [
        (n.status, n.family, n.name, n.config, n.layer_type or "", n.note)
        for n in sorted(lines, key=lambda n: (n.status, n.family))
    ]
    widths = [
        max(map(len, column)) for column in itertools.islice(zip(*rows, strict=True), 5)
    ]
    table = [
        "  ".join(
            [*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]
        ).rstrip()
        for row in rows
    ]
    counts = collections.Counter(line.status for line in lines)
    names = {line.name for line in lines}
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    return "\n".join([*table, "", f"{len(names)} classes: {total}"])


def command(prog, text, run):
    """Runs the command, prints the table and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[])
    parser.add_argument("--json", metavar="FILE", help="write the lines")
    args = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)  # small tensors
    lines = run(args.only)
    if not lines:
        parser.error(f"nothing is called {' or '.join(args.only)}")
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    print(report(lines), versions, sep="\n")
    if args.json:
        with open(args.json, "w") as file:
            json.dump([line.as_dict() for line in lines], file, indent=1)
    return int(any(line.status == DISAGREED for line in lines))
