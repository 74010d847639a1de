"""A trial of an optimizer on a few rows: whether it updates each row by itself."""

import jax
import jax.numpy as jnp
import numpy as np

NUM_ROWS, NUM_TOUCHED = 4, 2
# Counts of steps and sizes of gradients: schedules and clipping may hide a dependence.
TRIALS = ((0, 1.0), (1, 1e3), (1000, 1e-3))

NOT_KEPT = (
    "optimizer must leave a row and its state as they are where the gradient is 0, as "
    "SGD and Adagrad do; take update_rows_lazily, or the gradient of the whole table."
)
NOT_ALONE = (
    "optimizer must update each row of a table by itself, but a row depends on others; "
    "take the gradient of the whole table."
)
TRACED = (
    "optimizer must not hold traced values; make it outside jit, or give it settings "
    "that change through optax.inject_hyperparams."
)


def check_optimizer(optimizer, params, tables, owners, *, exact) -> None:
    """Raises unless a `LeafOptimizer` updates each row of a table by itself.

    If `exact`, rows without a gradient must also stay as they are, with their state.
    Tables are places among `params`, and `owners` are the tables that leaves of the
    state follow.
    """
    is_table = [place in tables for place in range(len(params))]
    is_owned = [owner is not None for owner in owners]
    # The trial runs now, on numbers of its own, wherever the caller is traced.
    with jax.ensure_compile_time_eval():
        for count, scale in TRIALS:
            rng = np.random.default_rng(0)
            small = [_small(*pair, rng) for pair in zip(params, is_table, strict=True)]
            state = zip(optimizer.init(small), is_owned, strict=True)
            num_varied = NUM_ROWS if exact else NUM_TOUCHED
            state = [_varied(*pair, count, num_varied, rng) for pair in state]
            pairs = zip(small, is_table, strict=True)
            gradients = [_gradient(*pair, scale, rng) for pair in pairs]
            try:
                _try(optimizer, (gradients, state, small), is_table, is_owned, exact)
            except jax.errors.JAXTypeError:
                raise ValueError(TRACED) from None


def _try(optimizer, arguments, is_table, is_owned, exact):
    """Compares a step of all rows with what was before, and with one of a few rows."""
    kinds = is_table, is_owned, is_table
    _, state, params = arguments
    updates, new_state, new_params = optimizer.step(*arguments)
    pairs = zip(
        state + params, new_state + new_params, is_owned + is_table, strict=True
    )
    for old, new, by_row in pairs:
        old, new = np.asarray(old), np.asarray(new)
        if exact and by_row and (old != new)[NUM_TOUCHED:].any():
            raise ValueError(NOT_KEPT)
    few = optimizer.step(*map(_touched, arguments, kinds))
    whole = map(_touched, (updates, new_state, new_params), kinds)
    for some, same in zip(few, whole, strict=True):
        if not all(map(_close, some, same)):
            raise ValueError(NOT_ALONE)


def _small(leaf, is_table, rng):
    """A few rows of a table, of which those without a gradient are large."""
    shape = tuple(min(size, 2) for size in jnp.shape(leaf))
    if not is_table:
        # As the tables below: an optimizer may ask for the common dtype of all.
        is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jnp.ones(shape, jnp.float32 if is_float else leaf.dtype)
    rows = rng.normal(size=(NUM_ROWS, *shape[1:]))
    rows[NUM_TOUCHED:] *= 10
    # In 16 bits, rounding would hide how one row depends on another.
    return jnp.asarray(rows, jnp.float32)


def _gradient(leaf, is_table, scale, rng):
    """A gradient of a few rows of a table; zeros of other parameters."""
    gradient = np.zeros(leaf.shape)
    if is_table:
        gradient[:NUM_TOUCHED] = rng.normal(size=gradient[:NUM_TOUCHED].shape) * scale
    return jnp.asarray(gradient, leaf.dtype)


def _varied(leaf, is_owned, count, num_varied, rng):
    """A leaf of a new state as it may be later."""
    if is_owned and jnp.issubdtype(leaf.dtype, jnp.floating):
        rows = rng.uniform(0.5, 2.0, size=(num_varied, *leaf.shape[1:]))
        return leaf.at[:num_varied].set(jnp.asarray(rows, leaf.dtype))
    if leaf.shape == () and jnp.issubdtype(leaf.dtype, jnp.integer):
        return jnp.asarray(count, leaf.dtype)
    return leaf


def _touched(leaves, by_row):
    pairs = zip(leaves, by_row, strict=True)
    return [leaf[:NUM_TOUCHED] if rows else leaf for leaf, rows in pairs]


def _close(x, y):
    """Whether two arrays are the same numbers, up to the rounding of a norm."""
    if not jnp.issubdtype(x.dtype, jnp.number):
        return True  # a random key, or a flag
    x, y = (np.asarray(a).astype(np.float64) for a in (x, y))
    return np.allclose(x, y, rtol=1e-4, atol=0.0, equal_nan=True)
