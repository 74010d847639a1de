"""Results that have no place are refused before anything is measured."""

import sys

import pytest

from benchmarks.device import __main__ as device
from benchmarks.report.places import missing_place


def test_places_that_are_missing_are_named(tmp_path):
    assert missing_place(None) is None
    assert missing_place(str(tmp_path / "a.jsonl")) is None
    (tmp_path / "a.jsonl").write_text("")
    assert missing_place(str(tmp_path / "a.jsonl")) is None
    assert "must be a file, not a folder" in missing_place(str(tmp_path))
    assert "must be in a folder that exists" in missing_place(f"{tmp_path}/b/a.jsonl")


@pytest.mark.parametrize("option", ("--json", "--plot"))
def test_the_commands_say_so_first(option, tmp_path, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    from benchmarks import __main__ as whole

    for command in whole, device:
        if (command, option) == (device, "--plot"):  # which draws nothing
            continue
        monkeypatch.setattr(command, "run", None)  # nothing is measured
        monkeypatch.setattr(sys, "argv", ["it", "--quick", option, f"{tmp_path}/b/a"])
        with pytest.raises(SystemExit) as caught:
            command.main()
        assert caught.value.code == 2
        assert "b/a must be in a folder that exists" in capsys.readouterr().err
