"""Results of accelerators on the pages, and pages without any."""

import json

import pytest

from benchmarks import pages
from benchmarks.report.device_tables import device_tables
from benchmarks.report.devices import device_report

COMMON = {"device": "a GPU", "python": "3.12.0", "jax": "0.11.0", "quick": False}


def line(kind, case, rival="attnax", dtype="bfloat16", **more):
    return {
        "kind": kind,
        "case": case,
        "dtype": dtype,
        "rival": rival,
        **more,
        **COMMON,
    }


LINES = [
    line("copy", "copy of 64 MiB", "copy", gb_per_s=2500.0, median_ms=0.05),
    line("copy", "copy of 512 MiB", "copy", gb_per_s=3012.0, median_ms=0.3),
    line("matmul", "product of 8192 x 8192", "matrix product", tflop_per_s=790.0),
    line("rotation", "halves", "copy", median_ms=0.5, share_of_copy=1.0),
    line("rotation", "halves", median_ms=0.55, share_of_copy=0.912),
    line("rotation", "halves", "concatenation", median_ms=1.1, share_of_copy=0.45),
    line("target", "halves", limit="copy", ratio=1.1, at_most=2.5, holds=True),
    line("layers", "32 layers", median_ms=4.0),
    line("layers", "32 layers", "torch, compiled", failed="RuntimeError: none"),
    line("error", "cos and sin", largest_error=1.1e-7, share_of_bound=0.9, holds=True),
    line("error", "cos and sin", "a float32 product", largest_error=0.5),
    line("error", "once", largest_error=0.0, differing=7, of=9000, holds=False),
]
MISSED = [
    line("target", "bits", limit="copy", ratio=3.0, at_most=2.5, holds=False),
    line(
        *("target", "bits"),
        limit="concatenation",
        times_as_fast=2.0,
        at_least=5.0,
        holds=False,
    ),
]


SUMMARY = [
    *LINES,
    line("rotation", "halves, backward", median_ms=1.0, share_of_copy=0.95, iqr_ms=0.1),
    line("rotation", "halves, backward", "concatenation", median_ms=0.8, iqr_ms=0.1),
    line("rotation", "pairs, backward", median_ms=1.0, share_of_copy=0.5, iqr_ms=0.1),
    line("rotation", "pairs, backward", "concatenation", median_ms=0.95, iqr_ms=0.1),
    # The same kernels once more, which count once.
    line("rotation", "halves, beside PyTorch", median_ms=1.0, share_of_copy=0.3),
    line("rotation", "forms of half", median_ms=1.0, share_of_copy=0.99),
    line("patch", "8 images, weight gradient", median_ms=1.0),
    line("patch", "8 images, weight gradient", "convolution", median_ms=0.4),
]


@pytest.mark.parametrize(
    "section, mark", ((device_report, "###"), (device_tables, "##"))
)
def test_a_section_names_its_device_versions_and_file(section, mark):
    text = section("gpu-jax-0.11.0", LINES)
    assert text.startswith(f"{mark} a GPU\n\na GPU, Python 3.12.0, jax 0.11.0, ")
    assert "`benchmarks/results/gpu-jax-0.11.0.jsonl`" in text


def test_report_says_what_is_reached_and_who_is_ahead():
    text = device_report("gpu-jax-0.11.0", SUMMARY)
    assert "A copy moves up to 3,012 GB/s." in text
    assert "A product of 8192 x 8192 in bfloat16: 790 TFLOP/s." in text
    assert "| rotation | bfloat16 | forward | 1 | 0.91 | 0.91 | 1 |\n" in text
    assert "| rotation | bfloat16 | backward | 2 | 0.50 | 0.95 | 1 |\n" in text
    # There are two cases, and in one of them both are within their spreads.
    ahead = "| rotation | bfloat16 | backward | concatenation | 1 | 2 | 0.80 | 0.95 |"
    assert ahead in text
    assert "| rotation | bfloat16 | forward | concatenation |" not in text
    of_weights = "| patches | bfloat16 | weight gradient | convolution | 1 | 1 | 0.40 |"
    assert of_weights in text
    assert "Errors beyond the bounds of the contract, 1 of 2:\n\n- once, bf" in text
    assert "All targets hold, 1 of them." in text
    assert "- 32 layers, bfloat16, torch, compiled: RuntimeError: none" in text


