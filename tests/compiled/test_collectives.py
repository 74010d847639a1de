"""What devices send each other in lookups and heads of tables in shards of rows."""

import math
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from programs import compiled

import attnax.functional as F
from benchmarks.timing.hlo import collectives

# The meshes are of host devices: an accelerator may be one device only.
HOST = jax.devices("cpu")[:4]
AUTO, EXPLICIT = (
    jax.make_mesh((2, 2), ("data", "model"), axis_types=(axis_type,) * 2, devices=HOST)
    for axis_type in (AxisType.Auto, AxisType.Explicit)
)
every_mesh = pytest.mark.parametrize("mesh", (AUTO, EXPLICIT), ids=("auto", "explicit"))
VOCAB, WIDTH, IDS = 1024, 16, (4, 8)
TOKENS = math.prod(IDS)


def typed(mesh, shape, dtype, *spec):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, P(*spec)))


def lookup(weight, ids, **options):
    options = {"vocab_axis": "model", **options}
    return F.apply_token_embedding(F.TokenEmbeddingParams(weight), ids, **options)


def gradient(weight, ids, cotangent, **options):
    return jax.vjp(lambda weight: lookup(weight, ids, **options), weight)[1](cotangent)


def unembedding(weight, x):
    params = F.TokenEmbeddingParams(weight)
    return F.apply_token_unembedding(params, x, vocab_axis="model")


def hidden_gradient(weight, x, cotangent):
    return jax.vjp(lambda x: unembedding(weight, x), x)[1](cotangent)


def sent(mesh, function, *arguments):
    """The operation and the number of bytes of each exchange, and the program."""
    with jax.set_mesh(mesh):
        program = compiled(function, *arguments)
    found = []
    for kernel in collectives(program):
        ((dtype, shape),) = kernel.arrays
        size = math.prod(shape) * int(dtype.strip("usfb")) // 8
        found.append((kernel.opcode, size))
    return found, program


@every_mesh
@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
def test_a_lookup_sums_the_rows_of_its_own_batch_once(mesh, dtype):
    weight = typed(mesh, (VOCAB, WIDTH), dtype, "model")
    found, _ = sent(mesh, lookup, weight, typed(mesh, IDS, jnp.int32, "data"))
    own = TOKENS // 2 * WIDTH * dtype.dtype.itemsize
    assert found == [("all-reduce", own)]


def test_scattered_rows_are_one_collective_each_way():
    weight = typed(EXPLICIT, (VOCAB, WIDTH), jnp.float32, "model")
    ids = typed(EXPLICIT, IDS, jnp.int32, "data")
    own = TOKENS // 2 * WIDTH * 4

    def scattered(weight, ids):
        return lookup(weight, ids, scatter_axis=1)

    found, _ = sent(EXPLICIT, scattered, weight, ids)
    assert found == [("reduce-scatter", own // 2)]


@every_mesh
@pytest.mark.parametrize("tokens", (IDS, (4, 512)))
def test_the_gradient_of_a_table_stays_where_its_rows_are(mesh, tokens):
    """Rows of all tokens travel, or each shard is summed over the batches."""
    weight = typed(mesh, (VOCAB, WIDTH), jnp.float32, "model")
    ids = typed(mesh, tokens, jnp.int32, "data")
    cotangent = typed(mesh, (*tokens, WIDTH), jnp.float32, "data")
    found, program = sent(mesh, gradient, weight, ids, cotangent)
    rows, shard = math.prod(tokens) * WIDTH * 4, VOCAB // 2 * WIDTH * 4
    assert max(size for _, size in found) == min(rows, shard)
    assert sum(size > 4 * math.prod(tokens) for _, size in found) == 1
    (sharding,) = program.output_shardings
    assert sharding.is_equivalent_to(weight.sharding, 2)


@every_mesh
def test_a_fused_table_moves_the_rows_of_its_tokens(mesh):
    weight = typed(mesh, (VOCAB, WIDTH), jnp.float32, "model")
    ids = typed(mesh, (*IDS, 2), jnp.int32, "data")

    def of(weight, ids):
        params = F.FusedEmbeddingParams(weight)
        return F.apply_fused_embedding(params, ids, vocab_axis="model")

    def fused_gradient(weight, ids, cotangent):
        return jax.vjp(lambda weight: of(weight, ids), weight)[1](cotangent)

    rows, shard = TOKENS * 2 * WIDTH * 4, VOCAB // 2 * WIDTH * 4
    assert sent(mesh, of, weight, ids)[0] == [("all-reduce", rows // 2)]
    cotangent = typed(mesh, (*IDS, WIDTH), jnp.float32, "data")
    found, _ = sent(mesh, fused_gradient, weight, ids, cotangent)
    assert max(size for _, size in found) == min(rows, shard)


@every_mesh
def test_the_gradient_of_hidden_states_is_one_sum(mesh):
    weight = typed(mesh, (VOCAB, WIDTH), jnp.bfloat16, "model")
    x = typed(mesh, (*IDS, WIDTH), jnp.bfloat16, "data")
    found, program = sent(mesh, unembedding, weight, x)
    assert not found
    place = NamedSharding(mesh, P("data", None, "model"))
    assert program.output_shardings.is_equivalent_to(place, 3)
    cotangent = typed(mesh, (*IDS, VOCAB), jnp.bfloat16, "data", None, "model")
    found, _ = sent(mesh, hidden_gradient, weight, x, cotangent)
    assert found == [("all-reduce", TOKENS // 2 * WIDTH * 4)]


SCRIPT = """
import jax, jax.numpy as jnp, math
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import attnax.functional as F
from benchmarks.timing.hlo import collectives

def step(weight, ids, cotangent):
    def rows(weight):
        params = F.TokenEmbeddingParams(weight)
        return F.apply_token_embedding(params, ids, vocab_axis="model")
    out, pull = jax.vjp(rows, weight)
    return out, *pull(cotangent)

for axis_type in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(axis_type,) * 2)
    typed = lambda shape, dtype, *spec: jax.ShapeDtypeStruct(
        shape, dtype, sharding=NamedSharding(mesh, P(*spec))
    )
    with jax.set_mesh(mesh):
        program = jax.jit(step).lower(
            typed((32768, 256), jnp.float32, "model"),
            typed((8, 512), jnp.int32, "data"),
            typed((8, 512, 256), jnp.float32, "data"),
        ).compile()
    sizes = (math.prod(a[1]) for kernel in collectives(program) for a in kernel.arrays)
    print(4 * sum(sizes), program.memory_analysis().temp_size_in_bytes)
"""


@pytest.mark.slow
def test_eight_devices_send_a_fifth_of_the_table():
    """The whole table is 33.6 MB, which autodiff would add up under automatic axes.

    The rows of a batch are 2.1 MB, those of all batches 4.2 MB, and a shard 8.4 MB.
    """
    flags = "--xla_force_host_platform_device_count=8"
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=pathlib.Path(__file__).parent.parent.parent,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = [[int(word) for word in line.split()] for line in run.stdout.splitlines()]
    assert len(lines) == 2
    for sent_bytes, temporaries in lines:
        assert sent_bytes <= 6.4e6
        assert temporaries <= 10.6e6
