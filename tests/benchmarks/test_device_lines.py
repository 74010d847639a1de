"""The lines of the command for accelerators: rates, targets, failures, errors."""

import functools
import math
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from fake_clock import Clock

from benchmarks.device.lines import difference, error, timings
from benchmarks.timing import programs
from benchmarks.timing.harness import Group

clock = Clock()
program = functools.partial(clock.program, "")


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    clock.read_by_the_harness(monkeypatch)


def lines_of(rivals, **options):
    options = {"meta": {"dtype": "float32", "shape": (2, 3)}, **options}
    group = Group("a case", options.pop("limit", "copy"), rivals, **options)
    return list(timings("rotation", group, 9, 10.0))


def test_bandwidth_and_its_share_of_a_copy():
    rivals = {"limit": program(2.0), "attnax": program(4.0, facts={"kernels": 3})}
    copy, ours = lines_of(rivals, bytes_moved=8_000_000, operations=10**10)
    assert (copy["rival"], copy["gb_per_s"], copy["share_of_copy"]) == ("copy", 4, 1)
    assert (ours["gb_per_s"], ours["share_of_copy"]) == (2, 0.5)
    assert (ours["median_ms"], ours["kernels"], ours["rounds"]) == (4, 3, 9)
    assert ours["tflop_per_s"] == 2.5
    assert (ours["dtype"], ours["shape"]) == ("float32", (2, 3))


def test_share_of_a_copy_beside_another_limit():
    rivals = {"limit": program(3.0), "attnax": program(4.0), "copy": program(1.0)}
    found = lines_of(rivals, limit="gather", bytes_moved=10**6)
    assert [line["rival"] for line in found] == ["gather", "attnax", "copy"]
    assert [line["share_of_copy"] for line in found] == [0.3333, 0.25, 1]


@pytest.mark.parametrize("milliseconds, holds", ((3.0, True), (3.2, False)))
def test_targets_are_judged(milliseconds, holds):
    rivals = {"limit": program(2.0), "attnax": program(milliseconds)}
    *_, found = lines_of(rivals, target=1.5)
    assert found["kind"] == "target"
    assert (found["ratio"], found["at_most"]) == (milliseconds / 2, 1.5)
    assert found["holds"] is holds


@pytest.mark.parametrize("milliseconds, holds", ((10.0, True), (9.9, False)))
def test_leads_over_rivals_are_judged(milliseconds, holds):
    rivals = {"limit": program(1.0), "attnax": program(2.0)}
    rivals["slow"] = program(milliseconds)
    *_, found = lines_of(rivals, margins={"slow": 5.0})
    assert (found["limit"], found["times_as_fast"]) == ("slow", milliseconds / 2)
    assert found["holds"] is holds


def test_a_program_that_fails_leaves_the_others():
    def start():
        raise RuntimeError("no kernel\nat all")

    broken = SimpleNamespace(start=start)
    rivals = {"limit": program(1.0), "attnax": program(2.0), "broken": broken}
    failed, *others = lines_of(rivals, target=1.5)
    assert (failed["rival"], failed["failed"]) == ("broken", "RuntimeError: no kernel")
    assert [line["kind"] for line in others] == ["rotation", "rotation", "target"]
    (failed, ours) = lines_of({"limit": broken, "attnax": program(2.0)}, target=1.5)
    assert (failed["rival"], ours["rival"]) == ("copy", "attnax")


def test_a_program_text_that_is_not_understood_costs_no_timing(monkeypatch):
    def broken(compiled):
        raise KeyError("a computation with another head")

    monkeypatch.setattr(programs, "kernels", broken)
    started = programs.Program(lambda x: x + 1, (jnp.ones(3),)).start()
    assert started.facts["kernels"] is None
    assert started.facts["phase_multiplications"] == 0
    np.testing.assert_array_equal(started.call(), [2, 2, 2])


def test_a_program_that_cannot_be_made_fails_when_it_starts():
    rivals = {"limit": program(1.0), "gone": programs.Later(lambda: 1 / 0)}
    failed, _ = lines_of(rivals)
    assert (failed["rival"], failed["failed"][:17]) == ("gone", "ZeroDivisionError")


def test_errors_hold_up_to_their_bound():
    assert error("a case", "float32", 2e-7, bound=2e-7)["holds"]
    found = error("a case", "float32", 3e-7, bound=2e-7)
    assert (found["share_of_bound"], found["holds"]) == (1.5, False)
    assert not error("a case", "float32", math.nan, bound=1.0)["holds"]
    assert not error("a case", "float32", 0.1, share_of_bound=1.01)["holds"]
    assert "holds" not in error("a case", "float32", 0.1)


def test_differences_are_of_bits():
    x = np.array([1.0, 0.0, np.nan], np.float32)
    assert difference("a case", x, x)["holds"]
    found = difference("a case", jnp.asarray(x), np.array([1.0, -0.0, np.nan], "f"))
    assert (found["differing"], found["of"], found["holds"]) == (1, 3, False)
