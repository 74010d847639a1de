"""States of optimizers whose parameters got more rows."""

import jax
import numpy as np
import optax
import pytest
from helpers import refused
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

RNG = np.random.default_rng(0)
# The bias is as long as the table has rows, and another array has its shape by chance.
PARAMS = {
    "table": RNG.normal(size=(4, 3)).astype(np.float32),
    "bias": RNG.normal(size=(4,)).astype(np.float32),
    "other": RNG.normal(size=(4, 3)).astype(np.float32),
}
OPTIMIZERS = {
    "adam": optax.chain(optax.clip(1.0), optax.adam(0.1)),
    "adagrad": optax.adagrad(0.1, initial_accumulator_value=0.25),
    "adafactor": optax.adafactor(0.1, min_dim_size_to_factor=2),
}


def standard(function):
    """`function` as optax needs it, which adds integers and floats."""

    def run(*args):
        with jax.numpy_dtype_promotion("standard"):
            return function(*args)

    return run


def grown(params):
    """The table and the bias with two more rows of zeros, on the host."""
    pad = lambda array: np.pad(array, ((0, 2),) + ((0, 0),) * (array.ndim - 1))
    return params | {name: pad(np.asarray(params[name])) for name in ("table", "bias")}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_as_if_the_rows_had_always_been_there(name):
    """A step, surgery and a step are two steps with rows that had no gradient."""
    optimizer = OPTIMIZERS[name]
    init, update = jax.jit(optimizer.init), jax.jit(standard(optimizer.update))
    first, second = (
        {n: RNG.normal(size=a.shape).astype(np.float32) for n, a in PARAMS.items()}
        for _ in range(2)
    )
    _, state = update(first, init(PARAMS), PARAMS)
    large, fresh = grown(PARAMS), init(grown(PARAMS))
    resized = F.resize_optimizer_state(init, state, PARAMS, large)
    assert jax.tree.structure(resized) == jax.tree.structure(fresh)
    for leaf, old, start in zip(
        *map(jax.tree.leaves, (resized, state, fresh)), strict=True
    ):
        assert leaf.shape == start.shape
        if old.shape == start.shape:
            np.testing.assert_array_equal(leaf, old)
        else:
            np.testing.assert_array_equal(leaf[:4], old)
            np.testing.assert_array_equal(leaf[4:], start[4:])
    if name == "adafactor":  # it divides by means over all rows
        return
    expected, _ = update(second, state, PARAMS)
    actual, _ = update(grown(second), resized, large)
    for one, other in (("table", 4), ("bias", 4), ("other", None)):
        # A quotient and a root, vectorized for another number of rows.
        np.testing.assert_allclose(
            actual[one][:other], expected[one], rtol=4 * 2.0**-24, atol=0
        )


def test_a_sharded_state_stays_sharded():
    mesh = jax.make_mesh((2,), ("a",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, P("a", None))
    params = jax.device_put(PARAMS["table"], sharding)
    optimizer = optax.adam(0.1)
    large = F.resize_vocabulary(params, 6, new_rows="mean")
    state = F.resize_optimizer_state(
        optimizer.init, optimizer.init(params), params, large
    )
    assert state[0].mu.sharding.is_equivalent_to(sharding, 2)
    assert state[0].mu.shape == (6, 3)


@pytest.mark.errors
def test_states_of_other_parameters_are_refused():
    optimizer, params = optax.adam(0.1), {"table": PARAMS["table"]}
    large = {"table": grown(PARAMS)["table"]}
    with refused("state has the structure .*, but must have that of init"):
        other = optax.sgd(0.1).init(params)
        F.resize_optimizer_state(optimizer.init, other, params, large)
    with refused(r"state\[0\].mu\['table'\].shape=\(5, 3\) must be \(4, 3\)"):
        state = optimizer.init({"table": np.ones((5, 3), np.float32)})
        F.resize_optimizer_state(optimizer.init, state, params, large)
    with refused("new_params has the structure .*, but must have that of params"):
        F.resize_optimizer_state(optimizer.init, optimizer.init(params), params, PARAMS)
    state, text = optimizer.init(params), {"table": np.array([["text"] * 3] * 8)}
    with refused("new_params holds .*, but must hold numbers"):
        F.resize_optimizer_state(optimizer.init, state, params, text)
    state = optax.tree.map_params(optimizer, lambda x: np.asarray(x, str), state)
    with refused(r"state\[0\].mu\['table'\] holds .*, but must hold numbers"):
        F.resize_optimizer_state(optimizer.init, state, params, large)


@pytest.mark.errors
def test_states_of_another_dtype_are_refused():
    init, old, new = optax.adam(0.1).init, PARAMS["table"], grown(PARAMS)["table"]
    half = lambda x: x.astype("bfloat16")
    narrow = optax.tree.map_params(optax.adam(0.1), half, init(old))
    with refused(r"state\[0\].mu.dtype=bfloat16 must be float32, as init makes it"):
        F.resize_optimizer_state(init, narrow, old, new)
    kept = F.resize_optimizer_state(init, narrow, old, old)
    assert kept[0].mu.dtype == "bfloat16"


def test_a_state_may_hold_a_random_key():
    noisy = optax.add_noise(0.1, 0.5, jax.random.key(0))
    old, new = PARAMS["table"], grown(PARAMS)["table"]
    state = F.resize_optimizer_state(noisy.init, noisy.init(old), old, new)
    keys = [jax.random.key_data(s.rng_key) for s in (state, noisy.init(new))]
    np.testing.assert_array_equal(*keys)


@pytest.mark.errors
def test_an_optimizer_is_no_init():
    with refused("init is a GradientTransformation.*, but must be the init function"):
        F.resize_optimizer_state(optax.adam(0.1), (), PARAMS, PARAMS)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("columns", "message"),
    (
        # Rows outgrow columns, and the means over both change places.
        (6, r"v_row.shape=\(4,\) must only get more rows, but init makes \(6,\)"),
        # Rows pass the least size of a factored axis.
        (5, r"v_row.shape=\(1,\) must only get more rows, but init makes \(5,\)"),
    ),
)
def test_factors_of_adafactor_that_change_their_meaning(columns, message):
    least = 2 if columns == 6 else 5
    init = optax.adafactor(0.1, min_dim_size_to_factor=least).init
    old, new = (np.ones((rows, columns), np.float32) for rows in (4, 8))
    with pytest.raises(ValueError, match=message):
        F.resize_optimizer_state(init, init(old), old, new)
