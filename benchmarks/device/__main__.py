"""Measures the speed and errors of attnax on the device that JAX uses.

    python -m benchmarks.device --json FILE           # eight minutes at most
    python -m benchmarks.device --json FILE --minutes 3
    python -m benchmarks.device --quick               # tiny sizes: that all of it runs
    python -m benchmarks.device --only rotation layers

It times copies and matrix products, rotations, cos and sin, layers, lookups and
patches, compares the results with float64 on the host, and says which targets hold.
Each line is written as soon as it is measured, the most valuable first; what does not
fit into the time is left out and named at the end. Lines for the documentation are kept
under benchmarks/results/<device>-jax-<version>.jsonl.
"""

import argparse
import gc
import json
import math
import os
import sys
import threading
import time
import traceback

import jax

from ..report.places import missing_place
from ..timing import pytorch
from ..timing.harness import QUICK as NAMED_QUICK
from ..timing.harness import Group
from ..timing.machine import machine
from . import BEGIN
from .lines import failure, timings
from .sizes import FULL, QUICK
from .steps import KINDS, steps

RESERVE = 2.0  # seconds before the limit at which a step in progress is cut off
ROUNDS, MOST_SECONDS = 15, 4.0  # of a group of programs
QUICK_ROUNDS, QUICK_SECONDS = 3, 0.5


def main() -> int:
    """Runs the command and returns its exit status: 1 if something failed."""
    args = _arguments()
    sizes = QUICK if args.quick else FULL
    chosen = [s for s in steps(sizes) if not args.only or s.kind in args.only]
    with open(args.json or os.devnull, "w") as file:
        writer = Writer(file)
        pending = [f"{step.kind}: {step.name}" for step in chosen]
        limit = BEGIN + 60 * args.minutes
        watchdog = threading.Timer(
            limit - RESERVE - time.monotonic(), stop, (writer, pending)
        )
        watchdog.daemon = True
        watchdog.start()
        writer.common = {"quick": args.quick, **machine()}  # starts the device
        print(", ".join(f"{k} {v}" for k, v in machine().items()), flush=True)
        for step in chosen:
            run(step, args.quick, writer)
            pending.pop(0)
        watchdog.cancel()
    print(f"{writer.count} lines in {time.monotonic() - BEGIN:.0f} s", flush=True)
    return 1 if writer.failed else 0


def run(step, quick, writer):
    """Writes the lines of a step; if it fails, one that says so."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    seconds = QUICK_SECONDS if quick else MOST_SECONDS
    try:
        for found in step.run():
            if isinstance(found, Group):
                measure(step.kind, found, rounds, seconds, writer)
            else:
                writer.write(found)
        # The arrays of a step would take the memory of the next.
        gc.collect()
        pytorch.free_memory()
    except Exception as error:
        traceback.print_exc()
        line = {"kind": step.kind, "case": step.name, "dtype": None}
        writer.write(line | failure(error))


def measure(kind, group, rounds, seconds, writer):
    """Writes the lines of a group; if it fails while it is timed, one that says so."""
    try:
        for line in timings(kind, group, rounds, seconds):
            writer.write(line)
    except Exception as error:
        traceback.print_exc()
        line = {"kind": kind, "case": group.case, "dtype": group.meta["dtype"]}
        writer.write(line | failure(error))


def stop(writer, pending):
    """Ends the process at its time limit, with whole lines."""
    with writer.lock:
        writer.file.flush()
        print(f"{writer.count} lines; the time is over, and this was not measured:")
        print("\n".join(f"  {name}" for name in pending), flush=True)
        # Nothing else ends a compilation or a wait for the device.
        os._exit(1 if writer.failed else 0)


class Writer:
    """Writes each line to the file as it comes, and its results to the screen."""

    def __init__(self, file, common=None):
        self.file, self.common = file, common or {}
        self.count, self.failed = 0, False
        self.lock = threading.Lock()

    def write(self, line):
        """Adds what all lines have, and how long after the start they came."""
        after = {"after_s": round(time.monotonic() - BEGIN, 1), **peak_memory()}
        whole = {**line, **after, **self.common}
        if self.common.get("quick"):
            whole["case"] = f"{NAMED_QUICK} {whole['case']}"
        line = {key: _finite(value) for key, value in whole.items()}
        with self.lock:
            print(json.dumps(line, allow_nan=False), file=self.file, flush=True)
            print(_text(line), flush=True)
            self.count += 1
            self.failed |= "failed" in line


def _finite(value):
    """JSON has no NaN and no infinity."""
    broken = isinstance(value, float) and not math.isfinite(value)
    return str(value) if broken else value


def peak_memory() -> dict:
    """Returns the most memory that JAX has held so far, where the device tells."""
    found = jax.local_devices()[0].memory_stats() or {}
    peak = found.get("peak_bytes_in_use")
    return {} if peak is None else {"peak_gib": round(peak / 2**30, 2)}


SHOWN = {
    "median_ms": "{} ms",
    "tflop_per_s": "{} TFLOP/s",
    "gb_per_s": "{} GB/s",
    "share_of_copy": "{} of a copy",
    "kernels": "{} kernels",
    "largest_error": "error {}",
    "share_of_bound": "{} of its bound",
    "differing": "{} differ",
    "ratio": "{} times the limit",
    "at_most": "at most {}",
    "times_as_fast": "{} times as fast",
    "at_least": "at least {}",
    "failed": "FAILED {}",
}


def _text(line):
    parts = [
        form.format(line[key])
        for key, form in SHOWN.items()
        if line.get(key) is not None
    ]
    if "holds" in line:
        parts.append("holds" if line["holds"] else "DOES NOT HOLD")
    name = f"{line['kind']}: {line['case']}, {line['dtype']}, {line.get('rival', '')}"
    return f"{line['after_s']:6.1f} s  {name}: {', '.join(parts)}"


def _arguments():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.device",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", metavar="FILE", help="write the lines to this file")
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="end within this time; default 8"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, 3 rounds")
    parser.add_argument("--only", nargs="+", choices=KINDS, help="default: all")
    args = parser.parse_args()
    if problem := missing_place(args.json):
        parser.error(problem)
    if not args.minutes > 0:
        parser.error(f"--minutes {args.minutes:g} must be positive")
    return args


if __name__ == "__main__":
    sys.exit(main())
