"""The examples find each other, as they do where they are run."""

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))


@pytest.fixture(scope="module")
def example(request):
    """The example that a test file is named after."""
    return importlib.import_module(request.module.__name__.rpartition("test_")[2])