def test_report_where_no_rival_is_ahead_and_all_errors_are_within_bounds():
    text = device_report("gpu-jax-0.11.0", LINES[:-1])
    assert "\n\nNo rival is ahead.\n\n" in text
    assert "Errors within the bounds of the contract: all 1." in text


def test_tables_have_every_timing_and_error():
    one_token = line("rotation", "one token", median_ms=0.06)
    theirs = line("rotation", "one token", "concatenation", median_ms=0.03)
    text = device_tables("gpu-jax-0.11.0", [*LINES, one_token, theirs])
    # A table for each set of rivals; a copy is the column before them.
    assert "| case | attnax, ms | of a copy | concatenation |\n" in text
    assert "| halves, bfloat16 | 0.55 | 0.91 | 2.00 |\n" in text
    assert "| one token, bfloat16 | 0.06 |  | 0.50 |\n" in text
    assert "| case | attnax, ms |\n| --- | ---: |\n| 32 layers, bfloat16 | 4 |" in text
    assert "| cos and sin, bfloat16 | attnax | 1.1e-07 | 0.90 |\n" in text
    assert "| cos and sin, bfloat16 | a float32 product | 0.5 |  |\n" in text
    assert "| once, bfloat16 | attnax | 0 | 7 of 9,000 differ |" in text


def test_report_names_the_targets_that_do_not_hold():
    text = device_report("gpu-jax-0.11.0", LINES + MISSED)
    assert "1 of 3 targets hold; these do not:" in text
    assert "| bits | bfloat16 | copy | 3.00 | ≤ 2.5 |\n" in text
    assert "| bits | bfloat16 | concatenation | 2.00 times as fast | ≥ 5 |" in text


def test_report_of_a_run_that_was_cut_short():
    text = device_report("gpu-jax-0.11.0", LINES[:2])
    assert text.endswith("A copy moves up to 3,012 GB/s.")
    assert device_tables("gpu-jax-0.11.0", LINES[:2]).endswith(".jsonl`.")


@pytest.fixture
def page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- accelerators: all -->\n<!-- end -->\n\nAfter.\n")
    return page


def test_no_results_leave_no_gap(page, monkeypatch):
    monkeypatch.setattr(pages, "DEVICE_RUNS", {})
    assert pages.written(page) == page.read_text()


def test_results_come_and_go(page, monkeypatch, tmp_path):
    before = page.read_text()
    for name in ("gpu-jax-0.11.0", "other-jax-0.12.0"):
        lines = "".join(f"{json.dumps(found)}\n" for found in LINES)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    (tmp_path / "begun-jax-0.12.0.jsonl").touch()
    (tmp_path / "cpu-jax-0.10.2.jsonl").write_text('{"suite": "rotation"}\n')
    suites, devices = pages.runs(tmp_path)
    assert list(suites) == ["cpu-jax-0.10.2"]
    assert list(devices) == ["gpu-jax-0.11.0", "other-jax-0.12.0"]
    monkeypatch.setattr(pages, "DEVICE_RUNS", devices)
    page.write_text(pages.written(page))
    assert page.read_text().count("\n### a GPU\n") == 2
    assert pages.written(page) == page.read_text()
    monkeypatch.setattr(pages, "DEVICE_RUNS", {})
    assert pages.written(page) == before


def test_quick_results_are_refused(page, monkeypatch, tmp_path):
    path = tmp_path / "gpu-jax-0.11.0.jsonl"
    path.write_text(json.dumps({**LINES[0], "quick": True}) + "\n")
    monkeypatch.setattr(pages, "DEVICE_RUNS", pages.runs(tmp_path)[1])
    with pytest.raises(ValueError, match="is a run with --quick"):
        pages.written(page)
