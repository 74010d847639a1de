"""Rivals of one question, timed in turns in the same rounds."""

import ctypes
import platform
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import jax

from .machine import machine
from .programs import InTurn, Program, Started, TorchProgram

MAX_GROUP_SECONDS = 15.0  # a group of long programs gets fewer rounds
MIN_ROUNDS = 7
QUICK = "quick:"  # what the name of a case begins with in a run of tiny sizes


@dataclass(frozen=True)
class Group:
    """One row of the table: rivals against a limit, `rivals["limit"]`.

    `target` is the multiple of the limit that attnax may take; `margins[name]` how many
    times as fast as that rival it shall be. `meta` goes into every record, and
    `facts[name]` into that of the rival `name`; `bytes_moved` is what the limit has to
    read and write, where memory is the limit, and `operations` how many additions and
    multiplications it takes, where those are counted.
    """

    case: str
    limit: str
    rivals: dict[str, Program | TorchProgram | InTurn]
    target: float | None = None
    meta: dict = field(default_factory=dict)
    bytes_moved: int | None = None
    facts: dict[str, dict] = field(default_factory=dict)
    margins: dict[str, float] = field(default_factory=dict)
    operations: int | None = None


def measure(group: Group, rounds: int, seed: int = 0) -> Iterator[dict]:
    """One record per rival: milliseconds, and the ratio to the limit, round by round.

    Machines drift: only what ran in the same round is compared.
    """
    started = {name: program.start() for name, program in group.rivals.items()}
    samples = sampled(started, rounds, seed)
    limit, attnax = samples["limit"], samples["attnax"]
    for name, times in samples.items():
        ratios = [t / l for t, l in zip(times, limit, strict=True)]
        moved = {}
        if group.bytes_moved is not None:
            per_second = group.bytes_moved / statistics.median(times) / 1e6
            moved = {"gb_per_s": rounded(per_second)}
        yield {
            "case": group.case,
            "rival": group.limit if name == "limit" else name,
            "is_limit": name == "limit",
            "median_ms": rounded(statistics.median(times)),
            "iqr_ms": rounded(spread(times)),
            "ratio": rounded(statistics.median(ratios)),
            "ratio_iqr": rounded(spread(ratios)),
            "rounds_ahead": sum(t < a for t, a in zip(times, attnax, strict=True)),
            "target": group.target if name == "attnax" else None,
            "margin": group.margins.get(name),
            "rounds": len(times),
            **moved,
            **started[name].facts,
            **group.facts.get(name, {}),
            **group.meta,
            **machine(),
        }


def sampled(
    started: dict[str, Started],
    rounds: int,
    seed: int = 0,
    most_seconds: float = MAX_GROUP_SECONDS,
) -> dict[str, list[float]]:
    """Returns the milliseconds of each program in each round, in one order of rounds.

    There are fewer rounds, but at least `MIN_ROUNDS` or as many as asked for, where
    all of them would take longer than `most_seconds`.
    """
    once = {name: min(_seconds(s, 1) for _ in range(3)) for name, s in started.items()}
    shortest = _shortest_sample()
    calls = {name: max(1, round(shortest / s)) for name, s in once.items()}
    of_a_round = sum(calls[name] * once[name] for name in started)
    rounds = min(rounds, max(MIN_ROUNDS, int(most_seconds / of_a_round)))
    order, times = random.Random(seed), {name: [] for name in started}
    for _ in range(rounds):
        for name in order.sample(list(started), len(started)):
            times[name].append(_seconds(started[name], calls[name]) * 1e3)
    return times


def _shortest_sample():
    """Returns seconds; a shorter program is called several times per sample."""
    return 1e-3 if jax.default_backend() == "cpu" else 1e-2


def _seconds(started, calls):
    """Returns seconds per call. Accelerators get all calls at once.

    One by one, the launch would be timed.
    """
    at_once = jax.default_backend() != "cpu"
    start = time.perf_counter()
    for _ in range(calls):
        result = started.call()
        if not at_once:
            started.wait(result)
    if at_once:
        started.wait(result)
    return (time.perf_counter() - start) / calls


def keep_pages():
    """Makes glibc recycle all memory, of large arrays too.

    Otherwise fresh pages come from the system: at every call for arrays from 32 MiB on,
    and now and then for smaller ones. A copy then takes five times as long, and rivals
    with more temporary arrays pay more.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        m_trim_threshold, m_mmap_max, m_arena_max = -1, -4, -8
        never = -1  # a number of bytes is an int, and so below 2 GiB
        settings = {m_mmap_max: 0, m_trim_threshold: never, m_arena_max: 1}
        if not all(mallopt(*setting) for setting in settings.items()):
            raise OSError("keep_pages: glibc refused a setting of its allocator.")


def spread(values: list[float]) -> float:
    """Returns the width of the range that holds the middle half."""
    lower, _, upper = statistics.quantiles(values, n=4)
    return upper - lower


def rounded(value: float) -> float:
    """Returns the value with four digits."""
    return float(f"{value:.4g}")
