"""What is wrong with known tokens and grids, for the error."""

from typing import NamedTuple

import numpy as np

from ...._checks import is_known
from .table import NAMES, VIDEO, unit_of


def check_known_grids(rule, kind, name, grids) -> None:
    """Raises unless grids are positive and merge, or are all 0."""
    unit = unit_of(rule, kind)
    wrong = ((grids <= 0) | (grids % unit != 0)).any(-1) & (grids != 0).any(-1)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0].tolist())
        multiple = f", and multiples of {unit}" if max(unit) > 1 else ""
        raise ValueError(
            f"{name}{list(index)}={grids[index].tolist()} must be (frames, rows, "
            f"columns), all positive{multiple}; or all 0, for padding."
        )


def check_known(rule, types, mask, sizes) -> None:
    """Raises if all is known, and the tokens are not those of the grids.

    The arrays are as they were given: under `jit`, what is made of them is traced.
    `sizes` has the grids of each kind.
    """
    given = (types, *sizes.values(), *([] if mask is None else [mask]))
    if not all(map(is_known, given)):
        return
    types = np.asarray(types)
    mask = np.broadcast_to(True if mask is None else np.asarray(mask) != 0, types.shape)
    batch, pieces = types.shape[:-1], {}
    for sequence in np.ndindex(batch):
        for kind, grids in sizes.items():
            if grids.ndim > 2:
                of_batch = np.broadcast_to(grids, (*batch, *grids.shape[-2:]))
                pieces[kind] = _Pieces(rule, kind, of_batch[sequence], sequence)
            elif kind not in pieces:
                pieces[kind] = _Pieces(rule, kind, np.asarray(grids))
        for kind, start, count in _runs(types[sequence], mask[sequence]):
            where = f"token_types{[*sequence, start]}"
            _take(pieces.get(kind), kind, where, count)
        for left in pieces.values():
            if left.next is not None and left.next.frame > 0:
                where = f"{list(sequence)}" if sequence else ""
                raise ValueError(
                    f"token_types{where} must hold every frame of {left.next.name}."
                )


class _Piece(NamedTuple):
    """A grid, or one frame of it where frames are separate."""

    name: str
    frame: int
    num_tokens: int


class _Pieces:
    """The pieces of grids one after another, of which `next` is known already.

    A grid may have many frames, and a batch reads the pieces of its own tokens alone.
    """

    def __init__(self, rule, kind, grids, sequence=()):
        self._pieces = _pieces(rule, kind, grids, sequence)
        self.take()

    def take(self):
        self.next = next(self._pieces, None)


def _pieces(rule, kind, grids, sequence):
    """The pieces of grids in the order of their tokens."""
    for index, grid in enumerate(grids):
        frames, rows, columns = (grid // unit_of(rule, kind)).tolist()
        name = f"{NAMES[kind]}_grids{[*sequence, index]}={grid.tolist()}"
        separate = rule.separate_frames and kind == VIDEO
        for frame in range(frames if separate else min(frames, 1)):
            count = rows * columns * (1 if separate else frames)
            yield _Piece(name, frame, count)


def _runs(types, mask):
    """The kind, the first place and the length of each run of patches."""
    places = np.flatnonzero(mask)
    kinds = types[places]
    edges = np.flatnonzero(np.diff(kinds)) + 1
    for run in np.split(np.arange(places.size), edges):
        if run.size and kinds[run[0]] in NAMES:
            yield int(kinds[run[0]]), int(places[run[0]]), run.size


def _take(pieces, kind, where, count):
    """Takes the pieces of a run of tokens, or raises if they do not fit."""
    what = f"the {count} {NAMES[kind]} tokens from {where} on"
    while count:
        if pieces is None or pieces.next is None:
            raise ValueError(f"{what} must have a row of {NAMES[kind]}_grids.")
        piece = pieces.next
        if piece.num_tokens > count:
            frame = f"frame {piece.frame} of " if piece.frame else ""
            raise ValueError(
                f"{what} must be as many as those of {frame}{piece.name}, "
                f"{piece.num_tokens}."
            )
        count -= piece.num_tokens
        pieces.take()
