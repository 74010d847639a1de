"""Every rope that transformers has, from its config alone, against what it rotates.

`python -m conformance.rope.golden` wrote the values; `hf_ropes.json` says with which
versions.
"""

import dataclasses
import itertools
import json
import pathlib

import jax
import numpy as np
import pytest
from helpers import assert_same_bits

import attnax.functional as F
from attnax.functional._angles.phase import phase_words
from attnax.interop import rope_from_hf, ropes_by_length_from_hf, ropes_from_hf
from attnax.interop._config.families import table as families
from conformance.rope.coordinates import rows_first

FOLDER = pathlib.Path(__file__).parents[2] / "golden"
GOLDEN = json.loads((FOLDER / "hf_ropes.json").read_text())
RECORDS, ROWS = GOLDEN["records"], GOLDEN["source"]["rows"]
ARRAYS = np.load(FOLDER / "hf_ropes.npz")
rotate, apply = jax.jit(F.rotate), jax.jit(F.apply_rotary)


def drawn(seq_len, head_dim):
    """The rows that are stored of the queries that were rotated."""
    bits = np.random.PCG64(0).random_raw(seq_len * head_dim) >> 40
    return (bits / 2.0**23 - 1).astype(np.float32).reshape(seq_len, head_dim)[ROWS]


def queries(record):
    stored = record["queries"]
    return ARRAYS[stored] if isinstance(stored, str) else drawn(*stored)


def positions_of(record):
    """(row, column) of images, in whatever order the model takes them."""
    positions = ARRAYS[record["positions"]]
    return rows_first(record["config"]["model_type"], positions)


def rope_of(record, positions):
    """The rope of the record's layers; some types have layers that do not rotate."""
    config = record["config"]
    settings = {
        "seq_len": int(positions.max()) + 1,
        "layout": None if config["model_type"] else "half",
    }
    try:
        return rope_from_hf(config, layer_type=record["layer_type"], **settings)
    except ValueError as error:
        if "use ropes_from_hf" not in str(error):
            raise
    return ropes_from_hf(config, **settings)[record["layer"]]


def alone(rope):
    """The rope as an element of a stack, whose numbers are data: forms share a program.

    An element of a stack equals its rope bit for bit.
    """
    still = (0.0,) * rope.rotary_pairs
    return F.StackedRopes(
        words=phase_words(np.array(rope.inv_freq)),
        attention_factor=np.float32(rope.attention_factor),
        settings=dataclasses.replace(rope, inv_freq=still, attention_factor=1.0),
    )


def name(record):
    return f"{record['name']}, {record['layer_type']}"


def compare(record, rotate):
    """Compares a record with what `rotate` makes of the rope of its config."""
    if record["positions"] is None:
        assert rope_of(record, np.zeros(1)) is None
        return
    positions, before = positions_of(record), queries(record)
    rotated, first = ARRAYS[record["rotated"]], record["first"]
    expected = before.copy()
    last = first + rotated.shape[1]
    expected[:, first:last] = rotated

    rope = rope_of(record, positions)
    actual = np.asarray(rotate(rope, before[:, None], positions))[:, 0]

    # Their angle is a float32 product of the position and a rounded power, so their
    # own error grows with the position; a wrong convention errs by order 1.
    farthest = positions if positions.ndim == 1 else positions.max(axis=1)
    atol = (4e-7 * farthest + 2e-6) * rope.attention_factor**2
    assert (np.abs(actual - expected).max(axis=1) <= atol).all()
    np.testing.assert_array_equal(actual[:, :first], before[:, :first])
    np.testing.assert_array_equal(actual[:, last:], before[:, last:])


def rotate_by_steps(rope, x, positions):
    """All ropes share the program that makes cos and sin, and forms the other."""
    cos, sin = F.rotary_cos_sin(alone(rope), positions)
    return apply(alone(rope), x, cos, sin)


@pytest.mark.parametrize("record", RECORDS, ids=name)
def test_rotates_as_transformers_does(record):
    compare(record, rotate_by_steps)


@pytest.mark.slow
def test_a_record_of_each_form_rotates_in_one_program_as_transformers_does():
    seen = set()
    for record in RECORDS:
        if record["positions"] is not None:
            rope = rope_of(record, positions_of(record))
            form = alone(rope).settings, rope.attention_factor == 1.0
            if form not in seen:
                compare(record, rotate)
            seen.add(form)
    assert len(seen) > 20


@pytest.mark.parametrize(
    "model_type", ("gpt_oss", "mistral4", "glm", "qwen2_vl_text", "gemma4_vision")
)
def test_a_rope_of_each_form_rotates_as_it_does_alone_in_a_stack(model_type):
    """With factors, trailing, interleaved, of several axes, and in blocks."""
    records = [r for r in RECORDS if r["config"]["model_type"] == model_type]
    record = next(r for r in records if r["positions"] is not None)
    positions, x = positions_of(record), queries(record)[:, None]
    rope = rope_of(record, positions)
    actual = rotate(alone(rope), x, positions)
    assert_same_bits(actual, rotate(rope, x, positions))


def test_every_model_type_has_a_record():
    found = {record["config"]["model_type"] for record in RECORDS}
    assert set(families.IN_TRANSFORMERS) <= found


def pairs_of_records():
    """By model type, records of one config at a short and a long length."""
    pairs = {}
    key = lambda r: (json.dumps(r["config"], sort_keys=True), str(r["layer_type"]))
    longrope = [r for r in RECORDS if "short_factor" in str(r["config"])]
    for _, records in itertools.groupby(sorted(longrope, key=key), key):
        records = sorted(records, key=lambda r: ARRAYS[r["positions"]].max())
        if len(records) == 2:
            pairs[records[0]["config"]["model_type"]] = records
    return pairs.values()


def test_short_and_long_rows_together_are_those_of_transformers_apart():
    """transformers has rotated each alone; of both, it takes the long list for both."""
    pairs = pairs_of_records()
    assert len(pairs) >= 2
    for records in pairs:
        config, positions = (
            records[0]["config"],
            [ARRAYS[r["positions"]] for r in records],
        )
        lengths = [int(p.max()) + 1 for p in positions]
        by_length = ropes_by_length_from_hf(config, layer_type=records[0]["layer_type"])
        assert lengths[0] <= by_length.max_lengths[0] < lengths[1]
        x = np.stack([queries(record) for record in records])
        rope = F.rope_by_length(by_length, np.array(lengths))
        actual = np.asarray(rotate(rope, x[:, :, None], np.stack(positions)))[:, :, 0]
        for row, record in enumerate(records):
            rotated, first = ARRAYS[record["rotated"]], record["first"]
            # Their angle is a float32 product of the position and a rounded power.
            factor = by_length.ropes[row].attention_factor
            atol = (4e-7 * positions[row] + 2e-6) * factor**2
            wanted = actual[row][:, first : first + rotated.shape[1]]
            assert (np.abs(wanted - rotated).max(axis=1) <= atol).all()
