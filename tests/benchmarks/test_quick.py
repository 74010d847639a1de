"""A tiny run says of every case what it did, and nothing that it did not."""

import importlib
import re

import jax
import numpy as np
import pytest
from helpers import slow

pytest.importorskip("tqdm")
pytest.importorskip("matplotlib")

from benchmarks import cases
from benchmarks.__main__ import marked
from benchmarks.device.sizes import FULL, QUICK
from benchmarks.device.steps import steps
from benchmarks.report.panels import suite_panels
from benchmarks.report.rows import origin
from benchmarks.report.tables import report

SUITES = "rotation", "forms", "cos_sin", "whole_path", "attention"
SUITES += "model", "patch", "resize", "head", "bias"
SUITES += "fused", "rows"
MODELS = r"Llama|Gemma|GPT|Phi|Qwen|DeepSeek|ViT|VideoMAE|SigLIP|DeBERTa|DINO|T5|Swin"


@pytest.fixture(autouse=True)
def as_users_run_it():
    """The suite runs with JAX's own defaults."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def groups_of(suite):
    return importlib.import_module(f"benchmarks.bench_{suite}").groups(quick=True)


def zeros(seed, shape, dtype=np.float32):
    return jax.device_put(np.zeros(shape, dtype))


def sizes_of(group):
    """Every length of every array that its programs take."""
    found = set()
    for program in group.rivals.values():
        for part in getattr(program, "programs", (program,)):
            carry = jax.eval_shape(part.new) if hasattr(part, "new") else ()
            leaves = jax.tree.leaves((part.args, carry))
            found |= {size for leaf in leaves for size in jax.numpy.shape(leaf)}
    return found


@pytest.mark.parametrize("suite", ("lookup", *slow(*SUITES)))
def test_names_hold_models_and_sizes_that_are_there(suite, monkeypatch):
    # Every shape of random numbers would be a program of its own.
    monkeypatch.setattr(cases, "normal", zeros)
    names = []
    for group in groups_of(suite):
        names.append(group.case)
        assert "above 32 MiB" not in group.case
        sizes = sizes_of(group)
        if re.search(MODELS, group.case):  # one token of it is tiny anyway
            assert group.case.startswith(f"rotation {cases.DECODE.name}")
            assert set(cases.DECODE.shape) <= sizes
        words = re.sub(r"b?float(16|32)|Llama-3-8B|antialiased", "", group.case)
        told = {int(number) for number in re.findall(r"\d+", words)}
        # Sides of a grid and of a picture stand multiplied in the shapes.
        products = {a * b for a in told for b in told}
        for number in told - {1, 2, 3, 4}:
            made_of = {number * other for other in told} & sizes
            pairs = number // 2 in sizes  # of channels that rotate
            assert number in sizes or made_of or pairs or number in products, words
        assert not re.search(r"\dk\b", words)
    assert len(set(names)) == len(names)


RECORD = {"rival": "copy", "is_limit": True, "median_ms": 1.0, "ratio": 1.0}
RECORD |= {"target": None, "suite": "rotation", "device": "cpu"}


def records(*names):
    """A limit and attnax for each case, as the command makes them."""
    both = RECORD, RECORD | {"rival": "attnax", "is_limit": False}
    return [marked({**of, "case": name}, True) for name in names for of in both]


def test_tables_lines_and_pictures_of_a_tiny_run_say_so():
    found = records("rotation of a, forward", "rotation of b, forward")
    assert all(record["quick"] for record in found)
    assert {r["case"].split(" ")[0] for r in found} == {"quick:"}
    text = report(found)
    assert text.startswith("A quick run: its sizes are tiny")
    assert text.count("| quick: rotation of ") == 2
    assert origin(found).startswith("quick run of tiny sizes, cpu")
    (panel,) = suite_panels(found)
    assert panel.title == "quick: rotation of, multiples of: copy"
    (panel,) = suite_panels(records("a, forward", "b, forward"))
    assert panel.title == "quick: rotation, multiples of: copy"


def test_other_runs_do_not():
    record = {"suite": "rotation", "case": "rotation of a", "rival": "copy"}
    assert marked(record, False) == {**record, "quick": False}
    whole = [{**r, "quick": False, "case": r["case"][7:]} for r in records("a", "b")]
    assert "quick" not in report(whole) + origin(whole)


def test_steps_of_a_tiny_run_on_a_device_name_no_model():
    quick = [step.name for step in steps(QUICK)]
    named = [name for name in quick if re.search(MODELS, name)]
    assert named == ["decode Llama-3-8B decode float32"]  # which has its sizes
    assert any("Llama" in step.name for step in steps(FULL))


def test_heads_of_a_tiny_run_are_those_of_the_model():
    name = lambda case: cases.unnamed(case).name
    assert name(cases.LLAMA) == "32 heads of 128"
    assert name(cases.LLAMA_KEYS) == "32 heads of 128 and 8 of keys"
    assert name(cases.LLAMA_FIRST) == "32 heads of 128, heads first"
    assert name(cases.DEEPSEEK) == "128 heads of 192, 64 channels rotate"
    assert cases.unnamed(cases.PHI).shape == cases.PHI.shape
