"""Times attnax against the limit of each kernel and against its rivals.

    python -m benchmarks                       # all, some minutes
    python -m benchmarks --only rotation patch
    python -m benchmarks --quick               # tiny sizes: only that everything runs
    python -m benchmarks --json results.jsonl  # the lines behind the table
    python -m benchmarks --plot results.png    # the ratios as a picture
    python -m benchmarks --from results.jsonl --plot results.png  # of an earlier run
    python -m benchmarks.pages                 # the pages of the documentation

Every timing is a multiple of a limit that was timed in the same rounds. Rivals that are
not installed are left out; `pip install -e ".[benchmarks]"` brings them.
"""

import argparse
import json
import os

import jax
from tqdm import tqdm

from . import (
    bench_accuracy,
    bench_attention,
    bench_bias,
    bench_cos_sin,
    bench_forms,
    bench_fused,
    bench_head,
    bench_import,
    bench_lookup,
    bench_model,
    bench_ngrams,
    bench_patch,
    bench_resize,
    bench_rotation,
    bench_rows,
    bench_whole_path,
)
from .report.places import missing_place
from .report.tables import report
from .rivals.installed import left_out
from .timing.harness import QUICK, keep_pages, measure
from .timing.machine import machine

TIMINGS = {
    "rotation": bench_rotation,
    "forms": bench_forms,
    "cos_sin": bench_cos_sin,
    "whole_path": bench_whole_path,
    "attention": bench_attention,
    "model": bench_model,
    "patch": bench_patch,
    "resize": bench_resize,
    "lookup": bench_lookup,
    "rows": bench_rows,
    "ngrams": bench_ngrams,
    "head": bench_head,
    "fused": bench_fused,
    "bias": bench_bias,
}
FACTS = {"accuracy": bench_accuracy, "import": bench_import}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = (*TIMINGS, *FACTS)
    parser.add_argument("--only", nargs="+", choices=names, help="default: all")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, 3 rounds")
    parser.add_argument("--rounds", type=int, help="default 25, quick 3; at least 2")
    parser.add_argument("--json", metavar="FILE", help="write one line per rival")
    parser.add_argument("--plot", metavar="FILE", help="draw the ratios: .png or .svg")
    parser.add_argument(
        "--from",
        dest="earlier",
        metavar="FILE",
        help="report and draw the lines of an earlier --json, and run nothing",
    )
    args = parser.parse_args()
    rounds = (3 if args.quick else 25) if args.rounds is None else args.rounds
    if rounds < 2:
        parser.error("--rounds must be at least 2")
    for path in args.json, args.plot:
        if problem := missing_place(path):
            parser.error(problem)

    if args.earlier:
        with open(args.earlier) as file:
            records = [json.loads(line) for line in file]
        if args.only:
            records = [r for r in records if r.get("suite") in args.only]
    else:
        records = collected(run(args.only or names, args.quick, rounds), args.json)
        print(", ".join(f"{k} {v}" for k, v in machine().items()))
        if missing := left_out():
            absent = "left out, for not installed or not on this device"
            print(f"{absent}: {', '.join(missing)}")
    print(report(records))
    if args.plot:
        from .report.plot import plot

        plot(records, args.plot)


def collected(records, path):
    """All of them; each is written to `path`, if there is one, as soon as it is there.

    What was measured before something fails is not lost.
    """
    found = []
    with open(path or os.devnull, "w") as file:
        for record in records:
            print(json.dumps(record), file=file, flush=True)
            found.append(record)
    return found


def run(names, quick, rounds):
    """The records of the benchmarks in `names`, one by one."""
    keep_pages()
    jax.block_until_ready(jax.jit(lambda x: x + 1)(1.0))  # what is first takes longer
    for name, benchmark in TIMINGS.items():
        if name not in names:
            continue
        with tqdm(list(benchmark.groups(quick)), desc=name, unit="case") as bar:
            for group in bar:
                bar.set_postfix_str(group.case)
                for record in measure(group, rounds):
                    yield marked({"suite": name, **record}, quick)
    for name, benchmark in FACTS.items():
        if name in names:
            for record in benchmark.records(quick):
                yield marked({"suite": name, **record}, quick)


def marked(record, quick):
    """A record that says whether it is of a tiny run, in its name too.

    The name is what tables, lines and pictures show.
    """
    case = f"{QUICK} {record['case']}" if quick else record["case"]
    return {**record, "quick": quick, "case": case}


if __name__ == "__main__":
    main()
