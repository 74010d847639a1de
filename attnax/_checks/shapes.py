"""Shapes: axes that must be there, widths that must agree, and broadcasting."""


def check_axis(name: str, array, axis: str = "seq_len") -> None:
    """Raises unless `array` has a last axis, `axis`, to count along."""
    if array.ndim == 0:
        raise ValueError(f"{name}.shape=() must be (..., {axis}).")


def check_width(name: str, array, table_name: str, table) -> None:
    """Raises unless the last axis of `array` is as long as that of `table`."""
    if array.shape[-1:] != table.shape[-1:]:
        raise ValueError(
            f"{name}.shape={array.shape} must end in the width of "
            f"{table_name}.shape={table.shape}."
        )


def broadcasts_to(shape, wanted) -> bool:
    """Whether an array of `shape` broadcasts to `wanted` without enlarging it."""
    pairs = zip(reversed(shape), reversed(wanted), strict=False)
    return len(shape) <= len(wanted) and all(n in (1, m) for n, m in pairs)
