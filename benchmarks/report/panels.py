"""What a picture shows: rows under titles, with labels that fit beside them."""

import textwrap
from itertools import takewhile
from typing import NamedTuple

from ..timing.harness import QUICK
from .rows import Row, by_suite

LETTERS = 60  # of a line of a label
LINE, GAP, GROUP = 0.145, 0.09, 0.07  # inches: of a line, between rows, between groups


class Panel(NamedTuple):
    """Rows under one title: the lines of their labels, and how far down they are."""

    title: str
    rows: list[Row]
    labels: list[list[str]]
    middles: list[float]
    height: float


def suite_panels(records: list[dict]) -> list[Panel]:
    """A panel per suite; what was counted is left out."""
    return [_suite(suite, found) for suite, found in by_suite(records).items()]


def whole_panel(rows: list[Row]) -> Panel:
    """One panel of rows of several suites, with whole names and limits.

    It has attnax and its rivals only: shares of a whole would need their own axis.
    """
    rows = [row._replace(programs=_without_parts(row)) for row in rows]
    labels = [_label(row.case, row.limit) for row in rows]
    return _panel("multiples of each case's limit", rows, labels)


def _without_parts(row):
    programs = row.rivals
    return {"attnax": row.attnax, **programs} if row.attnax else programs


def _suite(suite, rows):
    """Returns a panel whose title has the common start of names and the usual limit."""
    start = _common_start([row.case for row in rows])
    limits = [row.limit["rival"] for row in rows]
    usual = max(limits, key=limits.count)
    labels = [_label(row.case.removeprefix(start), row.limit, usual) for row in rows]
    title = start.rstrip(" ,")
    if title in ("", QUICK):  # the names have nothing else in common
        title = f"{title} {suite.replace('_', ' ')}".lstrip()
    return _panel(f"{title}, multiples of: {usual}", rows, labels)


def _common_start(names):
    """The words that all names begin with; the last word of a name is never one."""
    words = zip(*(name.split(" ")[:-1] for name in names), strict=False)
    same = takewhile(lambda column: len(set(column)) == 1, words)
    return "".join(f"{column[0]} " for column in same)


def _label(name, limit, usual=None):
    limited = [] if limit["rival"] == usual else [f"(limit: {limit['rival']})"]
    return textwrap.wrap(name, LETTERS) + limited


def _panel(title, rows, labels):
    """Returns a panel with some space where the first words of names change."""
    middles, end, before = [], 0.0, None
    for label in labels:
        group = label[0].partition(",")[0]
        end += GROUP * (group != before)
        height = LINE * len(label) + GAP
        middles.append(end + height / 2)
        end, before = end + height, group
    return Panel(title, rows, labels, middles, end + GROUP)
