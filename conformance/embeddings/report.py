"""What the comparisons of records with attnax share: arguments, errors, the report."""

import argparse

import numpy as np


def arguments(program, description, parts):
    """The arguments of the command: which parts, and whether to write goldens."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--golden", action="store_true", help="write tests/golden")
    return parser.parse_args()


def error_of(record, ours, tolerance):
    """The error of a record in tolerances; more than 1 is a disagreement."""
    actual = np.asarray(ours(record), np.float64)
    expected = np.asarray(record.arrays["expected"], np.float64)
    if actual.shape != expected.shape:
        return np.inf
    error = np.abs(actual - expected).max()
    return error / tolerance(record) if error else 0.0


def shown(errors):
    """Prints `(part, record, error)` in lines; returns the exit status."""
    lines = []
    for part, record, error in errors:
        status = "agreed" if error <= 1 else "DISAGREED"
        lines.append((status, part, record.name, f"{error:.2g}", record.source))
    for line in sorted(lines):
        print("  ".join(line))
    wrong = sum(line[0] != "agreed" for line in lines)
    print(f"\n{len(lines)} records: {len(lines) - wrong} agreed, {wrong} disagreed")
    return int(wrong > 0)
