"""The example on a few of the host devices, and once as a program on eight."""

import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

for _package in ("matplotlib", "optax", "orbax.checkpoint", "tqdm"):
    pytest.importorskip(_package)

# It mixes float32 data with parameters of the default dtype, under strict promotion.
pytestmark = pytest.mark.skipif(jax.config.jax_enable_x64, reason="in 64-bit mode")
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SEED, STEPS = 0, 6


@pytest.fixture(scope="module")
def text(example):
    return example.model.load_text()[0]


@pytest.fixture
def small(example, monkeypatch):
    sizes = dict(SEQ_LEN=8, D_MODEL=16, NUM_LAYERS=1, NUM_HEADS=2, HEAD_DIM=8)
    for name, size in sizes.items():
        monkeypatch.setattr(example.model, name, size)
    monkeypatch.setattr(example, "ROWS", 50)
    monkeypatch.setattr(example, "MEMORY_WIDTH", 4)
    # For the attention of `jax.nn`, and for Adam of optax.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield example


def test_a_mesh_trains_as_one_device_and_goes_on_as_another(small, text, tmp_path):
    _, expected, _ = small.train(small.Trainer(1, 1, SEED, STEPS), text)
    half = small.Trainer(2, 2, SEED, STEPS // 2)
    with small.checkpoints_in(tmp_path) as checkpoints:
        _, before, _ = small.train(half, text, checkpoints)
    with small.checkpoints_in(tmp_path) as checkpoints:
        whole = small.Trainer(1, 2, SEED, STEPS)
        first, after, _ = small.train(whole, text, checkpoints)
    assert first == STEPS // 2
    np.testing.assert_allclose([*before, *after], expected, rtol=1e-5)


def test_steps_depend_on_no_number_of_steps_and_go_on_with_their_seed(
    small, text, tmp_path
):
    short, long = (small.Trainer(1, 1, SEED, steps) for steps in (2, 500))
    windows = jax.device_put(small.windows_of(text, SEED, 0), short.batches)
    results = []
    for trainer in (short, long):
        late = lambda x: x + 150 if x.dtype == np.int32 else x  # after the warmup
        state = trainer.init()
        state = state._replace(of_model=jax.tree.map(late, state.of_model))
        state, _ = trainer.step(state, windows)
        results.append(np.asarray(state.params.model.tokens.weight))
    np.testing.assert_array_equal(*results)
    with small.checkpoints_in(tmp_path) as checkpoints:
        small.train(short, text, checkpoints)
        with pytest.raises(SystemExit, match="of --seed 0, not 1; pass that seed"):
            small.train(small.Trainer(1, 1, SEED + 1, 3), text, checkpoints)


def test_rows_that_no_step_reads_stay_as_they_are(small, text):
    trainer = small.Trainer(1, 2, SEED, 1)
    before = jax.tree.map(np.asarray, trainer.init())
    windows = small.windows_of(text, SEED, 0)
    state, _ = trainer.step(trainer.init(), jax.device_put(windows, trainer.batches))
    read = np.unique(small.F.ngram_row_ids(windows[:, :-1], small.hashing()))
    unread = np.setdiff1d(np.arange(len(before.params.memory.weight)), read)
    assert len(unread) > 10
    for old, new in (
        (before.params.memory, state.params.memory),
        *zip(*map(jax.tree.leaves, (before.of_memory, state.of_memory)), strict=True),
    ):
        old, new = (np.asarray(jax.tree.leaves(leaf)[0]) for leaf in (old, new))
        np.testing.assert_array_equal(new[unread], old[unread])
        assert (new[read] != old[read]).any(-1).all()


def test_tables_and_their_states_are_in_shards(small):
    trainer = small.Trainer(1, 2, SEED, 1)
    state = trainer.init()
    for leaf in (
        state.params.model.tokens.weight,
        state.params.memory.weight,
        *jax.tree.leaves(state.of_memory),
    ):
        (shard, _) = leaf.addressable_shards
        assert shard.data.shape[0] == leaf.shape[0] // 2


def test_wrong_counts_are_a_line(example, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["example", "--data", "3"])
    with pytest.raises(SystemExit):
        example.parse_arguments()
    assert "--data must divide 8" in capsys.readouterr().err


@pytest.mark.slow
def test_each_of_50_losses_on_eight_devices_is_that_of_one(tmp_path):
    command = [sys.executable, str(EXAMPLES / "sharded_language_model.py")]
    command += ["--compare", "--output", str(tmp_path / "picture.png")]
    variables = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    (found,) = re.findall(
        r"losses of 50 steps differ from one .* by (.*)\.", run.stdout
    )
    assert float(found) < 1e-5
    assert (tmp_path / "picture.png").stat().st_size > 10_000
