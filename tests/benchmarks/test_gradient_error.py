"""The errors of gradients that stand beside their times."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.bench_lookup import draw_ids
from benchmarks.rivals.gradient_error import largest_error, sums_in_float64
from benchmarks.rivals.installed import available
from benchmarks.rivals.lookup import lookup, sum_of_rows, torch_lookup
from benchmarks.timing.programs import Program, TorchProgram
from benchmarks.timing.pullback import pullback

# Row 2 gets 301 = 300 + 1, which bfloat16 rounds to 300; row 0 gets nothing.
IDS = jnp.asarray([2] * 301 + [1, 1], jnp.int32)
COTANGENT = jnp.ones((303, 4), jnp.bfloat16)
WEIGHT = jnp.ones((3, 4), jnp.bfloat16)
TRUTH = sums_in_float64(IDS, COTANGENT)


def test_truth_is_the_sum_of_the_rows_of_each_id():
    distinct, sums = TRUTH
    np.testing.assert_array_equal(distinct, [1, 2])
    np.testing.assert_array_equal(sums, [[2.0] * 4, [301.0] * 4])


def test_error_is_that_of_the_worst_element():
    def gradient(weight, ids, cotangent):
        return jnp.zeros(weight.shape).at[1].set(2.0).at[2].set(301.0).at[2, 3].add(-7)

    program = Program(gradient, (WEIGHT, IDS, COTANGENT))
    assert largest_error(program, TRUTH) == 7


@pytest.mark.parametrize("gradient", (pullback(lookup), sum_of_rows))
def test_a_sum_in_float32_is_wrong_by_its_rounding_alone(gradient):
    program = Program(gradient, (WEIGHT, IDS, COTANGENT))
    assert largest_error(program, TRUTH) == 1


def test_gradients_of_torch_have_an_error_too():
    if not available("torch"):
        pytest.skip("needs PyTorch on the device that JAX uses")
    args, cotangent = (WEIGHT.astype(jnp.float32), IDS), COTANGENT.astype(jnp.float32)
    program = TorchProgram(
        lambda weight, ids: torch_lookup(weight, ids, jnp.float32),
        args,
        cotangent=cotangent,
    )
    assert largest_error(program, TRUTH) == 0
    assert largest_error(program, (TRUTH[0], TRUTH[1] + 3)) == 3


def test_ids_by_zipfs_law_repeat_as_words_do():
    vocab_size, count = 1000, 20_000
    frequency = {
        kind: np.bincount(draw_ids(kind, count, vocab_size), minlength=vocab_size)
        for kind in ("uniform", "Zipf")
    }
    # The k-th of 1000 has a share of 1 / (7.485 k), up to four standard deviations.
    most = np.sort(frequency["Zipf"])[::-1][:3]
    expected = count / 7.485 / np.array([1, 2, 3])
    assert np.all(np.abs(most - expected) < 4 * np.sqrt(expected))
    assert frequency["uniform"].max() < 20 + 8 * np.sqrt(20)
    assert frequency["Zipf"].argmax() != 0  # the table is in no such order
