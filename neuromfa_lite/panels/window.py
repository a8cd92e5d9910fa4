"""Lesson 03: the window and the radii of the fit as sliders, and what becomes of every exponent."""

import textwrap

import ipywidgets as widgets
import numpy as np

from ..errors import NeuroMFAError
from ..errors.text import math_free
from ..masses import count_masses
from ..method import PAPER
from ..plots.curves import BLUE, GREY, ORANGE, RED
from ..spectrum.fit import fit_lines, quietly
from ..study import analyze
from ..study.measure import sampled_spectra
from .base import Panel, banded, lay_band, log_ticks, open_runs, require_window, run_and_step

NARROWEST, WIDEST = 20, 400
SMALLEST, LARGEST = 1, 100
NUMBERS = ("alpha0", "width", "r2", "neurons", "radii", "share_inside")
BADGE_LETTERS = 125


class WindowPanel(Panel):
    """The mean mass with its line, and f(alpha), for a window and a smallest radius that the reader chooses.

    ``method`` has a window, whose upper end the slider moves. ``networks`` and ``usual``: {(run name, step): the
    sampled NeuronNetwork, its Spectrum as usual}.
    Controls: ``run``, ``step``, ``window`` (its upper end), ``radius`` (the smallest one fitted).
    ``numbers``: alpha0 and width with their bands over neurons, r2 (the worst fit), neurons, radii (fitted to),
    share_inside, and badge, the verdict or the flags in words; "none" where nothing can be fitted.
    """

    def __init__(self, runs=("induction", "induction-control"), method=PAPER, neurons_per_layer=32, seed=0):
        require_window(method)
        runs, steps = open_runs(runs)
        self.method, self.networks, self.usual, self._curves = method, {}, {}, {}
        wide = self._chosen(WIDEST).replace(scaling_range="whole")
        for at, _, network, spectrum in sampled_spectra(runs, steps, method, neurons_per_layer, seed):
            self.networks[at], self.usual[at] = network, spectrum
            self._curves[at] = _mean_mass(count_masses(network, wide))
        controls = {
            **run_and_step(runs, steps),
            "window": widgets.IntSlider(int(method.window[1]), NARROWEST, WIDEST, description="window to"),
            "radius": widgets.IntSlider(SMALLEST, SMALLEST, LARGEST, description="radii from"),
        }
        super().__init__(controls, width=1000, height=440)

    def _chosen(self, window, radius=SMALLEST):
        """The Method of these settings."""
        return self.method.replace(window=(self.method.window[0], window), scaling_range=(radius, window))

    def draw_still(self):
        (mass, spectrum), feet = self.figure.subplots(2, 2, height_ratios=(1, 0.12), width_ratios=(1.1, 1))
        for ax in feet:
            ax.set_axis_off()
        self._prepare_mass(mass)
        self._prepare_spectrum(spectrum)
        self._badge = self.moving(self.figure.text(0.5, 0.06, "", ha="center", va="center", fontsize=11))

    def _prepare_mass(self, ax):
        self._shade = self.moving(ax.axvspan(1, 2, color=BLUE, alpha=0.1, lw=0))
        self._all = self.moving(*ax.plot([], [], ".", ms=4, color=GREY))
        self._fitted = self.moving(*ax.plot([], [], ".", ms=7, color=BLUE))
        self._line = self.moving(*ax.plot([], [], "-", lw=2.5, color=ORANGE))
        top = max(curve.max() for _, curve in self._curves.values())
        log_ticks(ax, [2, 5, 10, 20, 50, 100, 200, 400], [1, 2, 5, 10, 20, 50, 100])
        ax.set(xlim=(1.5, WIDEST * 1.1), ylim=(0.8, top * 2.5))
        ax.set(xlabel="radius $r$ (shaded: the window)", ylabel="mass $N_i(r)$, geometric mean of all neurons")
        ax.set_title("1  the mass and its line")
        marks = ((".", GREY, "not fitted"), (".", BLUE, "fitted"), ("-", ORANGE, r"line: slope $\alpha_0$"))
        shown = [ax.plot([], [], mark, ms=9, color=color, label=label)[0] for mark, color, label in marks]
        ax.legend(handles=shown, frameon=False, loc="upper left")

    def _prepare_spectrum(self, ax):
        self._before = self.moving(*ax.plot([], [], "-", lw=1.5, color=GREY))
        self._f = self.moving(*ax.plot([], [], "-", lw=2.5, color=BLUE))
        self._band = self.moving(ax.axvspan(0, 1, color=ORANGE, alpha=0.35, lw=0))
        self._peak = self.moving(ax.axvline(0, ls=":", lw=1.5, color=ORANGE))
        ax.set(xlabel=r"singularity strength $\alpha$", ylabel=r"$f(\alpha) = q\alpha - \tau$")
        ax.set(xlim=(0, 5), ylim=(-1.8, 0.15))
        ax.set_title(f"2  the spectrum (grey: window to {self.method.window[1]:g}, all radii)")

    def draw_moving(self, run, step, window, radius):
        radii, curve = self._curves[run, step]
        usual = self.usual[run, step]
        self._before.set_data(usual.alpha, usual.f)
        self._shade.set_bounds(self.method.window[0], 0, window - self.method.window[0], 1)
        self._all.set_data(radii, curve)
        try:
            spectrum = self._measure(run, step, window, radius)
        except NeuroMFAError as error:
            for artist in (self._fitted, self._line, self._f, self._peak):
                artist.set_data([], [])
            lay_band(self._band, None)
            return {**dict.fromkeys(NUMBERS, "none"), "badge": self._write(str(error), RED)}
        self._draw_line(spectrum)
        self._f.set_data(spectrum.alpha, spectrum.f)
        self._peak.set_data([spectrum.alpha0] * 2, [0, 1])
        lay_band(self._band, spectrum.band("alpha0"))
        numbers = (spectrum.r2, spectrum.neurons_used, spectrum.quality.radii, spectrum.share_inside)
        text = "; ".join(spectrum.flags) or spectrum.verdict
        return {
            **banded(spectrum, "alpha0", "width"),
            **dict(zip(NUMBERS[2:], numbers, strict=True)),
            "badge": self._write(text, RED if spectrum.flags else GREY),
        }

    def _measure(self, run, step, window, radius):
        if radius >= window:
            raise NeuroMFAError(f"no radii are left: they begin at {radius}, and the window ends at {window}")
        with quietly():
            return analyze(self.networks[run, step], self._chosen(window, radius))

    def _draw_line(self, spectrum):
        radii, curve = _mean_mass(spectrum.masses)
        radii, curve = radii[spectrum.fitted], curve[spectrum.fitted]
        (off,) = fit_lines(np.log(radii), np.log(curve)[None]).residuals
        self._fitted.set_data(radii, curve)
        self._line.set_data(radii, curve * np.exp(-off))

    def _write(self, text, color):
        """Write the badge under the pictures; returns it."""
        mark = "\u26a0 " if color == RED else ""
        self._badge.set_text(textwrap.fill(mark + math_free(text), BADGE_LETTERS))
        self._badge.set_color(color)
        return text


def _mean_mass(masses):
    """Radii and the geometric mean of the neurons' masses, whose line has the slope alpha0."""
    return masses.radii, np.exp(np.log(masses.counts).mean(axis=0))
