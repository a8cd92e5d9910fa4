"""The results: the bands of a spectrum and of E, with the coverage that was measured of such bands."""

from dataclasses import dataclass, field

import numpy as np

from .. import storage
from ..coverage import LEVEL, claim, coverage_range, measured_neurons, refuse_no_quantity
from ..text import html, plain


@dataclass(frozen=True, eq=False)
class Confidence:
    """Bands on the exponents of one spectrum.

    Attributes:
        q, tau (q,), alpha, f (orders of alpha,), alpha0, width: the values of the sample itself; of redraws their mean.
        tau_band (2, q), alpha_band, f_band (2, orders of alpha), alpha0_band, width_band (2,): low and high ends.
        curves_alpha, curves_f: (curves, orders of alpha) spectra of some resamples, reflected at the sample's as the
            basic band is; of redraws the spectra themselves.
        kind: "studentised", "basic", "percentile", "bias-corrected", "normal", or "redraws".
        level: nominal probability; resamples: how many, or how many samples; seed: of the resamples.
        by_layer: whether every layer was resampled apart; neurons: how many were resampled.
        measured: whether the measured coverages are of such an analysis: the paper's chain and convention, one hop,
            exact derivative.
        given_radii: whether the method names the radii; else the sample's own ones, which another would not have.
        r2, r2_by_q (q,), verdict: the worst fit of the sample, that of every order, and the quality of the fits in
            words; of redraws the worst of all samples.
        notes: what to know about these bands, in words.
        method, method_key, source, source_hash, versions: where it came from.
    """

    q: np.ndarray
    tau: np.ndarray
    alpha: np.ndarray
    f: np.ndarray
    alpha0: float
    width: float
    tau_band: np.ndarray
    alpha_band: np.ndarray
    f_band: np.ndarray
    alpha0_band: np.ndarray
    width_band: np.ndarray
    curves_alpha: np.ndarray
    curves_f: np.ndarray
    kind: str
    level: float
    resamples: int
    seed: int
    by_layer: bool
    neurons: int
    measured: bool
    given_radii: bool
    r2: float
    r2_by_q: np.ndarray
    verdict: str
    notes: tuple[str, ...] = ()
    method: str = ""
    method_key: str = ""
    source: str = ""
    source_hash: str = ""
    versions: dict = field(default_factory=dict)

    def __post_init__(self):
        freeze(self)

    def __repr__(self):
        return plain(
            f"Confidence(alpha0={self.alpha0:.4f} [{_ends(self.alpha0_band)}], "
            f"width={self.width:.4f} [{_ends(self.width_band)}], worst r2 {self.r2:.3f}, {self.verdict}, "
            f"{self.kind}, {self.resamples} resamples; "
            f"alpha0: {self.claim('alpha0')}; width: {self.claim('width')})"
        )

    def claim(self, quantity):
        """What may be said of one band, in words.

        Args:
            quantity: "alpha0", "width", or "tau(1)", "alpha(-3)", "f(2)" for the band at that order.
        """
        refuse_no_quantity(quantity, ("alpha0", "width", "tau", "alpha", "f"))
        if self.kind == "redraws":
            return f"holds a further sample with probability {self.level:.2f}, by symmetry"
        return claim(quantity, self.kind, self.level, self._measured_neurons(quantity), self.given_radii)

    def _measured_neurons(self, quantity):
        return measured_neurons(quantity, self.neurons, self.measured, self.q)

    def frame(self):
        """pandas DataFrame, a row per quantity and q: quantity, q (missing for two), value, low, high, r2, coverage.

        coverage: what may be said of the band, in words; lowest, highest: the measured coverages, of given radii
        or of each sample's own as the case is, missing where none was measured.
        """
        import pandas as pd

        rows = [("alpha0", np.nan, self.alpha0, *self.alpha0_band, self.r2)]
        rows += [("width", np.nan, self.width, *self.width_band, self.r2)]
        for name in ("tau", "alpha", "f"):
            values = getattr(self, name)
            ends = getattr(self, f"{name}_band")
            rows += zip([name] * len(values), self.q, values, *ends, self.r2_by_q, strict=False)
        names = [name if np.isnan(q) else f"{name}({q:g})" for name, q, *_ in rows]
        table = pd.DataFrame(rows, columns=["quantity", "q", "value", "low", "high", "r2"])
        radii = "population" if self.given_radii else "own"
        neurons = [self._measured_neurons(name) * (self.level == LEVEL) for name in names]
        found = [coverage_range(name, self.kind, n, radii) for name, n in zip(names, neurons, strict=True)]
        found = [each or (np.nan, np.nan) for each in found]
        table["lowest"], table["highest"] = np.transpose(found)
        return table.assign(coverage=[self.claim(name) for name in names])

    def plot(self, ax=None):
        """Draw f(alpha) with thin resampled spectra and the bands of alpha0 and the width; returns the Axes."""
        from ..plots import plot_confidence

        return plot_confidence(self, ax=ax)

    def _repr_html_(self):
        rows = "".join(
            f"<tr><td>{name}</td><td>{value:.4f}</td><td>{_ends(ends)}</td><td>{self.claim(key)}</td></tr>"
            for key, name, value, ends in (
                ("alpha0", "&alpha;<sub>0</sub>", self.alpha0, self.alpha0_band),
                ("width", "width", self.width, self.width_band),
            )
        )
        notes = "".join(f"<br>{html(note)}" for note in self.notes)
        return (
            f"<b>Confidence</b> of {html(self.source)} ({html(self.method)}), {html(self.kind)}, "
            f"{self.resamples} resamples of {self.neurons} neurons"
            f"<table><tr><th></th><th>value</th><th>band</th><th>coverage</th></tr>{rows}</table>"
            f"<small>worst r&sup2; {self.r2:.3f}; {html(self.verdict)}{notes}</small>"
        )

    def save(self, path):
        """Write everything to an .npz file; returns its path."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return storage.save(path, "confidence", values, _BANDS)

    @classmethod
    def load(cls, path):
        """Read bands written by :meth:`save`; a damaged file or one of a newer schema is refused."""
        values = storage.load(path, "confidence", _BANDS)
        if "r2" not in values:  # a file of an earlier version
            values |= {"r2": np.nan, "r2_by_q": np.full(len(values["q"]), np.nan), "verdict": "fit not in this file"}
        return cls(**{**values, "notes": tuple(values["notes"])})


@dataclass(frozen=True, eq=False)
class EmergenceConfidence:
    """The band of the degree of emergence of one sample against itself at step 0.

    Attributes:
        emergence: E of the sample; band: (2,) low and high end; error: its standard error.
        resampled: (resamples,) E of each resample.
        kind, level, resamples, seed, by_layer, measured, given_radii: as for :class:`Confidence`.
        r2: the worst fit of the two spectra.
        neurons: how many were resampled: those used at either step; only_start, only_now: how many of them the method
            uses at one of the steps only, where alone they count.
        method, method_key, source, versions: where it came from.
    """

    emergence: float
    band: np.ndarray
    error: float
    resampled: np.ndarray
    kind: str
    level: float
    resamples: int
    seed: int
    by_layer: bool
    measured: bool
    given_radii: bool
    neurons: int
    only_start: int
    only_now: int
    r2: float
    notes: tuple[str, ...] = ()
    method: str = ""
    method_key: str = ""
    source: str = ""
    versions: dict = field(default_factory=dict)

    def __post_init__(self):
        freeze(self)

    def __repr__(self):
        return plain(
            f"EmergenceConfidence(E={self.emergence:.4f} [{_ends(self.band)}], worst r2 {self.r2:.3f}, {self.kind}, "
            f"{self.neurons} neurons, "
            f"{self.only_start} at the start only, {self.only_now} now only; {self.claim()})"
        )

    def claim(self):
        """What may be said of the band, in words."""
        return claim("emergence", self.kind, self.level, self.neurons * self.measured, self.given_radii)

    def frame(self):
        """pandas DataFrame of one row: quantity, value, low, high, error, r2, coverage in words."""
        import pandas as pd

        row = ("emergence", self.emergence, *self.band, self.error, self.r2, self.claim())
        return pd.DataFrame([row], columns=["quantity", "value", "low", "high", "error", "r2", "coverage"])

    def plot(self, ax=None):
        """Draw E of the resamples as a histogram, with the band; returns the Axes."""
        from ..plots import plot_emergence_confidence

        return plot_emergence_confidence(self, ax=ax)

    def _repr_html_(self):
        return (
            f"<b>Degree of emergence</b> of {html(self.source)} ({html(self.method)}): E = {self.emergence:.4f}, band "
            f"{_ends(self.band)} ({html(self.kind)}; {self.claim()}); worst r&sup2; {self.r2:.3f}; "
            f"{self.neurons} neurons, {self.only_start} of them used "
            f"at the start only, {self.only_now} now only"
        )

    def save(self, path):
        """Write everything to an .npz file; returns its path."""
        stored = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return storage.save(path, "emergence-confidence", stored, _BAND_OF_E)

    @classmethod
    def load(cls, path):
        """Read a band written by :meth:`save`; a damaged file or one of a newer schema is refused."""
        values = {"r2": float("nan"), **storage.load(path, "emergence-confidence", _BAND_OF_E)}
        return cls(**{**values, "notes": tuple(values["notes"])})


# NaN: of a file of an earlier version, which kept no r2.
_BANDS = {
    "numbers[q]": "q tau",
    "maybe numbers[q] or nan": "r2_by_q",
    "numbers[orders]": "alpha f",
    "numbers[2 q]": "tau_band",
    "numbers[2 orders]": "alpha_band f_band",
    "numbers[2]": "alpha0_band width_band",
    "numbers[* orders]": "curves_alpha curves_f",
    "number": "alpha0 width level",
    "maybe number or nan": "r2",
    "whole": "resamples seed neurons",
    "truth": "by_layer measured given_radii",
    "maybe text": "verdict",
    "text": "kind method method_key source source_hash",
    "texts": "notes",
    "words": "versions",
}
_BAND_OF_E = {
    "numbers[2]": "band",
    "numbers[resamples]": "resampled",
    "number": "emergence error level",
    "maybe number or nan": "r2",
    "whole": "resamples seed neurons only_start only_now",
    "truth": "by_layer measured given_radii",
    "text": "kind method method_key source",
    "texts": "notes",
    "words": "versions",
}


def freeze(result):
    for value in vars(result).values():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)


def _ends(band):
    return f"{band[0]:.4f} \u2026 {band[1]:.4f}"
