"""A process of two that share a mesh: `python two_processes.py <index> <port>`.

It prints results as JSON, which one process would have too. `tests/test_processes.py`
starts both.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

VOCAB, VALID, WIDTH = 64, 57, 16
WEIGHT = np.random.default_rng(0).normal(size=(VOCAB, WIDTH)).astype(np.float32)
IDS = np.random.default_rng(1).integers(0, VALID, size=(4, 6)).astype(np.int32)


def step(weight, ids, **options):
    """Sums of rows and logits, and the gradient of the sum of the squares of both."""

    def loss(weight):
        params = F.TokenEmbeddingParams(weight)
        rows = F.apply_token_embedding(params, ids, **options)
        logits = F.apply_token_unembedding(params, rows, **options)
        finite = jnp.where(jnp.isneginf(logits), jnp.zeros_like(logits), logits)
        return jnp.sum(rows**2) + jnp.sum(finite**2)

    value, gradient = jax.value_and_grad(loss)(weight)
    return value, jnp.sum(gradient, axis=1), jnp.sum(gradient**2, axis=1)


def on_mesh(axis_type):
    """The results on a mesh of all devices, of all processes."""
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(axis_type,) * 2)

    def put(array, *spec):
        sharding = NamedSharding(mesh, P(*spec))
        return jax.make_array_from_callback(array.shape, sharding, array.__getitem__)

    whole = NamedSharding(mesh, P())
    with jax.set_mesh(mesh):
        run = jax.jit(
            lambda *arrays: step(*arrays, vocab_axis="model", valid_vocab_size=VALID),
            out_shardings=whole,
        )
        out = run(put(WEIGHT, "model"), put(IDS, "data"))
    return [np.asarray(x.addressable_data(0)).tolist() for x in out]


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{sys.argv[2]}", 2, int(sys.argv[1]))
    assert (jax.device_count(), jax.local_device_count()) == (4, 2)
    print(json.dumps([on_mesh(kind) for kind in (AxisType.Auto, AxisType.Explicit)]))
