"""Records what the attentions of a module do to their queries and keys."""

import contextlib
import functools
import inspect
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .sources import APPLIES

# Functions and methods that make scores of queries and keys.
_SCORES = ("eager_attention_forward", "vision_eager_attention_forward", "_attn")


@dataclass(frozen=True)
class Rotation:
    """One call of a function that rotates.

    Attributes:
        name: Name of the function.
        function: The function itself.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        slices: Triples `(index, before, after)` for the queries, the keys, or both: the
            index among `args`, and the heads, or the slice of them that is passed.
        caller: Module that called the function.
    """

    name: str
    function: Callable
    args: tuple
    kwargs: dict
    slices: tuple[tuple[int, torch.Tensor, torch.Tensor], ...]
    caller: object

    def again(self, number, x):
        """The rotated `x` `(seq_len, size)`, in place of all heads of a slice."""
        args = list(self.args)
        for index, before, _ in self.slices:
            args[index] = _laid_out(x, before.shape)
        out = self.function(*args, **self.kwargs)
        outputs = [t for t in _tuple(out) if t is not None]
        return tokens_first(outputs[number], len(x))[:, 0]


class Recorder:
    """Holds the rotations that were seen, and the heads that went into scores."""

    def __init__(self):
        self.rotations, self.heads = [], []
        self._depth = 0

    def rotating(self, function, name):
        """Wraps a function that rotates; calls from within another are not recorded."""

        @functools.wraps(function)
        def call(*args, **kwargs):
            given = [a.clone() if torch.is_tensor(a) else None for a in args]
            self._depth += 1
            try:
                out = function(*args, **kwargs)
            finally:
                self._depth -= 1
            if self._depth == 0:
                slices = tuple(_paired(given, _tuple(out)))
                # An attention and its index call the same function: whose frame is it?
                caller = sys._getframe(1).f_locals.get("self")
                rotation = Rotation(name, function, args, kwargs, slices, caller)
                self.rotations.append(rotation)
            return out

        return call

    def scoring(self, function, name):
        """Wraps a function that makes scores."""

        @functools.wraps(function)
        def call(module, query, key, *args, **kwargs):
            self.heads += [query, key]
            return function(module, query, key, *args, **kwargs)

        return call

    def place(self, rotation, head_dim):
        """`(start, width)`: the place of the slices in a head, and its width.

        The place is where the slices stand in the heads that go into scores. If no
        scores were seen, a slice must be a whole head, of `head_dim`.
        """
        size = rotation.slices[0][1].shape[-1]
        width = max((head.shape[-1] for head in self.heads), default=head_dim)
        if width is None:
            raise LookupError("neither scores nor the width of a head were seen")
        if size >= width:
            return 0, size
        return _start(rotation, self.heads), width


def _paired(given, outputs):
    """Pairs each output with the next argument of the same shape."""
    given = list(given)
    for after in outputs:
        same = [i for i, x in enumerate(given) if _shape(x) == _shape(after)]
        if after is not None and same:
            yield same[0], given[same[0]], after
            given[same[0]] = None


def _shape(x):
    return getattr(x, "shape", None)


def _start(rotation, heads):
    """The place in a head of the first slice that some head holds unchanged."""
    for (_, _, after), head in itertools.product(rotation.slices, heads):
        # Some put the tokens before the heads while they rotate.
        for rotated in (after, after.transpose(1, 2)) if after.ndim == 4 else (after,):
            size = rotated.shape[-1]
            for start in range(head.shape[-1] - size + 1):
                if _goes_into(head[..., start : start + size], rotated):
                    return start
    raise LookupError("the rotated channels do not go into the scores as they are")


def _goes_into(part, rotated):
    """Whether most tokens are equal; some models scale far ones after the rotation."""
    with contextlib.suppress(RuntimeError):  # of shapes that do not broadcast
        return float((part == rotated).float().mean()) > 0.5
    return False


@contextlib.contextmanager
def record(source):
    """A context with a recorder of what the functions of a file do."""
    recorder = Recorder()
    owners = [source.module]
    owners += [vars(source.module)[name] for name in source.calls]
    originals = []
    for owner in owners:
        for name, value in list(vars(owner).items()):
            scores = name in _SCORES
            static = isinstance(value, staticmethod)
            function = value.__func__ if static else value
            if not (scores or APPLIES.match(name)) or not inspect.isroutine(function):
                continue
            wrap = recorder.scoring if scores else recorder.rotating
            originals.append((owner, name, value))
            call = wrap(function, name)
            setattr(owner, name, staticmethod(call) if static else call)
    try:
        yield recorder
    finally:
        for owner, name, value in originals:
            setattr(owner, name, value)


def _tuple(out):
    return out if isinstance(out, tuple) else (out,)


def _laid_out(x, shape):
    """`x` `(seq_len, size)`, broadcast over all axes but tokens and channels."""
    axis = [i for i, size in enumerate(shape[:-1]) if size == len(x)][-1]
    sizes = [1] * len(shape)
    sizes[axis], sizes[-1] = x.shape
    return x.reshape(sizes).expand(shape).contiguous()


def tokens_first(x, seq_len):
    """`x` with axes `(seq_len, heads, size)`."""
    x = x.reshape(-1, *x.shape[-2:]) if x.ndim != 3 else x
    axes = [axis for axis in (0, 1) if x.shape[axis] == seq_len]
    if len(axes) != 1:
        raise LookupError(f"no single axis of {x.shape} is that of {seq_len} tokens")
    return x.movedim(axes[0], 0)


def as_numpy(x):
    """The tensor as a float32 array."""
    return np.asarray(x.detach().to(torch.float32))
