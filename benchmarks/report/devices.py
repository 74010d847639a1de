"""What was measured on accelerators by `python -m benchmarks.device`, as Markdown."""

from .rows import origin
from .tables import head, markdown, number

TIMED = ("rotation", "cos_sin", "layers", "lookup", "patch")


def device_report(run: str, records: list[dict]) -> str:
    """Returns a section of its own for one run: timings, errors and targets."""
    device = next(record["device"] for record in records)
    source = f"{origin(records)}, `benchmarks/results/{run}.jsonl`:"
    parts = [f"## On {device}", source, _abilities(records), _timings(records)]
    parts += [_errors(records), _targets(records), _failures(records)]
    return "\n\n".join(part for part in parts if part)


def _of(records, *kinds):
    return [r for r in records if r["kind"] in kinds and "failed" not in r]


def _abilities(records):
    """What the device can do at most."""
    copied = [r["gb_per_s"] for r in _of(records, "copy") if "gb_per_s" in r]
    lines = [f"- A copy moves up to {number(max(copied))} GB/s." if copied else ""]
    lines += [
        f"- A {r['case']} in {r['dtype']}: {number(r['tflop_per_s'])} TFLOP/s."
        for r in _of(records, "matmul")
    ]
    return "\n".join(line for line in lines if line)


def _timings(records):
    """A table per kind, for each has limits and rivals of its own."""
    tables = [table for kind in TIMED if (table := _table(_of(records, kind)))]
    if not tables:
        return ""
    text = (
        "`of a copy` is the bandwidth as a share of that of a copy of as many bytes, "
        "in the same rounds. The columns after it are times as multiples of attnax's:"
    )
    return "\n\n".join([text, *tables])


def _table(records):
    """A line per case: attnax, and others as multiples of its time."""
    cases = {}
    for record in records:
        key = record["case"], record["dtype"]
        cases.setdefault(key, {}).setdefault(record["rival"], record)
    cases = {key: found for key, found in cases.items() if "attnax" in found}
    if not cases:
        return ""
    rivals = dict.fromkeys(name for found in cases.values() for name in found)
    rivals.pop("attnax")
    lines = head(["case", "dtype"], ["attnax, ms", "of a copy", *rivals])
    for (case, dtype), found in cases.items():
        ours = found["attnax"]
        share, time = ours.get("share_of_copy"), ours["median_ms"]
        others = (found.get(name) for name in rivals)
        multiples = (f"{r['median_ms'] / time:.2f}" if r else "" for r in others)
        share = "" if share is None else f"{share:.2f}"
        lines.append([case, dtype, number(time), share, *multiples])
    return markdown(lines)


def _errors(records):
    found = _of(records, "error")
    if not found:
        return ""
    lines = head(["case", "dtype", "of"], ["largest error", "of its bound"])
    for record in found:
        share = record.get("share_of_bound")
        if "differing" in record:
            share = f"{record['differing']:,} of {record['of']:,} differ"
        elif share is not None:
            share = f"{share:.2f}" if isinstance(share, float) else share
        largest = record["largest_error"]
        largest = f"{largest:.2g}" if isinstance(largest, float) else largest
        words = record["case"], record["dtype"], record["rival"]
        lines.append([*words, largest, share or ""])
    text = "Largest errors against float64 and multi-precision; a bound holds up to 1:"
    return f"{text}\n\n{markdown(lines)}"


def _targets(records):
    found = _of(records, "target")
    missed = [r for r in found if not r["holds"]]
    if not missed:
        return f"All targets hold, {len(found)} of them." if found else ""
    lines = head(["case", "dtype", "limit"], ["attnax", "target"])
    for record in missed:
        ratio, target = f"{record.get('ratio', 0):.2f}", record.get("at_most")
        if target is None:
            ratio = f"{record['times_as_fast']:.1f} times as fast"
            target = f"≥ {record['at_least']:g}"
        else:
            target = f"≤ {target:g}"
        lines.append([record["case"], record["dtype"], record["limit"], ratio, target])
    text = f"{len(found) - len(missed)} of {len(found)} targets hold; these do not:"
    return f"{text}\n\n{markdown(lines)}"


def _failures(records):
    lines = [
        f"- {r['case']}, {r['dtype']}, {r.get('rival', 'all')}: {r['failed']}"
        for r in records
        if "failed" in r
    ]
    return "\n".join(["These did not run:", "", *lines]) if lines else ""
