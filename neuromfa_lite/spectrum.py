"""From masses to the multifractal spectrum: partition function, mass exponent, singularity strength, f(alpha)."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from . import storage
from .coverage import is_measured
from .errors import NeuroMFAError
from .influence import NeuronErrors
from .masses import Masses
from .method import PAPER
from .neuron_bands import NEAR_ONE, NeuronBands
from .partition import partition_of_masses
from .quality import Quality, flags_of, judge, verdict
from .regression import fit_lines, fit_slopes, r2_of_slopes
from .scaling import radii_in_range
from .text import html, plain


@dataclass(frozen=True, eq=False)
class Spectrum(NeuronBands):
    """The multifractal spectrum of one network.

    Attributes:
        q: (q,) moment orders.
        tau: (q,) mass exponent, the slope of ln Z_q(r) on ln(r/r_max); exactly 0 at q = 0, in the standard
            convention at q = 1.
        alpha: (q,) singularity strength d tau/d q; with derivative="forward" one value less, for q[:-1].
        f: q alpha - tau, of the length of alpha. Minus a large-deviation rate, not a fractal dimension: its maximum
            is 0 wherever tau is concave. In the standard convention a dimension, its maximum D_0.
        alpha0: alpha at q = 0, the regularity (smaller = more regular); with "forward" alpha at the maximum of f.
        width: max alpha - min alpha, the heterogeneity (larger = more diverse).
        r2: the smallest r2_by_q: how straight the worst of the fits is.
        r2_by_q: (q,) coefficient of determination of each fit; where ln Z is flat by definition (q = 0, in the standard
            convention q = 1) that of the line of alpha, which those of the neighbours tend to.
        residuals: (q, radii) of ln Z_q, those of radii outside the scaling range, which the lines were not fitted to,
            included.
        radii: (radii,); log_partition: (q, radii) ln Z_q(r).
        scaling_range: (low, high), the smallest and the largest radius that the lines were fitted to.
        convention: "paper" or "standard"; see :class:`neuromfa_lite.Method`.
        neurons_used, neurons_total; share_inside: share of all connections that lie inside the
            window and leave a neuron used.
        curvature: how much the local slopes change over the scaling range, as a share of the slope; see Quality.
        verdict: the quality of the fits in words: "straight (...)", "curved: alpha depends on the window (...)" or
            "too few neurons: ...".
        flags: what to distrust, in words; empty when nothing was found.
        measured: whether the measured coverages of bands are of such an analysis; given_radii: whether the method names
            the radii; see :meth:`claim`.
        method, method_key, source, source_hash, seed, versions: where it came from. seed: of the sample, None for a
            whole network. hashed: the source_hash, or the callable that it is computed by when it is asked for.
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
    scaling_range: tuple[float, float] = (0.0, np.inf)
    convention: str = "paper"
    curvature: float = 0.0
    verdict: str = ""
    flags: tuple[str, ...] = ()
    measured: bool = False
    given_radii: bool = True
    method: str = ""
    method_key: str = ""
    source: str = ""
    hashed: object = field(default="", repr=False)
    seed: int | None = None
    versions: dict = field(default_factory=dict)
    masses: Masses | None = field(default=None, repr=False)
    choices: object = field(default=None, repr=False)
    stored_errors: NeuronErrors | None = field(default=None, repr=False)
    stored_notes: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self):
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def __repr__(self):
        warning = "; ".join(self.flags or (self.verdict,))
        return plain(
            f"Spectrum(alpha0={self.shown('alpha0')}, width={self.shown('width')}, r2={self.r2:.3f}, "
            f"{self.neurons_used} of {self.neurons_total} neurons, method {self.method!r}; {warning}; "
            f"{self.bands_said()})"
        )

    def _repr_html_(self):
        badge = "".join(f"<br><b style='color:#b00'>&#9888; {html(flag)}</b>" for flag in self.flags)
        badge = badge or f"<br><span style='color:#555'>{html(self.verdict)}</span>"
        names = {"alpha0": "&alpha;<sub>0</sub>", "width": "width"}
        said = [f"{name}: {html(self.claim(quantity))}" for quantity, name in names.items()]
        values = ", ".join(f"{name} = {self.shown(quantity)}" for quantity, name in names.items())
        notes = map(html, self.band_notes)
        return (
            f"<b>Spectrum</b> of {html(self.source)} ({html(self.method)}): {values}, r&sup2; = {self.r2:.3f}, "
            f"{self.neurons_used} of {self.neurons_total} neurons{badge}"
            f"<br><small style='color:#555'>bands over neurons; {'<br>'.join([*said, *notes])}</small>"
        )

    def frame(self):
        """pandas DataFrame, a row per q for which alpha is defined: q, tau, alpha, f, the ends of their bands, r2.

        The columns tau_low, tau_high, ... are those of :meth:`band`; a spectrum without bands has none of them.
        """
        import pandas as pd

        n, columns = len(self.alpha), {"q": self.q}
        for name in ("tau", "alpha", "f"):
            columns[name], ends = getattr(self, name), self.band(name)
            columns |= {} if ends is None else {f"{name}_low": ends[0], f"{name}_high": ends[1]}
        return pd.DataFrame({name: values[:n] for name, values in {**columns, "r2": self.r2_by_q}.items()})

    @cached_property
    def source_hash(self) -> str:
        """A hash of all weights measured, computed when it is first asked for; "" where they were changed meanwhile."""
        return self.hashed() if callable(self.hashed) else self.hashed

    @property
    def quality(self) -> Quality:
        """How far the exponents can be trusted, in numbers and words."""
        radii = int(np.count_nonzero(self.fitted))
        return Quality(self.r2, self.curvature, self.neurons_used, radii, self.share_inside, self.verdict)

    @property
    def fitted(self) -> np.ndarray:
        """(radii,) bool: the radii that the lines were fitted to."""
        low, high = self.scaling_range
        return (self.radii >= low) & (self.radii <= high)

    @property
    def dimension(self) -> np.ndarray:
        """(q,) generalised dimensions D_q = tau/(q-1) of the standard convention; D_1, where this is 0/0, is alpha(1).

        Closer to 1 than 1e-8, where tau/(q-1) has lost its digits (1.0000000000000036 of numpy.arange), it is alpha(q).

        Raises:
            NeuroMFAError: the paper's convention, which has none, or derivative="forward" with q = 1 among the orders.
        """
        if self.convention != "standard":
            raise NeuroMFAError("generalised dimensions belong to the standard convention: use method=nmfa.SANDBOX")
        one = np.abs(self.q - 1) < NEAR_ONE
        if len(self.alpha) < len(self.q) and one.any():
            raise NeuroMFAError('D_1 is alpha(1), which a difference quotient does not give: use derivative="exact"')
        values = self.tau / np.where(one, 1.0, self.q - 1)
        values[one] = self.alpha[: len(self.q)][one] if one.any() else 0
        return values

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
        values = {name: getattr(self, name) for name in _STORED} | {"stored_notes": self.band_notes}
        errors = {} if self.errors is None else self.errors._asdict()
        values |= {f"error_of_{name}": value for name, value in errors.items()}
        return storage.save(path, "spectrum", values, _LAYOUT)

    @classmethod
    def load(cls, path):
        """Read a spectrum written by :meth:`save`; a damaged file or one of a newer schema is refused."""
        values = storage.load(path, "spectrum", _LAYOUT)
        values["flags"], values["scaling_range"] = tuple(values["flags"]), tuple(values["scaling_range"])
        errors = {name: values.pop(f"error_of_{name}", None) for name in NeuronErrors._fields}
        known = not any(error is None for error in errors.values())
        values["stored_notes"] = tuple(values.get("stored_notes", ("no band: the file is of an earlier version",)))
        values["hashed"] = values.pop("source_hash")
        return cls(**values, stored_errors=NeuronErrors(**errors) if known else None)


