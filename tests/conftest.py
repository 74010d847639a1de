"""JAX in its strictest mode, jaxtyping's hook, and the hypothesis profiles."""

import gc
import importlib.util
import os
import zlib

import hypothesis
import jax
import jaxtyping
import pytest

# The threads of two processes on two cores would wait for each other: an oracle's
# pseudo-inverse then takes fifty times as long. Read by the processes that pytest-xdist
# starts.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Four host devices for the sharding tests; read when the backend starts.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

# Thousands of programs stay alive: to look through them for garbage again and again
# took a twentieth of the time.
gc.set_threshold(200_000, 50, 100)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Shapes and dtypes of every call are checked; `test_without_hook.py` runs the errors
# once more without. A machine with an accelerator may lack beartype.
CHECKED = os.environ.get("ATTNAX_TYPE_CHECKING", "1") == "1"
if CHECKED and importlib.util.find_spec("beartype") is None:
    os.environ["ATTNAX_TYPE_CHECKING"] = "0"  # what `refused` reads
    CHECKED = False
if CHECKED:
    jaxtyping.install_import_hook("attnax", "beartype.beartype")

# No deadline anywhere: the first example of each shape pays for a compile.
for name, max_examples in (("smoke", 4), ("dev", 5), ("nightly", 1000)):
    hypothesis.settings.register_profile(
        name, max_examples=max_examples, deadline=None, print_blob=True
    )
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(autouse=True, scope="module")
def _programs_of_one_file():
    """Few programs serve two files, and all of them would take gigabytes."""
    yield
    jax.clear_caches()


def pytest_addoption(parser, pluginmanager):
    """One option of these tests, and those of pytest-xdist in pyproject.toml."""
    parser.addoption(
        "--quarter", type=int, choices=range(4), help="a quarter of the tests"
    )
    if not pluginmanager.hasplugin("xdist"):  # they would be unknown
        for option in ("--numprocesses", "--dist"):
            parser.addoption(option, help="ignored: pytest-xdist is not there")


def pytest_configure(config):
    """Only what is marked `device` is for whatever device there is."""
    if not for_device(config):
        jax.config.update("jax_platforms", "cpu")


def pytest_collection_modifyitems(config, items):
    """Keeps a quarter of the tests, and those that only some configurations can run."""
    quarter = config.option.quarter
    if quarter is not None:
        items[:], left_out = (
            [item for item in items if in_quarter(item, quarter) == kept]
            for kept in (True, False)
        )
        config.hook.pytest_deselected(items=left_out)


def in_quarter(item, quarter):
    """Whether a test is in a quarter, which its name alone decides."""
    has_condition = item.get_closest_marker("skipif") is not None
    return has_condition or zlib.crc32(item.nodeid.encode()) % 4 == quarter


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Processes that share an accelerator would get in each other's way."""
    return 0 if for_device(config) else None


def pytest_report_header():
    """Says what differs from the usual run."""
    return None if CHECKED else "attnax: annotations are not checked"


def for_device(config):
    """Whether this is `pytest -m device`."""
    return config.option.markexpr == "device"
