"""From masses to the multifractal spectrum: partition function, mass exponent, singularity strength, f(alpha)."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .. import results
from ..errors import NeuroMFAError, arguments
from ..errors.text import html, plain
from ..masses import Masses
from ..method import PAPER
from . import spread
from .fit import Quality, fit_lines, fit_slopes, flags_of, judge, r2_of_slopes, radii_in_range, verdict, word_on
from .partition import partition_of_masses
from .spread import NeuronErrors, TwoErrors, normal_band, with_ends

NEAR_ONE = 1e-8  # there tau/(q - 1) and alpha(q) both are within about 1e-8 of D_q
BANDED = ("alpha0", "width", "tau", "alpha", "f", "dimension")


@dataclass(frozen=True, eq=False)
class Spectrum(results.Result):
    """The multifractal spectrum of one network.

    Attributes:
        q: (q,) moment orders.
        tau: (q,) mass exponent, the slope of ln Z_q(r) on ln(r/r_max); 0 at q = 0, in the standard convention q = 1.
        alpha: (q,) singularity strength d tau/d q; with derivative="forward" one value less, for q[:-1].
        f: q alpha - tau, of the length of alpha: minus a large-deviation rate, whose maximum is 0 wherever tau is
            concave; in the standard convention a dimension, whose maximum is D_0.
        alpha0: alpha at q = 0, the regularity (smaller = more regular); with "forward" alpha at the maximum of f.
        width: max alpha - min alpha, the heterogeneity (larger = more diverse).
        r2_by_q: (q,) coefficient of determination of each fit; where ln Z is flat by definition (tau = 0) that of the
            line of alpha, which those of the neighbours tend to. r2: the smallest of them.
        residuals: (q, radii) of ln Z_q, also at radii outside the scaling range.
        radii: (radii,); log_partition: (q, radii) ln Z_q(r).
        scaling_range: the smallest and the largest radius that the lines were fitted to.
        convention: "paper" or "standard"; see :class:`neuromfa_lite.Method`.
        neurons_used, neurons_total, share_inside, curvature, verdict: see Quality.
        flags: what to distrust, in words; empty when nothing was found.
        method, method_key, source, source_hash, seed, versions: where it came from; seed: of the sample, None for a
            whole network. hashed: the source_hash, or the callable that computes it when it is asked for.
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
    source: str = ""
    hashed: object = field(default="", repr=False)
    seed: int | None = None
    masses: Masses | None = field(default=None, repr=False)
    choices: object = field(default=None, repr=False)
    stored_errors: NeuronErrors | None = field(default=None, repr=False)
    stored_notes: tuple[str, ...] = field(default=(), repr=False)

    _kind = "spectrum"
    _layout = {
        "numbers[q]": "q tau r2_by_q",
        "numbers[orders]": "alpha f",
        "numbers[radii]": "radii",
        "numbers[q radii]": "residuals log_partition",
        "number": "alpha0 width r2 share_inside curvature",
        "whole": "neurons_used neurons_total",
        "whole or none": "seed",
        "range": "scaling_range",
        "text": "convention verdict method method_key source source_hash",
        "texts": "flags stored_notes",
        "words": "versions",
        "number or none": "error_of_alpha0 error_of_width",
        "numbers[q] or none": "error_of_tau",
        "numbers[orders] or none": "error_of_alpha error_of_f",
    }

    def __getstate__(self):
        """What is pickled knows its hash and no longer the network."""
        return {**self.__dict__, "hashed": self.source_hash}

    def __repr__(self):
        said = ", ".join(f"{name}={self.shown(name)}" for name in ("alpha0", "width"))
        more = ": see .flags" if self.flags else ""
        return plain(f"Spectrum({said}, r2={self.r2:.3f}, {self._word}{more}, method {self.method!r})")

    def _repr_html_(self):
        mark = f"<b style='color:#b00'>&#9888; {html(self._word)}</b> (.flags)" if self.flags else html(self._word)
        return (
            f"<b>Spectrum</b> of {html(self.source)} ({html(self.method)}), "
            f"{self.neurons_used} of {self.neurons_total} neurons<br>&alpha;<sub>0</sub> = {self.shown('alpha0')}, "
            f"width = {self.shown('width')}, r&sup2; = {self.r2:.3f}, {mark}"
        )

    @property
    def _word(self):
        return word_on(self.verdict, self.flags)

    def shown(self, quantity, digits=4):
        """ "alpha0" or "width" with the ends of its band, as text."""
        arguments.one_of("quantity", quantity, ("alpha0", "width"))
        return with_ends(getattr(self, quantity), self.band(quantity), digits)

    def band(self, name):
        """Return the ends of the band, nominal 90 %, of an exponent: value -+ 1.645 standard errors.

        In which interval does the value lie that all neurons of the population give, of which these are a sample, at
        the same radii? The error is that of the influences of the neurons, compared within their layers; nothing is
        drawn. :func:`neuromfa_lite.confidence` makes better bands; docs/coverage.md says how often they held the value.

        Args:
            name: "alpha0", "width", "tau", "alpha", "f", or in the standard convention "dimension".

        Returns:
            (2,) or (2, q) float64; None where too few neurons can be compared, or none: boxes.

        Raises:
            NeuroMFAError: another name, or "dimension" in the paper's convention.

        Source: influence function and standard error of a stratified sample, A. C. Davison and D. V. Hinkley,
            Bootstrap Methods and their Application, 1997, sections 2.7 and 3.2.

        Example:
            >>> from neuromfa_lite import analyze, load_network, load_run
            >>> spectrum = analyze(load_network(load_run("induction").checkpoint(724)).sample(32, seed=0))
            >>> low, high = spectrum.band("alpha0")
            >>> bool(low < spectrum.alpha0 < high), spectrum.band("tau").shape
            (True, (2, 61))
        """
        if not isinstance(name, str) or name not in BANDED:
            said = ", ".join(map(repr, BANDED))
            raise NeuroMFAError(f"there is no band of {arguments.shown(name)}: there are those of {said}")
        errors = self.errors_of_two if name in ("alpha0", "width") else self.errors
        if errors is None:
            return None
        error = np.abs(self._over_q_less_1(errors)) if name == "dimension" else getattr(errors, name)
        return normal_band(getattr(self, name), error)

    @cached_property
    def errors(self) -> NeuronErrors | None:
        """Standard errors of all exponents over the neurons, each layer by itself; None where there are none."""
        return spread.errors_of(self) if spread.is_comparable(self) else self.stored_errors

    @cached_property
    def errors_of_two(self) -> TwoErrors | None:
        """Those of alpha0 and the width alone, which take a fraction of the time."""
        if spread.is_comparable(self):
            return TwoErrors(*spread.over_neurons(self, self.influences).tolist())
        return None if self.stored_errors is None else TwoErrors(*self.stored_errors[:2])

    @cached_property
    def influences(self) -> np.ndarray:
        """(2, neurons) influence of every neuron on alpha0 and on the width."""
        return spread.influences_of_two(self)

    @cached_property
    def band_notes(self) -> tuple[str, ...]:
        """What to know about the bands, or why there is none, in words."""
        if spread.is_comparable(self):
            return spread.notes_on(self.masses, spread.strata_of_masses(self.masses), self.choices, self.seed)
        if self.masses is not None:
            return (spread.TOO_FEW,)
        return self.stored_notes if self.stored_notes or self.stored_errors else (spread.NO_NEURONS,)

    def frame(self):
        """pandas DataFrame, a row per q with an alpha: q, tau, tau_low, tau_high (where there are bands), ..., r2."""
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
        """(q,) generalised dimensions D_q = tau/(q-1) of the standard convention; within 1e-8 of q = 1 it is alpha(q).

        Raises:
            NeuroMFAError: the paper's convention, which has none, or derivative="forward" with q = 1 among the orders.
        """
        if self.convention != "standard":
            raise NeuroMFAError("generalised dimensions belong to the standard convention: use method=nmfa.SANDBOX")
        if len(self.alpha) < len(self.q) and (np.abs(self.q - 1) < NEAR_ONE).any():
            raise NeuroMFAError('D_1 is alpha(1), which a difference quotient does not give: use derivative="exact"')
        return self._over_q_less_1(self)

    def _over_q_less_1(self, of):
        """tau/(q - 1), alpha where this is 0/0, of the exponents or of their errors."""
        one = np.abs(self.q - 1) < NEAR_ONE
        values = of.tau / np.where(one, 1.0, self.q - 1)
        values[one] = of.alpha[: len(self.q)][one] if one.any() else 0
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
        return results.picture("plot_spectrum", self, ax=ax)

    def _to_file(self):
        errors = self.errors or [None] * len(NeuronErrors._fields)
        return {"stored_notes": self.band_notes, **dict(zip(_ERRORS, errors, strict=True))}

    @classmethod
    def _from_file(cls, path, values):
        for name in ("flags", "scaling_range", "stored_notes"):
            values[name] = tuple(values[name])
        errors = NeuronErrors(*(values.pop(name) for name in _ERRORS))
        hashed = values.pop("source_hash")
        return cls(**values, hashed=hashed, stored_errors=None if errors.alpha0 is None else errors)


