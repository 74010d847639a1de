"""Products of channels are the bias, for every scheme that has channels."""

import bias_cases
import jax
import numpy as np
import pytest
from bias_laws import channel_products
from helpers import slow

import attnax.functional as F

# ALiBi's have tests of their own, and so have those of sums of gates, which are pairs
# of numbers; a sum of biases has the channels of its parts.
OWN = "AlibiBias", "ForgettingBias", "SumBias"
WITH_CHANNELS = [
    name
    for name in bias_cases.RECORDS
    if getattr(F, name)._channels is not F.PositionBias._channels and name not in OWN
]
WITHOUT_CHANNELS = [
    name
    for name in bias_cases.RECORDS
    if getattr(F, name)._channels is F.PositionBias._channels
]
# The sum of cosines without its largest value.
UP_TO_A_CONSTANT = ("SandwichBias",)
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


def assert_bias(name, channels, expected, relative):
    """The error is `relative` to the sum of magnitudes, and 32 roundings of float32."""
    actual = channel_products(channels, SCALE)
    magnitude = channel_products([abs(t) for t in channels], SCALE).max() + 1
    if name in UP_TO_A_CONSTANT:
        actual, expected = (t - t[..., :1] for t in (actual, expected))
    bound = (relative + 32 * HALF["float32"]) * magnitude
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", ["bfloat16", *slow("float16", "float32")])
@pytest.mark.parametrize("name", WITH_CHANNELS)
def test_products_are_the_bias(name, dtype):
    case = bias_cases.case(name, batch=(2,))
    channels = channels_of(case, dtype=dtype)
    assert {t.dtype for t in channels} == {np.dtype(dtype)}
    # A channel of a query and one of a key are rounded.
    assert_bias(name, channels, bias_cases.whole(case), 2 * HALF[dtype])


@pytest.mark.parametrize("name", WITH_CHANNELS)
def test_two_pieces_are_exact_to_sixteen_bits(name):
    case = bias_cases.case(name, batch=(2,))
    channels = channels_of(case, dtype="bfloat16", pieces=2)
    # What two pieces leave of both, and the product of their rests.
    assert_bias(name, channels, bias_cases.whole(case), 3 * HALF["bfloat16"] ** 2)


@pytest.mark.errors
@pytest.mark.parametrize("name", WITHOUT_CHANNELS)
def test_schemes_without_channels_name_the_other_ends(name):
    case = bias_cases.case(name)
    arguments = case.bias, case.params, case.q_positions, case.k_positions
    with pytest.raises(
        ValueError,
        match="^position_bias_channels: bias must be a sum of products of a query and "
        f"a key, .*{name} is not; use apply_position_bias or position_bias_score_mod",
    ):
        F.position_bias_channels(
            *arguments, **case.content, scale=SCALE, dtype="float32"
        )
