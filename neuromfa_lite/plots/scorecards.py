"""One picture of a scorecard: a row per measure, a column per question, a mark per run."""

import numpy as np

from ..errors import NeuroMFAError
from ..errors.text import math_free
from .curves import GREY, RUN_COLOURS, axes_for

# What a column asks (a property, or its beginning), the value hoped for, and the words above it.
QUESTIONS = (
    ("follows ability beyond log(step)", None, "follows ability\nbeyond log(step)"),
    ("follows ability beyond weight deviation", None, "... beyond\nweight size"),
    ("specific against", 1.0, "specific\nto the run"),
    ("moved by a common factor", 0.0, "moved by\na factor"),
    ("moved by symmetry", 0.0, "moved by\nsymmetry"),
    ("moved by permuted connections", None, "moved by\npermuting"),
    ("noise of samples", 0.0, "noise:\nsamples"),
    ("noise of seeds", 0.0, "noise:\nseeds"),
    ("moved by another window", 0.0, "another\nwindow"),
    ("moved by another q range", 0.0, "another\nq range"),
    ("moved by another k", 0.0, "another\nk"),
)
HALF = 0.42  # half the width of a column: a value of 1


def plot_scorecard(card, ax=None):
    """Draw a Scorecard: marks = runs at their last step, bars = 5-95 % of seeds and samples, dashes = hoped for.

    The bar of the noise of seeds is its range with one seed left out. Every column runs from -1 to 1, what lies beyond
    is drawn at its end; its middle line is 0. For permuting there is none to hope for, but 0 is blindness. A run with
    several controls has a mark for each.
    """
    table = card.frame().dropna(subset=["value"])
    able = table.loc[table["property"] == "follows ability", "run"].unique()  # in a control there is nothing to follow
    asked = table["property"].map(lambda name: any(_asks(name, start) for start, *_ in QUESTIONS))
    table = table[asked & table["run"].isin(able)]
    if not len(table):
        raise NeuroMFAError("this scorecard holds no number to draw: was a run with an ability among its runs?")
    methods = [name for name in card.methods if (table["method"] == name).any()]
    ax = axes_for(ax, (13, 1.6 + 0.45 * len(methods)))
    runs = list(dict.fromkeys(table["run"]))
    for column, (start, hoped, _) in enumerate(QUESTIONS):
        ax.axvline(column, color=GREY, lw=0.8, alpha=0.6)
        if hoped is not None:
            ax.axvline(column + HALF * hoped, color="black", lw=1.2, ls="--", alpha=0.5)
        cells = table[table["property"].map(lambda name, start=start: _asks(name, start))]
        cells = cells[cells["step"].isna() | (cells["step"] == cells.groupby("run")["step"].transform("max"))]
        for row, method in enumerate(methods):
            _marks(cells[cells["method"] == method], row, column, runs, ax)
    ax.set_xticks(range(len(QUESTIONS)), [words for *_, words in QUESTIONS], fontsize=9)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(methods)), map(math_free, methods))
    ax.set(xlim=(-0.6, len(QUESTIONS) - 0.4), ylim=(len(methods) - 0.4, -0.6))
    for row in range(1, len(methods)):
        ax.axhline(row - 0.5, color=GREY, lw=0.5, alpha=0.4)
    ax.grid(False)
    handles = [ax.plot([], [], "o", color=_colour(run, runs), label=math_free(run))[0] for run in runs]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4, frameon=False, fontsize=9)
    return ax


def _asks(name, start):
    return name == start or (start.endswith("against") and name.startswith(f"{start} "))


def _marks(cells, row, column, runs, ax):
    for place, cell in enumerate(cells.itertuples()):
        y = row + 0.6 * ((place + 0.5) / max(len(cells), 1) - 0.5)
        x, low, high = (column + HALF * np.clip(value, -1, 1) for value in (cell.value, cell.low, cell.high))
        colour = _colour(cell.run, runs)
        if np.isfinite(low):
            ax.plot([low, high], [y, y], "-", color=colour, lw=1.5, alpha=0.6)
        ax.plot(x, y, "o", color=colour, ms=4.5)


def _colour(run, runs):
    return RUN_COLOURS[runs.index(run) % len(RUN_COLOURS)]
