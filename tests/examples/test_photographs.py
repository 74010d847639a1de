"""The parts of the example, and the whole with hardly any training."""

import sys

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attnax.functional as F

for _package in ("matplotlib", "optax", "PIL", "sklearn", "tqdm"):
    pytest.importorskip(_package)

# It mixes float32 data with parameters of the default dtype, under strict promotion.
pytestmark = pytest.mark.skipif(jax.config.jax_enable_x64, reason="in 64-bit mode")


@pytest.fixture(scope="module")
def photographs(example):
    return example.load_photographs()


def test_photographs_rejoin_bit_for_bit(example, photographs):
    assert sorted(photographs) == ["china", "flower"]
    for photograph in photographs.values():
        assert photograph.shape == (427, 640, 3)
        patches, grid = example.cut_and_rejoin(photograph)
        assert patches.shape == (1080, 768) and grid == (27, 40)
        np.testing.assert_array_equal(
            patches[41].reshape(16, 16, 3), photograph[16:32, 16:32]
        )


def test_views_are_mean_colors_of_patches(example, photographs):
    seen = example.views(list(photographs.values()), 6, seed=0)
    assert seen.shape == (6, 96, 3)
    assert 0 <= seen.min() < seen.max() <= 1
    np.testing.assert_array_equal(
        seen, example.views(list(photographs.values()), 6, seed=0)
    )
    image = np.arange(5 * 7 * 3, dtype=np.float32).reshape(5, 7, 3)
    colors = example.mean_colors(image, 2)
    assert colors.shape == (2, 3, 3)
    block = image[2:4, 4:6].astype(np.float64)
    np.testing.assert_allclose(colors[1, 2], block.mean((0, 1)), rtol=1e-6)


def test_guesses_are_averages_of_what_is_seen(example):
    table = jnp.array([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    colors = jnp.array([[0.1], [0.2], [0.7], [0.9]])
    is_hidden = jnp.array([True, False, True, False])
    guesses = example.guess(table, colors, is_hidden)
    # e ** 81 to one: the visible neighbor alone.
    np.testing.assert_allclose(guesses[:, 0], [0.2, 0.2, 0.9, 0.9], rtol=1e-6)


def test_training_makes_neighbors_similar(example, photographs):
    seen = jnp.asarray(example.views(list(photographs.values()), 500, seed=0))
    with jax.numpy_dtype_promotion("standard"):  # other people's code
        positions, stop = example.train(seen, 200, seed=0)
    assert not stop.is_set()
    resized = F.resize_positions(
        positions.weight, (8, 12), (27, 40), example.RESAMPLING
    )
    for table, grid in ((positions.weight, (8, 12)), (resized, (27, 40))):
        values, (row, column) = example.similarity(np.asarray(table), grid, (0.5, 0.4))
        np.testing.assert_allclose(values[row, column], 1.0, rtol=1e-5)
        assert values[row, column + 1] > values[row, -1]
        assert values[row - 1, column] > values[0, column]
    china = photographs["china"]
    is_hidden = np.random.default_rng(0).random(1080) < 0.5
    filled, error = example.fill_in(resized, china, is_hidden)
    _, flat_error = example.fill_in(jnp.zeros_like(resized), china, is_hidden)
    assert error < 0.5 * flat_error
    padded = np.pad(china, ((0, 5), (0, 0), (0, 0)))
    colors = example.mean_colors(example.as_floats(padded), 16)
    visible = ~is_hidden.reshape(27, 40)
    np.testing.assert_array_equal(filled[visible], colors[visible])


def test_photographs_are_embedded_with_resized_positions(example, photographs):
    zeros = F.LearnedPositionalEmbeddingParams(host.zeros((96, 32)))
    table = jax.random.normal(jax.random.key(0), (96, 32))
    positions = F.LearnedPositionalEmbeddingParams(table)
    without, tokens = (
        example.embed(photographs["flower"], p, 0) for p in (zeros, positions)
    )
    expected = F.resize_positions(table, (8, 12), (27, 40), example.RESAMPLING)
    assert tokens.shape == (1080, 32)
    np.testing.assert_allclose(tokens - without, expected, atol=1e-5)


def test_it_draws(example, tmp_path, monkeypatch, capsys):
    output = tmp_path / "out.png"
    arguments = ["it", "--steps", "5", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    with jax.numpy_dtype_promotion("standard"):
        example.main()
    assert output.stat().st_size > 100_000
    printed = capsys.readouterr().out
    assert "china: 427 x 640 pixels, 1,080 patches; rejoined." in printed
    assert "embedded as (1080, 32)" in printed
