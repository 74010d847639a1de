"""Times attnax against the limit of each kernel and against its rivals.

    python -m benchmarks                       # all, some minutes
    python -m benchmarks --only rotation patch
    python -m benchmarks --quick               # tiny sizes: only that everything runs
    python -m benchmarks --json results.jsonl  # the lines behind the table

Every figure is a multiple of a limit that was timed in the same rounds.
"""

import argparse
import json

from tqdm import tqdm

from . import (
    bench_cos_sin,
    bench_import,
    bench_lookup,
    bench_patch,
    bench_rotation,
    bench_whole_path,
)
from ._harness import machine, measure, table

BENCHMARKS = {
    "rotation": bench_rotation,
    "cos_sin": bench_cos_sin,
    "whole_path": bench_whole_path,
    "patch": bench_patch,
    "lookup": bench_lookup,
}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = (*BENCHMARKS, "import")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, 3 rounds")
    parser.add_argument("--rounds", type=int, help="default 25, quick 3; at least 2")
    parser.add_argument("--json", metavar="PATH", help="write one line per rival")
    args = parser.parse_args()
    rounds = args.rounds or (3 if args.quick else 25)
    if rounds < 2:
        parser.error("--rounds must be at least 2")

    groups = [
        group
        for name in BENCHMARKS
        if name in args.only
        for group in BENCHMARKS[name].groups(args.quick)
    ]
    records = []
    with tqdm(groups, unit="case") as bar:
        for group in bar:
            bar.set_postfix_str(group.case)
            records += measure(group, rounds)
    lines = list(records)
    print(", ".join(f"{k} {v}" for k, v in machine().items()))
    if records:
        print(table(records))
    if "import" in args.only:
        lines.append(bench_import.record(args.quick))
        print(f"import attnax beyond jax, equinox: {lines[-1]['seconds']} s (≤ 0.15)")
    if args.json:
        with open(args.json, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
