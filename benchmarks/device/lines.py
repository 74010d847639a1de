"""The lines of the results: timings, errors, and what holds of the targets."""

import statistics
from collections.abc import Iterator

import numpy as np

from ..timing.harness import Group, rounded, sampled, spread

DESCRIBED = ("shape", "distinct_ids")  # of a group's `meta`, besides the dtype


def timings(
    kind: str, group: Group, rounds: int, most_seconds: float
) -> Iterator[dict]:
    """Yields a line per program of the group, then one per target.

    A program that does not compile or run gets a line that says so, and the others are
    timed without it. `share_of_copy` is the bandwidth as a share of that of a copy that
    moves as many bytes, which took turns with it.
    """
    common = {"case": group.case, "dtype": group.meta["dtype"]}
    common |= {key: group.meta[key] for key in DESCRIBED if key in group.meta}
    started, names = {}, {"limit": group.limit}
    for name, program in group.rivals.items():
        try:
            started[name] = program.start()
        except Exception as error:
            rival = names.get(name, name)
            yield {"kind": kind, **common, "rival": rival, **failure(error)}
    if not started:
        return
    times = sampled(started, rounds, most_seconds=most_seconds)
    copy = times.get("limit" if group.limit == "copy" else "copy")
    for name, of_rounds in times.items():
        yield {
            "kind": kind,
            **common,
            "rival": names.get(name, name),
            "median_ms": rounded(statistics.median(of_rounds)),
            "iqr_ms": rounded(spread(of_rounds)),
            "rounds": len(of_rounds),
            **_rates(group, of_rounds, copy),
            **started[name].facts,
            **group.facts.get(name, {}),
        }
    yield from _targets(group, common, times)


def error(
    case: str,
    dtype: str,
    largest: float,
    *,
    bound: float | None = None,
    share_of_bound: float | None = None,
    rival: str = "attnax",
    **more,
) -> dict:
    """Returns the line of a largest error.

    `share_of_bound` is the largest error as a multiple of what it may be, where that
    differs from element to element; it is `largest / bound` for one bound. The contract
    holds up to 1.
    """
    line = {"kind": "error", "case": case, "dtype": dtype, "rival": rival, **more}
    line["largest_error"] = rounded(largest)
    if bound is not None:
        line["bound"] = bound
        share_of_bound = largest / bound
    if share_of_bound is not None:
        line["share_of_bound"] = rounded(share_of_bound)
        line["holds"] = bool(share_of_bound <= 1)
    return line


def target(case: str, dtype: str, limit: str, ratio: float, at_most: float) -> dict:
    """Returns the line of a target: that attnax takes `at_most` times the limit."""
    line = {"kind": "target", "case": case, "dtype": dtype, "rival": "attnax"}
    return line | {
        "limit": limit,
        "ratio": rounded(ratio),
        "at_most": at_most,
        "holds": bool(ratio <= at_most),
    }


def difference(case: str, made, expected) -> dict:
    """Returns the line of two results that are to have the same bits."""
    made, expected = np.asarray(made), np.asarray(expected)
    unsigned = f"u{made.dtype.itemsize}"
    differing = int((made.view(unsigned) != expected.view(unsigned)).sum())
    largest = 0.0
    if differing:
        wide = made.astype(np.float64) - expected.astype(np.float64)
        largest = float(np.abs(wide).max())
    found = {"differing": differing, "of": made.size, "holds": differing == 0}
    return error(case, made.dtype.name, largest) | found


def failure(error: Exception) -> dict:
    """Returns what a line says of a program that failed."""
    message = (str(error).strip().splitlines() or [""])[0]
    return {"failed": f"{type(error).__name__}: {message}"[:300]}


def _rates(group, times, copy):
    found, seconds = {}, statistics.median(times) / 1e3
    if group.operations is not None:
        found["tflop_per_s"] = rounded(group.operations / seconds / 1e12)
    if group.bytes_moved is not None:
        found["gb_per_s"] = rounded(group.bytes_moved / seconds / 1e9)
        if copy is not None:
            shares = [c / t for c, t in zip(copy, times, strict=True)]
            found["share_of_copy"] = rounded(statistics.median(shares))
    return found


def _targets(group, common, times):
    """Yields the lines of targets: a ratio to the limit, and a lead over rivals."""
    if "attnax" not in times:
        return
    line = {"kind": "target", **common, "rival": "attnax"}
    if group.target is not None and "limit" in times:
        ratio = _ratio(times, "attnax", "limit")
        found = target(group.case, common["dtype"], group.limit, ratio, group.target)
        yield common | found
    for name, margin in group.margins.items():
        if name in times:
            ratio = _ratio(times, name, "attnax")
            found = {"limit": name, "times_as_fast": ratio, "at_least": margin}
            yield line | found | {"holds": ratio >= margin}


def _ratio(times, numerator, denominator):
    pairs = zip(times[numerator], times[denominator], strict=True)
    return rounded(statistics.median(a / b for a, b in pairs))
