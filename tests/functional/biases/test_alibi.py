"""ALiBi: slopes of any number of heads, three forms, and the rounding of models."""

import alibi_bias_oracles as oracles
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits, jitted, refused

import attnax.functional as F
from conformance.embeddings.records import load

apply = jitted(F.apply_position_bias)
FORMS = ("symmetric", "signed", "key")
MIN, MAX = -(2**31), 2**31 - 1
RECORDS = {
    record.name: record
    for record in load("distance_biases")
    if record.name.startswith(("bloom", "mpt", "falcon"))
}
DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}


@pytest.mark.parametrize("max_bias", (8.0, 16.0, 5.5))
def test_slopes_of_every_number_of_heads(max_bias):
    for num_heads in range(1, 130):
        slopes = F.alibi_slopes(num_heads, max_bias=max_bias)
        assert slopes.dtype == np.float64 and slopes.shape == (num_heads,)
        want = oracles.slopes(num_heads, max_bias)
        np.testing.assert_allclose(slopes, want, rtol=2.0**-50, atol=0)


def test_slopes_of_a_power_of_two_begin_below_one():  # aprender#2143
    """The exponent of the first head is `8 / num_heads`, not 0."""
    assert F.alibi_slopes(8).tolist() == [2.0**-n for n in range(1, 9)]
    assert F.alibi_slopes(1).tolist() == [2.0**-8]
    assert F.alibi_slopes(16)[0] == 2.0**-0.5


@pytest.mark.parametrize("num_heads", (3, 12, 40, 71, 112))
def test_other_numbers_of_heads_are_no_single_sequence(num_heads):
    # mlx#343, TensorRT-LLM#1611, Baichuan2#225
    """Slopes of the power of two below, then every second one of the next power."""
    slopes = F.alibi_slopes(num_heads)
    power = 1 << num_heads.bit_length() - 1
    np.testing.assert_array_equal(slopes[:power], F.alibi_slopes(power))
    between = F.alibi_slopes(2 * power)[0::2]
    np.testing.assert_array_equal(slopes[power:], between[: num_heads - power])
    single = 2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads)
    assert not np.allclose(slopes, single)


def lengths(form, q, k):
    distance = k[..., None, :].astype(np.float64) - q[..., :, None]
    if form == "key":
        return np.broadcast_to(k[..., None, :].astype(np.float64), distance.shape)
    return -np.abs(distance) if form == "symmetric" else distance


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("num_heads", (4, 6))
def test_values_of_every_form(form, num_heads):
    """A slope in float32 times an integer: two roundings, or three past 2**24."""
    bias = F.AlibiBias(num_heads, form=form, factor=0.3, max_bias=6.0)
    q = np.array([[0, 5, 4095, 2**24 + 1], [7, -3, 100_003, 12]], np.int32)
    k = np.array([[3, 90, 131_071], [-128, 8, 2**30]], np.int32)
    want = 0.3 * oracles.slopes(num_heads, 6.0)[:, None, None]
    want = want * lengths(form, q, k)[:, None]
    np.testing.assert_allclose(apply(bias, None, q, k), want, rtol=2.0**-22, atol=0)
    run = np.arange(90, 95), np.arange(80, 100)
    want = 0.3 * oracles.slopes(num_heads, 6.0)[:, None, None] * lengths(form, *run)
    for q, k in (run, (range(90, 95), range(80, 100))):
        np.testing.assert_allclose(apply(bias, None, q, k), want, rtol=2.0**-22, atol=0)


def test_the_symmetric_form_is_symmetric_and_zero_for_a_token_itself():
    got = np.asarray(apply(F.AlibiBias(6), None, range(9), range(9)))
    assert_same_bits(got, got.swapaxes(1, 2).copy())
    assert not np.diagonal(got, axis1=1, axis2=2).any()
    assert (got <= 0).all()
    causal = np.asarray(apply(F.AlibiBias(6, form="signed"), None, range(9), range(9)))
    before = np.tril(np.ones((9, 9), bool))
    np.testing.assert_array_equal(causal[:, before], got[:, before])


def test_the_farthest_distances_are_negative():
    """-2**31 has no absolute value in int32."""
    k = np.array([MIN, MAX], np.int32)
    got = np.asarray(apply(F.AlibiBias(1), None, np.zeros(1, np.int32), k))
    np.testing.assert_allclose(got, -(2.0**31) / 256, rtol=2.0**-23)


def test_the_form_of_keys_gives_the_same_attention():  # llm-foundry#186
    """It differs by a constant in each row, which a softmax does not see."""
    q = k = np.arange(40)
    signed, key = (
        np.asarray(apply(F.AlibiBias(4, form=form), None, q, k), np.float64)
        for form in ("signed", "key")
    )
    constant = key - signed
    np.testing.assert_allclose(constant, constant[..., :1] + 0 * constant, atol=1e-6)
    weights = [np.exp(b - b.max(-1, keepdims=True)) for b in (signed, key)]
    weights = [w / w.sum(-1, keepdims=True) for w in weights]
    np.testing.assert_allclose(*weights, atol=1e-6)


