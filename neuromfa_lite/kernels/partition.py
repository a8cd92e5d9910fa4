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


@njit(nogil=True, cache=True)
def log_partition(log_masses, q, log_z, mean_log_mass):
    """ln Z_q(r) = ln sum_i mu_i(r)^q and its derivative in q, sum_i p_i ln mu_i with p_i = mu_i^q / Z_q.

    log_masses (neurons, radii) float64; q (q,) float64; log_z and mean_log_mass (q, radii) float64 receive the results.
    """
    largest_q = max(np.max(np.abs(q)), 1e-300)
    centre, half_range = _middle_and_half_range(log_masses)
    longest = half_range * largest_q
    scale = np.where(longest <= LONGEST_RANGE, largest_q, 0.0)
    reach = _reach_of_terms(half_range * scale)
    moments = _moments(log_masses, centre, scale, reach)
    for j in range(q.shape[0]):
        even, odd, slope = _sum_series(moments, reach, q[j] / largest_q)
        for r in range(log_masses.shape[1]):
            z = even[r] + odd[r]
            if longest[r] <= LONGEST_RANGE and 2.0 * even[r] <= WORST_CANCELLATION * z:
                log_z[j, r] = q[j] * centre[r] + np.log(z)
                mean_log_mass[j, r] = centre[r] + slope[r] / z / largest_q
            else:
                log_z[j, r], mean_log_mass[j, r] = _direct(log_masses[:, r], q[j])


@njit(nogil=True, cache=True)
def _middle_and_half_range(log_masses):
    neurons, radii = log_masses.shape
    low, high = log_masses[0].copy(), log_masses[0].copy()
    for i in range(1, neurons):
        for r in range(radii):
            low[r] = min(low[r], log_masses[i, r])
            high[r] = max(high[r], log_masses[i, r])
    return (low + high) / 2.0, (high - low) / 2.0


@njit(nogil=True, cache=True)
def _terms_needed(longest):
    term, k = 1.0, 0
    while term > 1e-17 or k < longest:
        k += 1
        term *= longest / k
    return k + 1


@njit(nogil=True, cache=True)
def _reach_of_terms(longest):
    """(terms,): how many radii, counted from the first, need the term of each order: large radii need few."""
    reach = np.zeros(_terms_needed(np.max(longest)), np.int64)
    for r in range(longest.shape[0]):
        reach[: _terms_needed(longest[r])] = r + 1
    return reach


@njit(nogil=True, cache=True)
def _moments(log_masses, centre, scale, reach):
    neurons, radii = log_masses.shape
    terms = reach.shape[0]
    moments, of_block = np.zeros((terms, radii)), np.zeros((terms, radii))
    moments[0] = neurons
    y, power = np.empty(radii), np.empty(radii)
    for i in range(neurons):
        for r in range(radii):
            y[r] = (log_masses[i, r] - centre[r]) * scale[r]
            power[r] = y[r]
        for k in range(1, terms):
            for r in range(reach[k]):  # innermost, because it is the one a vector instruction can take
                of_block[k, r] += power[r]
                power[r] *= y[r]
        if (i + 1) % BLOCK == 0:
            moments += of_block
            of_block[:] = 0.0
    return moments + of_block


@njit(nogil=True, cache=True)
def _sum_series(moments, reach, s):
    """For every radius: the even and the odd terms of sum_k s^k m_k / k! apart, and its derivative in s."""
    even, odd, slope = moments[0].copy(), np.zeros(moments.shape[1]), np.zeros(moments.shape[1])
    before = 1.0  # s^(k-1) / (k-1)!
    for k in range(1, moments.shape[0]):
        factor = before * s / k
        side = even if k % 2 == 0 else odd
        for r in range(reach[k]):
            side[r] += factor * moments[k, r]
            slope[r] += before * moments[k, r]
        before = factor
    return even, odd, slope


@njit(nogil=True, cache=True)
def _direct(log_mass, q):
    largest = -np.inf
    for i in range(log_mass.shape[0]):
        largest = max(largest, q * log_mass[i])
    total, weighted = 0.0, 0.0
    for start in range(0, log_mass.shape[0], BLOCK):
        of_block, weighted_of_block = 0.0, 0.0
        for i in range(start, min(start + BLOCK, log_mass.shape[0])):
            share = np.exp(q * log_mass[i] - largest)
            of_block += share
            weighted_of_block += share * log_mass[i]
        total += of_block
        weighted += weighted_of_block
    return largest + np.log(total), weighted / total
