"""Params in Flax NNX modules and in Orbax checkpoints, where these are installed."""

import pathlib
import re

import jax
import numpy as np
import optax
import pytest

import attnax.functional as F

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "modules.md"
IDS = np.array([[1, 2, 3]], np.int32)

# Other people's code warns, and promotes dtypes.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def _with_jax_as_it_is():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def names_of(block, **names):
    """What a block of the page that is not run with the others defines."""
    blocks = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    exec(compile(blocks[block], str(PAGE), "exec"), names)
    return names


def test_the_page_has_two_blocks_that_need_other_libraries():
    assert PAGE.read_text().count("```py\n") == 2


def test_a_module_of_flax_trains():
    nnx = pytest.importorskip("flax.nnx")
    model = names_of(0)["Embedding"](jax.random.key(0))
    optimizer = nnx.Optimizer(model, optax.adamw(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        loss = lambda model: ((model(IDS) - 1) ** 2).mean()
        value, gradients = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradients)
        return value

    losses = [float(step(model, optimizer)) for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    params = jax.tree.map(np.asarray, nnx.state(model, nnx.Param))
    assert [leaf.shape for leaf in jax.tree.leaves(params)] == [(1024, 64)]


def test_checkpoints_of_orbax_come_back_as_params(tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    names = names_of(1, path=tmp_path / "params", jax=jax, F=F)
    params, expected = names["params"], names["init"]()
    assert type(params) is F.TokenEmbeddingParams
    np.testing.assert_array_equal(params.weight, expected.weight)
    with ocp.StandardCheckpointer() as checkpointer:
        restored = checkpointer.restore(tmp_path / "params")
    again = F.TokenEmbeddingParams(**restored)
    np.testing.assert_array_equal(again.weight, expected.weight)
