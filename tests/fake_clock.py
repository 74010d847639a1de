"""A clock that programs move on, for tests of what times them."""

import itertools
from types import SimpleNamespace

from benchmarks.timing import harness
from benchmarks.timing.programs import Started


class Clock:
    """Stands still but for the programs that run; notes which did."""

    def __init__(self):
        self.now, self.ran = 0.0, []

    def read_by_the_harness(self, monkeypatch):
        """Takes the place of the clock that samples are timed by."""
        time = SimpleNamespace(perf_counter=lambda: self.now)
        monkeypatch.setattr(harness, "time", time)

    def program(self, name, *milliseconds, facts=None):
        """A program that takes the last of these times in every later call."""
        last = itertools.repeat(milliseconds[-1])
        times = itertools.chain(milliseconds, last)

        def run():
            self.now += next(times) / 1e3
            self.ran.append(name)

        started = Started(run, lambda result: None, facts or {})
        return SimpleNamespace(start=lambda: started)
