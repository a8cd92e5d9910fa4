"""Lesson 04: the degree of emergence of a run and its control, what it is made of, and the ability, step by step."""

import ipywidgets as widgets

from ..errors.text import html
from ..method import PAPER
from ..plots.curves import GREY, plot_ability, plot_heterogeneity, plot_regularity, plot_trajectory
from ..spectrum.fit import quietly
from ..study import Trajectory, follow
from .base import Panel, colours_of, open_runs, require_ability, spread_of, spread_said, stops

CURTAIN = "#EFEFEF"
SHOWN = {"E": "emergence", "alpha0": "alpha0", "width": "width", "r2": "r2"}


class EmergencePanel(Panel):
    """E, ability, regularity and width of several runs over the training steps, uncovered step by step.

    ``runs`` have an ability and lie over each other; a Trajectory among them is shown as it was followed.
    Controls: ``step``, ``play`` (runs through the steps), ``future`` (False hides what comes after the step).
    ``numbers``: for every run NAME "E NAME", "alpha0 NAME", "width NAME", each with a "..._sd NAME" over samples (of a
    single sample "..._error NAME" over its neurons), "r2 NAME" (the worst fit), its ability. ``histories``: {run name:
    Trajectory}.
    """

    def __init__(self, runs=("induction", "induction-control"), method=PAPER, samples=10, neurons_per_layer=32):
        runs, steps = open_runs(runs)
        require_ability(runs)
        self.histories = {}
        for run in runs:
            with quietly():
                history = run if isinstance(run, Trajectory) else follow(run, method, samples, neurons_per_layer)
            self.histories[history.run] = history
        self._colours = colours_of(self.histories)
        self._tables = {name: history.summary().set_index("step") for name, history in self.histories.items()}
        slider, last = stops(steps, steps[0], "step"), len(steps) - 1
        play = widgets.Play(min=0, max=last, value=0, interval=600, description="play the training")
        # A link in the kernel, not in the page: the panel obeys the play button in a test as it does in a browser.
        self._link = widgets.link((play, "value"), (slider, "index"))
        future = widgets.Checkbox(value=False, description="show what comes later", indent=False)
        super().__init__({"play": play, "step": slider, "future": future}, width=1000, height=640)

    def draw_still(self):
        axes = self.figure.subplots(2, 2)
        drawings = (plot_trajectory, plot_ability, plot_regularity, plot_heterogeneity)
        for ax, draw in zip(axes.flat, drawings, strict=True):
            for name, history in self.histories.items():
                draw(history, ax=ax, color=self._colours[name])
        for ax in axes[0]:
            ax.set_xlabel("")
        titles = ("1  degree of emergence", "2  what the model can do", "3  regularity", "4  heterogeneity")
        legends = [ax.get_legend() for ax in axes.flat]
        for ax, title, legend in zip(axes.flat, titles, legends, strict=True):
            ax.set_title(title)
            if legend is not legends[0]:
                legend.remove()
        history = next(iter(self.histories.values()))
        seeds = ", thin lines: other training seeds" if len(history.training_seeds) > 1 else ""
        self.figure.suptitle(f"band: $\\pm$ {spread_said(history)}{seeds}", fontsize=10, color=GREY)
        for ax in axes.flat:
            ax.set(xlim=(-0.3, 1.4 * history.step.max()), ylim=ax.get_ylim())  # fixed: the markers must not move them
        self._ends = [ax.get_xlim()[1] for ax in axes.flat]
        self._curtains = [self.moving(ax.axvspan(0, 1, color=CURTAIN, lw=0)) for ax in axes.flat]
        self._lines = [self.moving(ax.axvline(0, color=GREY, lw=1)) for ax in axes.flat]
        self._here = {
            name: [
                self.moving(*ax.plot([0], [0], "o", ms=11, mfc=self._colours[name], mec="black", mew=1.5))
                for ax in axes.flat
            ]
            for name in self.histories
        }
        self.moving(legends[0])

    def draw_moving(self, step, future):
        for curtain, line, end in zip(self._curtains, self._lines, self._ends, strict=True):
            curtain.set_bounds(step, 0, end - step, 1)  # its heights are shares of the axes
            curtain.set_visible(not future)
            line.set_xdata([step, step])
        numbers = {}
        for name, history in self.histories.items():
            row = self._tables[name].loc[step]
            values = (row["emergence"], row[history.ability_name], row["alpha0"], row["width"])
            for marker, value in zip(self._here[name], values, strict=True):
                marker.set_data([step], [value])
            kind, columns = spread_of(self._tables[name]), {**SHOWN, history.ability_name: history.ability_name}
            columns |= {f"{short}_{kind}": f"{SHOWN[short]}_{kind}" for short in ("E", "alpha0", "width")}
            numbers |= {f"{short} {name}": float(row[column]) for short, column in columns.items()}
        return numbers

    def readout_html(self):
        """A line per run: E with the four numbers that it is made of, and the ability."""
        lines = []
        for name, history in self.histories.items():
            start, value = self._tables[name].loc[0], lambda short, name=name: f"{self.numbers[f'{short} {name}']:.3f}"
            kind = spread_of(self._tables[name])
            lines.append(
                f"<b>{html(name)}</b>: E = (w(t)/w(0)) ln(&alpha;<sub>0</sub>(0)/&alpha;<sub>0</sub>(t)) = "
                f"({value('width')} / {start['width']:.3f}) &times; ln({start['alpha0']:.3f} / {value('alpha0')}) = "
                f"<b>{value('E')}</b> &plusmn; {value(f'E_{kind}')}; w(t) &plusmn; {value(f'width_{kind}')}, "
                f"&alpha;<sub>0</sub>(t) &plusmn; {value(f'alpha0_{kind}')}, worst r&sup2; {value('r2')} "
                f"(at step 0: w &plusmn; {start[f'width_{kind}']:.3f}, &alpha;<sub>0</sub> &plusmn; "
                f"{start[f'alpha0_{kind}']:.3f}, r&sup2; {start['r2']:.3f}); "
                f"{html(history.ability_name.replace('_', ' '))} <b>{value(history.ability_name)}</b>"
            )
        return "<br>".join(lines)
