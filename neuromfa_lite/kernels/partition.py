"""The partition function for all q at once, by power moments.

With y_i = Q (ln mu_i - c), Q the largest |q| and c the middle of the range of ln mu,

    Z_q = e^{qc} sum_k (q/Q)^k m_k / k!,     m_k = sum_i y_i^k  (w_i y_i^k where neurons carry a weight)

so the neurons are visited once, whatever the number of q values; exp is never called.
"""

import numpy as np

from . import njit

LONGEST_RANGE = 20.0  # beyond it the series needs more terms than a direct exponential costs
# The terms cancel where few neurons lie at one end of the range, Z_{-q} >> Z_q: their ratio bounds the loss of digits.
WORST_CANCELLATION = 30.0
TILE = 1024  # neurons at a time: powers that stay in the first-level cache, and no long sums, which lose digits


@njit(nogil=True, cache=True)
def log_partition(log_masses, q, log_z, mean_log_mass, weights):
    """ln Z_q(r) = ln sum_i w_i mu_i(r)^q and its derivative in q, sum_i p_i ln mu_i with p_i = w_i mu_i^q / Z_q.

    log_masses (radii, neurons); log_z and mean_log_mass (q, radii); weights (neurons,) positive, or None: all 1.
    """
    for r in range(log_masses.shape[0]):
        _at_one_radius(log_masses[r], weights, q, log_z[:, r], mean_log_mass[:, r])


@njit(nogil=True, cache=True)
def log_partition_of_counts(counts, logarithms, q, first, stop, log_z, mean_log_mass):
    """The same for mu_i(r) = N_i(r)/N_i(r_max), radii from first to stop, the logarithms held for one at a time."""
    radii, neurons = counts.shape
    log_mass, log_final = np.empty(neurons), np.empty(neurons)
    for i in range(neurons):
        log_final[i] = logarithms[counts[radii - 1, i]]
    for r in range(first, stop):
        for i in range(neurons):
            log_mass[i] = logarithms[counts[r, i]] - log_final[i]
        _at_one_radius(log_mass, None, q, log_z[:, r], mean_log_mass[:, r])


@njit(nogil=True, cache=True)
def _at_one_radius(log_mass, weights, q, log_z, mean_log_mass):
    largest_q = max(np.max(np.abs(q)), 1e-300)
    low, high = _range(log_mass)
    centre, reach = (low + high) / 2.0, (high - low) / 2.0 * largest_q
    short = reach <= LONGEST_RANGE
    if short:
        moments = _moments(log_mass, weights, centre, largest_q, _terms_needed(reach))
        even, odd, slope = _sum_series(moments, q / largest_q)
    for j in range(q.shape[0]):
        if short and 2.0 * even[j] <= WORST_CANCELLATION * (even[j] + odd[j]):
            z = even[j] + odd[j]
            log_z[j] = q[j] * centre + np.log(z)
            mean_log_mass[j] = centre + slope[j] / z / largest_q
        else:
            log_z[j], mean_log_mass[j] = _direct(log_mass, weights, q[j])


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def _range(log_mass):
    n, first = log_mass.shape[0], log_mass[0]
    a = b = c = d = e = f = g = h = first
    for i in range(0, n - 3, 4):  # four at a time, so that no comparison waits for the one before
        a, e = min(a, log_mass[i]), max(e, log_mass[i])
        b, f = min(b, log_mass[i + 1]), max(f, log_mass[i + 1])
        c, g = min(c, log_mass[i + 2]), max(g, log_mass[i + 2])
        d, h = min(d, log_mass[i + 3]), max(h, log_mass[i + 3])
    for i in range(n - n % 4, n):
        a, e = min(a, log_mass[i]), max(e, log_mass[i])
    return min(min(a, b), min(c, d)), max(max(e, f), max(g, h))


@njit(nogil=True, cache=True)
def _terms_needed(reach):
    term, k = 1.0, 0
    while term > 1e-15 or k < reach:
        k += 1
        term *= reach / k
    return k + 1


# Reassociation lets the eight sums below run in vector registers; their order is fixed at compile time.
@njit(nogil=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def _moments(log_mass, weights, centre, largest_q, terms):
    """m_k = sum_i w_i y_i^k / k! for k < terms, eight powers at a time."""
    moments = np.zeros((terms + 7) // 8 * 8)
    y, power = np.empty(TILE), np.empty(TILE)
    for start in range(0, log_mass.shape[0], TILE):
        n = min(TILE, log_mass.shape[0] - start)
        for i in range(n):
            y[i] = (log_mass[start + i] - centre) * largest_q
            power[i] = 1.0 if weights is None else weights[start + i]
        for k in range(0, terms, 8):
            a = b = c = d = e = f = g = h = 0.0
            for i in range(n):
                p, v, square = power[i], y[i], y[i] * y[i]
                a += p
                b += p * v
                p *= square
                c += p
                d += p * v
                p *= square
                e += p
                f += p * v
                p *= square
                g += p
                h += p * v
                power[i] = p * square
            for j, total in enumerate((a, b, c, d, e, f, g, h)):
                moments[k + j] += total
    factorial = 1.0
    for k in range(1, moments.shape[0]):
        factorial *= k
        moments[k] /= factorial
    return moments


@njit(nogil=True, cache=True)
def _sum_series(moments, s):
    """For every s = q/Q: the even and the odd terms of sum_k s^k m_k / k! apart, and its derivative in s."""
    even, odd, slope = np.zeros(s.shape[0]), np.zeros(s.shape[0]), np.zeros(s.shape[0])
    power = np.ones(s.shape[0])  # s^(k-1), then s^k
    even += moments[0]
    for k in range(1, moments.shape[0]):
        side = odd if k % 2 else even
        for j in range(s.shape[0]):
            slope[j] += k * moments[k] * power[j]
            power[j] *= s[j]
            side[j] += moments[k] * power[j]
    return even, odd, slope


@njit(nogil=True, cache=True)
def _direct(log_mass, weights, q):
    low, high = _range(log_mass)
    largest = max(q * low, q * high)
    total, weighted = 0.0, 0.0
    for start in range(0, log_mass.shape[0], TILE):  # in tiles: one long sum of equal terms would lose digits
        share_of_tile, weighted_of_tile = 0.0, 0.0
        for i in range(start, min(start + TILE, log_mass.shape[0])):
            share = np.exp(q * log_mass[i] - largest)
            if weights is not None:
                share *= weights[i]
            share_of_tile += share
            weighted_of_tile += share * log_mass[i]
        total += share_of_tile
        weighted += weighted_of_tile
    return largest + np.log(total), weighted / total
