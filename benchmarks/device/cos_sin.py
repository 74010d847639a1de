"""Cos and sin of positions: time, and errors against multi-precision."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .. import cases
from ..rivals.installed import available
from ..rivals.plain_rope import of_a_product
from ..rivals.rope import torch_of_a_product, transformers_cos_sin
from ..timing.harness import Group
from ..timing.programs import Later, Program, TorchProgram
from . import truth
from .lines import error
from .sizes import Sizes

HEAD_DIM, BASE = 128, 10_000.0
NEAR = 2**27  # positions below it are held to the first bound, others to the second
BOUNDS = 1.2e-7, 6e-7


def timed(sizes: Sizes):
    """Yields timings of many sequences and of one, against a float32 product."""
    for sequences in (sizes.sequences, 1):
        yield _group(sizes, sequences)


def against_pytorch(sizes: Sizes):
    """Yields timings beside PyTorch, eager and compiled, and transformers."""
    if not available("torch"):
        return
    group = _group(sizes, sizes.sequences)
    positions, rounded = group.rivals["limit"].args
    rivals = {name: group.rivals[name] for name in ("limit", "attnax", "copy")}
    for compiled in (False, True):
        name = f"torch, {'compiled' if compiled else 'eager'}"
        args = (positions, rounded)
        rivals[name] = TorchProgram(torch_of_a_product, args, compiled)
    if available("transformers"):
        args = (jnp.zeros(()), positions)
        rivals["transformers, eager"] = Later(
            lambda: TorchProgram(transformers_cos_sin(HEAD_DIM), args)
        )
    case = f"{group.case}, beside PyTorch"
    # It writes the table of both channels of a pair: other bytes than these.
    unknown = {"transformers, eager": {"gb_per_s": None, "share_of_copy": None}}
    yield replace(group, case=case, rivals=rivals, target=None, facts=unknown)


def _group(sizes, sequences):
    positions = jnp.arange(sequences * sizes.positions).reshape(sequences, -1)
    exact = partial(F.rope_cos_sin, inv_freq=F.default_inv_freq(HEAD_DIM, BASE))
    plain = jax.vmap(of_a_product, (0, None))
    moved = 2 * positions.size * HEAD_DIM // 2 * 4 + positions.nbytes
    several = f"{sequences} sequences of " * (sequences > 1)
    return Group(
        f"cos and sin of {several}{sizes.positions:,} positions",
        "cos, sin of a float32 product",
        {
            "limit": Program(plain, (positions, F.rope_inv_freq(HEAD_DIM, BASE))),
            "attnax": Program(exact, (positions,)),
            "copy": Program(cases.copy, (cases.normal(0, (moved // 8,)),)),
        },
        0.25,
        {"shape": (*positions.shape, HEAD_DIM // 2), "dtype": "float32"},
        moved,
    )


def errors(sizes: Sizes):
    """Yields the largest errors over random positions, near and far, of both signs."""
    rng, half = np.random.default_rng(0), sizes.error_positions // 2
    near = rng.integers(-NEAR + 1, NEAR, half)
    far = rng.integers(NEAR, 2**31, half) * rng.choice([-1, 1], half)
    positions = np.concatenate([near, far]).astype(np.int32)
    inv_freq = truth.frequencies(HEAD_DIM, BASE)
    exact = jax.jit(
        partial(F.rope_cos_sin, inv_freq=F.default_inv_freq(HEAD_DIM, BASE))
    )
    plain = jax.jit(of_a_product)
    for rival, made in (
        ("attnax", exact(positions)),
        ("a float32 product", plain(positions, F.rope_inv_freq(HEAD_DIM, BASE))),
    ):
        largest = truth.largest_errors(*map(np.asarray, made), positions, inv_freq)
        parts = largest[:half], largest[half:]
        where = f"below {NEAR:,}", f"from {NEAR:,} on"
        for errors, bound, name in zip(parts, BOUNDS, where, strict=True):
            yield error(
                f"cos and sin at {half:,} positions {name}",
                "float32",
                float(errors.max()),
                bound=bound if rival == "attnax" else None,
                rival=rival,
            )
