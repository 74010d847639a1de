"""A table of relative positions, normalized and projected, against float64."""

import disentangled_bias_oracles as oracle
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, jitted, refused
from query_biases import normal

import attnax.functional as F

TABLE, WEIGHT, BIAS = normal(0, 6, 8), normal(1, 8, 12), normal(2, 12)
NORM = {"norm_weight": normal(3, 8), "norm_bias": normal(4, 8)}
project = jitted(F.project_relative_table)

# A sum of 8 products below 3 * 3, with a few roundings of the norm before.
CLOSE = {"magnitude": 72.0, "roundings": 4}


@pytest.mark.parametrize("bias", (None, BIAS))
def test_rows_of_every_head(bias):
    actual = project(TABLE, WEIGHT, bias, num_heads=3)
    wanted = TABLE.astype(np.float64) @ WEIGHT + (0 if bias is None else bias)
    assert_close(actual, wanted.reshape(6, 3, 4), **CLOSE)


def test_the_norm_comes_first():
    actual = project(TABLE, WEIGHT, BIAS, num_heads=3, **NORM, epsilon=0.01)
    rows = oracle.layer_norm(TABLE, *NORM.values(), 0.01)
    assert_close(actual, (rows @ WEIGHT + BIAS).reshape(6, 3, 4), **CLOSE)


def test_low_precision_is_float32_rounded_once():
    low = [jnp.asarray(x, jnp.bfloat16) for x in (TABLE, WEIGHT, BIAS)]
    wide = [x.astype(jnp.float32) for x in low]
    actual = project(*low, num_heads=3, **NORM)
    expected = project(*wide, num_heads=3, **NORM)
    assert_same_bits(actual, expected.astype(jnp.bfloat16))


@pytest.mark.errors
@pytest.mark.parametrize(
    ("changed", "message"),
    (
        ({"num_heads": 5}, r"num_heads=5 must divide weight\.shape\[1\]=12"),
        ({"weight": WEIGHT.T}, r"weight\.shape=\(12, 8\) must begin with 8"),
        ({"bias": BIAS[:8]}, r"bias\.shape=\(8,\) must be \(12,\)"),
        ({"norm_weight": BIAS[:8]}, "norm_bias must be given"),
        ({"norm_bias": BIAS[:8]}, "norm_weight must be given"),
        (
            {"norm_weight": BIAS, "norm_bias": BIAS},
            r"norm_weight\.shape=\(12,\) must be \(8,\)",
        ),
        ({"epsilon": -1.0}, r"epsilon=-1\.0 must be"),
    ),
)
def test_errors(changed, message):
    arguments = {"table": TABLE, "weight": WEIGHT, "bias": BIAS, "num_heads": 3}
    with refused(f"project_relative_table: {message}"):
        F.project_relative_table(**(arguments | changed))
