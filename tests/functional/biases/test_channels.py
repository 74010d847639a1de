"""Products of channels are the bias, for every scheme that has channels."""

import bias_cases
import jax
import numpy as np
import pytest

import attnax.functional as F

# Those of ALiBi differ by a constant in each row and have a file of their own; a sum
# has the channels of its parts.
OWN = "AlibiBias", "SumBias"
WITH_CHANNELS = [
    name
    for name in bias_cases.RECORDS
    if getattr(F, name)._channels is not F.PositionBias._channels and name not in OWN
]
SCALE = float(np.float32(0.3))
# Half a unit in the last place of a number of each dtype, relative to the number.
HALF = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}


def channels_of(case, **options):
    def run(params, q_positions, k_positions, content):
        return F.position_bias_channels(
            case.bias,
            params,
            q_positions,
            k_positions,
            **content,
            scale=SCALE,
            **options,
        )

    positions = case.q_positions, case.k_positions
    return jax.jit(run)(case.params, *positions, case.content)


def products(channels):
    q, k = (np.asarray(t, np.float64) for t in channels)
    k = np.broadcast_to(k, (*k.shape[:-2], *q.shape[-2:]))
    return SCALE * np.einsum("...qhc,...khc->...hqk", q, k)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", WITH_CHANNELS)
def test_products_are_the_bias(name, dtype):
    case = bias_cases.case(name, batch=(2,))
    channels = channels_of(case, dtype=dtype)
    assert {t.dtype for t in channels} == {np.dtype(dtype)}
    actual, expected = products(channels), bias_cases.whole(case)
    # A channel of a query and one of a key are rounded, the numbers before them by
    # float32, and those of the matrix too.
    magnitude = products([abs(t) for t in channels]).max() + 1
    bound = (2 * HALF[dtype] + 32 * HALF["float32"]) * magnitude
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("name", WITH_CHANNELS)
def test_two_pieces_are_exact_to_sixteen_bits(name):
    case = bias_cases.case(name, batch=(2,))
    channels = channels_of(case, dtype="bfloat16", pieces=2)
    actual, expected = products(channels), bias_cases.whole(case)
    magnitude = products([abs(t) for t in channels]).max() + 1
    bound = (3 * HALF["bfloat16"] ** 2 + 32 * HALF["float32"]) * magnitude
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)
