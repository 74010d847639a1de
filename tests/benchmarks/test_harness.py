"""Timing in turns, on a clock of the tests' own."""

from types import SimpleNamespace

import jax.numpy as jnp
import pytest
from fake_clock import Clock

from benchmarks.rivals.installed import available
from benchmarks.timing import harness
from benchmarks.timing.harness import Group, measure
from benchmarks.timing.programs import InTurn, Program, TorchProgram


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    clock.read_by_the_harness(monkeypatch)
    return clock


def records(rivals, rounds, **options):
    group = Group("a case", "copy", rivals, **options)
    return {record["rival"]: record for record in measure(group, rounds)}


WARM = (2, 2, 2)  # three calls tell how often a program is called per sample


def test_ratios_are_taken_round_by_round(clock):
    found = records(
        {
            "limit": clock.program("limit", *WARM, 2, 4, 6, 8),
            "attnax": clock.program("attnax", *WARM, 3, 6, 9, 16),
        },
        rounds=4,
    )
    # Quartiles of 4 values lie a quarter of the way from the outer to the inner ones.
    limit, attnax = found["copy"], found["attnax"]
    assert (limit["median_ms"], limit["iqr_ms"]) == (5, 7.5 - 2.5)
    assert (attnax["median_ms"], attnax["iqr_ms"]) == (7.5, 14.25 - 3.75)
    # The ratios are 1.5, 1.5, 1.5 and 2.
    assert (attnax["ratio"], attnax["ratio_iqr"]) == (1.5, 0.375)


def test_limit_is_one_exactly_and_named_for_what_it_is(clock):
    rivals = {"limit": clock.program("limit", *WARM, 2, 7)}
    rivals |= {name: clock.program(name, 3) for name in ("attnax", "a rival")}
    found = records(rivals, rounds=9, target=1.2)
    assert list(found) == ["copy", "attnax", "a rival"]
    assert (found["copy"]["ratio"], found["copy"]["ratio_iqr"]) == (1, 0)
    assert [r["is_limit"] for r in found.values()] == [True, False, False]
    assert [r["target"] for r in found.values()] == [None, 1.2, None]


def test_every_rival_runs_once_in_every_round(clock):
    names = ("limit", "attnax", "b", "c")

    def order():
        clock.ran.clear()
        records({name: clock.program(name, 2) for name in names}, rounds=6)
        timed = clock.ran[3 * len(names) :]
        return [timed[i : i + len(names)] for i in range(0, len(timed), len(names))]

    first = order()
    assert len(first) == 6
    assert all(sorted(round) == sorted(names) for round in first)
    assert len({tuple(round) for round in first}) > 1
    assert order() == first  # the same seed


@pytest.mark.parametrize(
    ("milliseconds", "asked", "rounds"),
    ((2, 25, 25), (500, 25, 15), (5000, 25, 7), (5000, 2, 2)),
)
def test_long_groups_get_fewer_rounds(clock, milliseconds, asked, rounds):
    rivals = {name: clock.program(name, milliseconds) for name in ("limit", "attnax")}
    found = records(rivals, asked)
    assert [record["rounds"] for record in found.values()] == [rounds, rounds]
    assert len(clock.ran) == 2 * (3 + rounds)


def test_short_programs_are_called_several_times_per_sample(clock):
    rivals = {"limit": clock.program("limit", 1 / 64), "attnax": clock.program("a", 4)}
    found = records(rivals, rounds=5)
    assert clock.ran.count("limit") == 3 + 5 * 64
    assert found["copy"]["median_ms"] == pytest.approx(1 / 64, rel=1e-3)
    assert found["attnax"]["ratio"] == 256


def test_rounds_in_which_a_rival_was_ahead_are_counted(clock):
    rivals = {
        "limit": clock.program("limit", *WARM, 2, 2, 2, 2),
        "attnax": clock.program("attnax", *WARM, 3, 3, 3, 3),
        "a rival": clock.program("a rival", *WARM, 2, 4, 3, 2),
    }
    found = records(rivals, rounds=4)
    assert [record["rounds_ahead"] for record in found.values()] == [4, 0, 2]


def test_accelerators_get_the_calls_of_a_sample_at_once(clock, monkeypatch):
    monkeypatch.setattr(harness.jax, "default_backend", lambda: "gpu")
    waits = []
    program = clock.program("limit", 2).start()._replace(wait=waits.append)
    rivals = dict.fromkeys(("limit", "attnax"), SimpleNamespace(start=lambda: program))
    records(rivals, rounds=2)
    # Three calls tell the time of one; then samples of 10 ms, of 5 calls each.
    assert len(clock.ran) == 2 * (3 + 2 * 5)
    assert len(waits) == 2 * (3 + 2)


def test_records_hold_what_is_known(clock):
    rivals = {
        name: clock.program(name, 2, facts={"fact of": name})
        for name in ("limit", "attnax")
    }
    facts = {"attnax": {"largest_error": 0.5}, "not timed": {"largest_error": 7}}
    options = {"facts": facts, "meta": {"dtype": "float32"}, "bytes_moved": 10**6}
    found = records(rivals, rounds=2, **options)
    for record, name in zip(found.values(), rivals, strict=True):
        assert record["fact of"] == name
        assert record["dtype"] == "float32"
        assert record["gb_per_s"] == 0.5
        assert {"device", "jax", "numpy"} <= record.keys()
    assert "largest_error" not in found["copy"]
    assert found["attnax"]["largest_error"] == 0.5


def double(x):
    return x + x


def test_programs_say_what_was_compiled():
    program = Program(double, (jnp.ones(4),))
    found = records({"limit": program, "attnax": InTurn((program, program))}, 2)
    assert found["copy"]["kernels"] == 1
    assert found["attnax"]["kernels"] == 2
    for record in found.values():
        assert record["compile_ms"] > 0
        assert record["temporary_bytes"] == 0


def test_programs_of_torch_run_both_ways():
    if not available("torch"):
        pytest.skip("needs PyTorch on the device that JAX uses")
    x = jnp.ones(4, jnp.bfloat16)
    found = records(
        {
            "limit": TorchProgram(double, (x,)),
            "attnax": TorchProgram(double, (x,)),
            "backward": TorchProgram(double, (x,), cotangent=x),
        },
        rounds=2,
    )
    assert all(record["torch"] for record in found.values())
