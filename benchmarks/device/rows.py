"""Steps of an optimizer on the rows that a batch reads, and on a whole table."""

from ..bench_rows import group_of
from ..rivals.installed import available
from .sizes import Sizes


def optimizer_steps(sizes: Sizes):
    """Yields timings of a step with each optimizer."""
    if available("optax"):
        for size in sizes.stepped_tables:
            for optimizer in size.optimizers:
                yield group_of(size, optimizer)
