"""Tables whose rows are sharded over an axis of the mesh, and what runs on a shard."""

from .shards import (
    Shard as Shard,
    axis_names as axis_names,
    is_manual as is_manual,
    num_table_rows as num_table_rows,
    on_shards as on_shards,
)
