"""How far every neuron pulls the exponents: the derivative of tau and alpha in the weight of a neuron."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def influence_of_neurons(log_masses, weights, q, fit, first, stop, of_tau, of_alpha):
    """d tau/d v_i = sum_r c_r p_i(r) and d alpha/d v_i = sum_r c_r p_i(r) [ln mu_i(r) - sum_k p_k(r) ln mu_k(r)].

    p_i = w_i mu_i^q / Z_q is the share of neuron i of the partition function, c_r the weight of a radius in the
    regression, v_i how often a neuron counts, which is once.

    log_masses (radii, neurons) float64; weights (neurons,) float64 the w_i; q (q,) float64; fit (radii,) float64 the
    c_r; first, stop: the orders to do; of_tau and of_alpha (q, neurons) float64 receive the results.
    """
    radii, neurons = log_masses.shape
    share = np.empty(neurons)
    for j in range(first, stop):
        of_tau[j], of_alpha[j] = 0.0, 0.0
        for r in range(radii):
            total, mean = _shares(log_masses[r], weights, q[j], share)
            c = fit[r] / total
            for i in range(neurons):
                of_tau[j, i] += c * share[i]
                of_alpha[j, i] += c * share[i] * (log_masses[r, i] - mean)
        if q[j] == 0.0:  # ln Z is flat by definition
            of_tau[j] = 0.0


@njit(nogil=True, cache=True)
def influence_of_counts(counts, last, logarithms, weights, q, fit, first, stop, of_tau, of_alpha):
    """The same for mu_i(r) = N_i(r)/N_i(r_max): powers of whole numbers are looked up, not computed for each neuron.

    counts (radii, neurons) uint32; last (neurons,) uint32, N_i(r_max); logarithms (largest count + 1,) float64, ln of
    whole numbers; the others as above.
    """
    radii, neurons = counts.shape
    power, share, above = np.empty(logarithms.shape[0]), np.empty(neurons), np.empty(neurons)
    for j in range(first, stop):
        of_tau[j], of_alpha[j] = 0.0, 0.0
        for n in range(power.shape[0]):
            power[n] = np.exp(q[j] * logarithms[n])
        for r in range(radii):
            total, weighted = 0.0, 0.0
            for i in range(neurons):
                share[i] = weights[i] * power[counts[r, i]] / power[last[i]]
                above[i] = logarithms[counts[r, i]] - logarithms[last[i]]
                total += share[i]
                weighted += share[i] * above[i]
            c, mean = fit[r] / total, weighted / total
            for i in range(neurons):
                of_tau[j, i] += c * share[i]
                of_alpha[j, i] += c * share[i] * (above[i] - mean)
        if q[j] == 0.0:  # ln Z is flat by definition
            of_tau[j] = 0.0


@njit(nogil=True, cache=True)
def _shares(log_mass, weights, q, share):
    """Fill share with w_i mu_i^q up to a factor; returns their sum and the mean of ln mu_i that they weigh."""
    largest = q * log_mass[0]
    for i in range(log_mass.shape[0]):
        largest = max(largest, q * log_mass[i])
    total, weighted = 0.0, 0.0
    for i in range(log_mass.shape[0]):
        share[i] = weights[i] if q == 0.0 else weights[i] * np.exp(q * log_mass[i] - largest)
        total += share[i]
        weighted += share[i] * log_mass[i]
    return total, weighted / total
