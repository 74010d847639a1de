"""Tables and summaries of benchmark records."""

import json

import pytest
from benchmark_records import timed

from benchmarks.report.headline import HEADLINE, headline, headline_tables
from benchmarks.report.rows import origin, rows
from benchmarks.report.summary import costs, misses, rivals_ahead
from benchmarks.report.tables import report


def cells(table):
    """The lines of a table below its head, as lists of texts."""
    return [line[2:-2].split(" | ") for line in table.splitlines()[2:]]


def test_older_records_are_reported_without_a_spread():
    records = list(timed("a", {"attnax": 1.08, "torch": 2.5}, target=1.5))
    assert cells(report(records)) == [["a", "copy, 2 ms", "1.08", "≤ 1.5", "2.50"]]


def test_half_the_range_of_the_middle_half_stands_beside_the_ratio():
    records = list(timed("a", {"attnax": (1.08, 0.06)}))
    assert cells(report(records))[0][2] == "1.08\N{NO-BREAK SPACE}±0.03"


def test_a_case_without_attnax_or_a_rival_has_empty_cells():
    records = [*timed("a", {"attnax": 1.1}), *timed("b", {"torch": 2.0})]
    assert [line[2:] for line in cells(report(records))] == [
        ["1.10", "", ""],
        ["", "", "2.00"],
    ]


def test_what_was_counted_is_a_table_of_its_own():
    fact = {"suite": "accuracy", "case": "error", "attnax": 1e-7, "jax": "0.10.2"}
    assert report([*timed("a", {"attnax": 1.0}), fact]).endswith(
        "\n\n| case | attnax |\n| --- | --- |\n| error | 1e-07 |"
    )


def test_misses_are_the_cases_above_their_target():
    records = [
        *timed("above", {"attnax": (1.6, 0.2), "torch": 3.0}, target=1.5),
        *timed("at", {"attnax": 1.5}, target=1.5),
        *timed("no target", {"attnax": 9.0}),
    ]
    expected = ["above", "copy", "1.600\N{NO-BREAK SPACE}±0.10", "≤ 1.5"]
    assert cells(misses(records)) == [expected]
    assert misses(list(timed("a", {"attnax": 1.0}, target=1.5))) == "None."


def test_margins_that_are_too_small_are_misses():
    names = ("concatenation", "convolution", "no margin")
    records = list(timed("a", {"attnax": 2.0, **dict.fromkeys(names, 9.0)}))
    for record, margin in zip(records[2:], (5.0, 4.0, None), strict=True):
        record["margin"] = margin
    expected = ["a", "concatenation", "4.5 times as fast", "≥ 5"]
    assert cells(misses(records)) == [expected]


@pytest.mark.parametrize(
    ("rounds", "ahead", "listed"),
    ((25, 19, True), (25, 18, False), (7, 7, True), (7, 6, False), (3, 3, False)),
)
def test_a_rival_is_ahead_if_luck_would_not_have_it_so_often(rounds, ahead, listed):
    names = ("a rival", "attnax, sizes as data", "rotations alone, concatenation")
    ratios = {"attnax": 2.0, **dict.fromkeys(names, 1.9)}
    records = list(timed("a", ratios, rounds=rounds))
    for record in records:
        record["rounds_ahead"] = ahead
    assert [line[1] for line in cells(rivals_ahead(records))] == ["a rival"] * listed


def test_costs_show_what_the_records_know():
    older = list(timed("a", {"attnax": 1.1}))
    assert costs(rows(older)).startswith("| case | program | ms | compile ms |\n")
    newer = timed("a", {"attnax": 1.1}, temporary_bytes=3 * 2**20, kernels=2)
    assert cells(costs(rows(list(newer)))) == [
        ["a", "copy (limit)", "2", "50", "3", "2"],
        ["", "attnax", "2.2", "50", "3", "2"],
    ]


def test_headline_tables_have_the_columns_of_their_cases_alone():
    others = timed("another case", {"attnax": 1.0, "torch": 2.0})
    records = [r for case in HEADLINE for r in timed(case, {"attnax": 1.0})]
    first, _, *lines = headline_tables([*others, *records]).splitlines()
    assert first == "| case | limit | attnax | target |"
    assert [line.split(" | ")[0][2:] for line in lines] == list(HEADLINE)


def test_a_headline_case_that_was_not_timed_is_named():
    records = [r for case in HEADLINE[1:] for r in timed(case, {"attnax": 1.0})]
    with pytest.raises(ValueError, match=rf"not among the records.*{HEADLINE[0][:12]}"):
        headline(records)


def test_origin_names_every_version_once():
    records = [*timed("a", {"attnax": 1.0}), *timed("b", {"x": 1.0}, torch="2.13")]
    expected = "a CPU, 2 cores, Python 3.11.0, jax 0.10.2, PyTorch 2.13"
    assert origin(records) == expected


def test_only_picks_from_earlier_records(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tqdm")
    from benchmarks.__main__ import main

    records = [
        *timed("of the rotation", {"attnax": 1.0}),
        *timed("of the lookup", {"attnax": 1.0}, suite="lookup"),
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    arguments = ["benchmarks", "--from", str(path), "--only", "lookup"]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    out = capsys.readouterr().out
    assert "of the lookup" in out and "of the rotation" not in out
