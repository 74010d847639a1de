"""Tables in the memory of the host, whose rows are fetched one step ahead."""

from collections.abc import Sequence
from functools import partial
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.experimental import compute_on
from jax.sharding import NamedSharding, SingleDeviceSharding
from jaxtyping import Array, Float, Integer

from ..._checks import (
    check_out_sharding,
    check_table,
    float_array,
    int32_in_range,
    nan_where_invalid,
)
from ..._public import public
from ..._sharding import (
    explicit_axes,
    sharding_like,
    sharding_of_lookup,
    whole_array,
)
from .row_sums import distinct_outside, set_distinct_rows

_KIND = "pinned_host"
_WRITTEN_ON_HOST = (0, 10, 2)  # since when JAX leaves what the host computes there
_HOST, _DEVICE = jax.memory.Space.Host, jax.memory.Space.Device


@public
def table_on_host(
    table: Float[Array | np.ndarray, "num_rows d_model"],
    *,
    out_sharding: NamedSharding | None = None,
) -> Float[Array, "num_rows d_model"]:
    """Returns a table in the memory of the host, from which rows can be fetched.

    Args:
        table: A table of real floats. A NumPy array never enters a device.
        out_sharding: Sharding of the table. `None` is that of `table`, or the first
            device for a NumPy array.

    Returns:
        The same table, in memory of the kind `pinned_host`.

    Raises:
        ValueError: If `table` is not a table of real floats, is traced, or its devices
            have no memory of that kind.

    Example:
        >>> table = table_on_host(jnp.eye(3))
        >>> table.sharding.memory_kind
        'pinned_host'

    Reference:
        DeepSeek-AI, Engram, 2026, keeps its tables of n-grams on the host.
        https://arxiv.org/abs/2601.07372
    """
    check_table("table", table)
    check_out_sharding(out_sharding, (NamedSharding,))
    if isinstance(table, Tracer):
        raise ValueError("table is traced, but must be moved to the host before that.")
    sharding: Any = out_sharding
    if sharding is None and isinstance(table, jax.Array):
        sharding = table.sharding
    elif sharding is None:
        sharding = SingleDeviceSharding(jax.devices()[0])
    device = min(sharding.device_set, key=lambda device: device.id)
    kinds = [memory.kind for memory in device.addressable_memories()]
    if _KIND not in kinds:
        raise ValueError(
            f"table must be on devices with memory of the kind {_KIND!r}, but those of "
            f"{device.platform} have {kinds}; keep the table on the devices."
        )
    return jax.device_put(table, sharding.with_memory_kind(_KIND))


@public
def fetch_host_rows(
    table: Float[Array, "num_rows d_model"],
    row_ids: Integer[Array | np.ndarray, "*ids"] | Sequence | SupportsIndex,
) -> Float[Array, "*ids d_model"]:
    """Returns rows of a table on the host, which the host gathers and the device gets.

    Call it for the ids of the next step beside the work of this one, and carry the rows
    in the state of the loop: nothing then waits for the host. The gradient is that of
    the rows, which `write_host_rows` writes back when they have been updated.

    Args:
        table: A table of `table_on_host`.
        row_ids: Indices in `[0, num_rows)`, of any shape.

    Returns:
        One row per index, on the device, sharded as the indices are. A traced index
        out of range gives NaN.

    Raises:
        ValueError: If `table` is not on the host, or an index that is known outside
            every transformation is out of range.

    Example:
        >>> table = table_on_host(jnp.eye(3))
        >>> jax.jit(fetch_host_rows)(table, jnp.array([2, 0]))
        Array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)

    Reference:
        DeepSeek-AI, Engram, 2026. https://arxiv.org/abs/2601.07372
    """
    _check_on_host(table)
    ids, valid = int32_in_range("row_ids", row_ids, 0, table.shape[0])
    options: Any = {"mode": "clip", "out_sharding": sharding_of_lookup(ids, table)}
    gather = _on_host(lambda table, ids: table.at[ids].get(**options))
    rows = jax.device_put(gather(table, jax.device_put(ids, _HOST)), _DEVICE)
    return nan_where_invalid(valid, rows)


@public
def write_host_rows(
    table: Float[Array, "num_rows d_model"],
    row_ids: Integer[Array | np.ndarray, "*ids"] | Sequence | SupportsIndex,
    rows: Float[Array | np.ndarray, "*ids d_model"],
) -> Float[Array, "num_rows d_model"]:
    """Returns a table on the host with other rows, in place if `table` is donated.

    Args:
        table: A table of `table_on_host`.
        row_ids: Distinct indices in `[0, num_rows)`. `num_rows` stands for an unused
            slot, as in `row_gradient`, and may repeat. Slots and traced indices out of
            range are dropped.
        rows: One row per index, which is rounded to the dtype of the table.

    Returns:
        The table with these rows.

    Raises:
        ValueError: If `table` is not on the host, `rows` are not real floats or not one
            per index, an index that is known outside every transformation is out of
            range, or JAX is older than 0.10.2.

    Example:
        >>> table = table_on_host(jnp.zeros((3, 2)))
        >>> table = jax.jit(write_host_rows)(table, jnp.array([1]), jnp.ones((1, 2)))
        >>> fetch_host_rows(table, [1])
        Array([[1., 1.]], dtype=float32)

    Reference:
        DeepSeek-AI, Engram, 2026. https://arxiv.org/abs/2601.07372
    """
    _check_on_host(table)
    rows = jnp.asarray(float_array("rows", rows)).astype(table.dtype)
    num_rows, d_model = table.shape
    ids, valid = int32_in_range("row_ids", row_ids, 0, num_rows + 1)
    if rows.shape != (*ids.shape, d_model):
        raise ValueError(
            f"rows.shape={rows.shape} must be {(*ids.shape, d_model)}, one row of "
            f"{table.shape=} for each index of row_ids."
        )
    if valid is not None:
        ids = jnp.where(valid, ids, num_rows)
    if jax.__version_info__ < _WRITTEN_ON_HOST:
        raise ValueError(
            f"table cannot be written where it is by jax {jax.__version__}, which may "
            "end the process; install jax 0.10.2 or later, or call table_on_host with "
            "a table that was changed on the device."
        )
    # The host of every device writes to its shard. Constants would not lie on the host,
    # so the work there makes none.
    ids = distinct_outside(whole_array(ids).reshape(-1), num_rows)
    arrays = table, ids, whole_array(rows).reshape(-1, d_model)
    out_sharding = sharding_like(table, explicit_axes(table))
    write = _on_host(partial(set_distinct_rows, out_sharding=out_sharding))
    return write(*(jax.device_put(x, _HOST) for x in arrays))


def _check_on_host(table):
    check_table("table", table)
    space = getattr(jax.typeof(table), "memory_space", None)
    if space != _HOST:
        raise ValueError(
            f"table is in the memory of a device ({space}), but must be on the host; "
            "move it there with table_on_host."
        )


def _on_host(work):
    """`work` on arrays of the host, which runs there and leaves its result there."""
    on: Any = getattr(compute_on, "compute_on2", compute_on.compute_on)
    try:
        return on(work, compute_type="device_host", out_memory_spaces=_HOST)
    except TypeError:  # before _WRITTEN_ON_HOST
        return compute_on.compute_on("device_host")(jax.jit(work))