FARTHEST = 1e-300  # the smallest radius as a share of the largest
_PROVENANCE = ("source", "hashed", "seed", "versions")
_NOT_STORED = ("masses", "choices", "stored_errors", "hashed")
_STORED = ("source_hash", *(name for name in Spectrum.__dataclass_fields__ if name not in _NOT_STORED))
_LAYOUT = {
    "numbers[q]": "q tau r2_by_q",
    "numbers[orders]": "alpha f",
    "numbers[radii]": "radii",
    "numbers[q radii]": "residuals log_partition",
    "number": "alpha0 width r2 share_inside curvature",
    "whole": "neurons_used neurons_total",
    "whole or none": "seed",
    "range": "scaling_range",
    "text": "convention verdict method method_key source source_hash",
    "texts": "flags",
    "words": "versions",
    "maybe truth": "measured given_radii",
    "maybe texts": "stored_notes",
    "maybe number": "error_of_alpha0 error_of_width",
    "maybe numbers[q]": "error_of_tau",
    "maybe numbers[orders]": "error_of_alpha error_of_f",
}


def spectrum_of_masses(masses, method=PAPER, **provenance):
    """Compute the spectrum of masses.

    Z_q(r) = sum_i mu_i(r)^q;  tau(q) = slope of ln Z_q on ln(r/r_max);  alpha = d tau/d q;  f = q alpha - tau.
    The exact derivative is a slope too, of sum_i p_i ln mu_i with p_i = mu_i^q / Z_q (Chhabra and Jensen 1989).
    In the standard convention Z_q(r) = sum_i w_i mu_i(r)^(q-1), with the measure w_i at the centres.

    Args:
        masses: Masses.
        method: Method; its mass, convention, q, scaling_range and derivative act here.
        provenance: source, hashed (what source_hash is, or a callable for it), seed and versions to keep.

    Returns:
        Spectrum.

    Raises:
        NeuroMFAError: fewer than two radii to fit, or a mass function that returns something else than masses.

    Source: Xiao et al. 2025, section 3.2 and equations there; standard convention: T. Tel, A. Fulop and T. Vicsek,
        Physica A 159, 1989.

    Example:
        >>> from neuromfa_lite import NeuronNetwork, analyze
        >>> star = NeuronNetwork.from_edges([0] * 30, range(1, 31), 1 / np.arange(2.0, 32.0))
        >>> spectrum = analyze(star)   # a single neuron: no heterogeneity
        >>> round(abs(spectrum.width), 12), float(spectrum.tau[30])
        (0.0, 0.0)
    """
    return spectrum_of_partition(partition_of_masses(masses, method), method, masses, **provenance)


