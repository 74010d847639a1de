"""Programs: what is compiled, how often, and what a program carries along."""

import re

import equinox as eqx
import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from programs import compiled

import attnax
import attnax.functional as F


@pytest.mark.parametrize("wrap", (jax.jit, eqx.filter_jit))
def test_decode_compiles_once(wrap):
    traces = []

    @wrap
    def step(x, position):
        traces.append(position)
        cos, sin = F.rope_cos_sin(position[None], F.default_inv_freq(8))
        x = F.apply_positional_encoding(x, start=position)
        return F.apply_rope(x, cos, sin)

    for position in range(20):
        step(host.ones((1, 8)), jnp.asarray(position, jnp.int32))
    assert len(traces) == 1


def test_decode_in_a_scan_equals_prefill():
    module = attnax.RotaryEmbedding(8, 100)
    x = np.random.default_rng(0).normal(size=(20, 3, 8)).astype(np.float32)
    step = lambda i, x: (i + 1, module(x[None], i[None])[0])
    _, steps = lax.scan(step, np.int32(0), x)
    np.testing.assert_array_equal(steps, eqx.filter_jit(module)(x))


def constants(lowered):
    """Bytes of every constant in a lowered module."""
    sizes = {"i1": 1, "i8": 1, "ui8": 1, "bf16": 2, "f16": 2, "f64": 8, "i64": 8}
    for shape in re.findall(
        r"stablehlo.constant dense<.*?> : tensor<([^>]*)>", lowered
    ):
        *dims, dtype = shape.split("x")
        yield int(np.prod([int(d) for d in dims], initial=1)) * sizes.get(dtype, 4)


def test_no_table_is_baked_into_the_program():
    functions = (
        lambda x: F.rope_cos_sin_table(65_536, 128),
        lambda x: attnax.RotaryEmbedding(128, 2**20)(x),
        lambda x: F.apply_positional_encoding(x[..., 0, :]),
        lambda x: attnax.PositionalEncoding(2**20, 128)(x[..., 0, :]),
    )
    x = jax.ShapeDtypeStruct((4096, 2, 128), jnp.float32)
    for function in functions:
        text = jax.jit(function).lower(x).as_text()
        # A splat (one value for a whole tensor) takes no room.
        text = re.sub(r"dense<[^\"\[][^>]*> : tensor<[^>]*>", "", text)
        assert all(size <= 64 * 1024 for size in constants(text))
        assert len(text) < 100_000


THREE_AXES = F.Rope(
    F.default_inv_freq(64),
    "interleaved_to_half",
    axis_of_pair=F.strided_axes((12, 10, 10), 32),
)
EAGER = {
    "axes": lambda: F.rotary_cos_sin(THREE_AXES, host.ones((5, 3), jnp.int32)),
    "fractions": lambda: F.normalized_cos_sin(F.normalized_coordinates((2, 3)), 8),
    "mixed": lambda: F.apply_mixed_rope(
        F.MixedRopeParams(host.ones((2, 3, 4))), host.ones((5, 3, 8)), host.ones((5, 2))
    ),
}


@pytest.mark.parametrize("name", EAGER)
def test_nothing_is_compiled_again_outside_jit(name, caplog):
    EAGER[name]()
    with jax.log_compiles():
        EAGER[name]()
        assert not [r for r in caplog.records if "Compiling" in r.getMessage()]
        jax.jit(lambda x: x + 1)(host.ones(3))  # the log does tell
    assert [r for r in caplog.records if "Compiling" in r.getMessage()]


@pytest.mark.parametrize("count", (1, 3))
def test_what_is_read_of_programs_is_that_of_programs_as_they_run(count):
    """`programs.compiled` asks for slower machine code, which leaves the text alone."""

    def function(x, positions):
        rotate = lambda x, _: (F.rotate(F.Rope(F.default_inv_freq(8)), x, positions), 0)
        return lax.scan(rotate, x, length=count)[0]

    args = np.ones((2, 5, 3, 8), np.float32), np.arange(5)
    read, run = compiled(function, *args), jax.jit(function).lower(*args).compile()
    assert read.as_text() == run.as_text()
    sizes = [p.memory_analysis().temp_size_in_bytes for p in (read, run)]
    assert sizes[0] == sizes[1]
