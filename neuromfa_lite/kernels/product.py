"""The product of two matrices, each of its numbers summed from the first term to the last."""

from . import njit


@njit(nogil=True, cache=True)
def multiply(left, right, product):
    """product (rows, columns) = left (rows, terms) right (terms, columns), all float64."""
    # A library of linear algebra sums in an order that depends on how many threads the process gives it.
    rows, terms = left.shape
    columns = right.shape[1]
    product[:] = 0.0
    fours, pairs = rows - rows % 4, terms - terms % 2
    for i in range(0, fours, 4):  # a number that is read serves four rows, a sum that is read two terms
        a, b, c, d = product[i], product[i + 1], product[i + 2], product[i + 3]
        for k in range(0, pairs, 2):
            p, q = right[k], right[k + 1]
            a0, b0, c0, d0 = left[i, k], left[i + 1, k], left[i + 2, k], left[i + 3, k]
            a1, b1, c1, d1 = left[i, k + 1], left[i + 1, k + 1], left[i + 2, k + 1], left[i + 3, k + 1]
            for j in range(columns):
                x, y = p[j], q[j]
                a[j] = a[j] + a0 * x + a1 * y
                b[j] = b[j] + b0 * x + b1 * y
                c[j] = c[j] + c0 * x + c1 * y
                d[j] = d[j] + d0 * x + d1 * y
    for i in range(rows):
        for k in range(pairs if i < fours else 0, terms):
            for j in range(columns):
                product[i, j] += left[i, k] * right[k, j]
