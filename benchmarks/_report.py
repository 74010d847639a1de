"""Records as tables in Markdown, as the documentation shows them."""

from ._machine import machine


def report(records: list[dict]) -> str:
    """A table for each suite that was timed, then what was counted."""
    suites, rest = {}, []
    for record in records:
        where = suites.setdefault(record["suite"], []) if "rival" in record else rest
        where.append(record)
    return "\n\n".join([*map(timings, suites.values()), *_facts(rest)])


def timings(records: list[dict]) -> str:
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
