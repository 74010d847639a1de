"""Checks before training, and the state after a signal and a full disk."""

import argparse
import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import program
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = (
    *("language_model", "vision_transformer", "photographs", "rope_wavelengths"),
    *("length", "position_biases"),
)


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refused(message):
    return pytest.raises(argparse.ArgumentTypeError, match=re.escape(message))


@pytest.mark.parametrize("text", ("-1", "1.5", "x", "", str(2**32), "1e3", "9" * 5000))
def test_seeds_are_those_that_jax_tells_apart(text):
    with refused("must be a whole number from 0 to 4294967295"):
        program.seed(text)


def test_whole_numbers_are_read():
    assert (program.seed("0"), program.seed(str(2**32 - 1))) == (0, 2**32 - 1)
    assert program.steps("20") == 20
    with refused("'0' must be a whole number from 1 to"):
        program.steps("0")


def test_results_must_have_a_place(tmp_path):
    pytest.importorskip("matplotlib")
    there = tmp_path / "a.png"
    assert program.picture(str(there)) == there
    assert not list(tmp_path.iterdir())  # nothing is left of the trial
    with refused(f"'{tmp_path}/no/a.png' cannot be written to: No such file"):
        program.picture(f"{tmp_path}/no/a.png")
    with refused("must be a file, not a folder"):
        program.writable(str(tmp_path))
    with refused("cannot be written to: "):
        program.writable(f"{tmp_path}/{'a' * 5000}/b.png")
    for name in "a", "a.txt", "a.":
        with refused(f"'{name}' must end in one of "):
            program.picture(name)


def test_results_must_find_room(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with refused("a.png' cannot be written to: No space left on device"):
        program.picture(str(tmp_path / "a.png"))


def test_what_cannot_be_saved_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("before")

    def fails(beside):
        beside.write_text("half")
        full()

    with pytest.raises(SystemExit, match=r"a\.png was not written: No space"):
        program.save(path, fails)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]
    program.save(path, lambda beside: beside.write_text("after"))
    assert [p.read_text() for p in tmp_path.iterdir()] == ["after"]


def test_links_are_written_through(tmp_path):
    (tmp_path / "a.png").symlink_to("b.png")
    program.save(tmp_path / "a.png", lambda beside: beside.write_text("x"))
    assert (tmp_path / "a.png").is_symlink()
    assert (tmp_path / "b.png").read_text() == "x"


def test_lines_are_appended(tmp_path):
    for line in "a", "b":
        program.append(tmp_path / "runs.jsonl", line)
    assert (tmp_path / "runs.jsonl").read_text() == "a\nb\n"
    with pytest.raises(SystemExit, match="was not written: "):
        program.append(tmp_path, "c")


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_the_first_signal_is_a_flag_and_the_second_ends(number):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with program.exit_on_sigterm(), program.interrupt_flag() as stop:
        assert not stop.is_set() and stop.status == 0
        signal.raise_signal(number)
        assert stop.is_set()
        assert stop.status == (0 if number == signal.SIGINT else 143)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGTERM)
    after = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert after == before


def run(name, *arguments, **options):
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, **options
    )


@pytest.mark.slow  # each imports JAX
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_missing_folder_is_a_line_before_training(name, tmp_path):
    option = "--json" if name == "vision_transformer" else "--output"
    started = run(name, option, f"{tmp_path}/no/a.png")
    out, error = started.communicate(timeout=120)
    assert (started.returncode, out) == (2, "")
    assert "cannot be written to: No such file or directory" in error
    assert "Traceback" not in error


@pytest.mark.slow  # trains until it is told to stop
@pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX")
def test_sigterm_saves_on_the_way_out(tmp_path):
    started = run(
        "language_model", "--steps", "100000", "--output", "a.png", cwd=tmp_path
    )
    started.stdout.readline()  # how many bytes there are
    time.sleep(15)  # for the program of a step, and some steps
    started.terminate()
    out, error = started.communicate(timeout=120)
    assert started.returncode == 143, error
    assert "Wrote a.png." in out and "Traceback" not in error
    assert (tmp_path / "a.png").stat().st_size > 10_000
