"""The parts of the example that need no training."""

import signal
import sys

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, slow

for _package in ("matplotlib", "optax", "tqdm"):
    pytest.importorskip(_package)

# It mixes float32 data with parameters of the default dtype, under strict promotion.
pytestmark = pytest.mark.skipif(jax.config.jax_enable_x64, reason="in 64-bit mode")


@pytest.fixture
def small(example, monkeypatch):
    sizes = dict(SEQ_LEN=12, D_MODEL=24, NUM_LAYERS=2, NUM_HEADS=3, HEAD_DIM=8)
    for name, size in sizes.items():
        monkeypatch.setattr(example, name, size)
    return example


def _kinds(test):
    kinds = ("rope", "sinusoidal", "learned", "none")
    return pytest.mark.parametrize("kind", kinds)(test)


def test_held_out_text_shares_no_paragraph_with_training_text(example):
    train_text, held_out = (part.tobytes().decode() for part in example.load_text())
    paragraphs = lambda text: {" ".join(p.split()) for p in text.split("\n\n")}
    assert not paragraphs(train_text) & paragraphs(held_out)
    assert 0.05 < len(held_out) / len(train_text) < 0.2


def test_windows_hold_the_byte_after(example):
    windows = example.windows_at(np.arange(10), [0, 4], 3)
    np.testing.assert_array_equal(windows, [[0, 1, 2, 3], [4, 5, 6, 7]])


@_kinds
def test_decoding_gives_the_logits_of_the_whole_sequence(small, kind):
    params = small.init_params(jax.random.key(0), kind)
    token_ids = jax.random.randint(jax.random.key(1), (2, 9), 0, 256)
    step = jax.jit(small.forward, static_argnums=2)
    expected, _ = step(params, token_ids, kind)
    empty = host.zeros((2, small.SEQ_LEN, small.NUM_HEADS, small.HEAD_DIM))
    cache = [(empty, empty)] * small.NUM_LAYERS
    for position in range(9):
        column = token_ids[:, position : position + 1]
        logits, cache = step(params, column, kind, position, cache)
        # Logits are of order one, sums of a few dozen products in another order.
        assert_close(logits[:, 0], expected[:, position], magnitude=20.0)


@_kinds
def test_decoding_compiles_once(small, monkeypatch, kind):
    traces, forward = [], small.forward

    def counted(*args):
        traces.append(args)
        return forward(*args)

    monkeypatch.setattr(small, "forward", counted)
    params = small.init_params(jax.random.key(0), kind)
    text = small.generate(params, b"abc", kind, seed=0)
    assert len(traces) == 1
    assert len(text) == small.SEQ_LEN and text.startswith(b"abc")
    assert text == small.generate(params, b"abc", kind, seed=0)


@pytest.mark.parametrize("kind", ("rope", *slow("sinusoidal", "learned")))
def test_bfloat16_layers_give_float32_logits_and_gradients(small, monkeypatch, kind):
    monkeypatch.setattr(small, "NUM_LAYERS", 1)
    params = small.init_params(jax.random.key(0), kind)
    token_ids = np.random.default_rng(0).integers(256, size=(2, 9))

    def forward(dtype, params):
        return small.forward(small.computing_in(dtype, params), token_ids, kind)

    def loss(params):
        narrow = small.computing_in("bfloat16", params)
        return small.nats_per_byte(narrow, token_ids, kind).mean()

    run = jax.jit(forward, static_argnums=0)
    with jax.numpy_dtype_promotion("standard"):  # for the attention of `jax.nn`
        logits, cache = run("bfloat16", params)
        exact, _ = run("float32", params)
        gradients = jax.eval_shape(jax.grad(loss), params)
    assert logits.dtype == jnp.float32
    assert {t.dtype for t in jax.tree.leaves(cache)} == {jnp.dtype(jnp.bfloat16)}
    assert {t.dtype for t in jax.tree.leaves(gradients)} == {jnp.dtype(jnp.float32)}
    assert not np.array_equal(logits, np.asarray(logits).astype(jnp.bfloat16))
    # Dozens of roundings by half a unit on the way, of either sign: a few units.
    bound = 4 * 2.0**-8 * float(np.abs(exact).max())
    np.testing.assert_allclose(logits, exact, rtol=0, atol=bound)


def test_decoding_in_bfloat16(small):
    params = small.init_params(jax.random.key(0), "rope")
    params = small.computing_in("bfloat16", params)
    with jax.numpy_dtype_promotion("standard"):
        text = small.generate(params, b"abc", "rope", 0)
    assert len(text) == small.SEQ_LEN


@pytest.mark.parametrize("method", ["linear", "ntk", "yarn"])
def test_extension_slows_the_last_pair_fourfold(example, method):
    trained, extended = example.trained_rope(), example.extended_rope(method)
    assert extended.rotary_pairs == trained.rotary_pairs
    ratio = np.divide(trained.inv_freq, extended.inv_freq)
    np.testing.assert_allclose(ratio[-1], 4)
    np.testing.assert_allclose(ratio[0], 4 if method == "linear" else 1)


def test_extended_rope_changes_the_loss_of_trained_parameters(small):
    params = small.init_params(jax.random.key(0), "rope")
    windows = jax.random.randint(jax.random.key(1), (2, 9), 0, 256)
    of_rope = jax.jit(small.nats_per_byte, static_argnums=2)
    loss = lambda rope: of_rope(params, windows, "rope", rope)
    np.testing.assert_array_equal(loss(small.trained_rope()), loss(None))
    assert not np.array_equal(loss(small.extended_rope("linear")), loss(None))


@pytest.mark.slow  # compiles a step of training
def test_sigterm_in_training_draws_the_losses_so_far(
    small, tmp_path, monkeypatch, capsys
):
    output, windows_at = tmp_path / "out.png", small.windows_at
    seen = []

    def terminated(*args):  # by a signal that comes while the second step is prepared
        seen.append(args)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGTERM)
        return windows_at(*args)

    monkeypatch.setattr(small, "windows_at", terminated)
    arguments = ["it", "--steps", "50", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    before = signal.getsignal(signal.SIGTERM)
    with jax.numpy_dtype_promotion("standard"):  # other people's code
        assert small.main() == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert output.stat().st_size > 10_000
    assert "Terminated after 2 steps; saving what there is." in capsys.readouterr().out
    assert len(seen) == 2  # nothing is measured


def test_sigterm_after_training_draws_what_was_measured(small, tmp_path, monkeypatch):
    output = tmp_path / "out.png"
    params = small.Params(None, None, ())
    trained = lambda *_: (params, [3.0, 2.0], small.program.Stop())
    monkeypatch.setattr(small, "train", trained)

    def terminated(*_):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(small, "bits_by_position", terminated)
    monkeypatch.setattr(sys, "argv", ["it", "--output", str(output)])
    with pytest.raises(SystemExit) as caught:
        small.main()
    assert caught.value.code == 128 + signal.SIGTERM
    assert output.stat().st_size > 10_000
