"""RoPE parameters of every method, in configs of version 4 and 5."""

import json

import pytest
from frequency_methods import BASE, LLAMA, METHODS, SHORT, WIDTH
from rope_configs import LONGROPE, YARN, scaled

import attnax.functional as F
from attnax.interop import rope_from_hf
from attnax.interop._config import methods, vocabulary

ORIGINAL = "original_max_position_embeddings"
YARN_CALL = dict(factor=4.0, original_max_len=4096)


@pytest.mark.parametrize("kind", METHODS)
def test_every_method_in_every_spelling(kind):
    method = METHODS[kind]
    inv_freq = method.function(WIDTH, BASE, **method.settings)
    expected = F.Rope(inv_freq, attention_factor=method.attention_factor)
    base, values = {"rope_theta": BASE}, method.parameters
    old = method.model | base | {"rope_scaling": {"type": kind, **values}}
    for config in (
        method.model | {"rope_parameters": {"rope_type": kind, **base, **values}},
        method.model | base | {"rope_scaling": {"rope_type": kind, **values}},
        old,
        json.loads(json.dumps(old)),
    ):
        assert rope_from_hf(config, seq_len=9000) == expected


def test_every_type_of_the_table_is_compared():
    assert METHODS.keys() == methods.METHODS.keys()


@pytest.mark.parametrize("kind", METHODS)
def test_every_parameter_is_in_the_vocabulary(kind):
    """A key that is not there is of no kind, and no misspelt one is noticed."""
    assert METHODS[kind].parameters.keys() <= vocabulary.INNER


@pytest.mark.parametrize(
    "config", (scaled("default"), LLAMA, scaled("linear", factor=2))
)
def test_a_length_is_accepted_where_it_is_not_needed(config):
    assert rope_from_hf(config, seq_len=5) == rope_from_hf(config)


def test_longrope_switches_past_the_original_length():
    config = scaled("longrope", **LONGROPE, factor=32.0)
    short, at, past = (rope_from_hf(config, seq_len=n) for n in (1, 4096, 4097))
    assert short == at != past
    assert at.inv_freq == F.Rope(F.longrope_inv_freq(64, 5e5, factors=SHORT)).inv_freq


def test_implicit_factors_are_the_ratio_of_the_lengths():
    config = scaled("longrope", **LONGROPE) | {"max_position_embeddings": 131_072}
    explicit = scaled("longrope", **LONGROPE, factor=32.0)
    assert rope_from_hf(config, seq_len=1) == rope_from_hf(explicit, seq_len=1)
    missing = {k: v for k, v in YARN.items() if k != "factor"}
    served = scaled("yarn", **missing) | {"max_position_embeddings": 16_384}
    assert rope_from_hf(served) == rope_from_hf(scaled("yarn", **YARN))


def test_the_original_length_defaults_to_the_served_one():
    config = scaled("yarn", factor=4.0) | {"max_position_embeddings": 4096}
    assert rope_from_hf(config) == rope_from_hf(scaled("yarn", **YARN))


@pytest.mark.parametrize(
    "kind", [k for k in METHODS if ORIGINAL in METHODS[k].parameters]
)
def test_every_method_takes_the_original_length_from_beside_its_parameters(kind):
    method = METHODS[kind]
    inside = {"rope_type": kind, "rope_theta": BASE, **method.parameters}
    without = {key: value for key, value in inside.items() if key != ORIGINAL}
    expected = rope_from_hf(method.model | {"rope_scaling": inside}, seq_len=9000)
    for length in (ORIGINAL, "max_position_embeddings"):
        beside = {length: inside[ORIGINAL], "rope_scaling": without}
        assert rope_from_hf(method.model | beside, seq_len=9000) == expected


def test_an_original_length_beside_the_parameters_overrides_the_one_inside():
    config = scaled("yarn", **(YARN | {"original_max_position_embeddings": 99}))
    beside = config | {"original_max_position_embeddings": 4096}
    assert rope_from_hf(beside) == rope_from_hf(scaled("yarn", **YARN))


@pytest.mark.parametrize(
    "values, factor",
    (
        ({"attention_factor": 1.5, "mscale": 1.0, "mscale_all_dim": 0.5}, 1.5),
        ({"mscale": 1.0, "mscale_all_dim": 0.8}, None),
        ({"mscale": 0.7}, F.yarn_attention_factor(4.0)),
    ),
)
def test_attention_factors_of_yarn(values, factor):
    if factor is None:
        factor = F.yarn_attention_factor(4.0, mscale=1.0, mscale_all_dim=0.8)
    assert rope_from_hf(scaled("yarn", **YARN, **values)).attention_factor == factor


def test_settings_of_yarn_are_read():
    values = {"beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}
    expected = F.yarn_inv_freq(
        64, 5e5, **YARN_CALL, beta_fast=16.0, beta_slow=2.0, truncate=False
    )
    assert rope_from_hf(scaled("yarn", **YARN, **values)).inv_freq == tuple(expected)


def test_dynamic_may_name_its_length_twice():
    config = scaled("dynamic", factor=2.0)
    twice = scaled("dynamic", factor=2.0, original_max_position_embeddings=2048)
    for seq_len in (9, 5000):
        expected = rope_from_hf(config, seq_len=seq_len)
        assert rope_from_hf(twice, seq_len=seq_len) == expected


@pytest.mark.parametrize("key", ("beta_fast", "beta_slow"))
def test_a_beta_of_zero_stands_for_the_default(key):
    yarn = {"rope_type": "yarn", "factor": 4.0}
    yarn |= {"original_max_position_embeddings": 4096}
    config = {"model_type": "llama", "head_dim": 128, "rope_scaling": yarn}
    zero = config | {"rope_scaling": yarn | {key: 0.0}}
    assert rope_from_hf(zero) == rope_from_hf(config)
