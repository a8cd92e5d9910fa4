"""From masses to the multifractal spectrum: partition function, mass exponent, singularity strength, f(alpha)."""

from dataclasses import dataclass, field

import numpy as np

from . import storage
from .errors import NeuroMFAError
from .kernels.one_hop import log_ratio_to_final
from .kernels.partition import log_partition, log_partition_of_counts
from .masses import Masses
from .method import PAPER
from .regression import fit_lines, fit_slopes

POOR_FIT = 0.9  # the r2 below which a line is called curved
FEW_NEURONS = 10


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The multifractal spectrum of one network.

    Attributes:
        q: (q,) moment orders.
        tau: (q,) mass exponent, the slope of ln Z_q(r) on ln(r/r_max); tau(0) = 0 exactly.
        alpha: (q,) singularity strength d tau/d q; with derivative="forward" one value less, for q[:-1].
        f: q alpha - tau, of the length of alpha. Minus a large-deviation rate, not a fractal dimension: its maximum
            is 0 wherever tau is concave.
        alpha0: alpha at q = 0, the regularity (smaller = more regular); with "forward" alpha at the maximum of f.
        width: max alpha - min alpha, the heterogeneity (larger = more diverse).
        r2: the smallest r2_by_q: how straight the worst of the fits is.
        r2_by_q: (q,) coefficient of determination of each fit; residuals: (q, radii) of ln Z_q.
        radii: (radii,); log_partition: (q, radii) ln Z_q(r).
        neurons_used, neurons_total; share_inside: share of all connections that lie inside the
            window and leave a neuron used.
        flags: what to distrust, in words; empty when nothing was found.
        method, method_key, source, source_hash, seed, versions: where it came from. seed: of the sample, None for a
            whole network.
        masses: the Masses behind it (None after load()).
    """

    q: np.ndarray
    tau: np.ndarray
    alpha: np.ndarray
    f: np.ndarray
    alpha0: float
    width: float
    r2: float
    r2_by_q: np.ndarray
    residuals: np.ndarray
    radii: np.ndarray
    log_partition: np.ndarray
    neurons_used: int
    neurons_total: int
    share_inside: float
    flags: tuple[str, ...] = ()
    method: str = ""
    method_key: str = ""
    source: str = ""
    source_hash: str = ""
    seed: int | None = None
    versions: dict = field(default_factory=dict)
    masses: Masses | None = field(default=None, repr=False)
    choices: object = field(default=None, repr=False)

    def __post_init__(self):
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def __repr__(self):
        warning = f"; {'; '.join(self.flags)}" if self.flags else ""
        return (
            f"Spectrum(alpha0={self.alpha0:.4f}, width={self.width:.4f}, r2={self.r2:.3f}, "
            f"{self.neurons_used} of {self.neurons_total} neurons, method {self.method!r}{warning})"
        )

    def _repr_html_(self):
        badge = "".join(f"<br><b style='color:#b00'>&#9888; {flag}</b>" for flag in self.flags)
        return (
            f"<b>Spectrum</b> of {self.source} ({self.method}): &alpha;<sub>0</sub> = {self.alpha0:.4f}, "
            f"width = {self.width:.4f}, r&sup2; = {self.r2:.3f}, "
            f"{self.neurons_used} of {self.neurons_total} neurons{badge}"
        )

    def frame(self):
        """pandas DataFrame, a row per q for which alpha is defined: q, tau, alpha, f, r2."""
        import pandas as pd

        n = len(self.alpha)
        columns = {"q": self.q, "tau": self.tau, "alpha": self.alpha, "f": self.f, "r2": self.r2_by_q}
        return pd.DataFrame({name: values[:n] for name, values in columns.items()})

    def by(self, part):
        """Return {name: Spectrum} of the neurons of each "layer" or "role", on the radii of the whole.

        Raises:
            NeuroMFAError: another grouping, or a spectrum read from a file, which holds no masses.
        """
        if self.masses is None:
            raise NeuroMFAError("a spectrum read from a file holds no masses: analyze the network again to split it")
        labels = self.masses.labels(part)
        provenance = {name: getattr(self, name) for name in _PROVENANCE}
        return {
            str(name): spectrum_of_masses(self.masses.subset(labels == name), self.choices, **provenance)
            for name in dict.fromkeys(labels.tolist())
        }

    def plot(self, ax=None):
        """Draw f(alpha); returns the matplotlib Axes."""
        from .plots import plot_spectrum

        return plot_spectrum(self, ax=ax)

    def save(self, path):
        """Write everything but the masses to an .npz file; returns its path."""
        return storage.save(path, "spectrum", {name: getattr(self, name) for name in _STORED})

    @classmethod
    def load(cls, path):
        """Read a spectrum written by :meth:`save`; a file of a newer schema is refused."""
        values = storage.load(path, "spectrum")
        values["flags"] = tuple(values["flags"])
        return cls(**values)


_PROVENANCE = ("source", "source_hash", "seed", "versions")
_STORED = tuple(name for name in Spectrum.__dataclass_fields__ if name not in ("masses", "choices"))


def log_masses(masses, method=PAPER):
    """Return ln mu_i(r), (radii, neurons) float64, mu the method's mass of the counts.

    Raises:
        NeuroMFAError: a mass function returns a wrong shape or anything but positive finite numbers.
    """
    counts = masses.counts
    if method.mass == "final-share":
        logs = np.empty(counts.shape[::-1])
        log_ratio_to_final(*_counts_and_logarithms(masses), logs)
        return logs
    mu = np.asarray(method.part("mass")(counts), dtype=np.float64)
    if mu.shape != counts.shape or not (np.isfinite(mu) & (mu > 0)).all():
        raise NeuroMFAError(
            f"mass of method {method.name!r} must return positive finite numbers, (neurons, radii) = {counts.shape}"
        )
    return np.ascontiguousarray(np.log(mu).T)


def _counts_and_logarithms(masses):
    """The counts (radii, neurons) and the logarithm of every whole number up to the largest of them."""
    largest = int(masses.counts[:, -1].max())
    return np.ascontiguousarray(masses.counts.T), np.log(np.maximum(np.arange(largest + 1), 1))


def spectrum_of_masses(masses, method=PAPER, **provenance):
    """Compute the spectrum of masses.

    Z_q(r) = sum_i mu_i(r)^q;  tau(q) = slope of ln Z_q on ln(r/r_max);  alpha = d tau/d q;  f = q alpha - tau.
    The exact derivative is a slope too, of sum_i p_i ln mu_i with p_i = mu_i^q / Z_q (Chhabra and Jensen 1989).

    Args:
        masses: Masses.
        method: Method; its mass, q and derivative act here.
        provenance: source, source_hash, seed and versions to keep with the result.

    Returns:
        Spectrum.

    Raises:
        NeuroMFAError: a single radius, or a mass function that returns something else than masses.

    Source: Xiao et al. 2025, section 3.2 and equations there.

    Example:
        >>> from neuromfa_lite import NeuronNetwork, analyze
        >>> star = NeuronNetwork.from_edges([0] * 30, range(1, 31), 1 / np.arange(2.0, 32.0))
        >>> spectrum = analyze(star)   # a single neuron: no heterogeneity
        >>> round(abs(spectrum.width), 12), float(spectrum.tau[30])
        (0.0, 0.0)
    """
    q = np.array(method.q)
    log_z = np.empty((len(q) + 1, len(masses.radii)))
    mean_log = np.empty_like(log_z)
    if method.mass == "final-share":
        log_partition_of_counts(*_counts_and_logarithms(masses), np.append(q, 0.0), log_z, mean_log)
    else:
        log_partition(log_masses(masses, method), np.append(q, 0.0), log_z, mean_log)
    x = np.log(masses.radii / masses.radii[-1])
    fits, slopes = fit_lines(x, log_z[:-1]), fit_slopes(x, mean_log)
    tau = fits.slope
    if method.derivative == "exact":
        alpha, alpha0 = slopes[:-1], float(slopes[-1])
        f = q * alpha - tau
    else:
        alpha, f, alpha0 = _forward(q, tau)
    return Spectrum(
        q=q,
        tau=tau,
        alpha=alpha,
        f=f,
        alpha0=alpha0,
        width=float(alpha.max() - alpha.min()),
        r2=float(fits.r2.min()),
        r2_by_q=fits.r2,
        residuals=fits.residuals,
        radii=masses.radii,
        log_partition=log_z[:-1],
        neurons_used=len(masses.counts),
        neurons_total=masses.neurons_total,
        share_inside=masses.share_inside,
        flags=_flags(q, alpha, f, fits.r2, masses),
        method=method.name,
        method_key=method.key,
        masses=masses,
        choices=method,
        **provenance,
    )


def _forward(q, tau):
    alpha = np.diff(tau) / np.diff(q)
    f = q[:-1] * alpha - tau[:-1]
    # tau(0) = 0 makes f zero in both intervals around q = 0, and rounding would choose between them: take the first.
    return alpha, f, float(alpha[np.argmax(f > f.max() - 1e-12)])


def _flags(q, alpha, f, r2, masses):
    flags, neurons = [], len(masses.counts)
    worst = int(np.argmin(r2))
    if r2[worst] < POOR_FIT:
        flags.append(f"curved: r2 = {r2[worst]:.3f} at q = {q[worst]:g}, so exponents depend on the window")
    rises = np.diff(alpha)
    if (rises > 1e-9).any():
        flags.append(f"tau is not concave near q = {q[int(np.argmax(rises))]:g}")
    if (f > 1e-9).any():
        flags.append(f"f reaches {f.max():.3g} > 0, which no mass exponent of exact power laws does")
    alone = int(np.count_nonzero(masses.counts[:, -1] == 1))
    if 2 * alone > neurons:
        flags.append(f"{alone} of {neurons} neurons have no connection within the largest radius")
    if neurons < FEW_NEURONS:
        flags.append(f"too few neurons: {neurons}")
    return tuple(flags)
