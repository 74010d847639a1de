"""Times attnax against the limit of each kernel and against its rivals.

    python -m benchmarks                       # all, some minutes
    python -m benchmarks --only rotation patch
    python -m benchmarks --quick               # tiny sizes: only that everything runs
    python -m benchmarks --json results.jsonl  # the lines behind the table

Every timing is a multiple of a limit that was timed in the same rounds.
"""

import argparse
import json

from tqdm import tqdm

from . import (
    bench_accuracy,
    bench_cos_sin,
    bench_import,
    bench_lookup,
    bench_patch,
    bench_resize,
    bench_rotation,
    bench_whole_path,
)
from ._harness import keep_pages, machine, measure, report

TIMINGS = {
    "rotation": bench_rotation,
    "cos_sin": bench_cos_sin,
    "whole_path": bench_whole_path,
    "patch": bench_patch,
    "resize": bench_resize,
    "lookup": bench_lookup,
}
FACTS = {"accuracy": bench_accuracy, "import": bench_import}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = (*TIMINGS, *FACTS)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, 3 rounds")
    parser.add_argument("--rounds", type=int, help="default 25, quick 3; at least 2")
    parser.add_argument("--json", metavar="PATH", help="write one line per rival")
    args = parser.parse_args()
    rounds = (3 if args.quick else 25) if args.rounds is None else args.rounds
    if rounds < 2:
        parser.error("--rounds must be at least 2")

    keep_pages()
    groups = [
        (name, group)
        for name, benchmark in TIMINGS.items()
        if name in args.only
        for group in benchmark.groups(args.quick)
    ]
    records = []
    with tqdm(groups, unit="case") as bar:
        for name, group in bar:
            bar.set_postfix_str(group.case)
            records += [{"suite": name, **r} for r in measure(group, rounds)]
    for name, benchmark in FACTS.items():
        if name in args.only:
            records += benchmark.records(args.quick)
    print(", ".join(f"{k} {v}" for k, v in machine().items()))
    print(report(records))
    if args.json:
        with open(args.json, "w") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)


if __name__ == "__main__":
    main()
