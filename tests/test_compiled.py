"""Guards on compiled programs, which do not depend on the clock."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import attnax
import attnax.functional as F


def compiled(function, *args):
    return jax.jit(function).lower(*args).compile().as_text()


def phase_multiplications(function, *args):
    """Unsigned multiplications in the compiled program: only the phase has any."""
    text = compiled(function, *args)
    return len(re.findall(r"= u32\[[^\]]*\]\S* multiply\(", text))


def reorderings(function, *args):
    """Gathers, which put the pairs of several axes in order, and what follows them."""
    # Consumers would not take in the gather itself but the transposition after it.
    return len(re.findall(r" (?:gather|transpose)\(", compiled(function, *args)))


def layers(count, layout="half"):
    def function(x, positions, weight):
        cos, sin = F.rope_cos_sin(positions, F.default_inv_freq(x.shape[-1]))
        cos, sin = cos[:, None, :], sin[:, None, :]
        for _ in range(count):
            x = F.apply_rope(x, cos, sin, layout=layout) @ weight
        return x

    return function


@pytest.mark.parametrize("layout", ("half", "interleaved"))
def test_cos_and_sin_are_made_once_for_all_layers_and_heads(layout):
    positions, weight = jnp.arange(32), jnp.eye(64)
    counts = {
        phase_multiplications(
            layers(count, layout), jnp.ones((32, heads, 64)), positions, weight
        )
        for count in (1, 4)
        for heads in (1, 8)
    }
    alone = phase_multiplications(
        lambda p: F.rope_cos_sin(p, F.default_inv_freq(64)), positions
    )
    assert counts == {alone}
    assert alone > 0


def test_made_once_under_vmap_and_in_the_backward_pass():
    positions, weight = jnp.arange(64).reshape(2, 32), jnp.eye(64)
    alone = phase_multiplications(
        lambda p: F.rope_cos_sin(p, F.default_inv_freq(64)), positions
    )
    mapped = jax.vmap(layers(4), (0, 0, None))
    x = jnp.ones((2, 32, 8, 64))
    assert phase_multiplications(mapped, x, positions, weight) == alone
    gradient = jax.grad(lambda *a: jnp.sum(mapped(*a) ** 2))
    assert phase_multiplications(gradient, x, positions, weight) == alone


# One axis; three, whose pairs are put in order; and two in blocks.
ROPES = {
    "one": F.Rope(F.default_inv_freq(64), attention_factor=1.25),
    "three": F.Rope(
        F.default_inv_freq(64),
        "interleaved_to_half",
        axis_of_pair=F.strided_axes((12, 10, 10), 32),
    ),
    "blocks": F.Rope(
        F.default_inv_freq(64),
        axis_of_pair=F.alternating_axes((8, 8, 16)),
        num_blocks=2,
    ),
}


def rotating_layers(rope, count):
    """Layers that each rotate by the positions themselves."""

    def function(x, positions, weight):
        for _ in range(count):
            x = F.rotate(rope, x, positions) @ weight
        return x

    return function


@pytest.mark.parametrize("name", ROPES)
def test_layers_that_rotate_by_positions_share_cos_and_sin(name):
    """However many layers, heads and gradients: phases once, put in order once."""
    rope = ROPES[name]
    several = rope.axis_of_pair is not None
    positions = jnp.zeros((32, 3) if several else (32,), jnp.int32)
    rotation = lambda positions: F.rotation(rope, positions)
    alone = phase_multiplications(rotation, positions)
    in_order = reorderings(rotation, positions)
    assert alone > 0
    assert (in_order > 0) == several
    gradient = jax.grad(lambda *args: jnp.sum(rotating_layers(rope, 3)(*args) ** 2))
    for function, heads in (
        (rotating_layers(rope, 1), 1),
        (rotating_layers(rope, 4), 8),
        (gradient, 3),
    ):
        args = jnp.ones((32, heads, 64)), positions, jnp.eye(64)
        assert phase_multiplications(function, *args) == alone
        assert reorderings(function, *args) == in_order


def test_ropes_selected_by_layer_are_made_outside_the_scan():
    ropes = ROPES["one"], F.Rope(F.default_inv_freq(64, 1e6))

    def function(x, positions, kinds):
        made = [F.rotation(rope, positions) for rope in ropes]
        cos, sin = (jnp.stack(t) for t in zip(*made, strict=True))
        layer = lambda x, kind: (F.apply_rotation(ropes[0], x, cos[kind], sin[kind]), 0)
        return lax.scan(layer, x, kinds)[0]

    positions = jnp.arange(32)
    alone = phase_multiplications(lambda p: F.rotation(ropes[0], p), positions)
    args = jnp.ones((32, 8, 64)), positions, jnp.array([0, 0, 1, 0, 0, 1])
    assert phase_multiplications(function, *args) == 2 * alone


def test_sinusoids_are_made_once_for_the_batch():
    alone = phase_multiplications(
        lambda p: F.positional_encoding(p, 64), jnp.arange(32)
    )
    batched = phase_multiplications(F.apply_positional_encoding, jnp.ones((8, 32, 64)))
    assert batched == alone


def test_learned_frequencies_are_not_made_again_either():
    def function(x, frequencies):
        cos, sin = F.rope_cos_sin(jnp.arange(32), frequencies, numerics="float32")
        for _ in range(4):
            x = F.apply_rope(x, cos[:, None], sin[:, None]) @ jnp.eye(64)
        return x

    text = jax.jit(function).lower(jnp.ones((32, 8, 64)), jnp.ones(32)).compile()
    assert len(re.findall(r" cosine\(", text.as_text())) == 1


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
        step(jnp.ones((1, 8)), jnp.asarray(position, jnp.int32))
    assert len(traces) == 1


def test_decode_in_a_scan_equals_prefill():
    module = attnax.RotaryEmbedding(8, 100)
    x = jax.random.normal(jax.random.key(0), (20, 3, 8))
    step = lambda i, x: (i + 1, module(x[None], i[None])[0])
    _, steps = lax.scan(step, jnp.asarray(0, jnp.int32), x)
    np.testing.assert_array_equal(steps, module(x))


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


def test_no_float32_copy_of_a_bfloat16_input():
    """Temporary memory of the rotation and its pullback: less than the input."""
    x = jax.ShapeDtypeStruct((1, 512, 8, 128), jnp.bfloat16)
    table = jax.ShapeDtypeStruct((512, 1, 64), jnp.float32)
    for layout in ("half", "interleaved"):
        rotate = lambda x, c, s, layout=layout: F.apply_rope(x, c, s, layout=layout)
        pullback = lambda x, c, s, g, f=rotate: jax.vjp(lambda x: f(x, c, s), x)[1](g)
        for function, args in ((rotate, (x,)), (pullback, (x,))):
            extra = (x,) if function is pullback else ()
            compiled = jax.jit(function).lower(*args, table, table, *extra).compile()
            temporary = compiled.memory_analysis().temp_size_in_bytes
            assert temporary < 512 * 8 * 128 * 2


@pytest.mark.parametrize("layout", ("half", "interleaved", "interleaved_to_half"))
@pytest.mark.parametrize("where", ("leading", "trailing"))
def test_no_float32_copy_for_any_record(layout, where):
    x = jax.ShapeDtypeStruct((1, 512, 8, 192), jnp.bfloat16)
    table = jax.ShapeDtypeStruct((512, 32), jnp.float32)
    rope = F.Rope(F.default_inv_freq(64), layout, rotary_slice=where)
    rotate = lambda x, c, s: F.apply_rotation(rope, x, c, s)
    inverse = lambda x, c, s: F.apply_rotation(rope, x, c, s, inverse=True)
    pullback = lambda x, c, s: jax.vjp(lambda x: rotate(x, c, s), x)[1](x)[0]
    for function in (rotate, inverse, pullback):
        compiled = jax.jit(function).lower(x, table, table).compile()
        temporary = compiled.memory_analysis().temp_size_in_bytes
        assert temporary < 512 * 8 * 192 * 2


EAGER = {
    "axes": lambda: F.rotation(ROPES["three"], jnp.ones((5, 3), jnp.int32)),
    "fractions": lambda: F.normalized_cos_sin(F.normalized_coordinates(2, 3), 8),
    "mixed": lambda: F.apply_mixed_rope(
        F.MixedRopeParams(jnp.ones((2, 3, 4))), jnp.ones((5, 3, 8)), jnp.ones((5, 2))
    ),
}


@pytest.mark.parametrize("name", EAGER)
def test_nothing_is_compiled_again_outside_jit(name, caplog):
    EAGER[name]()
    with jax.log_compiles():
        EAGER[name]()
        assert not [r for r in caplog.records if "Compiling" in r.getMessage()]
        jax.jit(lambda x: x + 1)(jnp.ones(3))  # the log does tell
    assert [r for r in caplog.records if "Compiling" in r.getMessage()]


def test_lookup_writes_no_converted_table():
    table = jax.ShapeDtypeStruct((50_000, 64), jnp.bfloat16)
    ids = jax.ShapeDtypeStruct((7,), jnp.int32)

    def lookup(table, ids):
        params = F.TokenEmbeddingParams(weight=table)
        return F.apply_token_embedding(params, ids, dtype=jnp.float32)

    compiled = jax.jit(lookup).lower(table, ids).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 64 * 1024