def spectrum_of_partition(partition, method=PAPER, masses=None, **provenance):
    """Compute the spectrum of a PartitionFunction; arguments and errors of :func:`spectrum_of_masses`."""
    q = np.array(method.q)
    chosen = radii_in_range(partition, method)
    used = partition if chosen.all() else partition.at(chosen)
    if partition.radii[0] < partition.radii[-1] * FARTHEST:
        raise NeuroMFAError(
            f"radii from {partition.radii[0]:g} to {partition.radii[-1]:g} are too far apart for a float64: leave "
            "connections out with a window, or name the radii with method.replace(radii=[...])"
        )
    x = np.log(partition.radii / partition.radii[-1])
    fits, slopes = fit_lines(x[chosen], used.log_z), fit_slopes(x[chosen], used.mean_log)
    tau, r2_by_q, flat = fits.slope, fits.r2, q == (method.convention == "standard")
    r2_by_q[flat] = r2_of_slopes(x[chosen], used.mean_log[:-1][flat], slopes[:-1][flat])
    if method.derivative == "exact":
        alpha, alpha0 = slopes[:-1], float(slopes[-1])
        f = q * alpha - tau
    else:
        alpha, f, alpha0 = _forward(q, tau)
    r2, curvature = judge(x[chosen], used, tau, r2_by_q, slopes[-1], method)
    share = masses.share_inside if masses else 1.0
    quality = Quality(r2, curvature, used.neurons, len(used.radii), share, verdict(r2, curvature, used.neurons))
    alone = int(np.count_nonzero(masses.counts[:, -1] == 1)) if masses and masses.weight is None else 0
    return Spectrum(
        q=q,
        tau=tau,
        alpha=alpha,
        f=f,
        alpha0=alpha0,
        width=float(alpha.max() - alpha.min()),
        r2=r2,
        r2_by_q=r2_by_q,
        residuals=fits.residuals if used is partition else fits.distance_from(x, partition.log_z),
        radii=partition.radii,
        log_partition=partition.log_z,
        neurons_used=partition.neurons,
        neurons_total=masses.neurons_total if masses else partition.neurons,
        share_inside=share,
        scaling_range=(float(used.radii[0]), float(used.radii[-1])),
        convention=method.convention,
        curvature=curvature,
        verdict=quality.verdict,
        flags=flags_of(quality, q, alpha, f, alone, method.convention),
        measured=masses is not None and masses.weight is None and is_measured(method),
        given_radii=isinstance(method.radii, tuple),
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
