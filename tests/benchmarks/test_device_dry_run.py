"""A dry run of the command for accelerators, here on a CPU."""

import json
import re
import subprocess
import sys

import pytest

from benchmarks.device.sizes import FULL, QUICK
from benchmarks.device.steps import KINDS, steps

# No tiny run has the sizes of these models, except for one token of Llama.
MODELS = r"Llama|DeepSeek|ViT|Gemma|GPT"
# The command on a machine that has JAX and Equinox and little else.
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
        *("copy", "rotation", "cos_sin", "lookup", "bias")
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
            rivals = "a float32 product", "a whole matrix"
            assert products or line["rival"] in rivals


def test_steps_of_both_sizes_are_the_same_but_for_models():
    quick, full = ([step.name for step in steps(size)] for size in (QUICK, FULL))
    assert len(set(full)) == len(full)
    assert len(full) > len(quick)
    assert {step.kind for step in steps(FULL)} == set(KINDS)
