"""The pages: their code runs, their links lead somewhere, figures were measured."""

import inspect
import json
import pathlib
import re
from itertools import takewhile

import jax
import pytest

import attnax.functional as F
from attnax import _checks
from benchmarks import pages
from conformance import pages as tables

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
named = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
# Code of the other pages compiles hundreds of programs. The README has some of all.
QUICK = ("README.md", "CONTRIBUTING.md")
with_code = [
    page
    if page.parent == ROOT and page.name in QUICK
    else pytest.param(page, marks=pytest.mark.slow)
    for page in PAGES
]


@pytest.mark.parametrize("page", with_code, ids=lambda page: page.stem)
def test_python_blocks_run(page):
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    names = {}
    # As a reader runs them: with JAX's own defaults.
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        for block in blocks:
            exec(compile(block, str(page), "exec"), names)


def anchors(page):
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@named
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_paths_of_the_lists_of_additions_exist():
    """Paths with a `<name>` to fill in lead to a folder that exists."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (`[^|]*) \|", page, re.M)
    paths = [path for row in rows for path in re.findall(r"`([^`]+)`", row)]
    paths = [path for path in paths if "/" in path and " " not in path]
    assert len(paths) > 30
    for path in paths:
        parts = pathlib.PurePath(path).parts
        known = takewhile(lambda part: "<" not in part, parts)
        assert ROOT.joinpath(*known).exists(), path


def test_contributing_names_every_check():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for name, check in inspect.getmembers(_checks, inspect.isfunction):
        file = check.__module__.replace(".", "/") + ".py"
        assert re.search(rf"^\| `{file}` .*`{name}`", page, re.M), name


def test_every_position_bias_is_attached_on_one_page():
    page = (ROOT / "docs/biases/choosing.md").read_text()
    _, section = page.split("\n## Every scheme, in every form\n")
    for name, record in inspect.getmembers(F, inspect.isclass):
        if issubclass(record, F.PositionBias) and record is not F.PositionBias:
            assert f"F.{name}(" in section, name
    assert "F.apply_contextual_position_bias(" in section


def test_every_page_is_in_the_index():
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text()
    for page in docs.rglob("*.md"):
        assert page.stem == "README" or f"({page.relative_to(docs)})" in index


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.stem)
def test_measured_figures_are_those_of_the_results(page):
    # If not: python -m benchmarks.pages
    assert pages.written(page) == page.read_text()


def test_every_run_and_every_suite_is_shown():
    shown = {block for page in pages.PAGES for block in pages.blocks(page)}
    for run in pages.RUNS:
        for kind in ("tables", "misses", "ahead"):
            assert (kind, run, None) in shown
    pictured = {suite for kind, _, suite in shown if kind == "picture"}
    for run in pages.RUNS:
        assert pictured >= {r["suite"] for r in pages.load(run) if "rival" in r}


def test_pictures_are_those_of_the_pages():
    shown = {picture for page in pages.PAGES for picture in pages.pictures(page)}
    drawn = set(pages.IMAGES.glob("performance-*.png"))
    assert drawn == {pages.image(*picture) for picture in shown}


def test_losses_of_the_example_are_those_recorded():
    path = ROOT / "benchmarks" / "results" / "language_model.jsonl"
    page = (ROOT / "docs/examples/language_model.md").read_text()
    for run in map(json.loads, path.read_text().splitlines()):
        beyond = run["bits_per_byte_beyond"]
        beyond = "the table ends" if beyond is None else f"{beyond:.3f}"
        row = f"| {run['bits_per_byte']:.3f} | {beyond} |"
        if "extend" in run:
            assert f"| as trained {row}" in page
            row = f"| {run['bits_per_byte_extended']:.3f} "
            row += f"| {run['bits_per_byte_beyond_extended']:.3f} |"
        assert f"| `{run.get('extend', run['positions'])}` {row}" in page


def test_losses_beyond_the_trained_length_are_those_recorded():
    path = ROOT / "benchmarks" / "results" / "length.jsonl"
    page = (ROOT / "docs/examples/length.md").read_text()
    for run in map(json.loads, path.read_text().splitlines()):
        losses = " | ".join(f"{bits:.3f}" for bits in run["bits_per_byte"])
        assert f"| `{run['method']}` | {losses} |" in page


def test_memory_of_a_mesh_is_that_recorded():
    path = ROOT / "benchmarks" / "results" / "sharded_language_model.jsonl"
    page = (ROOT / "docs/examples/sharded_language_model.md").read_text()
    for run in map(json.loads, path.read_text().splitlines()):
        for held, temporary in run["mebibytes"].values():
            assert f" | {held} MiB | {temporary} MiB |" in page
        assert f"at most {run['largest_difference']:.1e} of" in page


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.stem)
def test_tables_of_families_are_those_of_the_code(page):
    # If not: python -m conformance.pages
    assert tables.BLOCK.search(page.read_text())
    assert tables.written(page) == page.read_text()
