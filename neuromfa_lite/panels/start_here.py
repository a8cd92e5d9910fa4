"""Lesson 00: choose a run and a step; weights, spectrum, degree of emergence and ability move together."""

from ..method import PAPER
from ..plots.curves import BLUE, GREY, ORANGE, RED, WEIGHT_EDGES, badge, plot_ability, plot_trajectory
from ..spectrum.fit import quietly
from ..study import follow
from ..study.measure import sampled_spectra
from .base import (
    Panel,
    banded,
    colours_of,
    lay_band,
    open_runs,
    require_ability,
    run_and_step,
    spread_of,
    spread_said,
)


class StartHerePanel(Panel):
    """Weights, spectrum f(alpha), E and ability of one step of one run.

    ``runs`` have an ability. ``histories``: {run name: Trajectory}; ``spectra``: {(run, step): Spectrum of sample 0}.
    ``numbers``: alpha0, width (with their bands over neurons) and r2 of the spectrum shown, E (over all samples) with
    its standard deviation E_sd (of a single sample with its E_error over neurons), and the ability.
    """

    def __init__(self, runs=("induction", "induction-control"), method=PAPER, samples=10, neurons_per_layer=32):
        runs, steps = open_runs(runs)
        require_ability(runs)
        self._colours = colours_of([run.name for run in runs])
        with quietly():
            self.histories = {run.name: follow(run, method, samples, neurons_per_layer) for run in runs}
        self.spectra, self._weights = {}, {}
        for at, network, _, spectrum in sampled_spectra(runs, steps, method, neurons_per_layer, seed=0):
            self.spectra[at], self._weights[at] = spectrum, network.weight_histogram(WEIGHT_EDGES)
        self._summaries = {name: history.summary().set_index("step") for name, history in self.histories.items()}
        super().__init__(run_and_step(runs, steps), width=1000, height=620)

    def draw_still(self):
        (weights, spectrum), (emergence, ability) = self.figure.subplots(2, 2)
        first = next(iter(self.spectra.values()))
        untrained = next(iter(self._weights.values()))[0]
        self._bars = self.moving(weights.stairs(untrained, WEIGHT_EDGES, lw=2, color=BLUE))
        weights.stairs(untrained, WEIGHT_EDGES, color=GREY, ls=":", label="untrained")
        weights.set(xlabel=r"weight $w$ (beyond $\pm$0.3: in the last bins)", ylabel="density", title="1  the weights")
        weights.legend(frameon=False)
        self._sigma = self.moving(weights.text(0.03, 0.9, "", transform=weights.transAxes))
        spectrum.plot(first.alpha, first.f, ":", color=GREY, label="untrained")
        self._curve = self.moving(*spectrum.plot([], [], "o-", ms=3, color=BLUE))
        self._band = self.moving(spectrum.axvspan(0, 1, color=ORANGE, alpha=0.45, lw=0))
        self._peak = self.moving(spectrum.axvline(first.alpha0, color=BLUE, ls="--", lw=1))
        alphas = [value for each in self.spectra.values() for value in (each.alpha.min(), each.alpha.max())]
        lowest = min(each.f.min() for each in self.spectra.values())
        spectrum.set(xlabel=r"singularity strength $\alpha$", ylabel=r"$f(\alpha)$", title="2  their spectrum")
        spectrum.set(xlim=(min(alphas) - 0.05, max(alphas) + 0.05), ylim=(lowest * 1.08, -lowest * 0.28))
        spectrum.legend(frameon=False, loc="lower left")
        clear = {"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1}
        above = {"transform": spectrum.transAxes, "ha": "center", "va": "top", "fontsize": 9, "bbox": clear}
        self._badge = self.moving(spectrum.text(0.5, 0.98, "", **above))
        for name, history in self.histories.items():
            plot_trajectory(history, ax=emergence, color=self._colours[name])
            plot_ability(history, ax=ability, color=self._colours[name])
        emergence.set_title("3  degree of emergence $E$")
        ability.set_title("4  what the model can do")
        self._here = [self._marker(axes) for axes in (emergence, ability)]

    def _marker(self, axes):
        return self.moving(*axes.plot([0], [0], "o", ms=12, mfc="none", mec="black", mew=2))

    def draw_moving(self, run, step):
        spectrum, row = self.spectra[run, step], self._summaries[run].loc[step]
        density, deviation = self._weights[run, step]
        color = self._colours[run]
        self._bars.set_data(density)
        self._bars.set_edgecolor(color)
        self._sigma.set_text(rf"$\sigma$ = {deviation:.4f}")
        self._curve.set_data(spectrum.alpha, spectrum.f)
        self._curve.set_color(color)
        lay_band(self._band, spectrum.band("alpha0"))
        self._peak.set_xdata([spectrum.alpha0] * 2)
        self._peak.set_color(color)
        self._badge.set_text(badge(spectrum, self._badge.axes))
        self._badge.set_color(RED if spectrum.flags else GREY)
        name = self.histories[run].ability_name
        for marker, value in zip(self._here, (row["emergence"], row[name]), strict=True):
            marker.set_data([step], [value])
        return {
            **banded(spectrum, "alpha0", "width"),
            "r2": spectrum.r2,
            "E": float(row["emergence"]),
            f"E_{spread_of(row)}": float(row[f"emergence_{spread_of(row)}"]),
            name: float(row[name]),
        }

    def readout_html(self):
        """The numbers in two parts: those of the spectrum shown, and those of the checkpoint."""
        spread = next(f"{value:.4f}" for name, value in self.numbers.items() if name in ("E_sd", "E_error"))
        of = spread_said(next(iter(self.histories.values())))
        return (
            f"sample 0: {', '.join(map(self.with_band, ('alpha0', 'width', 'r2')))};&ensp; "
            f"{self.with_band('E')} \u00b1 {spread} ({of});&ensp; {self.with_band(list(self.numbers)[-1])}"
        )
