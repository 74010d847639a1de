"""The pictures of wavelengths, from configs alone."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import attnax.functional as F

pytest.importorskip("matplotlib")


def test_scaled_and_plain_ropes_of_released_models(example):
    config = example.RELEASED["gpt-oss 20B"]
    scaled, plain = example.ropes_of(config, None, None)
    assert plain == F.Rope(F.default_inv_freq(64, 150_000.0))
    assert scaled.attention_factor == F.yarn_attention_factor(32.0)
    assert example.trained_length(config, None) == 4096
    config = example.RELEASED["Gemma 3 4B, global layers"]
    scaled, plain = example.ropes_of(config, "full_attention", None)
    np.testing.assert_array_equal(scaled.inv_freq, np.array(plain.inv_freq) / 8)
    assert example.trained_length(config, "full_attention") == 32_768
    unknown = {"rope_scaling": {"type": "linear", "factor": 8.0}}
    assert example.trained_length(unknown, None) is None


def test_models_with_parts_are_as_their_text(example):
    text = example.RELEASED["Llama 3.1 8B"]
    config = {"model_type": "llava", "text_config": text, "vision_config": {}}
    assert example.ropes_of(config, None, None) == example.ropes_of(text, None, None)
    assert example.trained_length(config, None) == 8192
    scaled, plain = example.ropes_of(config, None, None)
    assert scaled != plain


def test_files_of_one_folder_are_told_apart(example):
    names = [example.name_of(Path(f"/there/{n}.json")) for n in ("a", "b", "config")]
    assert names == ["a", "b", "there"]


def test_standing_pairs_are_left_out(example):
    config = example.RELEASED["Gemma 4, global layers"]
    scaled, plain = example.ropes_of(config, "full_attention", None)
    assert scaled == plain
    line = example.describe("it", scaled, 131_072)
    assert line.startswith("it: 64 of 256 pairs turn, wavelengths 6.3 to 188; 0 turn")


def test_it_draws_any_config(example, tmp_path, monkeypatch, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llama", "head_dim": 16}))
    output = tmp_path / "out.png"
    arguments = ["it", str(path), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    example.main()
    assert output.stat().st_size > 10_000
    assert "8 of 8 pairs turn" in capsys.readouterr().out


def test_errors_are_one_line(example, tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "gemma3_text"}))
    monkeypatch.setattr(sys, "argv", ["it", str(path)])
    with pytest.raises(SystemExit, match="pass layer_type, one of"):
        example.main()
    monkeypatch.setattr(sys, "argv", ["it", str(tmp_path / "missing.json")])
    with pytest.raises(SystemExit):
        example.main()
