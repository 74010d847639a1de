"""What `python -m benchmarks.device` found on an accelerator, in short, as Markdown."""

from .device_records import KERNELS, LIMITS, by_case, chosen
from .rows import is_rival, origin
from .tables import head, markdown, number

# The share of a copy's bandwidth that a kernel bound by memory is meant to reach on an
# accelerator, forward and backward.
AIM = 0.9
# Cases that time the same kernels once more, beside other programs.
REPEATED = ("forms of ", ", beside PyTorch")
# Words for a part in the name of a case. A case without any is a forward pass.
PARTS = ("weight gradient", "input gradient", "gradient", "backward")
STEPS = ("rows", "host")  # kinds of lines whose cases are whole steps


def device_report(run: str, records: list[dict]) -> str:
    """Returns a section for one run: what it reaches, who is ahead, what is missed."""
    device = next(record["device"] for record in records)
    source = f"{origin(records)}, `benchmarks/results/{run}.jsonl`:"
    parts = [f"### {device}", source, _abilities(records)]
    parts += [_reach(records), _ahead(records), _errors(records)]
    parts += [_targets(records), _failures(records)]
    return "\n\n".join(part for part in parts if part)


def _abilities(records):
    """The most that the device can do."""
    copied = [r["gb_per_s"] for r in chosen(records, "copy") if "gb_per_s" in r]
    lines = [f"- A copy moves up to {number(max(copied))} GB/s." if copied else ""]
    lines += [
        f"- A {r['case']} in {r['dtype']}: {number(r['tflop_per_s'])} TFLOP/s."
        for r in chosen(records, "matmul")
    ]
    return "\n".join(line for line in lines if line)


def _reach(records):
    """The bandwidth of each kernel that is bound by memory."""
    shares = {}
    for record in chosen(records, *KERNELS):
        repeated = any(words in record["case"] for words in REPEATED)
        if record["rival"] == "attnax" and "share_of_copy" in record and not repeated:
            shares.setdefault(_kernel(record), []).append(record["share_of_copy"])
    if not shares:
        return ""
    columns = ["cases", "least", "most", f"≥ {AIM:g}"]
    lines = head(["kernel", "dtype", "part"], columns)
    for kernel, found in shares.items():
        reached = sum(share >= AIM for share in found)
        least, most = f"{min(found):.2f}", f"{max(found):.2f}"
        lines.append([*kernel, str(len(found)), least, most, str(reached)])
    text = (
        "The bandwidth of attnax, as a share of that of a copy of as many bytes in the "
        f"same rounds. The aim is at least {AIM:g}:"
    )
    return f"{text}\n\n{markdown(lines)}"


def _ahead(records):
    """Every rival that is ahead of attnax somewhere, by more than both spreads."""
    times = {}
    for found in by_case(chosen(records, *KERNELS)):
        for name, rival in found.items():
            if is_rival(name) and name not in LIMITS and "attnax" in found:
                pair = rival, found["attnax"]
                times.setdefault((*_kernel(rival), name), []).append(pair)
    columns = ["ahead in", "of", "fastest", "slowest"]
    lines = head(["kernel", "dtype", "part", "rival"], columns)
    for names, pairs in sorted(times.items(), key=lambda item: item[0][0]):
        wins = sum(_is_ahead(*pair) for pair in pairs)
        if wins:
            ratios = [rival["median_ms"] / ours["median_ms"] for rival, ours in pairs]
            ends = f"{min(ratios):.2f}", f"{max(ratios):.2f}"
            lines.append([*names, str(wins), str(len(pairs)), *ends])
    if len(lines) == 2:
        return "No rival is ahead." if times else ""
    text = (
        "Rivals that are ahead in a case by more than the spread of both. Their times, "
        "fastest and slowest, are multiples of attnax's, so that 0.5 is half its time:"
    )
    return f"{text}\n\n{markdown(lines)}"


def _kernel(record):
    case = record["case"]
    whole = "step" if record["kind"] in STEPS else "forward"
    part = next((part for part in PARTS if part in case), whole)
    forms = case.startswith("forms of ")
    name = "forms of the rotation" if forms else KERNELS[record["kind"]]
    return name, record["dtype"], part


def _is_ahead(rival, ours):
    spreads = rival.get("iqr_ms", 0.0) + ours.get("iqr_ms", 0.0)
    return rival["median_ms"] + spreads / 2 < ours["median_ms"]


def _errors(records):
    bounded = [r for r in chosen(records, "error") if "holds" in r]
    broken = [f"{r['case']}, {r['dtype']}" for r in bounded if not r["holds"]]
    if not bounded:
        return ""
    if not broken:
        return f"Errors within the bounds of the contract: all {len(bounded)}."
    text = f"Errors beyond the bounds of the contract, {len(broken)} of {len(bounded)}:"
    return "\n".join([text, "", *(f"- {case}" for case in broken)])


def _targets(records):
    found = chosen(records, "target")
    missed = [r for r in found if not r["holds"]]
    missed.sort(key=lambda r: "times_as_fast" in r)
    if not missed:
        return f"All targets hold, {len(found)} of them." if found else ""
    lines = head(["case", "dtype", "limit"], ["attnax", "target"])
    for record in missed:
        ratio, target = f"{record.get('ratio', 0):.2f}", record.get("at_most")
        if target is None:
            ratio = f"{record['times_as_fast']:.2f} times as fast"
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
