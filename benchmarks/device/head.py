"""The loss of a head by chunks of the vocabulary, and by all logits at once."""

from dataclasses import replace
from functools import partial

from ..bench_head import groups_of
from ..rivals.head import by_chunks, gradients
from ..timing.programs import Program
from .sizes import Sizes


def losses(sizes: Sizes, dtype):
    """Yields timings of the loss and of its gradients, with chunks of two sizes.

    `temporary_bytes` of the lines is what the two are about.
    """
    size = sizes.head
    for group in groups_of(size, dtype):
        wider = 4 * size.chunk_size
        loss = partial(by_chunks, chunk_size=wider)
        if "with gradients" in group.case:
            loss = gradients(loss)
        program = Program(loss, group.rivals["attnax"].args)
        rivals = group.rivals | {f"attnax, chunks of {wider:,}": program}
        yield replace(group, rivals=rivals)
