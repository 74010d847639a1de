"""The pictures of position biases."""

import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")


def test_it_draws_some_of_the_schemes(example, tmp_path, monkeypatch, capsys):
    output = tmp_path / "out.png"
    arguments = ["it", "ALiBi", "Sandwich", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    example.main()
    assert output.stat().st_size > 5_000
    assert f"Wrote {output}." in capsys.readouterr().out


@pytest.mark.slow  # sixteen programs
def test_every_scheme_has_a_matrix_with_numbers_that_differ(example):
    for name, make in example.SCHEMES.items():
        matrix = np.asarray(make())
        assert matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1], name
        assert np.nanstd(matrix) > 0, name
        after = np.triu(np.ones(matrix.shape, bool), 1)
        causal = name in ("Forgetting Transformer", "CoPE")
        assert (np.isnan(matrix) == (after & causal)).all(), name


def test_another_name_is_refused(example, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["it", "BERT"])
    with pytest.raises(SystemExit):
        example.main()
    assert "'BERT' must be one of T5, ALiBi" in capsys.readouterr().err
