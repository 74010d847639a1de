"""Pictures of benchmark records."""

import itertools

import pytest
from benchmark_records import timed

from benchmarks.report.rows import origin, rows

pytest.importorskip("matplotlib")

from benchmarks.report.panels import suite_panels, whole_panel
from benchmarks.report.plot import draw, plot, plot_rows, styles

RIVALS = (
    "concatenation",
    "equinox.nn",
    "flax.nnx",
    "torch, eager",
    "torch, compiled",
    "transformers, eager",
    "transformers, compiled",
)


def many(suite, models, **options):
    """Returns as many cases and rivals as a suite has, with the longest names."""
    parts = itertools.product(
        models, ("half", "interleaved"), ("float32", "bfloat16"), ("forward", "grad")
    )
    for count, case in enumerate(parts):
        ratios = {name: (2.0 + i + count, 0.5 + i) for i, name in enumerate(RIVALS)}
        ratios["attnax"] = (1.0 + count / 10, 0.3)
        yield from timed(
            f"{suite} {', '.join(case)}", ratios, suite=suite, target=1.5, **options
        )


MODELS = ("Llama-3-8B", "a model of 8 images of at most 256 patches, antialiased")
RECORDS = [
    *many("rotation", MODELS, limit="copy"),
    *many("lookup", MODELS[:1], limit="float32 zeros plus rows"),
    *timed("lookup of two", {f"{n}, {n}": 2.0 for n in RIVALS}, suite="lookup"),
    *timed("lookup of one token", {"attnax": 0.1}, suite="lookup", limit="gather"),
]


def texts(figure):
    """Every text that is seen, with the box around it in pixels."""
    figure.canvas.draw()
    found = [*figure.texts, *(t for legend in figure.legends for t in legend.texts)]
    for axes in figure.axes:
        found += [*axes.get_yticklabels(), *axes.texts]
        found += [t for t in axes.get_xticklabels() if t.get_position()[0] > 0]
    boxes = {t: t.get_window_extent() for t in found if t.get_text()}
    width = figure.bbox.width
    return {t: box for t, box in boxes.items() if -width < box.x0 < width}


@pytest.mark.parametrize("together", (False, True))
def test_no_text_is_cut_or_covers_another(together):
    found = rows(RECORDS)
    panels = [whole_panel(found)] if together else suite_panels(RECORDS)
    figure = draw(panels, origin(RECORDS), styles(RECORDS))
    boxes = texts(figure)
    assert len(boxes) > 2 * len(found)
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width, text
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height, text
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
        assert apart, (one, other)


def test_height_follows_the_number_of_cases():
    few = draw(suite_panels(RECORDS[:9]), "", styles(RECORDS))
    all_of_them = draw(suite_panels(RECORDS), "", styles(RECORDS))
    assert all_of_them.bbox.height > 3 * few.bbox.height
    assert all_of_them.bbox.width == few.bbox.width


def test_what_a_suite_has_in_common_stands_in_its_title():
    rotation, lookup = suite_panels(RECORDS)
    assert rotation.title == "rotation, multiples of: copy"
    assert rotation.labels[0] == ["Llama-3-8B, half, float32, forward"]
    assert lookup.labels[-1] == ["of one token", "(limit: gather)"]


def test_a_single_case_keeps_a_label():
    (panel,) = suite_panels(list(timed("cos and sin, 8k", {"attnax": 0.1})))
    assert panel.title.startswith("cos and sin,") and panel.labels == [["8k"]]


def test_styles_differ_and_stay_in_parts_of_the_records():
    style = styles(list(timed("a", {f"rival {i}": 2.0 for i in range(42)})))
    pairs = {(of["color"], of["marker"]) for of in style.values()}
    assert len(pairs) == 43
    assert list(styles(RECORDS))[:3] == ["attnax", *RIVALS[:2]]


@pytest.mark.parametrize("suffix", (".png", ".svg"))
def test_older_records_are_drawn_and_counted_ones_left_out(tmp_path, suffix):
    records = [*timed("a", {"attnax": 1.0, "torch": 2.0}), {"case": "a count"}]
    plot(records, tmp_path / f"by_suite{suffix}")
    plot_rows(rows(records), records, tmp_path / f"together{suffix}")
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


def test_a_spread_below_zero_is_drawn():
    records = list(timed("a", {"attnax": (0.2, 1.0), "torch": (2.0, 9.0)}))
    (axes,) = draw(suite_panels(records), "", styles(records)).axes
    assert axes.get_xlim()[0] > 0


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no timings"):
        plot([{"case": "a count"}], tmp_path / "empty.png")
