"""Brings every measured figure of the documentation up to date.

    python -m benchmarks.pages

In the README and in docs/, what stands between `<!-- kind: run -->` and `<!-- end -->`
is written anew from the lines of benchmarks/results/<run>.jsonl:

    tables: run            every case of the run
    headline: run          the few that the README shows
    costs: run             compile time, memory and kernels of those
    misses: run            the cases above their target
    ahead: run             the cases in which a rival is faster
    picture: run suite     a link to the picture of a suite, or of `headline`
    accelerators: all      a section per run of `python -m benchmarks.device`, if any
    device_tables: all     every timing and error of those

and the pictures are drawn.
"""

import json
import os
import pathlib
import re

from .report.device_tables import device_tables
from .report.devices import device_report
from .report.headline import headline, headline_tables
from .report.rows import by_suite, origin
from .report.summary import costs, misses, rivals_ahead
from .report.tables import report

ROOT = pathlib.Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RESULTS = ROOT / "benchmarks" / "results"
KINDS = {
    "tables": report,
    "headline": headline_tables,
    "costs": lambda records: costs(headline(records)),
    "misses": misses,
    "ahead": rivals_ahead,
}
OF_DEVICES = {"accelerators": device_report, "device_tables": device_tables}
NAMES = ["picture", *OF_DEVICES, *KINDS]
BLOCK = re.compile(
    r"^(<!-- (\w+): (\S+)(?: (\w+))? -->\n).*?^<!-- end -->$", re.S | re.M
)


def runs(results: pathlib.Path) -> tuple[dict, dict]:
    """Returns the files of the whole suite, and those of the device command."""
    suites, devices = {}, {}
    for path in sorted(results.glob("*-jax-*.jsonl")):
        with path.open() as lines:
            first = next(lines, "")
        if first:  # a run that has just begun has none
            of_device = "kind" in json.loads(first)
            (devices if of_device else suites)[path.stem] = path
    return suites, devices


RUNS, DEVICE_RUNS = runs(RESULTS)


def main():
    shown = set()
    for page in PAGES:
        page.write_text(written(page))
        shown |= pictures(page)
    for run, suite in sorted(shown):
        draw(run, suite)
    for old in set(IMAGES.glob("performance-*.png")) - {image(*s) for s in shown}:
        old.unlink()


def written(page: pathlib.Path) -> str:
    """The text of a page with its blocks written anew."""
    text = page.read_text()
    marks = re.findall(r"^<!-- (?:\w+: .*|end) -->$", text, re.M)
    if len(marks) != 2 * len(BLOCK.findall(text)):
        raise ValueError(f"pages: a comment of {page.name} starts or ends no block.")

    def block(match):
        start, kind, run, suite = match.groups()
        found = _block(page, kind, run, suite)
        return f"{start}\n{found}\n\n<!-- end -->" if found else f"{start}<!-- end -->"

    return BLOCK.sub(block, text)


def blocks(page: pathlib.Path) -> list[tuple[str, str, str | None]]:
    """Kind, run and suite of every block of a page."""
    return [match.groups()[1:] for match in BLOCK.finditer(page.read_text())]


def pictures(page: pathlib.Path) -> set[tuple[str, str]]:
    """Run and suite of every picture of a page that can be drawn."""
    return {
        (run, suite)
        for kind, run, suite in blocks(page)
        if kind == "picture" and _measured(run, suite)
    }


def image(run: str, suite: str) -> pathlib.Path:
    """The path of a picture."""
    return IMAGES / f"performance-{run}-{suite}.png"


def draw(run: str, suite: str) -> None:
    """Draws one picture, in the style of the whole run."""
    from .report.plot import plot, plot_rows, styles

    records = load(run)
    style, path = styles(records), image(run, suite)
    if suite == "headline":
        plot_rows(headline(records), records, path, style)
    else:
        plot([r for r in records if r.get("suite") == suite], path, style)


def load(run: str) -> list[dict]:
    """The records of a run."""
    files = RUNS | DEVICE_RUNS
    if run not in files:
        raise ValueError(f"pages: no {run}.jsonl among the results: {list(files)}")
    records = [json.loads(line) for line in files[run].read_text().splitlines()]
    if any(record.get("quick") for record in records):
        raise ValueError(f"pages: {run}.jsonl is a run with --quick, of tiny sizes.")
    return records


def _block(page, kind, run, suite):
    if kind == "picture":
        return _link(page, run, suite)
    if kind in OF_DEVICES:
        section = OF_DEVICES[kind]
        return "\n\n".join(section(name, load(name)) for name in DEVICE_RUNS)
    if kind not in KINDS:
        raise ValueError(f"pages: {kind=} must be one of {NAMES}.")
    records = load(run)
    text = KINDS[kind](records)
    if kind in ("tables", "headline"):
        text = f"{_source(run, records)}:\n\n{text}"
    return text


def _source(run, records):
    rounds = sorted({r["rounds"] for r in records if "rounds" in r})
    rounds = " to ".join(map(str, dict.fromkeys((rounds[0], rounds[-1]))))
    return f"{origin(records)}, {rounds} rounds, `benchmarks/results/{run}.jsonl`"


def _link(page, run, suite):
    if not _measured(run, suite):
        return "Not measured in this run."
    path = pathlib.Path(os.path.relpath(image(run, suite), page.parent)).as_posix()
    return f"![{suite}, as multiples of the limit: {origin(load(run))}]({path})"


def _measured(run, suite):
    return suite == "headline" or suite in by_suite(load(run))


if __name__ == "__main__":
    main()
