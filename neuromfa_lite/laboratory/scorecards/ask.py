"""The scorecard of a measure: every question asked of every run, with progress."""

from __future__ import annotations

import numpy as np
from tqdm.auto import tqdm

from ... import arguments, storage
from ...errors import NeuroMFAError
from ..abilities_after import ability_after
from ..baselines import BASELINES
from ..changes import PRESERVING, SCALE, WIRING, WIRING_AND_TOKENS
from ..runs import Run, list_runs, load_run
from . import properties
from .cells import Cell
from .curves import curves_of, refuse_bad_run
from .result import Scorecard, row_of
from .spreads import worded
from .subjects import FunctionSubject, subject_of
from .timing import timing_cells

MODEL = "the model itself"
COMPARED_WITH = {"log(step)": "log_step", "weight deviation": "weight_deviation"}


def scorecard(what, runs=None, samples=10, neurons_per_layer=32, progress=True):
    """Put a measure of networks through what a stand-in for abilities has to pass, on trained runs and their controls.

    Every cell is a number with its spread over training seeds and samples, never a verdict: does it follow the
    ability, and more than log(step) and the weights' deviation do; does it lead or lag; does it rise where an ability
    appears and not in the control; how far do a common factor, changes that leave the model's function as it was, and
    a permutation that destroys the ability move it; its noise; another window, q range and sample size.

    Args:
        what: Method, or function of a checkpoint to a number (with ``seed=`` where it draws samples), or a list.
        runs: list of Run; None: all bundled ones.
        samples, neurons_per_layer: sampled networks at every checkpoint, as of :func:`neuromfa_lite.follow`; samples is
            the number of seeds of a function that takes one.
        progress: show a progress bar.

    Returns:
        Scorecard.

    Raises:
        NeuroMFAError: something that is no measure, two measures or runs of one name, a run without step 0 or without
            its ability at a checkpoint, a measure that fails on the first or the last checkpoint or answers
            differently when it is asked there again: before any other work.

    Example:
        >>> from neuromfa_lite import load_run, scorecard
        >>> def size(checkpoint):
        ...     return sum(abs(block.weights()).mean() for block in nmfa.load_network(checkpoint).weight_blocks)
        >>> import neuromfa_lite as nmfa
        >>> card = scorecard(size, [load_run("induction"), load_run("induction-control")], progress=False)
        >>> table = card.frame().set_index("property")
        >>> bool(table.loc["rise at the end", "value"].gt(0).all())
        True
    """
    subjects = [subject_of(each, samples, neurons_per_layer) for each in _listed(what)]
    if not subjects:
        raise NeuroMFAError("a scorecard of no measure: give a Method, a function of a checkpoint, or a list of them")
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise NeuroMFAError(
            f"two measures of one scorecard have one name: {', '.join(names)}; give one of them another, "
            "method.replace(name=...)"
        )
    runs = bundled_runs() if runs is None else _listed(runs)
    _refuse_bad_runs(runs)
    seed = runs[0].seeds[0]
    for subject in subjects:
        for step in (0, runs[0].steps(seed)[-1]):
            subject.probe(runs[0].checkpoint(step, seed))
    rows = []
    with tqdm(total=len(subjects) * len(runs), desc="scorecard", unit="run", disable=not progress, delay=1) as bar:
        baselines = {run.name: _baseline_curves(run) for run in runs if has_ability(run)}
        for subject in subjects:
            cells = _cells(subject, runs, baselines, bar)
            rows += [row_of(subject.name, cell) for cell in cells]
    rows += [row for run in runs if has_ability(run) for row in _ability_rows(run)]
    return Scorecard(tuple(rows), storage.versions())


def _refuse_bad_runs(runs):
    if not runs:
        raise NeuroMFAError("runs is empty: give Runs, load_run(...), or None for all bundled ones")
    for run in runs:
        if not isinstance(run, Run):
            raise NeuroMFAError(f"runs holds {arguments.shown(run)}, which is no run: open it with load_run(...)")
        refuse_bad_run(run)
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NeuroMFAError(
            f"two runs of one scorecard are called {', '.join(twice)}: put them on two scorecards, or give one another "
            'name in its manifest.json ("run")'
        )


def _cells(subject, runs, baselines, bar):
    """The cells of one subject, run after run."""
    curves = {}
    for run in runs:
        curves[run.name] = curves_of(run, subject)
        bar.update(0.5)
    cells = []
    for run in runs:
        mine = curves[run.name]
        cells += properties.sign_cells(mine) + properties.noise_cells(mine)
        if has_ability(run):
            cells += properties.tracking_cells(mine, baselines[run.name]) + timing_cells(mine)
            for control in runs:
                if control.control_of == run.name:
                    cells += properties.control_cells(mine, curves[control.name])
            cells += _changes(mine)
        bar.update(0.5)
    return cells


def _changes(curves):
    cells = []
    for words in (SCALE, WIRING, WIRING_AND_TOKENS):
        cells += properties.change_cells(f"moved by {words}", curves, curves.after(words))
    cells += _symmetry(curves)
    for words, other in curves.subject.settings().items():
        if isinstance(other, str):
            name = f"moved by {words}"
            cells.append(Cell(name, curves.run.name, None, None, None, None, 0, other))
        else:
            cells += properties.change_cells(f"moved by {words}", curves, curves.by(other))
    return cells


def _symmetry(curves):
    """The change that leaves the model's function as it was and moves the measure most."""
    found = []
    for words in PRESERVING:
        found += properties.change_cells("moved by symmetry", curves, curves.after(words), f"most by: {words}")
    most = max(found, key=lambda cell: abs(cell.value))
    return [most._replace(looks=sum(cell.looks for cell in found))]


def _baseline_curves(run):
    keys = {words: BASELINES[name] for words, name in COMPARED_WITH.items()}
    return {words: curves_of(run, FunctionSubject(function, 1)) for words, function in keys.items()}


def _ability_rows(run):
    """What the model itself can do at the end, as it is and changed: the mean over training seeds, and their range."""
    lasts = [run.checkpoint(run.steps(seed)[-1], seed) for seed in run.seeds]
    found = {"ability": [last.abilities[run.ability] for last in lasts]}
    for words in (SCALE, WIRING, WIRING_AND_TOKENS):
        found[f"ability after {words}"] = [ability_after(run, words, seed) for seed in run.seeds]
    for name, values in found.items():
        known = [value for value in values if value is not None]
        value = float(np.mean(known)) if known else None
        low, high = (min(known), max(known)) if len(known) > 1 else (None, None)
        note = run.ability if known else "needs torch and transformers"
        cell = Cell(name, run.name, lasts[0].step, value, low, high, len(known), note)
        yield row_of(MODEL, worded(cell, len(known), "nothing drawn"))


def has_ability(run):
    """A run in which an ability can appear: its controls have none to gain."""
    return run.control_of is None and bool(run.ability)


def bundled_runs():
    """Every bundled run, by name."""
    return [load_run(name) for name in list_runs()["run"]]


def _listed(values):
    return list(values) if isinstance(values, (list, tuple)) else [values]
