"""Lesson 01: choose a neuron; its connections by strength and by distance, and its mass as the circle grows."""

import ipywidgets as widgets
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle

from ..method import PAPER
from ..plots.curves import BLUE, GREY, ORANGE, RED
from ..plots.networks import around, rings
from ..spectrum import neuron_fractal_dimension
from ..spectrum.fit import fit_lines
from ..study.measure import sampled_spectra
from .base import Panel, banded, log_ticks, open_runs, require_window, run_and_step

THICKEST = 6.0  # points; a weight of 0.4 and more


class NetworkPanel(Panel):
    """One neuron of the sampled network: connections by strength, by distance, and the mass N(r) inside a circle.

    ``method`` has a window, since the circle grows within it. ``networks`` and ``spectra``: {(run name, step): the
    sampled NeuronNetwork, its Spectrum}.
    ``numbers``: neuron (its number in the layer), connections, inside (the window), strongest (largest weight), mass
    N(r) in the circle, mass_in_window N(r_max), dimension (slope of ln N on ln r) with its band over the neuron's
    connections and dimension_r2, and alpha0 of the whole sample, the mean of all dimensions, with its band and r2. A
    neuron that the method leaves out has no masses: "left out".
    """

    def __init__(self, runs=("induction", "induction-control"), method=PAPER, neurons_per_layer=32, seed=0):
        require_window(method)
        runs, steps = open_runs(runs)
        self.window, self.networks, self.spectra, self._lines, self._dimensions = method.window, {}, {}, {}, {}
        for at, _, network, spectrum in sampled_spectra(runs, steps, method, neurons_per_layer, seed):
            self.networks[at], self.spectra[at] = network, spectrum
            self._dimensions[at] = neuron_fractal_dimension(network, method)
            self._lines[at] = fit_lines(np.log(spectrum.radii), np.log(spectrum.masses.counts))
        self._first = steps[0]
        sources = dict.fromkeys(block.source for block in network.weight_blocks)
        self._layers = {network.layers[source].name: network.layers[source] for source in sources}
        super().__init__(self._controls(runs, steps), width=1060, height=420)

    def _controls(self, runs, steps):
        low, high = self.window
        names = list(self._layers)
        layer = widgets.Dropdown(options=names, value=names[min(2, len(names) - 1)], description="layer")
        neuron = widgets.IntSlider(0, 0, len(self._layers[layer.value].numbers) - 1, description="neuron")
        radius = widgets.IntSlider(min(30, int(high)), int(low) + 1, int(high), description="radius r")

        def fit_neurons(change):  # layers differ in size
            neuron.max = len(self._layers[layer.value].numbers) - 1

        layer.observe(fit_neurons, names="value")
        return {**run_and_step(runs, steps), "layer": layer, "neuron": neuron, "radius": radius}

    def draw_still(self):
        strength, space, mass = self.figure.subplots(1, 3, width_ratios=(0.8, 1.15, 1.1))
        strength.plot(0, 0.5, "o", ms=11, color=ORANGE, mec="black", zorder=3)
        strength.set(xlim=(-0.1, 1.05), ylim=(-0.02, 1.02), title="1  strong = thick")
        strength.text(0.5, -0.04, "blue: w > 0, red: w < 0", ha="center", va="top", fontsize=10)
        strength.set_axis_off()
        self._threads = self.moving(strength.add_collection(LineCollection([], alpha=0.75)))
        self._ends = self.moving(strength.scatter([], [], s=12, zorder=3, lw=0))
        rings(space, self.window).set_title("2  strong = close")
        self._circle = self.moving(space.add_patch(Circle((0, 0), 1, fc=ORANGE, alpha=0.18)))
        self._edge = self.moving(space.add_patch(Circle((0, 0), 1, fill=False, ec=ORANGE, lw=2)))
        self._spots = self.moving(space.scatter([], [], s=20, lw=0))
        self._draw_mass_axes(mass)

    def _draw_mass_axes(self, mass):
        low, high = self.window
        stairs = {"drawstyle": "steps-post", "lw": 2}
        self._start = self.moving(*mass.plot([], [], ":", color=GREY, label=f"at step {self._first}", **stairs))
        self._curve = self.moving(*mass.plot([], [], color=BLUE, label="mass $N(r)$", **stairs))
        self._fit = self.moving(*mass.plot([], [], "--", color="black", lw=1.2, label="line: slope = dimension"))
        self._here = self.moving(*mass.plot([], [], "o", ms=10, color=ORANGE, mec="black"))
        self._note = self.moving(mass.text(0.5, 0.5, "", transform=mass.transAxes, ha="center", color=RED, fontsize=11))
        heaviest = max(spectrum.masses.counts.max() for spectrum in self.spectra.values())
        log_ticks(mass, [1, 2, 5, 10, 20, 50, 100], [1, 2, 5, 10, 20, 50, 100])
        mass.set(xlim=(max(low, 1), high * 1.05), ylim=(0.9, heaviest * 1.4))
        mass.set(xlabel="radius $r$", ylabel="mass $N(r)$", title="3  mass inside the circle")
        mass.legend(frameon=False, loc="upper left")

    def draw_moving(self, run, step, layer, neuron, radius):
        number = int(self._layers[layer].numbers[neuron])
        table = self.networks[run, step].outgoing(layer, number)
        self._draw_connections(table, radius)
        spectrum = self.spectra[run, step]
        numbers = {
            "neuron": number,
            "connections": len(table),
            "inside": int(table["distance"].between(*self.window, inclusive="right").sum()),
            "strongest": float(table["weight"].abs().max()),
        }
        mass = self._draw_mass(run, step, layer, number, radius)
        return {**numbers, **mass, **banded(spectrum, "alpha0"), "r2": spectrum.r2}

    def _draw_connections(self, table, radius):
        weights = table["weight"].to_numpy()
        colours = np.where(weights < 0, RED, BLUE)
        heights = np.linspace(1, 0, len(weights)) if len(weights) > 1 else np.array([0.5])
        ends = np.column_stack([np.ones(len(weights)), heights])
        self._threads.set_segments([[(0, 0.5), end] for end in ends])
        self._threads.set_linewidths(np.minimum(15 * np.abs(weights), THICKEST))
        self._threads.set_colors(colours)
        self._ends.set_offsets(ends)
        self._ends.set_facecolors(colours)
        self._spots.set_offsets(around(table["distance"].to_numpy()))
        self._spots.set_facecolors(colours)
        for circle in (self._circle, self._edge):
            circle.set_radius(np.log1p(radius))

    def _row(self, run, step, layer, number):
        """Row of a neuron among the masses; None where the method leaves it out."""
        masses = self.spectra[run, step].masses
        rows = np.flatnonzero((masses.labels("layer") == layer) & (masses.number == number))
        return int(rows[0]) if len(rows) else None

    def _draw_mass(self, run, step, layer, number, radius):
        row, first = self._row(run, step, layer, number), self._row(run, self._first, layer, number)
        start = self.spectra[run, self._first]
        self._start.set_data(([], []) if first is None else (start.radii, start.masses.counts[first]))
        if row is None:
            for line in (self._curve, self._fit, self._here):
                line.set_data([], [])
            self._note.set_text("left out: too few\nconnections in the window")
            return dict.fromkeys(("mass", "mass_in_window", "dimension"), "left out")
        spectrum, lines = self.spectra[run, step], self._lines[run, step]
        radii, counts = spectrum.radii, spectrum.masses.counts[row]
        within = int(np.searchsorted(radii, radius, side="right"))
        mass = int(counts[within - 1]) if within else 1  # the neuron itself
        self._note.set_text("")
        self._curve.set_data(radii, counts)
        self._fit.set_data(radii, np.exp(np.log(counts) - lines.residuals[row]))
        self._here.set_data([radius], [mass])
        every = self._dimensions[run, step]
        numbers = {"mass": mass, "mass_in_window": int(counts[-1]), "dimension": float(every.dimension[row])}
        if not np.isnan(every.error[row]):
            numbers["dimension_band"] = tuple(every.band[:, row].tolist())
        return {**numbers, "dimension_r2": float(every.r2[row])}
