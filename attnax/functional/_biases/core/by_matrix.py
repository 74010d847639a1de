"""Biases that a function of the scores reads from a matrix that is made first."""


def matrix_at(matrix):
    """The function `(batch, head, q_index, k_index)` to an entry of a matrix.

    `matrix` is `(*batch, num_heads, q_len, k_len)` with one batch axis at most.
    """
    if matrix.ndim == 3:
        return lambda batch, head, q_index, k_index: matrix[head, q_index, k_index]
    if matrix.shape[0] == 1:
        return lambda batch, head, q_index, k_index: matrix[0, head, q_index, k_index]
    return lambda batch, head, q_index, k_index: matrix[batch, head, q_index, k_index]
