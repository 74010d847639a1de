"""The parts of the example that need no training, and its page."""

import json
import signal
import sys
from pathlib import Path

import equinox as eqx
import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attnax.functional as F

for _package in ("optax", "sklearn", "tqdm"):
    pytest.importorskip(_package)

# It mixes float32 data with parameters of the default dtype, under strict promotion.
pytestmark = pytest.mark.skipif(jax.config.jax_enable_x64, reason="in 64-bit mode")
_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def embedding(example):
    return eqx.filter_jit(example.VisionTransformer)(jax.random.key(0)).embedding


def images_of(height, width):
    rng = np.random.default_rng(1)
    return host.asarray(rng.uniform(size=(3, height, width, 1)), jnp.float32)


def test_no_image_is_on_both_sides(example):
    (images, labels), (held_out, answers) = example.load_images()
    assert len(images) + len(held_out) == 1797
    assert 0.2 < len(held_out) / 1797 < 0.25
    assert len(images) == len(labels) and len(held_out) == len(answers)
    assert not {i.tobytes() for i in images} & {i.tobytes() for i in held_out}
    assert set(answers) == set(range(10))
    assert images.min() == 0 and images.max() == 1


def test_distorted_images_are_other_images_of_the_same_size(example):
    (images, _), _ = example.load_images()
    one, other = (example.distort(jax.random.key(k), images[0]) for k in (0, 1))
    assert one.shape == (8, 8, 1)
    assert not np.array_equal(one, other)
    assert 0 <= one.min() < one.max() <= 1


def test_at_the_trained_size_all_ways_agree(example, embedding):
    images = images_of(8, 8)
    expected = np.asarray(eqx.filter_jit(embedding)(images))
    for way in example.WAYS:
        actual = eqx.filter_jit(way)(embedding, images)
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_whole_runs_of_images_are_held_out(example):
    (images, _), (held_out, _) = example.load_images()
    digits = example.load_digits().images[..., None] / 16
    start = 2 * example.RUN
    np.testing.assert_allclose(
        held_out[: example.RUN], digits[start : start + example.RUN]
    )
    np.testing.assert_allclose(images[:start], digits[:start])


def test_distorted_images_are_upright_and_in_place(example):
    """On average a bright pixel stays where it is; a quarter turn would move it."""
    image = np.zeros((8, 8, 1), np.float32)
    image[1, 4] = 1.0
    keys = jax.random.split(jax.random.key(0), 400)
    mean = np.asarray(jax.vmap(example.distort, (0, None))(keys, image)).mean(0)[..., 0]
    rows, columns = np.indices(mean.shape)
    center = [(mean * axis).sum() / mean.sum() for axis in (rows, columns)]
    np.testing.assert_allclose(center, [1, 4], atol=0.5)


def test_ways_differ_where_they_should(example, embedding):
    images = images_of(8, 12)
    resized, patches, swapped, read_on = (
        eqx.filter_jit(way)(embedding, images) for way in example.WAYS
    )
    assert resized.shape == swapped.shape == read_on.shape == (3, 25, 48)
    assert patches.shape == (3, 17, 48)  # as many as trained
    assert not np.allclose(resized, swapped) and not np.allclose(resized, read_on)
    assert example.patches_resized(embedding, images_of(6, 8)) is None


def test_mistakes_are_what_they_say(example, embedding):
    images, resampling = images_of(8, 12), embedding.resampling
    bare = example.with_table(embedding, images, host.zeros((25, 48)))
    table = embedding.params.positions.weight
    rows = np.asarray(example.rows_read_on(embedding, images) - bare)
    for token in (0, 1, 16, 17, 24):
        expected = table[min(token, 16)]
        np.testing.assert_allclose(rows[0, token], expected, atol=1e-6)
    swapped = example.axes_swapped(embedding, images) - bare
    expected = F.resize_positions(
        table, (4, 4), (6, 4), resampling, num_prefix_tokens=1
    )
    np.testing.assert_allclose(swapped[1], expected, atol=1e-6)


def test_larger_patches_see_what_the_trained_ones_see(example, embedding):
    """Enlarged by repeating pixels, for which the product is kept."""
    images = images_of(8, 8)
    tokens = example.patches_resized(
        embedding, jax.image.resize(images, (3, 16, 8, 1), "linear")
    )
    expected = embedding(images)
    assert np.abs(tokens - expected).mean() < 0.3 * np.abs(expected).mean()


def test_a_few_steps_train_and_are_recorded(example, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example, "SIZES", ((8, 8), (6, 8)))
    monkeypatch.setattr(example, "NUM_LAYERS", 1)
    path = tmp_path / "runs.jsonl"
    monkeypatch.setattr(sys, "argv", ["it", "--steps", "20", "--json", str(path)])
    with jax.numpy_dtype_promotion("standard"):  # other people's code
        example.main()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["size"] for line in lines] == [[8, 8], [6, 8]]
    shares = [lines[0][way.__name__] for way in example.WAYS]
    assert shares[0] == shares[2] == shares[3] > 0.1
    assert lines[1]["patches_resized"] is None and lines[1]["steps"] == 20
    assert "  6 x 8  " in capsys.readouterr().out


def test_sigterm_leaves_the_size_that_it_was_trained_at(example, tmp_path, monkeypatch):
    stop, path = example.program.Stop(), tmp_path / "runs.jsonl"
    stop.signal = signal.SIGTERM
    monkeypatch.setattr(example, "train", lambda *_: ("model", 7, stop))
    shares = dict.fromkeys((way.__name__ for way in example.WAYS), 0.5)
    monkeypatch.setattr(example, "accuracies", lambda *_: shares)
    monkeypatch.setattr(sys, "argv", ["it", "--json", str(path)])
    assert example.main() == 128 + signal.SIGTERM
    (line,) = map(json.loads, path.read_text().splitlines())
    assert (line["size"], line["steps"]) == ([8, 8], 7)


def test_a_batch_is_read_as_each_image(example, monkeypatch):
    monkeypatch.setattr(example, "NUM_LAYERS", 1)
    model = eqx.filter_jit(example.VisionTransformer)(jax.random.key(0))
    images = images_of(6, 10)
    logits = eqx.filter_jit(eqx.filter_vmap(model))(images)
    tokens = eqx.filter_jit(model.embedding)(images)
    one_by_one = jax.vmap(model.classify)(tokens)
    np.testing.assert_allclose(logits, one_by_one, atol=1e-5)


def test_figures_of_the_page_are_those_recorded(example):
    path = _ROOT / "benchmarks" / "results" / "vision_transformer.jsonl"
    page = (_ROOT / "docs/examples/vision_transformer.md").read_text()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [tuple(line["size"]) for line in lines] == list(example.SIZES)
    for line in lines:
        shares = [line[way.__name__] for way in example.WAYS]
        cells = ("" if share is None else f"{share:.3f}" for share in shares)
        row = "|".join(f" {cell} " if cell else " " for cell in cells)
        height, width = line["size"]
        assert f"| {height} x {width} |{row}|\n" in page
    assert f"{lines[0]['train']:,} digits" in page
    assert f"{lines[0]['held_out']} held out" in page
    assert f"jax {lines[0]['jax']}" in page and lines[0]["steps"] == 1500
    assert lines[0]["positions_resized"] >= 0.95
