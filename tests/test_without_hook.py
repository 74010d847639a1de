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
# Files with many errors that compile next to nothing.
FEW = [
    path
    for path in MARKED
    if path.stem in ("test_rope_frequencies", "test_sinusoids", "test_weights_errors")
]


@pytest.mark.skipif(
    os.environ.get("ATTNAX_TYPE_CHECKING") == "0", reason="this is the run without"
)
@pytest.mark.parametrize(
    "files",
    (FEW, pytest.param(MARKED, marks=pytest.mark.slow)),
    ids=("few", "all"),
)
def test_error_messages_without_type_checking(files):
    several = importlib.util.find_spec("xdist") and files is MARKED
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-m", "errors"),
            *("-p", "no:cacheprovider"),
            *(("-n", "auto") if several else ()),
            *files,
        ],
        cwd=TESTS.parent,
        env={**os.environ, "ATTNAX_TYPE_CHECKING": "0", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
