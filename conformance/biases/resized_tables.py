"""Tables of window biases resized to another window, by the rules of their users."""

import numpy as np

from ..embeddings.records import Record

HEADS = 2
# Larger, smaller, one of each, no squares, one axis as it was, and far larger: there
# the geometric grid does not reach the new edges.
SQUARES = [((4, 4), (7, 7)), ((7, 7), (4, 4)), ((5, 5), (6, 6)), ((3, 3), (8, 8))]
WINDOWS = [*SQUARES, ((3, 5), (6, 4)), ((4, 4), (3, 6)), ((4, 4), (4, 6))]


def records():
    """One for each rule and pair of windows."""
    for rule in (_bicubic, _bilinear, _simple, _levit, _geometric, _geometric_cubic):
        yield from rule()
    yield from _decomposed()


def _table(rows):
    return np.random.default_rng(0).normal(size=(rows, HEADS)).astype(np.float32)


def _lengths(window):
    return [2 * side - 1 for side in window]


def _record(source, method, table, expected, **options):
    sizes = [
        options[n]
        for n in ("old_window", "new_window", "old_len", "new_len")
        if n in options
    ]
    name = (
        f"{method}: {sizes[0]} to {sizes[1]}, extra rows {options.get('extra_rows', 0)}"
    )
    arrays = {"table": table, "expected": np.asarray(expected, np.float32)}
    return Record(name, source, {"method": method, **options}, arrays)


def _by_torch(method, source, extra_rows=0, **settings):
    """The grid of distances as a picture; the rows of the class token as they are."""
    import torch

    for old, new in WINDOWS:
        grid = _lengths(old)
        table = _table(grid[0] * grid[1] + extra_rows)
        picture = torch.tensor(table[: grid[0] * grid[1]].T.reshape(1, HEADS, *grid))
        made = torch.nn.functional.interpolate(
            picture, size=_lengths(new), align_corners=False, **settings
        )
        made = made.reshape(HEADS, -1).numpy().T
        made = np.concatenate([made, table[len(table) - extra_rows :]])
        options = {"old_window": old, "new_window": new, "extra_rows": extra_rows}
        yield _record(
            f"torch {torch.__version__}, {source}", method, table, made, **options
        )


def _bicubic():
    """Swin's `load_pretrained`."""
    source = "interpolate as in load_pretrained of Swin"
    yield from _by_torch("bicubic", source, mode="bicubic")


def _bilinear():
    """BEiT and data2vec in transformers, at every size but the trained one."""
    source = "interpolate as in BeitRelativePositionBias"
    yield from _by_torch("bilinear", source, extra_rows=3, mode="bilinear")


def _of_timm(method, function, windows, extra_rows, **settings):
    import importlib.metadata

    import torch

    source = f"timm {importlib.metadata.version('timm')}, {function.__name__}"
    for old, new in windows:
        rows, new_rows = (int(np.prod(_lengths(w))) + extra_rows for w in (old, new))
        table = _table(rows)
        more = {"old_window_size": old} if settings.get("old") else {}
        made = function(torch.tensor(table), new, (new_rows, HEADS), **more)
        options = {"old_window": old, "new_window": new, "extra_rows": extra_rows}
        yield _record(source, method, table, made, **options)


def _simple():
    from ..embeddings.sources import file_of_timm

    function = file_of_timm("layers.pos_embed_rel").resize_rel_pos_bias_table_simple
    yield from _of_timm("bicubic", function, SQUARES, extra_rows=3)


def _geometric():
    from ..embeddings.sources import file_of_timm

    function = file_of_timm("layers.pos_embed_rel").resize_rel_pos_bias_table
    for extra_rows in (0, 3):
        yield from _of_timm("geometric linear", function, WINDOWS, extra_rows, old=True)


def _levit():
    """Tables of distances without signs: a row of a grid for each pair of sizes."""
    import importlib.metadata

    import torch

    from ..embeddings.sources import file_of_timm

    function = file_of_timm("layers.pos_embed_rel").resize_rel_pos_bias_table_levit
    source = f"timm {importlib.metadata.version('timm')}, {function.__name__}"
    for old, new in ((5, 8), (8, 5), (4, 7)):
        table = _table(old * old)
        made = function(torch.tensor(table), (new * new, HEADS))
        options = {"old_window": (old, old), "new_window": (new, new)}
        yield _record(source, "offsets", table, made, **options)


def _geometric_cubic():
    """BEiT's own: splines through the grid, as `interp2d(kind="cubic")` drew them.

    SciPy has no `interp2d` since 1.14, and names `RectBivariateSpline` in its place.
    """
    import scipy.interpolate

    source = f"scipy {scipy.__version__}, RectBivariateSpline on the grid of BEiT"
    for old, new in WINDOWS:
        grid, new_grid = _lengths(old), _lengths(new)
        known = [
            _geometric_distances(*sizes) for sizes in zip(grid, new_grid, strict=True)
        ]
        asked = [np.arange(-(size // 2), size // 2 + 1.0) for size in new_grid]
        table = _table(grid[0] * grid[1] + 3)
        made = np.empty((new_grid[0] * new_grid[1] + 3, HEADS))
        made[-3:] = table[-3:]
        for head in range(HEADS):
            values = table[:-3, head].reshape(grid)
            # Where the grid ends before the new edge, the value at its end goes on.
            spline = scipy.interpolate.RectBivariateSpline(*known, values)
            made[:-3, head] = spline(*asked).reshape(-1)
        options = {"old_window": old, "new_window": new, "extra_rows": 3}
        yield _record(source, "geometric cubic", table, made, **options)


def _geometric_distances(old, new):
    """0, 1, 1 + q, 1 + q + q^2, ... with signs; q is found by BEiT's bisection."""
    left, right = 1.01, 1.5
    while right - left > 1e-6:
        q = (left + right) / 2.0
        if (1.0 - q ** (old // 2)) / (1.0 - q) > new // 2:
            right = q
        else:
            left = q
    distances = np.cumsum([q**i for i in range(old // 2)])
    return np.concatenate([-distances[::-1], [0.0], distances])


def _decomposed():
    """A table for one axis, to the length that its queries and keys need."""
    import torch

    source = f"torch {torch.__version__}, interpolate as in get_rel_pos of ViTDet"
    for old, new in ((9, 15), (15, 9), (9, 10), (27, 127), (127, 27)):
        table = _table(old)
        made = torch.nn.functional.interpolate(
            torch.tensor(table.T[None]), size=new, mode="linear"
        )
        yield _record(
            source, "linear", table, made[0].numpy().T, old_len=old, new_len=new
        )
