"""Every record of a position bias, with parameters, positions and what it reads."""

from typing import Any, NamedTuple

import jax
import numpy as np
from bias_calls import CALLS

import attnax.functional as F
from attnax.functional._biases.core.content import Numbers, PerHead, Several

Q_LEN, K_LEN = 3, 5


class Case(NamedTuple):
    """A record, and the arguments of its ends after the record."""

    bias: Any
    params: Any
    q_positions: np.ndarray
    k_positions: np.ndarray
    content: dict


def is_record(name):
    thing = getattr(F, name)
    return isinstance(thing, type) and issubclass(thing, F.PositionBias)


RECORDS = sorted(name for name in CALLS if is_record(name))


def case(name, *, batch=()):
    """The record `name`, with parameters drawn and positions in its bounds."""
    bias: Any = getattr(F, name)(**CALLS[name])
    rng = np.random.default_rng(0)
    low, high = bias._bounds
    q, k = (
        rng.integers(max(low, 0), min(high, 30), (*batch, length)).astype(np.int32)
        for length in (Q_LEN, K_LEN)
    )
    content = {
        argument: _drawn(rng, kind, (*batch, {"q": Q_LEN, "k": K_LEN}[argument]))
        for argument, kind in bias._reads.items()
    }
    # Drawn by NumPy: nothing is compiled for it.
    shapes = jax.eval_shape(
        lambda key: F.init_position_bias(key, bias, dtype=np.float32),
        jax.random.key(0),
    )
    params = jax.tree.map(lambda x: rng.standard_normal(x.shape, x.dtype), shapes)
    return Case(bias, params, q, k, content)


def _drawn(rng, kind, shape):
    if isinstance(kind, Several):
        return tuple(_drawn(rng, one, shape) for one in kind.kinds)
    if isinstance(kind, Numbers):
        return rng.integers(0, 2, shape).astype(np.int32)
    width = tuple(kind) if isinstance(kind, PerHead) else (kind.width,)
    return rng.standard_normal((*shape, *width)).astype(np.float32)


def whole(case):
    """The bias of every pair."""
    run = jax.jit(
        lambda params, q, k, content: F.apply_position_bias(
            case.bias, params, q, k, **content
        )
    )
    return np.asarray(
        run(case.params, case.q_positions, case.k_positions, case.content)
    )
