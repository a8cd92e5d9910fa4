"""Lesson 05: something is done to a trained network, and one sees what the ability and what a measure make of it."""

from functools import lru_cache

import ipywidgets as widgets
import numpy as np

from ..evaluation.abilities_after import ability_after
from ..evaluation.changes import EVERY_CHANGE
from ..evaluation.measures.circuits import reciprocity, token_agreement
from ..evaluation.measures.token_clouds import token_cloud, two_neighbours
from ..evaluation.values import name_of, rise_after
from ..method import PAPER, SCALE_FREE, Method
from ..plots.curves import BLUE, GREY, ORANGE
from .base import Panel, open_runs, require_ability

NOTHING = "nothing"
MEASURES = {
    "published E": PAPER,
    "scale-free E": SCALE_FREE,
    "token cloud": token_cloud,
    "two neighbours": two_neighbours,
    "token agreement": token_agreement,
    "reciprocity": reciprocity,
}


class ChangePanel(Panel):
    """The ability and a measure of trained networks, as they are and after a change.

    ``runs`` have an ability; of seed 0 the last checkpoints are shown. ``measures``: {words: Method, which samples, or
    function of a checkpoint, asked once}.
    Controls: ``run``, ``change``, ``measure`` (lists), ``reveal`` (False, as at first, hides the answer).
    ``numbers``: "ability before", "ability after", "measure before", "measure after" (means over samples), and their
    standard deviations over samples, "sd before", "sd after".
    """

    def __init__(self, runs=("induction",), measures=MEASURES, samples=10, neurons_per_layer=32):
        runs, _ = open_runs(runs)
        require_ability(runs)
        self.runs = {run.name: run for run in runs}
        for what in measures.values():
            name_of(what)  # refuses what is no measure
        self.measures, self.samples, self.neurons_per_layer = dict(measures), samples, neurons_per_layer
        self._rises = lru_cache(maxsize=None)(self._rises_of)
        wide = {"layout": widgets.Layout(width="440px")}
        controls = {
            "run": widgets.Dropdown(options=list(self.runs), description="run"),
            "change": widgets.Dropdown(options=[NOTHING, *EVERY_CHANGE], description="change", **wide),
            "measure": widgets.Dropdown(options=list(measures), description="measure"),
            "reveal": widgets.Checkbox(value=False, description="show the answer", indent=False),
        }
        super().__init__(controls, width=900, height=380)

    def draw_still(self):
        self._ability_ax, self._measure_ax = self.figure.subplots(1, 2)
        self._ability_ax.set(ylim=(0, 1.12), ylabel="ability (share right)", title="what the model can do")
        for ax in (self._ability_ax, self._measure_ax):
            ax.set_xticks([0, 1], ["as trained", "changed"])
            ax.set_xlim(-0.6, 1.6)
        self._measure_ax.set(ylim=(-1, 1), ylabel="rise since step 0", title="what the measure says of its weights")
        self._bars = [self.moving(self._ability_ax.bar(x, 1, 0.6, color=ORANGE)[0]) for x in (0, 1)]
        above = {"ha": "center", "va": "bottom", "fontsize": 13}
        self._values = [self.moving(self._ability_ax.text(x, 0, "", **above)) for x in (0, 1)]
        self._dots = [self.moving(*self._measure_ax.plot([], [], "o", color=BLUE, alpha=0.5)) for _ in (0, 1)]
        self._means = [self.moving(*self._measure_ax.plot([], [], "-", color="black", lw=2.5)) for _ in (0, 1)]
        self._zero = self.moving(self._measure_ax.axhline(0, color=GREY, lw=1))
        # The scale differs from measure to measure, so its numbers move too and the axis shows none of its own.
        self._measure_ax.set_yticks([])
        small = {"fontsize": 10, "color": GREY, "va": "bottom"}
        self._scale = [self.moving(self._measure_ax.text(-0.57, y, "", **small)) for y in (-0.75, 0, 0.75)]
        self._question = self.moving(self._measure_ax.text(1, 0.35, "?", fontsize=40, ha="center", color=GREY))

    def draw_moving(self, run, change, measure, reveal):
        changes = (NOTHING, change)
        abilities = [self._ability(run, words) for words in changes]
        rises = [self._rises(run, words, measure) for words in changes]
        scale = max(float(np.abs(np.concatenate(rises)).max()), 1e-12) / 0.75
        self._question.set_visible(not reveal)
        for place, (ability, values) in enumerate(zip(abilities, rises, strict=True)):
            there, visible = ability is not None, reveal or place == 0
            self._bars[place].set_height(ability if there else 0)
            self._values[place].set_text(f"{ability:.3f}" if there else "needs torch")
            self._values[place].set_y((ability or 0) + 0.01)
            self._dots[place].set_data(place + np.linspace(-0.2, 0.2, len(values)), values / scale)
            self._means[place].set_data([place - 0.3, place + 0.3], [values.mean() / scale] * 2)
            for artists in (self._bars, self._values, self._dots, self._means):
                artists[place].set_visible(visible)
        for text, share in zip(self._scale, (-0.75, 0, 0.75), strict=True):
            text.set_text(f"{share * scale:.2f}")
        if not reveal:
            return {"ability before": abilities[0], "measure before": float(rises[0].mean())}
        numbers = dict(zip(("ability before", "ability after"), abilities, strict=True))
        for words, values in zip(("before", "after"), rises, strict=True):
            numbers[f"measure {words}"] = float(values.mean())
            numbers[f"sd {words}"] = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        return numbers

    def _ability(self, run, change):
        run = self.runs[run]
        if change == NOTHING:
            return float(run.checkpoint(run.steps(0)[-1]).abilities[run.ability])
        return ability_after(run, change)

    def _rises_of(self, run, change, measure):
        what, words = self.measures[measure], None if change == NOTHING else change
        samples = self.samples if isinstance(what, Method) else 1  # a function that draws is asked once, to be quick
        return rise_after(self.runs[run], what, words, 0, samples, self.neurons_per_layer)
