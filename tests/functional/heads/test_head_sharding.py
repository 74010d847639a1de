"""Heads on meshes: values, gradients, where they lie, and what devices exchange."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from head_oracles import draw_head
from helpers import slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

# The meshes are of host devices: an accelerator may be one device only.
HOST = jax.devices("cpu")[:4]
MESHES = {
    axis_type: jax.make_mesh(
        (2, 2), ("a", "b"), axis_types=(axis_type,) * 2, devices=HOST
    )
    for axis_type in (AxisType.Auto, AxisType.Explicit)
}
# 50 tokens in 56 rows: the second shard of 28 rows has 22 tokens, the last of 14 has 8.
WEIGHT, HIDDEN, TARGETS, BIAS, COTANGENT = draw_head(56, 6, (4, 2))
TARGETS = np.where(TARGETS < 50, TARGETS, -100).astype(np.int32)
OPTIONS = {"chunk_size": 8, "valid_vocab_size": 50}
OF_LOSS = {"label_smoothing": 0.1, "z_loss": 1e-2, "ignored_id": -100}


def every_result(weight, hidden, targets, bias, vocab_axis=None):
    """The loss with its gradients, and the three largest logits."""
    options = {**OPTIONS, "vocab_axis": vocab_axis}

    def loss(weight, hidden, bias):
        return F.unembedding_cross_entropy(
            weight, hidden, targets, bias=bias, **options, **OF_LOSS
        )

    out, pullback = jax.vjp(loss, weight, hidden, bias)
    top_k = F.unembedding_top_k(weight, hidden, 3, bias=bias, **options)
    return {"loss": out, "gradients": pullback(out), "top": top_k}


@functools.cache
def expected():
    return jax.jit(every_result)(WEIGHT, HIDDEN, TARGETS, BIAS)


def assert_as_expected(actual):
    # Sums in another order: of numbers below 8, ten roundings for each of 8 tokens.
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=80 * 2.0**-21)
    jax.tree.map(close, actual, expected())


def put(mesh, of_table, of_hidden):
    specs = (of_table, of_hidden, P(*of_hidden[:2]), P(*of_table[:1]))
    arrays = zip((WEIGHT, HIDDEN, TARGETS, BIAS), specs, strict=True)
    return [jax.device_put(x, NamedSharding(mesh, spec)) for x, spec in arrays]


# Where the table and the hidden states lie, and the option.
PLACES = (
    (P("b"), P("a"), "b"),
    *slow(
        (P(), P("a"), None),
        (P(None, "b"), P("a"), None),  # whole rows in columns
        (P("b"), P(None, "b"), "b"),  # tokens over the axis of the vocabulary
        (P("b", "a"), P("a", None, "b"), "b"),
        (P(("a", "b")), P(), ("a", "b")),
        (P("a"), P("a"), "b"),  # the table must move
    ),
)
every_mesh = pytest.mark.parametrize("mesh", MESHES.values(), ids=("auto", "explicit"))


@every_mesh
@pytest.mark.parametrize("places", PLACES, ids=str)
def test_every_place_of_arguments(mesh, places):
    of_table, of_hidden, vocab_axis = places
    arrays = put(mesh, of_table, of_hidden)
    with jax.set_mesh(mesh):
        results = jax.jit(every_result, static_argnums=4)(*arrays, vocab_axis)
    assert_as_expected(results)
    if vocab_axis == "b" and "b" in of_table:
        # Columns of an automatic mesh are the compiler's choice.
        assert results["gradients"][0].sharding.spec[0] in ("b", ("b",))


def test_an_explicit_mesh_tells_where_the_rows_are():
    mesh = MESHES[AxisType.Explicit]
    with jax.set_mesh(mesh):
        arrays = put(mesh, P("b"), P("a"))
        results = jax.jit(every_result)(*arrays)
        assert jax.typeof(results["loss"]).sharding.spec == P("a", None)
    assert_as_expected(results)


@every_mesh
@pytest.mark.parametrize("names", (("b",), *slow(("a", "b"))), ids=str)
def test_inside_shard_map_the_table_is_the_shard(mesh, names):
    """Tokens may be divided over another manual axis; the gradient is then a sum."""
    batch = P("a") if "a" in names else P()
    mapped = jax.shard_map(
        functools.partial(every_result, vocab_axis="b"),
        axis_names={*names},
        in_specs=(P("b"), batch, batch, P("b")),
        out_specs={
            "loss": batch,
            "gradients": (P("b"), batch, P("b")),
            "top": (batch, batch),
        },
    )
    with jax.set_mesh(mesh):
        arrays = put(mesh, P("b"), P("a"))
        assert_as_expected(jax.jit(mapped)(*arrays))


def exchanged(program):
    """The collectives of a compiled program, as `(kind, dtype, shape)`."""
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    for result, kind in re.findall(rf"= (\S.*?) ({kinds})(?:-start)?\(", program):
        for dtype, sizes in re.findall(r"(\w+)\[([\d,]*)\]", result):
            yield kind, dtype, tuple(int(n) for n in sizes.split(",") if n)


def test_devices_exchange_three_numbers_for_each_token():
    """And, backwards, the gradient of the hidden states; of the table, nothing."""
    mesh = jax.make_mesh((4,), ("b",), axis_types=(AxisType.Auto,), devices=HOST)
    vocab_size, d_model, batch = 4096, 64, (3, 32)

    def loss(weight, hidden, targets):
        options = {"chunk_size": 256, "vocab_axis": "b"}
        return F.unembedding_cross_entropy(weight, hidden, targets, **options)

    def gradients(weight, hidden, targets):
        return jax.grad(lambda *args: loss(*args, targets).sum(), (0, 1))(
            weight, hidden
        )

    with jax.set_mesh(mesh):
        arrays = (
            jax.ShapeDtypeStruct(
                (vocab_size, d_model), jnp.float32, sharding=NamedSharding(mesh, P("b"))
            ),
            jax.ShapeDtypeStruct((*batch, d_model), jnp.float32),
            jax.ShapeDtypeStruct(batch, jnp.int32),
        )
        forward, backward = (
            jax.jit(f).lower(*arrays).compile() for f in (loss, gradients)
        )
    of_tokens = ("all-reduce", "f32", batch)
    assert sorted(exchanged(forward.as_text())) == [of_tokens] * 3
    of_hidden = ("all-reduce", "f32", (*batch, d_model))
    found = sorted(exchanged(backward.as_text()))
    assert [kind for kind in found if kind != of_tokens] == [of_hidden]
    assert found.count(of_tokens) <= 3
    # Two chunks of logits, two of rows, the gradient of hidden states, small arrays.
    tokens = np.prod(batch)
    most = tokens * 4 * (2 * 256 + 3 * d_model + 16) + 2 * 256 * d_model * 4
    assert backward.memory_analysis().temp_size_in_bytes <= most


def test_devices_add_up_a_16_bit_gradient_before_it_is_rounded():
    """It is rounded on each device otherwise: 12 half units off, on four of them."""
    mesh = MESHES[AxisType.Explicit]

    def gradient(weight, hidden, targets):
        loss = lambda weight: F.unembedding_cross_entropy(
            weight, hidden, targets, chunk_size=8, vocab_axis="b", ignored_id=-100
        )
        return jax.grad(lambda weight: loss(weight).sum())(weight)

    with jax.set_mesh(mesh):
        weight, hidden, targets, _ = put(mesh, P("b"), P("a"))
        narrow = (x.astype(jnp.bfloat16) for x in (weight, hidden))
        program = jax.jit(gradient).lower(*narrow, targets).as_text()
    sums = re.findall(r"all_reduce.*?-> (?:\()?tensor<(\S*?)>", program, re.S)
    assert any("x6x" in kind for kind in sums)  # that of the table
    assert not any("bf16" in kind for kind in sums)


@pytest.mark.errors
def test_an_axis_that_does_not_fit():
    call = functools.partial(
        F.unembedding_cross_entropy, WEIGHT[:55], HIDDEN, TARGETS % 50, chunk_size=8
    )
    with jax.set_mesh(MESHES[AxisType.Auto]):
        message = r"unembedding_cross_entropy: vocab_axis='c' must name an axis of the "
        with pytest.raises(ValueError, match=message):
            call(vocab_axis="c")
        with pytest.raises(ValueError, match="weight has 55 rows, which must be a mul"):
            call(vocab_axis="b")
