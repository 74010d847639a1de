"""Position biases from configs and tensors, beside the attention of transformers.

`python -m conformance.biases --golden` wrote the values; each record says with which
version.
"""

import numpy as np
import pytest
from helpers import jitted

import attnax.functional as F
from attnax.interop import position_bias_from_hf
from attnax.interop._position_biases.families.table import BIAS_FAMILIES
from conformance.biases import compare
from conformance.embeddings.records import load

RECORDS = load("position_biases")
apply = jitted(F.apply_position_bias)


def biases_of(record):
    config, part = record.options["config"], record.options["part"]
    return position_bias_from_hf(config, part=compare.STACKS.get(part, part))


def one_of_each_scheme():
    """The records, of which the first of each kind of bias is quick."""
    seen, chosen = set(), []
    for record in RECORDS:
        layers = biases_of(record).layers
        kinds = frozenset(type(t.bias) for layer in layers for t in layer.terms)
        marks = [pytest.mark.slow] if kinds in seen else []
        seen.add(kinds)
        chosen.append(pytest.param(record, marks=marks, id=record.name))
    return chosen


def check(record, apply):
    actual = compare.ours(record, apply)
    expected = np.asarray(record.arrays["expected"], np.float64)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= compare.tolerance(record)


@pytest.mark.parametrize("record", one_of_each_scheme())
def test_bias_is_that_of_the_model(record):
    check(record, apply)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_layers_and_parameters_are_those_of_the_model(record):
    biases, params = compare.of_model(record)
    assert biases == biases_of(record)
    assert biases.num_params == len(params)
    assert compare.has_its_scale(record)
    for place in range(len(biases.layers)):
        for kind in ("scores", "block_scores"):
            for bias, own in biases.terms(params, place, kind=kind):
                bias._check(own)


def test_every_model_type_has_a_record():
    assert {biases_of(record).model_type for record in RECORDS} == set(BIAS_FAMILIES)
