"""The command for accelerators: what it writes, what fails, and its time limit."""

import functools
import json
import math
import sys
import threading
from types import SimpleNamespace

import pytest
from fake_clock import Clock

from benchmarks.device import __main__ as command
from benchmarks.device.lines import error
from benchmarks.device.steps import KINDS, Step
from benchmarks.timing.harness import Group

clock = Clock()
program = functools.partial(clock.program, "")


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    clock.read_by_the_harness(monkeypatch)
    # It would look through the programs of all tests before.
    monkeypatch.setattr(command, "gc", SimpleNamespace(collect=lambda: None))


@pytest.fixture
def writer(tmp_path):
    with (tmp_path / "lines.jsonl").open("w") as file:
        writer = command.Writer(file, {"jax": "0.0"})
        writer.lines = lambda: [
            json.loads(line)
            for line in (tmp_path / "lines.jsonl").read_text().splitlines()
        ]
        yield writer


def test_each_line_is_there_as_soon_as_it_is_written(writer, capsys):
    writer.write(error("a case", "float32", math.nan, bound=1.0))
    (line,) = writer.lines()
    assert (line["largest_error"], line["jax"]) == ("nan", "0.0")
    assert line["after_s"] >= 0
    assert "DOES NOT HOLD" in capsys.readouterr().out
    assert not writer.failed


def test_a_step_that_fails_is_written_and_named(writer, capfd):
    def step():
        yield error("a case", "float32", 0.0)
        raise MemoryError("too large")

    command.run(Step("lookup", "timed a table", step), True, writer)
    first, second = writer.lines()
    assert first["kind"] == "error"
    assert (second["kind"], second["case"]) == ("lookup", "timed a table")
    assert second["failed"] == "MemoryError: too large"
    assert writer.failed
    assert "MemoryError" in capfd.readouterr().err


def test_groups_of_a_step_are_timed(writer):
    rivals = {"limit": program(1.0)}
    group = Group("a case", "copy", rivals, meta={"dtype": "float32"})
    command.run(Step("copy", "copies", lambda: iter([group])), True, writer)
    assert [line["case"] for line in writer.lines()] == ["a case"]


@pytest.mark.parametrize("failed", (False, True))
def test_at_the_limit_it_says_what_was_left_out(writer, monkeypatch, capsys, failed):
    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr(command.os, "_exit", leave)
    writer.failed = failed
    with pytest.raises(SystemExit) as stopped:
        command.stop(writer, ["patch: timed float32", "rotation: decode bfloat16"])
    assert stopped.value.code == int(failed)
    assert "\n  patch: timed float32\n  rotation: decode" in capsys.readouterr().out


def test_the_command_ends_within_its_time(monkeypatch, tmp_path, capsys):
    ended = threading.Event()
    monkeypatch.setattr(command, "BEGIN", command.time.monotonic())
    monkeypatch.setattr(command, "RESERVE", 0.1)
    monkeypatch.setattr(command.os, "_exit", lambda status: ended.set())

    def step():
        yield error("first", "float32", 0.0)
        assert ended.wait(timeout=30)

    never = Step("lookup", "last", lambda: iter([error("last", "float32", 0.0)]))
    chosen = [Step("patch", "slow", step), never]
    monkeypatch.setattr(command, "steps", lambda sizes: chosen)
    path = tmp_path / "lines.jsonl"
    argv = ["device", "--json", str(path), "--minutes", "0.02"]
    monkeypatch.setattr(sys, "argv", argv)
    command.main()
    out = capsys.readouterr().out
    assert "the time is over" in out
    assert "\n  patch: slow\n  lookup: last\n" in out


def test_chosen_kinds_alone_run(monkeypatch, tmp_path, capsys):
    each = lambda kind: lambda: iter([error(f"of {kind}", "float32", 0.0)])
    all_of_them = [Step(kind, "a step", each(kind)) for kind in KINDS]
    monkeypatch.setattr(command, "steps", lambda sizes: all_of_them)
    argv = ["device", "--only", "layers", "patch", "--json", str(tmp_path / "l")]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(command, "BEGIN", command.time.monotonic())
    assert command.main() == 0
    found = [json.loads(line) for line in (tmp_path / "l").read_text().splitlines()]
    assert [line["case"] for line in found] == ["of layers", "of patch"]


@pytest.mark.parametrize("minutes", ("0", "-1", "nan"))
def test_a_limit_that_is_none_is_refused(minutes, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["device", "--minutes", minutes])
    with pytest.raises(SystemExit):
        command.main()
    assert f"--minutes {minutes} must be positive" in capsys.readouterr().err
