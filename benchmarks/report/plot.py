"""Pictures of the ratios to the limit, for the documentation."""

import math
import os

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .panels import Panel, suite_panels, whole_panel
from .rows import Row, half_spread, missed, origin, rows
from .tables import number

# Okabe and Ito's colors, told apart by the color-blind; black is kept for attnax. Six
# and seven have no common factor: no pair comes back before all 42 were used.
COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("s", "^", "D", "v", "p", "<", ">")
# Rivals are hollow and larger, so that a point never hides another.
OURS = {"color": "black", "marker": "o", "markersize": 6}
RIVAL = {"fillstyle": "none", "markersize": 8, "markeredgewidth": 1.4}
TARGET = {"color": "#B00020", "marker": "|", "markersize": 11, "markeredgewidth": 2}

# In inches. 900 pixels of a page are 9 inches of 100, and letters of 8 points 11 high.
WIDTH, MARGIN, LABELS, VALUES = 9.0, 0.12, 3.7, 0.6
TITLE, LEGEND, PANEL = 0.4, 0.21, 0.66
MARK, LETTER = 0.5, 0.073  # of the legend, whose letters have 9 points
DPI = 150


def plot(
    records: list[dict], path: str | os.PathLike, style: dict[str, dict] | None = None
) -> None:
    """Draws a panel per suite and a line per case; what was counted is left out."""
    figure = draw(suite_panels(records), origin(records), style or styles(records))
    figure.savefig(path, dpi=DPI)


def plot_rows(
    rows: list[Row],
    records: list[dict],
    path: str | os.PathLike,
    style: dict[str, dict] | None = None,
) -> None:
    """Draws some rows of the records in one panel, with whole names and limits."""
    figure = draw([whole_panel(rows)], origin(records), style or styles(records))
    figure.savefig(path, dpi=DPI)


def styles(records: list[dict]) -> dict[str, dict]:
    """Color and marker of every program but the limits, by order of appearance.

    Pictures of parts of the records agree if they get the styles of the whole.
    """
    names = dict.fromkeys(name for row in rows(records) for name in row.programs)
    names.pop("attnax", None)
    others = {
        name: {
            "color": COLORS[i % len(COLORS)],
            "marker": MARKERS[i % len(MARKERS)],
            **RIVAL,
        }
        for i, name in enumerate(names)
    }
    return {"attnax": OURS, **others}


def draw(panels: list[Panel], title: str, style: dict[str, dict]) -> Figure:
    """The picture, as high as its rows need."""
    if not panels:
        raise ValueError("plot: no timings among the records.")
    drawn = {name for panel in panels for row in panel.rows for name in row.programs}
    style = {name: of for name, of in style.items() if name in drawn}
    targets = any(row.target for panel in panels for row in panel.rows)
    entries = {**style, **({"target": TARGET} if targets else {})}
    columns = max(int(WIDTH / (MARK + LETTER * max(map(len, entries)))), 1)
    top = TITLE + LEGEND * math.ceil(len(entries) / columns)
    height = top + sum(PANEL + panel.height for panel in panels)
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)

    def write(x, below, text, **options):
        figure.text(x / WIDTH, 1 - below / height, text, fontweight="bold", **options)

    write(MARGIN, 0.13, title, va="top", fontsize=10)
    _legend(figure, entries, columns, 1 - (TITLE - 0.08) / height)
    limits, below = _range(panels), top
    for panel in panels:
        below += PANEL / 2
        write(MARGIN, below - 0.06, panel.title, fontsize=9)
        write(WIDTH - VALUES + 0.05, below - 0.06, "attnax", fontsize=8)
        left, below = LABELS + MARGIN, below + panel.height
        size = (WIDTH - left - VALUES) / WIDTH, panel.height / height
        axes = figure.add_axes((left / WIDTH, 1 - below / height, *size))
        _draw_panel(axes, panel, style, limits)
        below += PANEL / 2
    return figure


def _legend(figure, entries, columns, top):
    figure.legend(
        [Line2D([], [], linestyle="none", **of) for of in entries.values()],
        list(entries),
        loc="upper left",
        bbox_to_anchor=(0.0, top),
        ncols=columns,
        frameon=False,
        fontsize=9,
        columnspacing=1.5,
        handletextpad=0.4,
        labelspacing=0.35,
    )


def _range(panels):
    """Returns the range of all ratios and targets, which includes the limit."""
    found = [row for panel in panels for row in panel.rows]
    values = [1.0, *(r["ratio"] for row in found for r in row.programs.values())]
    values += [row.target for row in found if row.target]
    return min(values) / 1.25, max(values) * 1.25


def _draw_panel(axes, panel, style, limits):
    axes.set_xscale("log")
    axes.set_xlim(limits)
    axes.set_ylim(panel.height, 0)
    axes.axvline(1.0, color="black", linewidth=1, zorder=1)
    for row, y in zip(panel.rows, panel.middles, strict=True):
        _draw_row(axes, row, y, style, limits[0])
    labels = ["\n".join(lines) for lines in panel.labels]
    axes.set_yticks(panel.middles, labels, fontsize=8, linespacing=1.1)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_locator(LogLocator(subs=_ticks(limits[1] / limits[0])))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)


def _ticks(ratio):
    """Multiples of each power of ten that a range has room for."""
    if ratio < 6:
        return (1, 1.5, 2, 3, 5, 7)
    return (1, 2, 5) if ratio < 1000 else (1,)


def _tick(value, _):
    return "the limit" if value == 1 else f"{number(value)}x"


def _draw_row(axes, row, y, style, smallest):
    for name, record in row.programs.items():
        ratio, half = record["ratio"], half_spread(record)
        # A bar that reaches below zero has no end on this scale: it goes to the edge.
        left = min(half, max(ratio - smallest, 0))
        axes.errorbar(
            ratio,
            y,
            xerr=[[left], [half]] if half else None,
            elinewidth=1,
            linestyle="none",
            zorder=4 if name == "attnax" else 3,
            **style[name],
        )
    if row.target:
        axes.plot(row.target, y, **TARGET, zorder=2)
    if row.attnax:
        axes.text(
            1.02,
            y,
            f"{row.attnax['ratio']:.2f}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8,
            **({"color": TARGET["color"], "fontweight": "bold"} if missed(row) else {}),
        )
