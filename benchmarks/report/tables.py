"""Records as tables in Markdown, as the documentation shows them."""

from ..timing.machine import machine
from .rows import Row, by_suite, half_spread

TINY = "A quick run: its sizes are tiny, and its times say only that everything runs."


def report(records: list[dict]) -> str:
    """A table for each suite that was timed, then what was counted."""
    counted = [record for record in records if "rival" not in record]
    tables = [*map(timings, by_suite(records).values()), *_facts(counted)]
    tiny = any(record.get("quick") for record in records)
    return "\n\n".join([TINY] * tiny + tables)


def timings(rows: list[Row]) -> str:
    """A line per case, a column per rival, as multiples of the limit."""
    rivals = dict.fromkeys(name for row in rows for name in row.programs)
    rivals.pop("attnax", None)
    lines = head(["case", "limit"], ["attnax", "target", *rivals])
    for row in rows:
        others = (row.programs.get(name) for name in rivals)
        lines.append(
            [
                row.case,
                f"{row.limit['rival']}, {number(row.limit['median_ms'])} ms",
                ratio(row.attnax) if row.attnax else "",
                target(row),
                *(_multiple(other["ratio"]) if other else "" for other in others),
            ]
        )
    return markdown(lines)


def ratio(record: dict, digits: int = 2) -> str:
    """The median of the rounds, and half its interquartile range if that is known."""
    text = _multiple(record["ratio"], digits)
    if "ratio_iqr" in record:  # no line break between the two
        text += f"\N{NO-BREAK SPACE}±{half_spread(record):.2f}"
    return text


def target(row: Row) -> str:
    """Returns the target as a bound, or nothing if there is none."""
    return f"≤ {row.target:g}" if row.target else ""


def number(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def head(texts: list[str], numbers: list[str]) -> list[list[str]]:
    """The first two lines of a table whose last columns are numbers."""
    rule = ["---"] * len(texts) + ["---:"] * len(numbers)
    return [[*texts, *numbers], rule]


def markdown(lines: list[list[str]]) -> str:
    """A table of these cells, of which the first two lines are the head."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _multiple(value, digits=2):
    """One decimal more for small shares."""
    return f"{value:.{digits if value >= 0.1 else digits + 1}f}"


def _facts(records):
    """A table for each set of columns."""
    by_columns = {}
    for record in records:
        hidden = {"suite", "quick", *machine()}
        row = {key: str(value) for key, value in record.items() if key not in hidden}
        by_columns.setdefault(tuple(row), []).append(list(row.values()))
    for columns, cells in by_columns.items():
        yield markdown([*head(list(columns), []), *cells])
