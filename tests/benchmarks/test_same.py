"""Rivals compute what attnax computes: else their times would say nothing."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.rivals.installed import left_out
from benchmarks.timing import pytorch
from benchmarks.timing.programs import Program

SUITES = (
    "rotation",
    "forms",
    "cos_sin",
    "whole_path",
    "attention",
    "model",
    "patch",
    "resize",
    "lookup",
    "head",
    "bias",
)
# XLA's cubic without antialiasing has a = -0.5, that of PyTorch and attnax -0.75.
OTHERWISE = {
    ("positions 3x3 to 4x5, bicubic, forward", "jax.image.resize"),
    ("positions 3x3 to 4x5, bicubic, gradient", "jax.image.resize"),
}
# Cos and sin for both channels of a pair; the records have their error.
TWICE = {("cos_sin", "transformers, eager")}


@pytest.fixture(autouse=True)
def as_users_run_it():
    """The suite runs with JAX's own defaults."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.enable_x64(False),
    ):
        yield


def outputs(program):
    """Returns float64 arrays, in order."""
    if isinstance(program, Program):
        made = jax.tree.leaves(jax.jit(program.function)(*program.args))
        return [np.asarray(leaf.astype(jnp.float32), np.float64) for leaf in made]
    args = tuple(map(pytorch.tensor, program.args))
    if program.cotangent is None:
        made = pytorch.forward(program.function, args)()
    else:
        cotangent = pytorch.tensor(program.cotangent)
        made = pytorch.backward(
            program.function, args, program.gradient_of, cotangent
        )()
    made = made if isinstance(made, tuple | list) else (made,)
    return [leaf.float().numpy().astype(np.float64) for leaf in made if leaf.numel()]


def in_one_order(actual, expected):
    """PyTorch has channels first: then the values alone are compared, by size."""
    if actual.shape == expected.shape:
        return actual, expected
    return np.sort(actual.reshape(-1)), np.sort(expected.reshape(-1))


@pytest.mark.skipif(bool(left_out()), reason="needs every rival, and takes a minute")
@pytest.mark.parametrize("suite", SUITES)
def test_rivals_compute_the_same(suite):
    groups = importlib.import_module(f"benchmarks.bench_{suite}").groups
    compared = 0
    for group in groups(quick=True):
        expected = outputs(group.rivals["attnax"])
        for name, program in group.rivals.items():
            if name in ("limit", "attnax") or " alone" in name:
                continue
            if (group.case, name) in OTHERWISE or (suite, name) in TWICE:
                continue
            if getattr(program, "compiled", False):  # the function that runs eager too
                continue
            # Cos and sin, sums and products of others are in the dtype of `x`.
            wide = group.meta["dtype"] == "float32" and "to bfloat16" not in group.case
            bound = 2.0**-16 if wide else 2.0**-5
            for actual, ours in zip(outputs(program), expected, strict=True):
                error = np.abs(np.subtract(*in_one_order(actual, ours))).max()
                assert error <= bound * np.abs(ours).max(), f"{group.case}: {name}"
                compared += 1
    assert compared
