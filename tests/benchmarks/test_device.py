"""The command for accelerators: a dry run here, its lines, its truth and its limit."""

import json
import math
import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from benchmarks.device import __main__ as command
from benchmarks.device import truth
from benchmarks.device.lines import difference, error, timings
from benchmarks.device.sizes import FULL, QUICK
from benchmarks.device.steps import KINDS, Step, steps
from benchmarks.timing import programs
from benchmarks.timing.harness import Group
from benchmarks.timing.programs import Started

# Whose sizes no tiny run has, but for one token of Llama.
MODELS = r"Llama|DeepSeek|ViT|Gemma|GPT"
# As on a machine that has JAX and Equinox and little else.
WITHOUT = """
import runpy, sys
for name in ("tqdm", "matplotlib", "beartype", "mpmath", "hypothesis", "pytest"):
    sys.modules[name] = None
sys.argv = ["benchmarks.device", "--quick", "--json", sys.argv[1]]
runpy.run_module("benchmarks.device", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory):
    """The lines of `python -m benchmarks.device --quick`."""
    path = tmp_path_factory.mktemp("device") / "lines.jsonl"
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(path)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_dry_run_writes_every_kind(dry_run):
    assert {line["kind"] for line in dry_run} == {*KINDS, "error", "target"}
    for line in dry_run:
        assert {"kind", "case", "dtype", "device", "jax"} <= line.keys()
        assert "failed" not in line
        assert line["quick"]
        assert line["case"].startswith("quick: ")
        assert not re.search(MODELS, line["case"]) or "decode" in line["case"]


@pytest.mark.slow
def test_dry_run_counts_bytes_and_kernels(dry_run):
    timed = [line for line in dry_run if line["kind"] in KINDS]
    assert all(line["median_ms"] > 0 for line in timed)
    counted = [line for line in timed if "gb_per_s" in line]
    assert {line["kind"] for line in counted} == {
        *("copy", "rotation", "cos_sin", "lookup")
    }
    assert all(line["share_of_copy"] > 0 for line in counted)
    layers = [line for line in timed if line["kind"] == "layers"]
    cases = {line["case"].rpartition(", ")[2] for line in layers}
    assert cases == {"1 layer", "4 layers"}
    assert all(line["kernels"] > 0 for line in layers)


@pytest.mark.slow
def test_dry_run_makes_cos_and_sin_once_for_all_layers(dry_run):
    layers = [line for line in dry_run if line["kind"] == "layers"]
    for case in {line["case"] for line in layers}:
        found = {
            line["rival"]: line["phase_multiplications"]
            for line in layers
            if line["case"] == case and "phase_multiplications" in line
        }
        alone = found["cos and sin alone"]
        assert alone > 0
        assert found["attnax"] == found["attnax, rotate in every layer"] == alone


@pytest.mark.slow
def test_dry_run_keeps_the_contract(dry_run):
    found = [line for line in dry_run if line["kind"] == "error"]
    assert len(found) > 20
    kept = [line for line in found if "holds" in line]
    assert all(line["holds"] for line in kept)
    # Rivals have no bound, nor have products that a device may round as it likes.
    for line in found:
        if "holds" not in line:
            of_patches = line["case"].startswith("quick: patches")
            products = of_patches and line["dtype"] == "float32"
            assert products or line["rival"] == "a float32 product"


def test_steps_of_both_sizes_are_the_same_but_for_models():
    quick, full = ([step.name for step in steps(size)] for size in (QUICK, FULL))
    assert len(set(full)) == len(full)
    assert len(full) > len(quick)
    assert {step.kind for step in steps(FULL)} == set(KINDS)


# -- the truth


def test_truth_is_that_of_multi_precision():
    positions = np.array(
        [0, 1, -1, 255, 2047, 131_071, -1_000_003, 2**27 - 1, 2**31 - 1, -(2**31)]
    )
    for base in (1e4, 5e5):
        cos, sin = oracles.cos_sin(positions, 64, base)
        for pair, frequency in enumerate(truth.frequencies(64, base)):
            made = truth.cos_sin(positions, frequency)
            # A product, cos or sin, and the product of the oracle: below pi each.
            for m, expected in zip(made, (cos, sin), strict=True):
                np.testing.assert_allclose(m, expected[:, pair], rtol=0, atol=2e-15)


def test_largest_errors_are_those_of_the_worst_pair():
    positions = np.array([3, -70_000], np.int32)
    inv_freq = truth.frequencies(8, 1e4)
    cos, sin = np.stack([truth.cos_sin(positions, f) for f in inv_freq], axis=-1)
    cos[0, 2] += 1e-3
    sin[1, 1] -= 2e-3
    found = truth.largest_errors(cos, sin, positions, inv_freq)
    np.testing.assert_allclose(found, [1e-3, 2e-3], rtol=1e-9)


# -- the lines


def program(*milliseconds, facts=None):
    """Takes so long at each call, on the clock of the fixture."""
    calls = iter(milliseconds)
    last = milliseconds[-1]

    def call():
        clock.now += next(calls, last) / 1e3

    return SimpleNamespace(start=lambda: Started(call, lambda _: None, facts or {}))


clock = SimpleNamespace(now=0.0)


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    from benchmarks.timing import harness

    fake = SimpleNamespace(perf_counter=lambda: clock.now)
    monkeypatch.setattr(harness, "time", fake)
    # Here it would look through the programs of all tests before.
    monkeypatch.setattr(command, "gc", SimpleNamespace(collect=lambda: None))


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


# -- the command


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
