"""The errors once more, without the type-checking hook: as most users call."""

import os
import pathlib
import subprocess
import sys

import pytest


@pytest.mark.skipif(
    os.environ.get("ATTNAX_TYPE_CHECKING") == "0", reason="this is the run without"
)
def test_error_messages_without_type_checking():
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "errors",
            "-p",
            "no:cacheprovider",
        ],
        cwd=pathlib.Path(__file__).parent.parent,
        env={**os.environ, "ATTNAX_TYPE_CHECKING": "0", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
