"""Rows of a table in the memory of the host, fetched beside the work of a step."""

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .. import cases
from ..timing.harness import Group
from ..timing.programs import Program
from .lines import difference
from .sizes import Sizes


def fetches(sizes: Sizes, dtype):
    """Yields timings of a step with and without a fetch, then errors of the rows.

    The target is that of a fetch for the next step, whose rows nothing waits for.
    """
    num_rows, d_model, tokens = sizes.host_table
    table = F.table_on_host(np.asarray(cases.normal(0, (num_rows, d_model), dtype)))
    rng = np.random.default_rng(1)
    ids, next_ids = jnp.asarray(rng.integers(0, num_rows, (2, tokens)), jnp.int32)
    hidden = cases.normal(2, (tokens, sizes.host_width), dtype)
    shape = (sizes.host_products, sizes.host_width, sizes.host_width)
    weights = cases.normal(3, shape, dtype) / sizes.host_width**0.5
    rows = jax.jit(F.fetch_host_rows)(table, ids)
    args = table, ids, next_ids, rows, hidden, weights
    programs = {
        "limit": Program(_step_alone, args),
        "attnax": Program(_step_and_rows_of_the_next, args),
        "rows of this step": Program(_rows_then_step, args),
        "fetch alone": Program(lambda table, *args: _fetch(table, args[1]), args),
    }
    case = (
        f"{sizes.host_products} products of {tokens:,} x {sizes.host_width:,} and "
        f"{tokens:,} rows of {d_model:,} from the host"
    )
    meta = {"shape": table.shape, "dtype": table.dtype.name}
    yield Group(case, "the step without a fetch", programs, 1.05, meta)
    expected = np.asarray(table)[np.asarray(ids)]
    yield difference(f"{case}, rows", rows, expected)


def _step_alone(table, ids, next_ids, rows, hidden, weights):
    return _work(rows, hidden, weights), rows


def _step_and_rows_of_the_next(table, ids, next_ids, rows, hidden, weights):
    return _work(rows, hidden, weights), _fetch(table, next_ids)


def _rows_then_step(table, ids, next_ids, rows, hidden, weights):
    rows = _fetch(table, ids)
    return _work(rows, hidden, weights), rows


def _fetch(table, ids):
    return F.fetch_host_rows(table, ids)


def _work(rows, hidden, weights):
    """Products one after the other, of which the first needs the rows."""
    hidden = hidden.at[:, : rows.shape[-1]].add(rows)
    product = lambda hidden, weight: (hidden @ weight, None)
    return jax.lax.scan(product, hidden, weights)[0]