FARTHEST = 1e-300  # the smallest radius as a share of the largest
_PROVENANCE = ("source", "hashed", "seed")
_ERRORS = tuple(f"error_of_{name}" for name in NeuronErrors._fields)


def spectrum_of_masses(masses, method=PAPER, **provenance):
    """Compute the Spectrum of Masses; provenance (source, hashed, seed) is kept with it.

    Z_q(r) = sum_i mu_i(r)^q;  tau(q) = slope of ln Z_q on ln(r/r_max);  alpha = d tau/d q;  f = q alpha - tau.
    The exact derivative is a slope too, of sum_i p_i ln mu_i with p_i = mu_i^q / Z_q (Chhabra and Jensen 1989).
    In the standard convention Z_q(r) = sum_i w_i mu_i(r)^(q-1), with the measure w_i at the centres.

    Source: Xiao et al. 2025, section 3.2; standard: T. Tel, A. Fulop and T. Vicsek, Physica A 159, 1989.
    """
    return spectrum_of_partition(partition_of_masses(masses, method), method, masses, **provenance)


def spectrum_of_partition(partition, method=PAPER, masses=None, **provenance):
    """The Spectrum of a PartitionFunction."""
    q = np.array(method.q)
    chosen = radii_in_range(partition, method)
    used = partition if chosen.all() else partition.at(chosen)
    if partition.radii[0] < partition.radii[-1] * FARTHEST:
        raise NeuroMFAError(
            f"radii from {partition.radii[0]:g} to {partition.radii[-1]:g} are too far apart for a float64: leave "
            "connections out with a window"
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
