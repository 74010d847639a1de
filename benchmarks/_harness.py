"""Rivals of one question, timed in turns in the same rounds, and their table."""

import ctypes
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import jax
import numpy as np

MIN_SAMPLE_SECONDS = 1e-3  # a shorter program is called several times per sample


@dataclass(frozen=True)
class Program:
    """A function to compile. Inputs are arguments, so that XLA cannot fold them."""

    function: Callable
    args: tuple


@dataclass(frozen=True)
class Group:
    """One row of the table: rivals against a limit, `rivals["limit"]`.

    A rival is one program, or several that run one after the other.
    """

    case: str
    limit: str
    rivals: dict[str, Program | tuple[Program, ...]]
    target: float | None = None
    meta: dict = field(default_factory=dict)


def measure(group: Group, rounds: int, seed: int = 0) -> Iterator[dict]:
    """One record per rival: milliseconds, and the ratio to the limit, round by round.

    Machines drift: only what ran in the same round is compared.
    """
    runners, compile_ms = {}, {}
    for name, programs in group.rivals.items():
        start = time.perf_counter()
        runners[name] = _compile(programs)
        compile_ms[name] = (time.perf_counter() - start) * 1e3
    calls = {name: _calls_per_sample(runner) for name, runner in runners.items()}
    order, samples = random.Random(seed), {name: [] for name in runners}
    for _ in range(rounds):
        for name in order.sample(list(runners), len(runners)):
            samples[name].append(_seconds(runners[name], calls[name]) * 1e3)
    for name, times in samples.items():
        ratios = [t / l for t, l in zip(times, samples["limit"], strict=True)]
        lower, median, upper = statistics.quantiles(times, n=4)
        yield {
            "case": group.case,
            "rival": group.limit if name == "limit" else name,
            "is_limit": name == "limit",
            "median_ms": round(median, 4),
            "iqr_ms": round(upper - lower, 4),
            "ratio": round(statistics.median(ratios), 3),
            "target": group.target if name == "attnax" else None,
            "compile_ms": round(compile_ms[name], 1),
            "rounds": rounds,
            **group.meta,
            **machine(),
        }


def keep_pages():
    """Makes glibc recycle the memory of arrays below 32 MiB.

    Else it is a matter of luck whether an output of 16 MiB gets fresh pages from the
    system at every call, and a copy then takes five times as long.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        m_trim_threshold, m_mmap_threshold, m_arena_max = -1, -3, -8
        mallopt(m_mmap_threshold, 32 << 20)
        mallopt(m_trim_threshold, 1 << 30)
        mallopt(m_arena_max, 1)


def _compile(programs):
    programs = (programs,) if isinstance(programs, Program) else programs
    compiled = [
        (jax.jit(p.function).lower(*p.args).compile(), p.args) for p in programs
    ]

    def run():
        for program, args in compiled:
            jax.block_until_ready(program(*args))

    run()  # the first call warms caches
    return run


def _seconds(runner, calls):
    start = time.perf_counter()
    for _ in range(calls):
        runner()
    return (time.perf_counter() - start) / calls


def _calls_per_sample(runner):
    once = min(_seconds(runner, 1) for _ in range(3))
    return max(1, round(MIN_SAMPLE_SECONDS / once))


def machine():
    """Where the figures come from."""
    device = jax.devices()[0]
    kind = _cpu_name() if device.platform == "cpu" else device.device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "device": kind,
        "cores": cores,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }


def _cpu_name():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(l.split(":")[1].strip() for l in lines if "model name" in l)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def report(records: list[dict]) -> str:
    """Markdown: a table for each suite that was timed, then what was counted."""
    suites, rest = {}, []
    for record in records:
        where = suites.setdefault(record["suite"], []) if "rival" in record else rest
        where.append(record)
    return "\n\n".join([*map(_timings, suites.values()), *_facts(rest)])


def _timings(records):
    """A row per case, a column per rival, as multiples of the limit."""
    by_case, rivals = {}, []
    for record in records:
        by_case.setdefault(record["case"], []).append(record)
        if not record["is_limit"] and record["rival"] not in (*rivals, "attnax"):
            rivals.append(record["rival"])
    head = ["case", "limit", "attnax", "target", *rivals]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for case, rows in by_case.items():
        limit = next(r for r in rows if r["is_limit"])
        ratio = {r["rival"]: f"{r['ratio']:.2f}" for r in rows if not r["is_limit"]}
        target = next((r["target"] for r in rows if r["rival"] == "attnax"), None)
        lines.append(
            [
                case,
                f"{limit['rival']}, {limit['median_ms']:.3g} ms",
                ratio.get("attnax", ""),
                f"≤ {target:g}" if target else "",
                *(ratio.get(rival, "") for rival in rivals),
            ]
        )
    return _markdown(lines)


def _facts(records):
    """A table for each set of columns."""
    by_columns = {}
    for record in records:
        row = {key: value for key, value in record.items() if key not in machine()}
        by_columns.setdefault(tuple(row), []).append(list(row.values()))
    for columns, rows in by_columns.items():
        yield _markdown([list(columns), ["---"] * len(columns), *rows])


def _markdown(lines):
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
