"""The partition function Z_q(r): all masses of one radius as one number for each moment order q."""

from dataclasses import dataclass

import numpy as np

from ..errors import NeuroMFAError
from ..kernels.one_hop import log_ratio_to_final
from ..kernels.partition import log_partition, log_partition_of_counts
from ..kernels.threads import together
from ..method import PAPER

SHARED_FROM = 100_000  # masses: fewer are summed sooner than a second thread is woken


@dataclass(frozen=True, eq=False)
class PartitionFunction:
    """The partition function over radii, and its derivative in q."""

    radii: np.ndarray  # (radii,) distances, increasing
    log_z: np.ndarray  # (q, radii) ln Z_q(r)
    mean_log: np.ndarray  # (q + 1, radii) d ln Z_q/d q = sum_i p_i ln mu_i, p_i = w_i mu_i^q / Z_q; last that of q = 0
    neurons: int  # neurons, centres of balls, or boxes of the smallest size, that it sums over

    def at(self, chosen):
        """The partition function at some radii, chosen (radii,) bool."""
        return PartitionFunction(self.radii[chosen], self.log_z[:, chosen], self.mean_log[:, chosen], self.neurons)


def log_masses(masses, method=PAPER):
    """ln mu_i(r), (radii, neurons) float64, mu the method's mass of the counts."""
    counts = masses.counts
    if has_logarithms(masses, method):
        logs = np.empty(counts.shape[::-1])
        log_ratio_to_final(*counts_and_logarithms(masses), logs)
        return logs
    if method.mass == "others-share":
        alone = masses.radii[(counts > 1).all(axis=0).argmax()]
        if (counts == 1).any():
            raise NeuroMFAError(
                f"method {method.name!r} leaves the neuron itself out, and within the smallest radii some have no "
                f"other: let the radii begin where every one has a neighbour, here at {alone:g}"
            )
    return np.ascontiguousarray(np.log(shares_of(counts, method)).T)


def shares_of(counts, method):
    """mu (neurons, radii) float64 that the method's mass makes of counts; what are no shares is refused by name."""
    returned = method.call("mass", counts)
    try:
        mu = np.asarray(returned, dtype=np.float64)
    except (TypeError, ValueError):
        mu = np.empty(0)
    if mu.shape != counts.shape or not (np.isfinite(mu) & (mu > 0)).all():
        found = f"shape {mu.shape}" if mu.shape != counts.shape else "NaN, infinite or not positive ones"
        raise NeuroMFAError(
            f"mass of method {method.name!r} must return positive finite numbers, (neurons, radii) = {counts.shape}; "
            f"it gave {found}"
        )
    return mu


def has_logarithms(masses, method):
    """Whether ln mu can be looked up: of shares of whole numbers of neurons; those of a measure are none."""
    return method.mass == "final-share" and masses.counts.dtype.kind in "iu"


def counts_and_logarithms(masses):
    """The counts (radii, neurons) and the logarithm of every whole number up to the largest of them."""
    largest = int(masses.counts[:, -1].max())
    return np.ascontiguousarray(masses.counts.T), np.log(np.maximum(np.arange(largest + 1), 1))


def partition_of_masses(masses, method=PAPER):
    """The PartitionFunction of Masses; without a measure w_i at the centres it is the same for all."""
    standard = method.convention == "standard"
    orders = np.append(method.q, 0.0) - standard
    log_z = np.empty((len(orders), len(masses.radii)))
    mean_log = np.empty_like(log_z)
    if has_logarithms(masses, method) and not standard:
        _log_partition_of_counts(masses, orders, log_z, mean_log)
    else:
        weights = masses.weight if standard else None
        log_partition(log_masses(masses, method), orders, log_z, mean_log, weights)
        if standard:
            log_z -= np.log(len(masses.counts)) if weights is None else np.log(weights.sum())
            log_z[orders == 0] = 0.0  # the weights sum to 1 at every radius, in any order of summation
    return PartitionFunction(masses.radii, log_z[:-1], mean_log, len(masses.counts))


def _log_partition_of_counts(masses, orders, log_z, mean_log):
    counts, logarithms = counts_and_logarithms(masses)
    radii = len(counts)
    # Every radius is summed by itself, so the result does not depend on who sums which.
    at_once = radii if counts.size < SHARED_FROM else -(-radii // 8)

    def some(start):
        log_partition_of_counts(counts, logarithms, orders, start, min(start + at_once, radii), log_z, mean_log)

    together(some, range(0, radii, at_once))
