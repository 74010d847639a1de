"""Every timing and error of `python -m benchmarks.device`, as Markdown."""

from .device_records import KERNELS, by_case, chosen
from .rows import origin
from .tables import head, markdown, number


def device_tables(run: str, records: list[dict]) -> str:
    """Returns a section for one run: a table per set of rivals, then the errors."""
    device = next(record["device"] for record in records)
    source = f"{origin(records)}, `benchmarks/results/{run}.jsonl`."
    parts = [f"## {device}", source, _timings(records), _errors(records)]
    return "\n\n".join(part for part in parts if part)


def _timings(records):
    tables = []
    for kind in KERNELS:
        by_rivals = {}
        for found in by_case(chosen(records, kind)):
            if "attnax" in found:
                # The next column says as much.
                rivals = tuple(n for n in found if n not in ("attnax", "copy"))
                by_rivals.setdefault(rivals, []).append(found)
        tables += [_table(rivals, cases) for rivals, cases in by_rivals.items()]
    if not tables:
        return ""
    text = (
        "`of a copy` is the bandwidth of attnax as a share of that of a copy of as "
        "many bytes, in the same rounds. The columns after it are times as multiples "
        "of attnax's: a program below 1 is faster."
    )
    return "\n\n".join([text, *tables])


def _table(rivals, cases):
    """A line per case: attnax, and others as multiples of its time."""
    shares = [found["attnax"].get("share_of_copy") for found in cases]
    shared = any(share is not None for share in shares)
    columns = ["attnax, ms", *["of a copy"] * shared, *rivals]
    lines = head(["case"], columns)
    for found, share in zip(cases, shares, strict=True):
        ours = found["attnax"]
        time = ours["median_ms"]
        of_copy = ["" if share is None else f"{share:.2f}"] * shared
        multiples = [f"{found[name]['median_ms'] / time:.2f}" for name in rivals]
        lines.append([_case(ours), number(time), *of_copy, *multiples])
    return markdown(lines)


def _case(record):
    case, dtype = record["case"], record["dtype"]
    return case if dtype in case else f"{case}, {dtype}"


def _errors(records):
    found = chosen(records, "error")
    if not found:
        return ""
    lines = head(["case", "program"], ["largest error", "of its bound"])
    for record in found:
        share = record.get("share_of_bound")
        if "differing" in record:
            share = f"{record['differing']:,} of {record['of']:,} differ"
        elif share is not None:
            share = f"{share:.2f}" if isinstance(share, float) else share
        largest = record["largest_error"]
        largest = f"{largest:.2g}" if isinstance(largest, float) else largest
        lines.append([_case(record), record["rival"], largest, share or ""])
    text = "Largest errors against float64 and multi-precision; a bound holds up to 1:"
    return f"{text}\n\n{markdown(lines)}"
