"""Lesson 03: masses, partition function, mass exponent and spectrum in four linked views."""

import textwrap

import ipywidgets as widgets
import numpy as np
from matplotlib.collections import LineCollection

from ..errors.text import math_free
from ..method import PAPER
from ..plots.curves import BLUE, GREY, ORANGE, RED
from ..spectrum.fit import POOR_FIT
from ..spectrum.partition import log_masses
from ..study.measure import sampled_spectra
from .base import Panel, banded, lay_band, open_runs, run_and_step, stops

FAINT = 40  # mass curves shown behind the chosen one
FAN = 5  # of the moment orders, every fifth is shown behind the chosen one


class SpectrumPanel(Panel):
    """From the masses to f(alpha): one neuron and one moment order q, seen in every view.

    ``numbers``: tau, alpha and f at the chosen q and r2 of its line; alpha0, width and worst_r2 of the spectrum; all
    five exponents with their bands over neurons; flags: what to distrust, or "none". With derivative="forward" the
    last q has no alpha. ``spectra``: {(run name, step): Spectrum of the sample}.
    """

    def __init__(self, runs=("induction", "induction-control"), method=PAPER, neurons_per_layer=32, seed=0):
        runs, steps = open_runs(runs)
        self.spectra, self._logs = {}, {}
        for at, *_, spectrum in sampled_spectra(runs, steps, method, neurons_per_layer, seed):
            self.spectra[at] = spectrum
            self._logs[at] = log_masses(spectrum.masses, method).T  # (neurons, radii)
            spectrum.band("tau")  # here, so that no slider waits for it
        orders = next(iter(self.spectra.values())).frame()["q"].to_numpy()
        near = int(np.argmin(np.abs(orders - 1)))
        fewest = min(spectrum.neurons_used for spectrum in self.spectra.values())
        controls = {
            **run_and_step(runs, steps),
            "q": stops([(f"{q:g}", float(q)) for q in orders], float(orders[near]), "q"),
            "neuron": widgets.IntSlider(0, 0, fewest - 1, description="neuron"),
        }
        super().__init__(controls, width=960, height=640)

    def draw_still(self):
        (masses, partition), (exponent, spectrum) = self.figure.subplots(2, 2)
        self._prepare_masses(masses)
        self._prepare_partition(partition)
        self._prepare_exponent(exponent)
        self._prepare_spectrum(spectrum)

    def _each(self, values):
        """Axis limits that hold the values of every spectrum."""
        return _limits([values(spectrum) for spectrum in self.spectra.values()])

    def _prepare_masses(self, ax):
        self._others = self.moving(ax.add_collection(LineCollection([], colors=GREY, lw=0.6, alpha=0.4)))
        self._mass = self.moving(*ax.plot([], [], color=ORANGE, lw=2.5, drawstyle="steps-post"))
        self._name = self.moving(ax.text(0.03, 0.95, "", transform=ax.transAxes, va="top", fontsize=11))
        ax.set(xlabel=r"$\ln(r/r_{\max})$", ylabel=r"$\ln\mu_i(r)$", title=r"1  shares $\mu_i = N_i(r)/N_i(r_{\max})$")
        ax.set(xlim=self._each(_across), ylim=_limits(list(self._logs.values())))

    def _prepare_partition(self, ax):
        self._fan = self.moving(ax.add_collection(LineCollection([], colors=GREY, lw=0.6, alpha=0.6)))
        self._points = self.moving(*ax.plot([], [], ".", color=BLUE, ms=5))
        self._line = self.moving(*ax.plot([], [], color=ORANGE, lw=2))
        self._quality = self.moving(ax.text(0.97, 0.95, "", transform=ax.transAxes, ha="right", va="top", fontsize=11))
        ax.set(xlabel=r"$\ln(r/r_{\max})$", ylabel=r"$\ln Z_q(r)$", title="2  partition function and its line")
        ax.set(xlim=self._each(_across), ylim=self._each(lambda spectrum: spectrum.log_partition))

    def _prepare_exponent(self, ax):
        ax.axhline(0, color="black", lw=0.6)
        ax.axvline(0, color="black", lw=0.6)
        self._tau_band = self.moving(ax.fill_between([0], [0], [0], color=BLUE, alpha=0.3, lw=0))
        self._tau = self.moving(*ax.plot([], [], color=BLUE, lw=1.5))
        self._tangent = self.moving(*ax.plot([], [], ls="--", color=ORANGE, lw=1.5))
        self._at_tau = self.moving(*ax.plot([], [], "o", ms=10, color=ORANGE, mec="black"))
        self._at_zero = self.moving(*ax.plot([], [], "D", ms=7, mfc="none", mec=ORANGE, mew=2))
        ax.set(xlabel="moment order $q$", ylabel=r"mass exponent $\tau(q)$")
        ax.set_title(r"3  slopes; tangent: slope $\alpha$, meets $q = 0$ at $-f$", fontsize=11)
        ax.set(xlim=self._each(lambda spectrum: spectrum.q), ylim=self._each(lambda spectrum: spectrum.tau))

    def _prepare_spectrum(self, ax):
        self._f = self.moving(*ax.plot([], [], color=BLUE, lw=2.5))
        self._peak_band = self.moving(ax.axvspan(0, 1, color=ORANGE, alpha=0.4, lw=0))
        self._peak = self.moving(ax.axvline(0, ls=":", color=GREY, lw=1.2))
        self._slope = self.moving(*ax.plot([], [], ls="--", color=ORANGE, lw=1.5))
        self._at_f = self.moving(*ax.plot([], [], "o", ms=10, color=ORANGE, mec="black"))
        style = {"ha": "center", "color": RED, "fontsize": 10, "bbox": {"fc": "white", "ec": "none", "pad": 1}}
        self._warning = self.moving(ax.text(0.5, 0.03, "", transform=ax.transAxes, **style))
        ax.set(xlabel=r"singularity strength $\alpha$", ylabel=r"$f(\alpha) = q\alpha - \tau$")
        ax.set_title(r"4  the spectrum; tangent: slope $q$; dotted: $\alpha_0$ and band", fontsize=11)
        low, high = self._each(lambda spectrum: spectrum.f)
        ax.set(xlim=self._each(lambda spectrum: spectrum.alpha), ylim=(low + 0.25 * (low - high), high))

    def draw_moving(self, run, step, q, neuron):
        spectrum, at = self.spectra[run, step], int(np.argmin(np.abs(self.spectra[run, step].q - q)))
        columns = (spectrum.tau, spectrum.alpha, spectrum.f, spectrum.r2_by_q)
        tau, alpha, f, r2 = (float(values[at]) for values in columns)
        across = _across(spectrum)
        self._draw_neuron(spectrum.masses, self._logs[run, step], across, neuron)
        self._fan.set_segments([np.column_stack([across, each]) for each in spectrum.log_partition[::FAN]])
        self._points.set_data(across, spectrum.log_partition[at])
        self._line.set_data(across, spectrum.log_partition[at] - spectrum.residuals[at])
        self._quality.set_text(f"q = {q:g}: slope \u03c4 = {tau:.3f}, r\u00b2 = {r2:.3f}")
        self._quality.set_color(RED if r2 < POOR_FIT else "black")
        self._tau.set_data(spectrum.q, spectrum.tau)
        self._draw_bands(spectrum)
        _lay(self._tangent, (q, tau), alpha)
        self._at_tau.set_data([q], [tau])
        self._at_zero.set_data([0], [-f])
        self._f.set_data(spectrum.alpha, spectrum.f)
        _lay(self._slope, (alpha, f), q)
        self._at_f.set_data([alpha], [f])
        self._peak.set_xdata([spectrum.alpha0] * 2)
        self._warning.set_text(textwrap.fill("; ".join(spectrum.flags), 52))
        numbers = {}
        for name, value in (("tau", tau), ("alpha", alpha), ("f", f)):
            numbers[name], band = value, spectrum.band(name)
            numbers |= {} if band is None else {f"{name}_band": tuple(band[:, at].tolist())}
        numbers |= {"r2": r2, **banded(spectrum, "alpha0", "width")}
        return {**numbers, "worst_r2": spectrum.r2, "flags": "; ".join(spectrum.flags) or "none"}

    def _draw_bands(self, spectrum):
        ends = spectrum.band("tau")
        self._tau_band.set_visible(ends is not None)
        if ends is not None:
            low, high = (np.column_stack([spectrum.q, end]) for end in ends)
            self._tau_band.set_verts([np.concatenate([low, high[::-1]])])
        lay_band(self._peak_band, spectrum.band("alpha0"))

    def _draw_neuron(self, masses, logs, across, neuron):
        every = max(1, len(logs) // FAINT)
        self._others.set_segments([np.column_stack([across, curve]) for curve in logs[::every]])
        self._mass.set_data(across, logs[neuron])
        self._name.set_text(f"{math_free(masses.labels('layer')[neuron])}, neuron {masses.number[neuron]}")


def _lay(line, point, slope):
    """Lay a straight line through a point, from one end of its axes to the other."""
    ends = np.array(line.axes.get_xlim())
    line.set_data(ends, point[1] + slope * (ends - point[0]))


def _across(spectrum):
    return np.log(spectrum.radii / spectrum.radii[-1])


def _limits(arrays):
    """Axis limits that hold all values, with a margin."""
    low, high = min(a.min() for a in arrays), max(a.max() for a in arrays)
    return low - 0.04 * (high - low), high + 0.06 * (high - low)
