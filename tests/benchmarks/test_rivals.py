"""Benchmarks go without the rivals that are not installed."""

import importlib.util
import itertools
import sys
from types import SimpleNamespace

import pytest

from benchmarks import bench_lookup, bench_patch
from benchmarks.rivals.installed import PACKAGES, available, left_out

suites = pytest.mark.parametrize("suite", (bench_lookup, bench_patch))


@pytest.fixture
def without(monkeypatch):
    """Makes packages look as if they were not installed, and others as if they were."""

    def hide(*packages):
        find = lambda name: None if name in packages else SimpleNamespace(name=name)
        monkeypatch.setattr(importlib.util, "find_spec", find)

    return hide


ALL = dict.fromkeys(itertools.chain.from_iterable(PACKAGES.values()))


@pytest.mark.parametrize("package", ALL)
def test_rival_needs_every_one_of_its_packages(without, package):
    without(package)
    lacking = [rival for rival, needed in PACKAGES.items() if package in needed]
    assert [rival for rival in PACKAGES if not available(rival)] == lacking
    assert left_out() == lacking


@suites
def test_without_rivals_the_cases_remain(without, suite):
    without(*ALL)
    groups = list(itertools.islice(suite.groups(quick=True), 6))
    assert len({group.case for group in groups}) == 6
    for group in groups:
        assert list(group.rivals)[:2] == ["limit", "attnax"]
        assert not [name for name in group.rivals if name.startswith(tuple(PACKAGES))]
        assert group.facts.keys() <= group.rivals.keys()


def test_command_runs_without_rivals(without, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    from benchmarks import __main__ as command

    without(*ALL)
    first = SimpleNamespace(
        groups=lambda quick: itertools.islice(bench_lookup.groups(quick), 2)
    )
    monkeypatch.setattr(command, "TIMINGS", {"lookup": first})
    # What it tells glibc would hold for all tests that follow.
    monkeypatch.setattr(command, "keep_pages", lambda: None)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--quick", "--only", "lookup"])
    command.main()
    out = capsys.readouterr().out
    absent = "left out, for not installed or not on this device"
    assert f"{absent}: {', '.join(PACKAGES)}\n" in out
    (head,) = (line for line in out.splitlines() if line.startswith("| case |"))
    assert "| attnax | target | equinox.nn |" in head
    assert not [name for name in PACKAGES if name in head]
    assert out.count("| quick: lookup 100 x 16, 16 tokens, ") == 2
    assert "A quick run: its sizes are tiny" in out
