"""The product of two matrices, each of its numbers summed from the first term to the last."""

from . import njit


@njit(nogil=True, cache=True)
def multiply(left, right, product):
    """product (rows, columns) = left (rows, terms) right (terms, columns), all float64."""
    # A library of linear algebra sums in an order that depends on how many threads the process gives it.
    product[:] = 0.0
    for i in range(left.shape[0]):
        for k in range(left.shape[1]):
            for j in range(right.shape[1]):
                product[i, j] += left[i, k] * right[k, j]
