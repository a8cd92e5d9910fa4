"""The scorecard of a measure: every question asked of every run, with progress."""

import numpy as np
from tqdm.auto import tqdm

from .. import results
from ..errors import NeuroMFAError, arguments
from ..laboratory.runs import Run, list_runs, load_run
from . import questions
from .abilities_after import ability_after
from .card import Scorecard
from .cells import Cell, row_of, seeds_in_words
from .changes import PRESERVING, SCALE, WIRING, WIRING_AND_TOKENS
from .measures.baselines import log_step, weight_deviation
from .values import SETTINGS, ability_of, name_of, of_change, refuse_bad_measure, settings, values_of

MODEL = "the model itself"
COMPARED_WITH = {"log(step)": log_step, "weight deviation": weight_deviation}
DESTROYING = (SCALE, WIRING, WIRING_AND_TOKENS)
CHANGES = (*DESTROYING, *PRESERVING, *SETTINGS)


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
        NeuroMFAError: before any other work: something that is no measure, two measures or runs of one name, a run
            without step 0 or without its ability at a checkpoint, a measure that fails on the first or the last
            checkpoint or answers differently when it is asked there again.

    Example:
        >>> from neuromfa_lite import load_network, load_run, scorecard
        >>> def size(checkpoint):
        ...     return sum(abs(block.weights()).mean() for block in load_network(checkpoint).weight_blocks)
        >>> card = scorecard(size, [load_run("induction"), load_run("induction-control")], progress=False)
        >>> table = card.frame().set_index("property")
        >>> bool(table.loc["rise at the end", "value"].gt(0).all())
        True
    """
    measures = _listed(what)
    if not measures:
        raise NeuroMFAError("a scorecard of no measure: give a Method, a function of a checkpoint, or a list of them")
    names = [name_of(each) for each in measures]
    _refuse_twins("measures", names, "give one another name, method.replace(name=...)")
    runs = bundled_runs() if runs is None else _listed(runs)
    _refuse_bad_runs(runs)
    size, seed = (samples, neurons_per_layer), runs[0].seeds[0]
    for measure in measures:
        for step in (0, runs[0].steps(seed)[-1]):
            refuse_bad_measure(measure, runs[0].checkpoint(step, seed), *size)
    able = [run for run in runs if has_ability(run)]
    baselines = {
        run.name: {words: of_change(values_of(run, each, samples=1)) for words, each in COMPARED_WITH.items()}
        for run in able
    }
    rows = []
    with tqdm(total=len(names) * len(runs), desc="scorecard", unit="run", disable=not progress, delay=1) as bar:
        for name, measure in zip(names, measures, strict=True):
            tables = {}
            for run in runs:
                tables[run.name] = values_of(run, measure, *size, CHANGES if has_ability(run) else ())
                bar.update()
            rises = {run.name: of_change(tables[run.name]) for run in runs}
            for run in runs:
                drawn = _drawn(rises[run.name], samples)
                cells = _cells(rises[run.name], drawn)
                if has_ability(run):
                    cells += _cells_of_ability(run, runs, rises, baselines[run.name])
                    cells += _cells_of_changes(tables[run.name], settings(measure, neurons_per_layer))
                rows += [row_of(name, run.name, cell, drawn) for cell in cells]
    rows += [row_of(MODEL, run.name, cell, "nothing drawn") for run in able for cell in _model_cells(run)]
    return Scorecard(tuple(rows), results.versions())


def _cells(rises, drawn):
    return [questions.sign_cell(rises), questions.noise_of_samples(rises, drawn), questions.noise_of_seeds(rises)]


def _cells_of_ability(run, runs, rises, baselines):
    mine, ability = rises[run.name], ability_of(run)
    cells = [*questions.tracking_cells(mine, ability, baselines), questions.timing_cell(mine, ability)]
    for control in runs:
        if control.control_of == run.name:
            cells += questions.control_cells(mine, control.name, rises[control.name])
    return cells


def _cells_of_changes(table, others):
    rises = of_change(table)
    cells = [questions.change_cell(words, rises, of_change(table, words)) for words in DESTROYING]
    found = [
        questions.change_cell("symmetry", rises, of_change(table, words), f"most by: {words}") for words in PRESERVING
    ]
    most = max(found, key=lambda cell: abs(cell.value))
    cells.append(most._replace(looks=sum(cell.looks for cell in found)))
    for words, other in others.items():
        if isinstance(other, str):
            cells.append(Cell(f"moved by {words}", note=other))
        else:
            cells.append(questions.change_cell(words, rises, of_change(table, words)))
    return cells


def _drawn(rises, samples):
    """What was drawn of every training seed, in words."""
    if rises.shape[1] > 1:
        return f"{rises.shape[1]} samples"
    return "one sample asked for" if samples == 1 else "nothing drawn"


def _model_cells(run):
    """What the model itself can do at the end, as it is and changed: the mean over training seeds, and their range."""
    lasts = [run.checkpoint(run.steps(seed)[-1], seed) for seed in run.seeds]
    found = {"ability": [last.abilities[run.ability] for last in lasts]}
    for words in DESTROYING:
        found[f"ability after {words}"] = [ability_after(run, words, seed) for seed in run.seeds]
    for name, values in found.items():
        known = [value for value in values if value is not None]
        value = float(np.mean(known)) if known else None
        low, high = (min(known), max(known)) if len(known) > 1 else (None, None)
        note = run.ability if known else "needs torch and transformers"
        yield Cell(name, lasts[0].step, value, low, high, len(known), note, seeds_in_words(len(known)))


def _refuse_twins(kind, names, way_out):
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NeuroMFAError(f"two {kind} of one scorecard are called {', '.join(twice)}: {way_out}")


def _refuse_bad_runs(runs):
    """Refuse what is no run, and a training without step 0 or with a checkpoint that lacks the run's ability."""
    if not runs:
        raise NeuroMFAError("runs is empty: give Runs, load_run(...), or None for all bundled ones")
    for run in runs:
        if not isinstance(run, Run):
            raise NeuroMFAError(f"runs holds {arguments.shown(run)}, which is no run: open it with load_run(...)")
        for seed in run.seeds:
            if 0 not in run.steps(seed):
                raise NeuroMFAError(f"run {run.name!r}, training seed {seed}: step 0 is missing: every rise is from it")
            for checkpoint in run.checkpoints(seed) if run.ability else ():
                if run.ability not in checkpoint.abilities:
                    raise NeuroMFAError(
                        f"run {run.name!r}: step {checkpoint.step} of seed {seed} has no ability {run.ability!r}: "
                        "measure it, or name another in the manifest"
                    )
    _refuse_twins("runs", [run.name for run in runs], 'give one another name in its manifest.json ("run")')


def has_ability(run):
    """A run in which an ability can appear: its controls have none to gain."""
    return run.control_of is None and bool(run.ability)


def bundled_runs():
    """Every bundled run, by name."""
    return [load_run(name) for name in list_runs()["run"]]


def _listed(values):
    return list(values) if isinstance(values, (list, tuple)) else [values]
