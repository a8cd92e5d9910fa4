"""Reading a sample of a matrix: some of its rows, and some columns of these, straight from where it lies."""

import numpy as np

from . import njit


@njit(nogil=True, cache=True)
def gather(array, rows, columns, taken):
    """taken[i, j] = array[rows[i], columns[j]], touching nothing else of the array.

    array (rows, columns) of unsigned integers, the bits of whatever number is stored; rows (n,) and columns (m,) int64,
    inside the array; taken (n, m) of the same type receives them.

    Copying whole rows first, as NumPy does, moves sixteen times the memory when 64 of 1024 columns are wanted.
    """
    for i in range(rows.shape[0]):
        row = array[rows[i]]
        for j in range(columns.shape[0]):
            taken[i, j] = row[np.uint64(columns[j])]
