"""The partition function for all q at once, by power moments.

With y_i = Q (ln mu_i - c), Q the largest |q| and c the middle of the range of ln mu,

    Z_q = e^{qc} sum_k (q/Q)^k m_k,     m_k = sum_i y_i^k / k!

so the neurons are visited once, whatever the number of q values; exp is never called.
"""

import numpy as np
from numba import njit

# Beyond this the series needs more terms than a direct exponential costs.
LONGEST_RANGE = 20.0
# The terms of the series may cancel when few neurons lie at one end of the range: Z_{-q} >> Z_q.
# Their ratio bounds the loss of digits; above this the sum is taken directly.
WORST_CANCELLATION = 1e3
# Sums over neurons are taken in blocks: a hundred thousand equal terms added one by one round the same way each time
# and lose five digits, while 256 of them and then 400 blocks lose less than three.
BLOCK = 256


@njit(nogil=True, cache=True)
def log_partition(log_masses, q, log_z, mean_log_mass):
    """ln Z_q(r) = ln sum_i mu_i(r)^q and its derivative in q, sum_i p_i ln mu_i with p_i = mu_i^q / Z_q.

    log_masses (neurons, radii) float64; q (q,) float64; log_z and mean_log_mass (q, radii) float64 receive the results.
    """
    neurons, radii = log_masses.shape
    largest_q = max(np.max(np.abs(q)), 1e-300)
    centre, half_range = _middle_and_half_range(log_masses)
    longest = 0.0
    for r in range(radii):
        if half_range[r] * largest_q <= LONGEST_RANGE:
            longest = max(longest, half_range[r] * largest_q)
    moments = _moments(log_masses, centre, largest_q, half_range, _terms_needed(longest))
    for j in range(q.shape[0]):
        s = q[j] / largest_q
        for r in range(radii):
            if half_range[r] * largest_q <= LONGEST_RANGE:
                even, odd, slope = _sum_series(moments, r, s)
                if 2.0 * even <= WORST_CANCELLATION * (even + odd):
                    log_z[j, r] = q[j] * centre[r] + np.log(even + odd)
                    mean_log_mass[j, r] = centre[r] + slope / (even + odd) / largest_q
                    continue
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
    while term > 1e-15 or k < longest:
        k += 1
        term *= longest / k
    return k + 1


@njit(nogil=True, cache=True)
def _moments(log_masses, centre, largest_q, half_range, terms):
    neurons, radii = log_masses.shape
    moments, of_block = np.zeros((terms, radii)), np.zeros((terms, radii))
    y, power = np.empty(radii), np.empty(radii)
    scale = np.where(half_range * largest_q <= LONGEST_RANGE, largest_q, 0.0)
    for i in range(neurons):
        for r in range(radii):
            y[r] = (log_masses[i, r] - centre[r]) * scale[r]
            power[r] = 1.0
        for k in range(terms):
            inverse = 1.0 / (k + 1)
            for r in range(radii):  # innermost, because it is the one a vector instruction can take
                of_block[k, r] += power[r]
                power[r] *= y[r] * inverse
        if (i + 1) % BLOCK == 0:
            moments += of_block
            of_block[:] = 0.0
    return moments + of_block


@njit(nogil=True, cache=True)
def _sum_series(moments, r, s):
    even, odd, slope = 0.0, 0.0, 0.0
    power, before = 1.0, 0.0
    for k in range(moments.shape[0]):
        if k % 2 == 0:
            even += power * moments[k, r]
        else:
            odd += power * moments[k, r]
        slope += k * before * moments[k, r]
        before = power
        power *= s
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
