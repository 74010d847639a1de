"""Every argument of every public callable, given values of the wrong kind.

The outcome is a result, or a `ValueError` or `TypeError` that begins with the name of
the function and names the argument.
"""

import inspect
import json
import os
import pathlib
import subprocess
import sys

import host
import pytest
import wrong_kinds
from public_calls import CALLS, SURFACE

import attnax.functional as F
from attnax import interop

HERE = pathlib.Path(__file__).parent
# Records that users read and never make.
NEVER_MADE = (
    F.PositionBias,
    F.SelectedRows,
    *(interop.BiasTerm, interop.LayerBias, interop.ModelBiases),
)
VALID = [name for name in CALLS if host.WRITES or name != "functional.write_host_rows"]
HOOKED = os.environ.get("ATTNAX_TYPE_CHECKING", "1") == "1"


def public_callables():
    """Names of all that users call: exports, and methods of those that are classes."""
    for room, module in SURFACE.items():
        for name, thing in vars(module).items():
            if name.startswith("_") or not callable(thing):
                continue
            if thing not in NEVER_MADE:
                yield f"{room}.{name}"
            own = {} if not inspect.isclass(thing) else vars(thing)
            for method, function in own.items():
                is_method = inspect.isroutine(function) or isinstance(
                    function, classmethod
                )
                if is_method and (method == "__call__" or not method.startswith("_")):
                    yield f"{room}.{name}.{method}"


def test_every_public_callable_has_a_call():
    assert sorted(CALLS) == sorted(public_callables())


@pytest.mark.errors
@pytest.mark.parametrize("name", VALID)
def test_valid_calls_are_valid(name):
    argument = CALLS[name].names()[0]
    accepted, error = wrong_kinds.tried(name, argument, CALLS[name].arguments[argument])
    assert accepted or wrong_kinds.is_of_hook(error), error


@pytest.mark.errors
@pytest.mark.parametrize("name", VALID)
def test_errors_name_the_function_and_the_argument(name):
    arguments = CALLS[name].names()
    outcomes = (wrong_kinds.outcome(name, a, "text", "text") for a in arguments)
    assert [found.shortfall for found in outcomes if found.shortfall] == []


@pytest.fixture(scope="module")
def without_hook():
    """Whether a call is accepted, and its shortfall, as users without a hook see it."""
    run = subprocess.run(
        [sys.executable, HERE / "wrong_kinds.py"],
        cwd=HERE.parent,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE))),
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = map(json.loads, run.stdout.splitlines())
    return {tuple(line[:3]): line[3:] for line in lines}


@pytest.mark.slow  # tens of thousands of calls
@pytest.mark.skipif(not HOOKED, reason="there is no hook in this run")
@pytest.mark.parametrize("name", VALID)
def test_errors_of_every_kind_and_what_the_hook_accepts(name, without_hook):
    shortfalls, refused = [], []
    for argument, kind, value in wrong_kinds.cases(CALLS[name]):
        accepted, shortfall = without_hook[name, argument, kind]
        if shortfall is not None:
            shortfalls.append(shortfall)
        # The hook may refuse more, but nothing that functions accept.
        elif accepted and not wrong_kinds.tried(name, argument, value)[0]:
            refused.append((argument, kind))
    assert shortfalls == []
    assert refused == []
