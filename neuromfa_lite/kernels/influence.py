"""How far every neuron pulls the exponents: the derivative of tau and alpha in the weight of a neuron."""

import numpy as np

from . import njit


@njit(nogil=True, cache=True)
def influence_of_neurons(log_masses, weights, q, fit, first, stop, of_tau, of_alpha):
    """d tau/d v_i = sum_r c_r p_i(r) and d alpha/d v_i = sum_r c_r p_i(r) [ln mu_i(r) - sum_k p_k(r) ln mu_k(r)].

    v_i is how often a neuron counts (once), p_i = w_i mu_i^q / Z_q, w (neurons,) the weights and c (radii,) the fit;
    log_masses (radii, neurons); of_tau and of_alpha (q, neurons), of which the orders from first to stop are done.
    """
    radii, neurons = log_masses.shape
    share = np.empty(neurons)
    for j in range(first, stop):
        of_tau[j], of_alpha[j] = 0.0, 0.0
        for r in range(radii):
            log_mass = log_masses[r]
            largest = max(q[j] * np.min(log_mass), q[j] * np.max(log_mass))
            for i in range(neurons):
                share[i] = weights[i] * np.exp(q[j] * log_mass[i] - largest)
            _add_pulls(share, log_mass, fit[r], of_tau[j], of_alpha[j])
        if q[j] == 0.0:  # ln Z is flat by definition
            of_tau[j] = 0.0


@njit(nogil=True, cache=True)
def influence_of_counts(counts, last, logarithms, weights, q, fit, first, stop, of_tau, of_alpha):
    """The same for mu_i(r) = counts[r, i]/last[i], with the powers of whole numbers from a table."""
    radii, neurons = counts.shape
    power, share, log_mass = np.empty(logarithms.shape[0]), np.empty(neurons), np.empty(neurons)
    for j in range(first, stop):
        of_tau[j], of_alpha[j] = 0.0, 0.0
        for n in range(power.shape[0]):
            power[n] = np.exp(q[j] * logarithms[n])
        for r in range(radii):
            for i in range(neurons):
                share[i] = weights[i] * power[counts[r, i]] / power[last[i]]
                log_mass[i] = logarithms[counts[r, i]] - logarithms[last[i]]
            _add_pulls(share, log_mass, fit[r], of_tau[j], of_alpha[j])
        if q[j] == 0.0:  # ln Z is flat by definition
            of_tau[j] = 0.0


@njit(nogil=True, cache=True)
def influence_in_resamples(shares, log_masses, scale, mean, of_tau, of_alpha):
    """Add the pulls of every neuron in resamples whose sums over neurons are known.

    shares and log_masses (radii, neurons): w_i mu_i^q and ln mu_i; scale and mean (resamples, radii): c_r over the sum
    of the shares, and the mean of ln mu_i; of_tau and of_alpha (resamples, neurons) are added to.
    """
    for row in range(scale.shape[0]):
        for r in range(scale.shape[1]):
            _pull(shares[r], log_masses[r], scale[row, r], mean[row, r], of_tau[row], of_alpha[row])


@njit(nogil=True, cache=True)
def _add_pulls(share, log_mass, c, of_tau, of_alpha):
    """Add the pulls of one radius, p_i = share_i over the sum of all shares."""
    total, weighted = 0.0, 0.0
    for i in range(share.shape[0]):
        total += share[i]
        weighted += share[i] * log_mass[i]
    _pull(share, log_mass, c / total, weighted / total, of_tau, of_alpha)


@njit(nogil=True, cache=True)
def _pull(share, log_mass, scale, mean, of_tau, of_alpha):
    """Add c p_i and c p_i (ln mu_i - their mean) of one radius: scale is c over the sum of all shares."""
    for i in range(share.shape[0]):
        pull = scale * share[i]
        of_tau[i] += pull
        of_alpha[i] += pull * (log_mass[i] - mean)
