"""Steps of optimizers that touch few rows: the bits of dense steps, and lazy ones.

Dense gradients and moments of few rows: pytorch/pytorch#5309, and #109282 of its Adam.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, assert_same_bits, refused, slow
from row_cases import (
    D_MODEL,
    VOCAB_SIZE,
    dense_step,
    draw_ids,
    draw_params,
    row_gradients,
    row_step,
)

import attnax.functional as F

SGD, ADAGRAD = optax.sgd(0.1), optax.adagrad(0.1)
# Those that leave rows without a gradient alone.
EXACT = {
    "sgd": SGD,
    "adagrad": ADAGRAD,
    "schedule": optax.sgd(optax.linear_schedule(0.0, 0.1, 3)),
    "clip": optax.chain(optax.clip(0.5), ADAGRAD),
    "injected": optax.inject_hyperparams(optax.adagrad)(learning_rate=0.1),
    "finite": optax.apply_if_finite(ADAGRAD, 2),
    "partition": optax.partition(
        {"a": ADAGRAD, "m": optax.sgd(0.1, momentum=0.9)}, {"token": "a", "head": "m"}
    ),
}


def assert_same_tree(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(assert_same_bits, actual, expected)


@pytest.mark.device
@pytest.mark.parametrize(
    "case",
    (
        ("adagrad", jnp.bfloat16),
        *slow(*((name, np.float32) for name in EXACT)),
        *slow(*((name, jnp.bfloat16) for name in EXACT if name != "adagrad")),
    ),
)
def test_several_steps_have_the_bits_of_dense_ones(case):
    name, dtype = case
    optimizer = EXACT[name]
    params = jax.tree.map(jnp.asarray, draw_params(dtype))
    dense = rows = params, optimizer.init(params)
    for step in range(4):
        ids = draw_ids(step)
        dense = dense_step(optimizer, *dense, ids)
        rows = row_step(F.update_rows, optimizer, *rows, ids)
    assert_same_tree(rows, dense)
    untouched = np.asarray(rows[0]["token"].weight)[20:]
    assert_same_bits(untouched, np.asarray(params["token"].weight)[20:])


@pytest.mark.slow
def test_a_float32_table_read_in_bfloat16_is_its_own_master():
    """Rows are rounded where they are read, and the table is not."""

    def narrow(params, ids):
        rows = F.apply_token_embedding(params["token"], ids, dtype=jnp.bfloat16)
        return jnp.sum(jnp.sin(rows).astype(jnp.float32))

    @jax.jit
    def steps(params, state, ids):
        gradients = jax.grad(narrow)(params, ids), rows(params, ids)[1]
        return [F.update_rows(ADAGRAD, g, state, params) for g in gradients]

    rows = F.row_value_and_grad(
        narrow, lambda p: p["token"].weight, lambda params, ids: ids
    )
    params, ids = draw_params(), draw_ids(0)
    state = jax.tree.map(np.array, ADAGRAD.init(params))
    dense, of_rows = steps(params, state, ids)
    assert_same_tree(of_rows, dense)


def test_ids_out_of_range_touch_nothing():
    """A loss that leaves out their rows of NaN steps as if they were not there."""

    def masked(params, ids):
        rows = F.apply_token_embedding(params["token"], ids)
        return jnp.nansum(rows**2)

    rows = F.row_value_and_grad(
        masked, lambda p: p["token"].weight, lambda params, ids: ids
    )

    @jax.jit
    def step(params, ids):
        gradients = rows(params, ids)[1]
        return F.update_rows(SGD, gradients, SGD.init(params), params)[0]

    params, ids = draw_params(), draw_ids(0, (6,))
    wrong = ids.copy()
    wrong[[0, 3]] = -1, VOCAB_SIZE
    ids[[0, 3]] = ids[1]
    actual = np.asarray(step(params, wrong)["token"].weight)
    expected = np.array(params["token"].weight)
    touched = np.delete(wrong, [0, 3])
    # The gradient of a square that is read n times.
    counts = np.bincount(touched, minlength=VOCAB_SIZE)[:, None]
    expected = expected - 0.1 * 2 * counts * expected.astype(np.float64)
    assert_close(actual, expected, magnitude=8.0)
    others = np.setdiff1d(np.arange(VOCAB_SIZE), touched)
    assert_same_bits(actual[others], params["token"].weight[others])


@pytest.mark.parametrize("dtype", (np.float32, *slow(jnp.bfloat16)))
def test_donated_tables_are_written_in_place(dtype):
    """No temporary array has the size of the table or of its state."""
    vocab_size = 20_000
    params = draw_params(dtype, vocab_size)
    state = jax.eval_shape(ADAGRAD.init, params)

    def step(params, state, ids):
        return F.update_rows(ADAGRAD, row_gradients(params, ids)[1], state, params)

    step = jax.jit(step, donate_argnums=(0, 1))
    memory = step.lower(params, state, draw_ids(0)).compile().memory_analysis()
    table = vocab_size * D_MODEL * np.dtype(dtype).itemsize
    assert memory.alias_size_in_bytes >= 2 * table
    # Older compilers copy the bits of 16-bit floats, of the table and of its state.
    copied = dtype == jnp.bfloat16 and jax.__version_info__ < (0, 12)
    assert memory.temp_size_in_bytes < table * (2.5 if copied else 0.25)


# Optax multiplies integers and floats in the correction of Adam.
standard = jax.numpy_dtype_promotion("standard")


def adam_of_touched_rows(weight, steps, rate, decay=0.0, b1=0.9, b2=0.999, eps=1e-8):
    """Lazy Adam in float64, a row at a time: counts are global, moments are not."""
    weight = np.array(weight, np.float64)
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for count, gradient in enumerate(steps, 1):
        for row, g in gradient.items():
            mean[row] = b1 * mean[row] + (1 - b1) * g
            square[row] = b2 * square[row] + (1 - b2) * g**2
            scaled = (mean[row] / (1 - b1**count)) / (
                np.sqrt(square[row] / (1 - b2**count)) + eps
            )
            weight[row] -= rate * (scaled + decay * weight[row])
    return weight


@pytest.mark.parametrize("decay", (0.1, *slow(0.0)))
def test_lazy_adam_is_adam_on_touched_rows_with_a_global_count(decay):
    optimizer = optax.adamw(0.1, weight_decay=decay)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(9, 4)).astype(np.float32)
    steps = [
        {row: rng.normal(size=4) for row in rows} for rows in ((1, 2), (2, 7), (1, 7))
    ]
    with standard:
        update = jax.jit(
            lambda *args: F.update_rows_lazily(optimizer, *args), donate_argnums=()
        )
        params, state = jnp.asarray(weight), optimizer.init(weight)
        for gradient in steps:
            rows = np.array(list(gradient.values()), np.float32)
            ids = np.array(list(gradient), np.int32)
            params, state = update(F.RowGradient(ids, rows), state, params)
    expected = adam_of_touched_rows(weight, steps, 0.1, decay)
    # Three updates of size at most 0.3, from quotients of float32.
    assert_close(params, expected, magnitude=4.0, roundings=8)
    others = [0, 3, 4, 5, 6, 8]
    assert_same_bits(params[jnp.array(others)], weight[others])
    assert int(state[0].count) == 3


@pytest.mark.slow
def test_lazy_adam_is_dense_where_every_step_touches_every_row():
    optimizer = optax.adamw(0.1)
    params = jax.tree.map(jnp.asarray, draw_params(vocab_size=8))
    state = optimizer.init(params)
    with standard:
        dense = rows = few = params, state
        for step in range(3):
            ids = np.random.default_rng(step).permutation(8).astype(np.int32)
            dense = dense_step(optimizer, *dense, ids)
            rows = row_step(F.update_rows_lazily, optimizer, *rows, ids)
            half = np.where(ids < 4, ids, ids % 4) + 4 * (step == 1)
            few = row_step(F.update_rows_lazily, optimizer, *few, half)
    for actual, expected in zip(*map(jax.tree.leaves, (rows, dense)), strict=True):
        assert_close(
            jnp.asarray(actual, jnp.float32), np.asarray(expected), magnitude=8.0
        )
    of_few = np.asarray(few[1][0].mu["token"].weight)
    # Rows 4 to 7 had a gradient in the second step alone, and no decay since.
    assert (np.abs(of_few[4:]).max(axis=1) > 0).all()


REFUSED = {
    "adam": optax.adam(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "decay": optax.chain(
        optax.add_decayed_weights(0.1), optax.sgd(optax.linear_schedule(0.0, 0.1, 3))
    ),
    "accumulation": optax.MultiSteps(SGD, 2),
}
TABLE = np.ones((5, 4), np.float32)
GRADIENT = F.RowGradient(np.array([1, 3]), TABLE[:2])


@pytest.mark.errors
@pytest.mark.parametrize("name", ("momentum", "decay", *slow("adam", "accumulation")))
def test_optimizers_that_move_other_rows_are_refused(name):
    optimizer = REFUSED[name]
    message = "^update_rows: optimizer must leave a row and its state as they are.*lazi"
    with standard, refused(message):
        F.update_rows(optimizer, GRADIENT, optimizer.init(TABLE), TABLE)


@pytest.mark.errors
@pytest.mark.parametrize("update", (F.update_rows, *slow(F.update_rows_lazily)))
def test_optimizers_that_mix_rows_are_refused(update):
    factored = optax.adafactor(0.1, min_dim_size_to_factor=4)
    message = r"has an array of shape \(4,\) for all rows of one of shape \(5, 4\)"
    with refused(message):
        update(factored, GRADIENT, factored.init(TABLE), TABLE)
    block = optax.chain(optax.clip_by_block_rms(0.1), SGD)
    with refused("optimizer must update each row of a table by itself"):
        update(block, GRADIENT, block.init(TABLE), TABLE)
    trust = optax.chain(optax.scale_by_trust_ratio(), SGD)
    with refused("optimizer must update each row of a table by itself"):
        update(trust, GRADIENT, trust.init(TABLE), TABLE)


def test_clipping_by_the_norm_of_all_gradients_is_accepted():
    """Rows of zeros add nothing to the norm."""
    clipped = optax.chain(optax.clip_by_global_norm(0.5), SGD)
    update = lambda *args: F.update_rows(clipped, *args)[0]
    with standard:
        params = jax.jit(update)(GRADIENT, clipped.init(TABLE), TABLE)
    # Each of 8 gradients of 1 is clipped to 0.5 / sqrt(8).
    expected = TABLE - 0.1 * 0.5 / 8**0.5 * np.isin(np.arange(5), [1, 3])[:, None]
    assert_close(params, expected, magnitude=1.0)


@pytest.mark.errors
def test_arguments_of_updates_are_checked():
    state = SGD.init(TABLE)
    with refused("optimizer is a function, but must have the functions init and upd"):
        F.update_rows(optax.sgd, GRADIENT, state, TABLE)
    with refused(r"gradients.rows.shape=\(2, 4\) must end in the width of its table"):
        F.update_rows(SGD, GRADIENT, state, np.ones((5, 3), np.float32))
    with refused("gradients must be a tree like params, with a RowGradient in place"):
        F.update_rows(SGD, {"a": GRADIENT}, state, {"b": TABLE})
    with refused(r"params.shape=\(5,\) must be \(rows, columns\)"):
        F.update_rows(SGD, GRADIENT, state, TABLE[:, 0])
    with refused(r"opt_state has leaves of the shapes \[\(4, 4\)\], but must be as f"):
        F.update_rows(ADAGRAD, GRADIENT, ADAGRAD.init(TABLE[:4]), TABLE)

    def traced(rate):
        return F.update_rows(optax.sgd(rate), GRADIENT, state, TABLE)

    with refused("optimizer must not hold traced values; make it outside jit, or give"):
        jax.jit(traced)(0.1)
