"""Entries of arrays at the indices that functions of scores have."""


def entry_at(values, num_axes):
    """The function `(batch, *indices)` to an entry of `(*batch, *axes)`.

    There are `num_axes` axes, each with an index, and at most one axis of the batch.
    Where that one is missing or 1, the entries are those of every batch.
    """
    if values.ndim == num_axes:
        return lambda batch, *indices: values[indices]
    if values.shape[0] == 1:
        return lambda batch, *indices: values[(0, *indices)]
    return lambda batch, *indices: values[(batch, *indices)]
