"""Misses, rivals ahead and costs of the records, as Markdown."""

from math import comb

from .rows import Row, missed, rows
from .tables import head, markdown, number, ratio, target

MIB = 2**20
COSTS = {  # field and unit by column
    "ms": ("median_ms", 1),
    "GB/s": ("gb_per_s", 1),
    "compile ms": ("compile_ms", 1),
    "temporary MiB": ("temporary_bytes", MIB),
    "kernels": ("kernels", 1),
    "largest error": ("largest_error", 1),
}


def misses(records: list[dict]) -> str:
    """Returns every case above its target, or too little ahead of a rival."""
    lines = [
        [row.case, row.limit["rival"], ratio(row.attnax, digits=3), target(row)]
        for row in rows(records)
        if missed(row)
    ]
    lines += [
        [row.case, name, f"{times:.1f} times as fast", f"≥ {rival['margin']:g}"]
        for row in rows(records)
        for name, rival in row.programs.items()
        if rival.get("margin")
        and (times := rival["ratio"] / row.attnax["ratio"]) < rival["margin"]
    ]
    return _table(head(["case", "limit"], ["attnax", "target"]), lines)


def rivals_ahead(records: list[dict]) -> str:
    """Returns every rival that is faster than attnax in nearly all rounds.

    Of two equal programs, one would be ahead in so many rounds by luck in one case of
    a hundred.
    """
    lines = [
        [row.case, name, ratio(row.attnax), ratio(rival)]
        for row in rows(records)
        for name, rival in row.rivals.items()
        if row.attnax and _ahead(rival)
    ]
    return _table(head(["case", "rival"], ["attnax", "the rival"]), lines)


def costs(rows: list[Row]) -> str:
    """Time, compile time, temporary memory and kernels of every program.

    A column without any value is left out.
    """
    programs = [
        (row.case if name is None else "", name or f"{record['rival']} (limit)", record)
        for row in rows
        for name, record in {None: row.limit, **row.programs}.items()
    ]
    columns = {
        column: [_value(record, *field) for _, _, record in programs]
        for column, field in COSTS.items()
    }
    columns = {column: values for column, values in columns.items() if any(values)}
    lines = [
        [case, name, *values]
        for (case, name, _), *values in zip(programs, *columns.values(), strict=True)
    ]
    return _table(head(["case", "program"], list(columns)), lines)


def _ahead(rival):
    rounds = rival["rounds"]
    by_luck = (comb(rounds, k) for k in range(rival["rounds_ahead"], rounds + 1))
    return sum(by_luck) <= 0.01 * 2**rounds


def _value(record, key, unit):
    value = record.get(key)
    return "" if value is None else number(value / unit)


def _table(first, lines):
    return markdown([*first, *lines]) if lines else "None."
