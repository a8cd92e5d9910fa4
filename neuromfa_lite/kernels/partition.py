"""The partition function for all q at once, by power moments.

With y_i = Q (ln mu_i - c), Q the largest |q| and c the middle of the range of ln mu,

    Z_q = e^{qc} sum_k (q/Q)^k m_k / k!,     m_k = sum_i y_i^k

so the neurons are visited once, whatever the number of q values; exp is never called.
"""

import numpy as np
from numba import njit

# Beyond this the series needs more terms than a direct exponential costs.
LONGEST_RANGE = 20.0
# The terms of the series cancel when few neurons lie at one end of the range: Z_{-q} >> Z_q.
# Their ratio bounds the loss of digits; above this the sum is taken directly.
WORST_CANCELLATION = 30.0
# Sums over neurons are taken in blocks: a hundred thousand equal terms added one by one are rounded the same way each
# time and lose five digits; in 400 blocks of 256 they lose less than three.
BLOCK = 256


TILE = 1024  # neurons whose powers stay in the first-level cache


@njit(nogil=True, cache=True)
def log_partition(log_masses, q, log_z, mean_log_mass):
    """ln Z_q(r) = ln sum_i mu_i(r)^q and its derivative in q, sum_i p_i ln mu_i with p_i = mu_i^q / Z_q.

    log_masses (radii, neurons) float64; q (q,) float64; log_z and mean_log_mass (q, radii) float64 receive the results.
    """
    largest_q = max(np.max(np.abs(q)), 1e-300)
    for r in range(log_masses.shape[0]):
        low, high = _range(log_masses[r])
        centre, reach = (low + high) / 2.0, (high - low) / 2.0 * largest_q
        short = reach <= LONGEST_RANGE
        if short:
            moments = _moments(log_masses[r], centre, largest_q, _terms_needed(reach))
        for j in range(q.shape[0]):
            if short:
                even, odd, slope = _sum_series(moments, q[j] / largest_q)
                if 2.0 * even <= WORST_CANCELLATION * (even + odd):
                    log_z[j, r] = q[j] * centre + np.log(even + odd)
                    mean_log_mass[j, r] = centre + slope / (even + odd) / largest_q
                    continue
            log_z[j, r], mean_log_mass[j, r] = _direct(log_masses[r], q[j])


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def _range(log_mass):
    low = high = log_mass[0]
    for i in range(log_mass.shape[0]):
        low, high = min(low, log_mass[i]), max(high, log_mass[i])
    return low, high


@njit(nogil=True, cache=True)
def _terms_needed(reach):
    term, k = 1.0, 0
    while term > 1e-15 or k < reach:
        k += 1
        term *= reach / k
    return k + 1


# Reassociation lets the eight sums below run in vector registers; their order is fixed at compile time.
@njit(nogil=True, cache=True, fastmath={"reassoc", "nsz"})
def _moments(log_mass, centre, largest_q, terms):
    """m_k = sum_i y_i^k / k! for k < terms, eight powers at a time."""
    moments = np.zeros((terms + 7) // 8 * 8)
    y, power = np.empty(TILE), np.empty(TILE)
    for start in range(0, log_mass.shape[0], TILE):
        n = min(TILE, log_mass.shape[0] - start)
        for i in range(n):
            y[i] = (log_mass[start + i] - centre) * largest_q
            power[i] = 1.0
        for k in range(0, terms, 8):
            a = b = c = d = e = f = g = h = 0.0
            for i in range(n):
                p, v = power[i], y[i]
                a += p
                p *= v
                b += p
                p *= v
                c += p
                p *= v
                d += p
                p *= v
                e += p
                p *= v
                f += p
                p *= v
                g += p
                p *= v
                h += p
                power[i] = p * v
            for j, total in enumerate((a, b, c, d, e, f, g, h)):
                moments[k + j] += total
    factorial = 1.0
    for k in range(1, moments.shape[0]):
        factorial *= k
        moments[k] /= factorial
    return moments


@njit(nogil=True, cache=True)
def _sum_series(moments, s):
    even, odd, slope = 0.0, 0.0, 0.0
    power, before = 1.0, 0.0
    for k in range(0, moments.shape[0], 2):
        even += power * moments[k]
        slope += k * before * moments[k]
        before, power = power, power * s
        odd += power * moments[k + 1]
        slope += (k + 1) * before * moments[k + 1]
        before, power = power, power * s
    return even, odd, slope


@njit(nogil=True, cache=True)
def _direct(log_mass, q):
    low, high = _range(log_mass)
    largest = max(q * low, q * high)
    total, weighted = 0.0, 0.0
    for start in range(0, log_mass.shape[0], TILE):  # in tiles: one long sum of equal terms would lose digits
        share_of_tile, weighted_of_tile = 0.0, 0.0
        for i in range(start, min(start + TILE, log_mass.shape[0])):
            share = np.exp(q * log_mass[i] - largest)
            share_of_tile += share
            weighted_of_tile += share * log_mass[i]
        total += share_of_tile
        weighted += weighted_of_tile
    return largest + np.log(total), weighted / total
