"""The errors once more, without the type-checking hook: as most users call."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parent
MARKED = sorted(
    path for path in TESTS.rglob("test_*.py") if "mark.errors" in path.read_text()
)


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("ATTNAX_TYPE_CHECKING") == "0", reason="this is the run without"
)
def test_error_messages_without_type_checking():
    several = importlib.util.find_spec("xdist") is not None
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "errors and not slow"),
            *("-p", "no:cacheprovider"),
            *(("-n", "auto") if several else ()),
            *MARKED,
        ],
        cwd=TESTS.parent,
        env={**os.environ, "ATTNAX_TYPE_CHECKING": "0", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