def test_slopes_are_not_rounded_to_the_dtype_of_the_queries():  # flash-attention#845
    """In float16, the ratio of neighboring slopes of 12 heads would differ by 1e-3."""
    bias = F.AlibiBias(12, form="signed")
    q = k = np.arange(2, dtype=np.int32)
    got = np.asarray(apply(bias, None, q, k))[:, 0, 1]
    assert_same_bits(got, F.alibi_slopes(12).astype(np.float32))
    low = np.asarray(apply(bias, None, q, np.array([3001]), dtype=jnp.float16))[:, 0, 0]
    exact = (np.float32(3001) * F.alibi_slopes(12).astype(np.float32)).astype(
        np.float16
    )
    assert_same_bits(low, exact)


def of_config(config):
    """The record of a released model."""
    kind = config["model_type"]
    if kind == "bloom":
        return F.AlibiBias(config["n_head"], form="key")
    if kind == "mpt":
        # The published code takes the exponent from the config.
        max_bias = config["attn_config"]["alibi_bias_max"]
        return F.AlibiBias(config["n_heads"], form="key", max_bias=max_bias)
    heads = config["num_attention_heads"]
    factor = (config["hidden_size"] // heads) ** -0.5
    return F.AlibiBias(heads, form="key", factor=factor, in_bfloat16=True)


@pytest.mark.parametrize("name", RECORDS)
def test_released_models(name):
    """BLOOM and Falcon bit for bit; slopes of MPT are powers in float32."""
    record = RECORDS[name]
    config, arrays = record.options["config"], record.arrays
    dtype = DTYPES[config["dtype"]]
    positions = arrays["q_positions"], arrays["k_positions"]
    got = np.asarray(apply(of_config(config), None, *positions, dtype=dtype))
    assert got.dtype == dtype
    expected = arrays["expected"]
    got = np.broadcast_to(got, expected.shape)
    if config["model_type"] == "mpt":
        np.testing.assert_allclose(got, expected, rtol=2.0**-22, atol=0)
    else:
        np.testing.assert_array_equal(got.astype(np.float32), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_falcon_rounds_slopes_positions_and_products(dtype):
    # TensorRT-Model-Connect#667
    """For released sizes at 4096 keys, where positions leave bfloat16."""
    keys = np.arange(4096, dtype=np.int32)
    bias = F.AlibiBias(71, form="key", factor=64**-0.5, in_bfloat16=True)
    dtype = DTYPES[dtype]
    got = np.asarray(apply(bias, None, np.zeros(1, np.int32), keys, dtype=dtype))
    want = oracles.falcon_bias(71, keys, 1, 64, dtype)
    np.testing.assert_array_equal(got.astype(np.float64), want)
    plain = F.AlibiBias(71, form="key", factor=64**-0.5)
    smooth = np.asarray(apply(plain, None, np.zeros(1, np.int32), keys))
    assert np.abs(smooth - want).max() > 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_bloom_rounds_its_products_once(dtype):
    keys = np.arange(4096, dtype=np.int32)
    got = np.asarray(
        apply(
            F.AlibiBias(112, form="key"),
            None,
            np.zeros(1, np.int32),
            keys,
            dtype=DTYPES[dtype],
        )
    )
    slopes = oracles.slopes(112).astype(np.float32)[:, None, None]
    want = (slopes * keys.astype(np.float32)).astype(DTYPES[dtype])
    assert_same_bits(got, want)


@pytest.mark.parametrize("form", FORMS)
def test_rounded_products_of_every_form(form):
    bias = F.AlibiBias(3, form=form, factor=0.3, in_bfloat16=True)
    low = ml_dtypes.bfloat16
    slopes = F.alibi_slopes(3).astype(np.float32).astype(low).astype(np.float32)
    q, k = np.array([5, 300]), np.array([0, 257, 1001])
    rounded = lengths(form, q, k).astype(np.float32).astype(low).astype(np.float32)
    products = (slopes[:, None, None] * rounded).astype(low).astype(np.float32)
    want = products * np.float32(0.3)
    assert_same_bits(apply(bias, None, q, k), want)
    score_mod = F.position_bias_score_mod(bias, None, q, k)
    one = jax.jit(score_mod)(jnp.float32(0.0), 0, 1, 1, 2)
    assert_same_bits(one, want[1, 1, 2])


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"num_heads": 0}, "num_heads=0 must be a positive integer"),
        ({"max_bias": 0}, "max_bias=0 must be"),
        ({"max_bias": float("inf")}, "max_bias=inf must be"),
        ({"form": "causal"}, "form='causal' must be"),
        ({"factor": float("nan")}, "factor=nan must be"),
        ({"in_bfloat16": 1}, "in_bfloat16=1 must be"),
    ),
)
def test_settings_out_of_range_are_refused(changed, message):
    with refused(message):
        F.AlibiBias(**{"num_heads": 3, **changed})


@pytest.mark.errors
def test_slopes_of_no_heads_are_refused():
    with refused("num_heads=-1 must be a positive integer"):
        F.alibi_slopes(-1)
    with refused("max_bias=-8.0 must be"):
        F.alibi_slopes(4, max_bias=-8.0)


@pytest.mark.errors
def test_rounded_products_have_no_channels():
    bias = F.AlibiBias(3, form="key", in_bfloat16=True)
    with refused("bias.in_bfloat16=True must be False"):
        F.position_bias_channels(bias, None, [0], [0], scale=1.0, dtype=np.float32)
