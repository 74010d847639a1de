"""The rotation of one array is one kernel, forward and backward, without copies."""

import math
import re
from collections import Counter

import jax
import jax.numpy as jnp
import pytest
from programs import compiled, put_out, wide

import attnax.functional as F
from benchmarks.timing.pullback import pullback

SEQ_LEN, PAIRS = 16, 32
NAMES = {jnp.float32: "f32", jnp.bfloat16: "bf16"}
# Whole heads and partial ones.
WIDTHS = 64, 96
SHAPES = {
    -2: lambda width: (2, SEQ_LEN, 4, width),
    -3: lambda width: (2, 4, SEQ_LEN, width),
    None: lambda width: (8, SEQ_LEN, width),
}
dtypes = pytest.mark.parametrize("dtype", NAMES)
TABLE = jax.ShapeDtypeStruct((SEQ_LEN, PAIRS), jnp.float32)


def array(shape, dtype):
    return jax.ShapeDtypeStruct(shape, dtype)


def mapped(t):
    return array((3, *t.shape), t.dtype)


def assert_one_kernel(function, x, *args, out=None, tables=0):
    """One kernel puts out the result; `tables` more are no larger than padded tables.

    A second kernel as large as `x` reads or writes all of it once more. A wide one is a
    float32 copy of a bfloat16 `x`.
    """
    out = x if out is None else out
    arrays = put_out(function, x, *args)
    assert arrays.count((NAMES[x.dtype.type], out.shape)) == 1, arrays
    assert len(arrays) <= 1 + tables, arrays
    if x.dtype != jnp.float32:
        # Eight heads share a table, and half of a head's width is its pairs.
        assert not wide(arrays, above=math.prod(x.shape) // 16), arrays


def padded(layout, width, start=0):
    """Cos and sin are padded, before the kernel, for pairs beside those that rotate.

    Once for all heads and layers: a larger number is padding of `x`.
    """
    behind = width - start - 2 * PAIRS
    return 2 if layout == "interleaved" and max(start, behind) > 1 else 0


@dtypes
@pytest.mark.parametrize("layout", ("half", "interleaved"))
@pytest.mark.parametrize("head_axis", (-2, -3))
def test_one_kernel_forward_and_backward(dtype, layout, head_axis):
    cos = array((SEQ_LEN, 1, PAIRS) if head_axis == -2 else TABLE.shape, jnp.float32)
    rotate = lambda x, cos, sin: F.apply_rope(x, cos, sin, layout=layout)
    for width in WIDTHS:
        x, tables = array(SHAPES[head_axis](width), dtype), padded(layout, width)
        assert_one_kernel(rotate, x, cos, cos, tables=tables)
        assert_one_kernel(pullback(rotate), x, cos, cos, x, tables=tables)


@dtypes
@pytest.mark.parametrize("layout", ("half", "interleaved"))
@pytest.mark.parametrize("axes", ((0, 0, 0), (0, None, None), (None, 0, 0)))
def test_one_kernel_under_vmap(dtype, layout, axes):
    x, cos = array(SHAPES[-2](64), dtype), array((SEQ_LEN, 1, PAIRS), jnp.float32)
    rotate = lambda x, cos, sin: F.apply_rope(x, cos, sin, layout=layout)
    args = [
        t if axis is None else mapped(t)
        for t, axis in zip((x, cos, cos), axes, strict=True)
    ]
    assert_one_kernel(jax.vmap(rotate, axes), *args, out=mapped(x))
    if axes[0] is not None:
        back = jax.vmap(pullback(rotate), (*axes, 0))
        assert_one_kernel(back, *args, mapped(x))


@dtypes
@pytest.mark.parametrize("layout", ("half", "interleaved", "interleaved_to_half"))
@pytest.mark.parametrize("where", ("leading", "trailing", 16))
@pytest.mark.parametrize(
    "head_axis",
    (-2, *(pytest.param(h, marks=pytest.mark.slow) for h in (-3, None))),
)
def test_one_kernel_for_every_record(dtype, layout, where, head_axis):
    width = 192
    freq = F.default_inv_freq(2 * PAIRS)
    rope = F.Rope(freq, layout, rotary_start=where, attention_factor=1.25)
    tables = padded(layout, width, rope._first_channel(width))
    x = array(SHAPES[head_axis](width), dtype)
    rotate = lambda x, cos, sin: F.apply_rotary(rope, x, cos, sin, head_axis=head_axis)
    inverse = lambda x, cos, sin: F.apply_rotary(
        rope, x, cos, sin, head_axis=head_axis, inverse=True
    )
    for function, extra in ((rotate, ()), (inverse, ()), (pullback(rotate), (x,))):
        assert_one_kernel(function, x, TABLE, TABLE, *extra, tables=tables)


@dtypes
def test_one_kernel_for_blocks_of_a_whole_head(dtype):
    rope = F.Rope(F.default_inv_freq(2 * PAIRS), num_blocks=2)
    for head_axis in SHAPES:
        x = array(SHAPES[head_axis](64), dtype)
        rotate = lambda x, cos, sin, head_axis=head_axis: F.apply_rotary(
            rope, x, cos, sin, head_axis=head_axis
        )
        assert_one_kernel(rotate, x, TABLE, TABLE)
        assert_one_kernel(pullback(rotate), x, TABLE, TABLE, x)


@dtypes
@pytest.mark.parametrize("where", ("leading", "trailing", 16))
def test_blocks_of_part_of_a_head_are_joined_to_the_rest(dtype, where):
    """No released model has them. The pieces are kernels, their join is another."""
    width = 192
    rope = F.Rope(F.default_inv_freq(2 * PAIRS), num_blocks=2, rotary_start=where)
    x = array(SHAPES[-2](width), dtype)
    rotate = lambda x, cos, sin: F.apply_rotary(rope, x, cos, sin)
    arrays = put_out(rotate, x, TABLE, TABLE)
    pieces = 3 if where == 16 else 2
    if dtype == jnp.float32 or jax.__version_info__ >= (0, 12):
        assert len(arrays) <= pieces + 1
        assert dtype == jnp.float32 or not wide(arrays)
    else:  # which joins bfloat16 in float32, and rounds in one more
        assert len(arrays) <= pieces + 2
    assert_one_kernel(pullback(rotate), x, TABLE, TABLE, x)


def operations(function, *args):
    """How many there are of each that makes the form, before the program is compiled.

    A sign turns the angle back, and a factor on cos and sin undoes that of attention.
    """
    form = "concatenate pad slice select reshape transpose gather reduce add subtract"
    text = jax.jit(function).lower(*args).as_text()
    counts = Counter(re.findall(r"stablehlo\.(\w+)", text))
    return {name: counts[name] for name in form.split()}


@dtypes
@pytest.mark.parametrize("layout", ("half", "interleaved", "interleaved_to_half"))
def test_backward_has_the_form_of_the_inverse(dtype, layout):
    """Kernels do not tell a slow form from a fast one: how they are vectorized does.

    The forms were chosen by time. What autodiff makes of one is another form, several
    times as slow, that may be one kernel as well.
    """
    rope = F.Rope(F.default_inv_freq(2 * PAIRS), layout)
    rotate = lambda x, cos, sin: F.apply_rotary(rope, x, cos, sin)
    inverse = lambda x, cos, sin: F.apply_rotary(rope, x, cos, sin, inverse=True)
    for width in WIDTHS:
        x = array(SHAPES[-2](width), dtype)
        back = operations(pullback(rotate), x, TABLE, TABLE, x)
        forth = operations(inverse, x, TABLE, TABLE)
        assert back == forth
        assert sum(back.values()) > 0


@dtypes
@pytest.mark.parametrize("layout", ("half", "interleaved"))
def test_each_layer_adds_a_kernel_for_queries_and_one_for_keys(dtype, layout):
    """Positions to rotated queries and keys of `n` layers: at most `a + 2 n`."""

    def layers(queries, keys, positions):
        rope = F.Rope(F.default_inv_freq(2 * PAIRS), layout)
        cos, sin = F.rotary_cos_sin(rope, positions)
        return [F.apply_rotary(rope, x, cos, sin) for x in (*queries, *keys)]

    def gradients(queries, keys, positions):
        back = jax.vjp(lambda q, k: layers(q, k, positions), queries, keys)[1]
        return back([*queries, *keys])

    # Five make cos and sin: a predicate, the two of them, the branch that is not taken
    # and its copy. Two more interleave them for float32, once for all layers.
    shared = 7 if layout == "interleaved" and dtype == jnp.float32 else 5
    positions = array((SEQ_LEN,), jnp.int32)
    count = 3
    queries = [array((2, SEQ_LEN, 8, 2 * PAIRS), dtype)] * count
    keys = [array((2, SEQ_LEN, 2, 2 * PAIRS), dtype)] * count
    for function in (layers, gradients):
        arrays = put_out(function, queries, keys, positions)
        assert len(arrays) <= shared + 2 * count, arrays
        if dtype != jnp.float32:
            assert not wide(arrays, above=SEQ_LEN * PAIRS)


@pytest.mark.parametrize("layout", ("half", "interleaved"))
def test_rotation_takes_no_temporary_memory(layout):
    """The kernels of a whole head put out the result and nothing else."""
    x = array(SHAPES[-2](64), jnp.bfloat16)
    rope = F.Rope(F.default_inv_freq(2 * PAIRS), layout)
    rotate = lambda x, cos, sin: F.apply_rotary(rope, x, cos, sin)
    for function, extra in ((rotate, ()), (pullback(rotate), (x,))):
        memory = compiled(function, x, TABLE, TABLE, *extra).memory_analysis()
        assert memory.temp_size_in_bytes == 0
