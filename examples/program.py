"""The examples as programs: they check their arguments, stop on signals, and save.

All that can be wrong with the arguments is found before anything is trained, and said
in a line. A signal ends the training and not the program, which saves what it has.
"""

import argparse
import os
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20  # more than any result takes


def whole_number(least, most):
    """An argparse type of whole numbers from `least` to `most`."""

    def parse(text):
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} must be a whole number from {least} to {most}"
            )
        return number

    return parse


steps = whole_number(1, 10**9)
seed = whole_number(0, 2**32 - 1)  # what JAX tells apart


def picture(text):
    """An argparse type of paths that a picture can be written to."""
    from matplotlib.figure import Figure

    kinds = Figure().canvas.get_supported_filetypes()
    if Path(text).suffix.lower().removeprefix(".") not in kinds:
        raise argparse.ArgumentTypeError(
            f"{text!r} must end in one of {', '.join(f'.{kind}' for kind in kinds)}"
        )
    return writable(text)


def writable(text):
    """An argparse type of paths that can be written to, with room on the disk."""
    path = Path(text)
    with _unless_it_cannot_be_written_to(text):
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} must be a file, not a folder")
        if path.exists() and not path.is_file():
            return path  # a terminal, a pipe
        if path.exists():
            with path.open("r+b"):
                pass
        _probe(path.parent)
    return path


def folder(text):
    """An argparse type of folders that can be written to; it makes what is missing."""
    path = Path(text)
    with _unless_it_cannot_be_written_to(text):
        path.mkdir(parents=True, exist_ok=True)
        _probe(path)
    return path


def _probe(path):
    with tempfile.TemporaryFile(dir=path) as probe:
        probe.write(bytes(MIB))


@contextmanager
def _unless_it_cannot_be_written_to(text):
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be written to: {reason}"
        ) from error


def save(path, write):
    """Calls `write(path)` on a file beside `path`, which takes its place when whole.

    If the disk is full, what was there before is still there, and the error is a line.
    """
    path = Path(os.path.realpath(path))
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(beside)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        reason = error.strerror or error
        raise SystemExit(f"{path} was not written: {reason}") from error


def append(path, line):
    """Adds a line to a file."""
    try:
        with open(path, "a") as file:
            print(line, file=file)
    except OSError as error:
        reason = error.strerror or error
        raise SystemExit(f"{path} was not written: {reason}") from error


class Stop:
    """Whether a signal came, and which: `signal` is `None` until then."""

    def __init__(self):
        self.signal = None

    def is_set(self):
        """Whether one came."""
        return self.signal is not None

    @property
    def status(self):
        """The exit status: Ctrl-C goes on to the end, and SIGTERM does not."""
        return 128 + signal.SIGTERM if self.signal == signal.SIGTERM else 0


@contextmanager
def interrupt_flag():
    """Ctrl-C and SIGTERM set a flag; the second one ends the program.

    An exception could strike after a step has been given the arrays of its state to
    write on, and before there are names for the new ones.
    """
    stop, before = Stop(), {}

    def handler(number, _):
        stop.signal = signal.Signals(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, before[signal.SIGTERM])

    for name in signal.SIGINT, signal.SIGTERM:
        before[name] = signal.signal(name, handler)
    try:
        yield stop
    finally:
        for name, previous in before.items():
            signal.signal(name, previous)


@contextmanager
def exit_on_sigterm():
    """SIGTERM leaves as an exception does, so that `finally` saves what there is."""

    def handler(number, _):
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def say_how_it_stopped(stop, done, wanted):
    """A line on steps that were not done, if there are any."""
    if done < wanted:
        name = "Terminated" if stop.status else "Interrupted"
        going_on = "saving what there is" if stop.status else "going on with these"
        print(f"{name} after {done} steps; {going_on}.", flush=True)
