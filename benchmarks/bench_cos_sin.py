"""What do exact cos and sin cost, beside those of a float32 product?

Each record has the largest error beside the time: `largest_error`, against float64.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F
from attnax._words import multiply_high
from attnax.functional._angles import phase

from .rivals.installed import available
from .rivals.plain_rope import of_a_product
from .rivals.rope import torch_values, transformers_cos_sin
from .timing.harness import Group
from .timing.programs import Program, TorchProgram

# Name, first position, number of positions, size of a head.
CASES = (
    ("8k", 1000, 8192, 128),
    ("8k, heads of 64", 1000, 8192, 64),
    ("8k, heads of 256", 1000, 8192, 256),
    ("128k, heads of 64", 0, 131_072, 64),
    ("128k (above 32 MiB)", 0, 131_072, 128),
    ("one token", 131_071, 1, 128),
)
QUICK = (
    ("16 positions", 0, 16, 128),
    ("16 positions, heads of 64", 0, 16, 64),
    ("16 positions, heads of 256", 0, 16, 256),
    ("one token", 0, 1, 128),
)


def of_fixed_point(positions, words):
    """The exact reduction, then `jnp.cos` and `jnp.sin` in place of the polynomials.

    Positions must not be negative.
    """
    unsigned = positions.astype(jnp.uint32)[:, None]
    turns = unsigned * words[0] + multiply_high(unsigned, words[1])
    quadrant = (turns + jnp.uint32(1 << 29)) >> 30
    rest = jax.lax.bitcast_convert_type(turns - (quadrant << 30), jnp.int32)
    angle = rest.astype(jnp.float32) * np.float32(2 * np.pi / 2**32)
    cos, sin, odd = jnp.cos(angle), jnp.sin(angle), (quadrant & 1) == 1
    cos, sin = jnp.where(odd, sin, cos), jnp.where(odd, cos, sin)
    minus_cos = (quadrant == 1) | (quadrant == 2)
    return jnp.where(minus_cos, -cos, cos), jnp.where(quadrant >= 2, -sin, sin)


def gather(positions, cos, sin):
    """Reads cos and sin from tables that were made before."""
    return tuple(jnp.take(t, positions, axis=0, mode="clip") for t in (cos, sin))


def largest_error(made, positions, inv_freq):
    """The largest error of cos and sin, against float64.

    float64 is itself good to 3e-8 below position 2**27.
    """
    angle = np.asarray(positions)[:, None] * inv_freq
    truth = (np.cos(angle), np.sin(angle))
    # Compared in NumPy, since JAX would round the truth to float32.
    made = (np.asarray(m, np.float64) for m in made)
    errors = (np.abs(m - t).max() for m, t in zip(made, truth, strict=True))
    return float(max(errors))


def groups(quick):
    for name, first, seq_len, head_dim in QUICK if quick else CASES:
        positions = first + jnp.arange(seq_len)
        yield group(name, positions, head_dim, 0.25 if seq_len > 1 else None)


def group(name, positions, head_dim, target):
    inv_freq = F.default_inv_freq(head_dim)
    exact = partial(F.rope_cos_sin, inv_freq=inv_freq)
    tables = exact(jnp.arange(int(positions[-1]) + 1))
    words = jnp.asarray(phase.phase_words(inv_freq))
    programs = {
        "limit": Program(of_a_product, (positions, F.rope_inv_freq(head_dim))),
        "attnax": Program(exact, (positions,)),
        "fixed point, jnp.cos and jnp.sin": Program(of_fixed_point, (positions, words)),
        "gather from tables": Program(gather, (positions, *tables)),
    }
    made = {rival: jax.jit(p.function)(*p.args) for rival, p in programs.items()}
    if available("transformers"):
        embedding = transformers_cos_sin(head_dim)
        program = TorchProgram(embedding, (jnp.zeros(()), positions[None]))
        programs["transformers, eager"] = program
        made["transformers, eager"] = torch_values(embedding, program.args)
    return Group(
        f"cos and sin, {name}",
        "cos, sin of a float32 product",
        programs,
        target,
        {"shape": (positions.size, head_dim // 2), "dtype": "float32"},
        facts={
            rival: {
                "largest_error": float(f"{largest_error(m, positions, inv_freq):.3g}")
            }
            for rival, m in made.items()
        },
    )
