"""Are cos and sin made once, however many layers rotate by them?"""

import equinox as eqx
import jax
import jax.numpy as jnp

import attnax.functional as F

from . import cases
from ._harness import Group
from ._programs import InTurn, Program
from .bench_cos_sin import of_a_product
from .bench_rotation import concatenation


def layers(count, rotate):
    """`count` rotations with a matrix product after each."""

    def function(x, cos, sin, weight):
        for _ in range(count):
            x = rotate(x, cos, sin) @ weight
        return x

    return function


def from_positions(count, make, rotate):
    def function(positions, x, weight):
        cos, sin = (t[:, None, :] for t in make(positions))
        return layers(count, rotate)(x, cos, sin, weight)

    return function


def rotating_layers(count, rope):
    """Every layer turns positions into its rotation by itself."""

    def function(positions, x, weight):
        for _ in range(count):
            x = F.rotate(rope, x, positions) @ weight
        return x

    return function


def equinox_layers(count):
    rope = eqx.nn.RotaryPositionalEmbedding(128)
    per_head = jax.vmap(jax.vmap(rope, 1, 1))

    def function(positions, x, weight):
        for _ in range(count):  # its positions are always 0, 1, ...
            x = per_head(x) @ weight
        return x

    return function


def groups(quick):
    inv_freq = F.default_inv_freq(128)
    rope = F.Rope(inv_freq)
    make = lambda positions: F.rope_cos_sin(positions, inv_freq)
    rounded = F.rope_inv_freq(128)
    product = lambda positions: of_a_product(positions, rounded)
    for dtype in (jnp.float32, jnp.bfloat16):
        positions = jnp.arange(16 if quick else 1024)
        x = cases.normal(0, (1, positions.size, 32, 128), dtype)
        weight = cases.normal(1, (128, 128), dtype) / 12
        theirs = lambda x, cos, sin: concatenation(x, cos, sin, "half")
        cos, sin = (t[:, None, :] for t in make(positions))
        name = jnp.dtype(dtype).name
        for count in (1, 4):
            ready = Program(layers(count, F.apply_rope), (x, cos, sin, weight))
            args = (positions, x, weight)
            rivals = {
                "limit": InTurn((Program(make, (positions,)), ready)),
                "attnax": Program(from_positions(count, make, F.apply_rope), args),
                "concatenation": Program(from_positions(count, product, theirs), args),
            }
            if dtype == jnp.float32:  # in bfloat16 it makes its tables anew
                rivals["equinox.nn"] = Program(equinox_layers(count), args)
            layer_count = f"{count} layer{'s' * (count > 1)}"
            meta = {"shape": x.shape, "dtype": name}
            limit = "ready cos/sin + one rope_cos_sin"
            yield Group(
                f"positions to rotated x, {name}, {layer_count}",
                limit,
                rivals,
                1.2,
                meta,
            )
            yield Group(
                f"rotate in every layer, {name}, {layer_count}",
                limit,
                {
                    "limit": rivals["limit"],
                    "attnax": Program(rotating_layers(count, rope), args),
                },
                1.2,
                meta,
            )
