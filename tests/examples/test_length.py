"""The parts of the example that need no long training."""

import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow

for _package in ("matplotlib", "optax", "tqdm"):
    pytest.importorskip(_package)

# It mixes float32 data with parameters of the default dtype, under strict promotion.
pytestmark = pytest.mark.skipif(jax.config.jax_enable_x64, reason="in 64-bit mode")
METHODS = ("rope", "t5", "alibi", "fire", "none")


@pytest.fixture
def small(example, monkeypatch):
    sizes = dict(SEQ_LEN=8, D_MODEL=24, NUM_LAYERS=2, NUM_HEADS=3, HEAD_DIM=8, BIN=4)
    for name, size in sizes.items():
        monkeypatch.setattr(example.model, name, size)
    monkeypatch.setattr(example, "EVERY", 8)
    return example


def windows_of(length):
    return np.random.default_rng(0).integers(256, size=(2, length + 1))


@pytest.mark.parametrize("name", ("rope", "none"))
def test_it_is_the_model_of_the_first_example(small, name):
    method = small.method_of(name)
    params, windows = small.init_params(jax.random.key(0), method), windows_of(9)
    actual = jax.jit(lambda *a: small.nats_per_byte(method, *a))(params, windows)
    first = jax.jit(lambda *a: small.model.nats_per_byte(*a, name))
    np.testing.assert_allclose(actual, first(params, windows), atol=1e-6)


@pytest.mark.parametrize("name", ("t5", "fire", *slow("rope", "alibi", "none")))
def test_biases_are_trained_and_no_byte_sees_those_after_it(small, name):
    method, windows = small.method_of(name), windows_of(32)
    params = small.init_params(jax.random.key(0), method)
    nats = lambda params, windows: small.nats_per_byte(method, params, windows)

    @jax.jit
    def run(params, windows):
        mean = lambda params: nats(params, windows).mean()
        return nats(params, windows), jax.grad(mean)(params)

    with jax.numpy_rank_promotion("allow"):  # for the attention of `jax.nn`
        losses, gradients = run(params, windows)
        changed, _ = run(params, np.where(np.arange(33) > 20, 7, windows))
    assert losses.shape == (2, 32)
    np.testing.assert_array_equal(losses[:, :20], changed[:, :20])
    for gradient in jax.tree.leaves(gradients.positions):
        assert np.isfinite(gradient).all() and jnp.any(gradient != 0)
    assert (gradients.positions is not None) == (name in ("t5", "fire"))


def run_main(small, monkeypatch, output, *arguments):
    text = np.random.default_rng(1).integers(256, size=600).astype(np.uint8)
    monkeypatch.setattr(small.model, "load_text", lambda: (text, text[:300]))
    monkeypatch.setattr(sys, "argv", ["it", *arguments, "--output", str(output)])
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return small.main()


def test_it_draws_each_method_and_prints_its_losses(
    small, tmp_path, monkeypatch, capsys
):
    output, seen = tmp_path / "out.png", []

    def fit(params, nats, text, steps, seed, label):
        seen.append((label.strip(), steps))
        return params, [9.0, 8.0], small.program.Stop()

    monkeypatch.setattr(small.model, "fit", fit)
    arguments = ("--methods", "alibi", "none", "--steps", "2")
    assert run_main(small, monkeypatch, output, *arguments) == 0
    assert seen == [("ALiBi", 2), ("no positions", 2)]
    assert output.stat().st_size > 10_000
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.endswith("bits per byte")]
    assert [len(row.split(":")[1].split()) for row in rows] == [4 + 3] * 2


@pytest.mark.slow  # compiles a step of training
def test_a_quick_look_trains(small, tmp_path, monkeypatch):
    output = tmp_path / "out.png"
    arguments = ("--methods", "fire", "--steps", "2")
    assert run_main(small, monkeypatch, output, *arguments) == 0
    assert output.stat().st_size > 10_000


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_signals_leave_out_what_has_not_begun(small, tmp_path, monkeypatch, number):
    output, stop, measured = tmp_path / "out.png", small.program.Stop(), []
    stop.signal = number
    monkeypatch.setattr(small.model, "fit", lambda params, *_: (params, [9.0], stop))

    def mean_bits(*_):
        measured.append(True)
        return np.ones(8)

    monkeypatch.setattr(small.model, "mean_bits", mean_bits)
    status = run_main(small, monkeypatch, output)
    assert status == (0 if number == signal.SIGINT else 143)
    assert len(measured) == (number == signal.SIGINT)
    assert output.stat().st_size > 10_000
