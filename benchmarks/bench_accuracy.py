"""How far from the truth are cos and sin, at the positions where it shows?"""

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .bench_cos_sin import largest_error
from .rivals.installed import available
from .rivals.plain_rope import of_a_product
from .rivals.rope import torch_values, transformers_cos_sin
from .timing.machine import machine

HEAD_DIM, WINDOW = 128, 1000
ENDS = (4096, 131_072, 1_000_000, 10_000_000, 2**27)


def records(quick):
    """The largest error over the last positions below each end."""
    inv_freq = F.default_inv_freq(HEAD_DIM)
    for end in ENDS[:1] if quick else ENDS:
        positions = np.arange(end - WINDOW, end, dtype=np.int32)
        yield {
            "case": f"error of cos and sin below position {end:,}",
            **{
                name: f"{largest_error(made, positions, inv_freq):.1e}"
                for name, made in cos_and_sin(positions, inv_freq).items()
            },
            **machine(),
        }


def cos_and_sin(positions, inv_freq):
    """Returns cos and sin of each library, as its users get them."""
    made = {
        "attnax": F.rope_cos_sin(positions, inv_freq),
        "a float32 product": jax.jit(of_a_product)(
            positions, F.rope_inv_freq(HEAD_DIM)
        ),
    }
    if available("transformers"):
        args = (jnp.zeros(()), positions[None])
        made["transformers"] = torch_values(transformers_cos_sin(HEAD_DIM), args)
    return made
