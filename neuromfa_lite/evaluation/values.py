"""What a measure makes of a run: one table of its rises since step 0, on which every question is asked.

A measure is a Method, whose value is its score, or any function of a checkpoint to a number.
"""

import inspect

import numpy as np

from ..errors import ONE_ANSWER, NeuroMFAError, arguments, said
from ..method import Method
from ..network import load_network
from ..study import degree_of_emergence
from ..study.measure import MOST_SAMPLES, common_radii, samples_of, spectra_of
from .changes import EVERY_CHANGE, changed

AS_TRAINED = "nothing"
SETTINGS = ("another q range", "another k", "another window")


def values_of(run, what, samples=10, neurons_per_layer=32, changes=()):
    """How far a measure has risen since step 0, in its own units: a DataFrame (change, seed, step) x samples.

    changes: what to do to the last checkpoints, names in EVERY_CHANGE and SETTINGS; AS_TRAINED is none. Where no two
    samples ever differ the first stands alone and the others are missing.
    """
    import pandas as pd

    method = _with_common_radii(run, what, samples, neurons_per_layer)
    others, rows, drawn = settings(method, neurons_per_layer), {}, False
    for seed in run.seeds:
        checkpoints = run.checkpoints(seed)
        first, last = checkpoints[0], checkpoints[-1]
        found = [states(method, checkpoint, samples, neurons_per_layer) for checkpoint in checkpoints]
        drawn = drawn or any((state != state[0]).any() for state in found)
        for checkpoint, state in zip(checkpoints, found, strict=True):
            rows[AS_TRAINED, seed, checkpoint.step] = rise(method, state, found[0])
        for words in changes:
            if words in EVERY_CHANGE:
                state = states(method, changed(run, words, seed), samples, neurons_per_layer)
                rows[words, seed, last.step] = rise(method, state, found[0])
            elif not isinstance(others[words], str):
                other, size = others[words]
                start, end = (states(other, each, samples, size) for each in (first, last))
                rows[words, seed, last.step] = rise(other, end, start)
    index = pd.MultiIndex.from_tuples(rows, names=["change", "seed", "step"])
    table = pd.DataFrame(list(rows.values()), index=index)
    if not drawn:  # half as many neurons may be drawn where all were not
        alike = table.eq(table[0], axis=0).all(axis=1).groupby(level="change").transform("all")
        table.loc[alike, 1:] = np.nan
    return table


def of_change(table, change=AS_TRAINED):
    """The rows of one change, (seed, step) x samples, of :func:`values_of`; samples that were not drawn left out."""
    return table.xs(change, level="change").dropna(axis=1)


def ability_of(run):
    """The ability at every checkpoint: a Series over (seed, step)."""
    return run.abilities().set_index(["seed", "step"])[run.ability]


def rise_after(run, what, words=None, seed=0, samples=10, neurons_per_layer=32):
    """The rise of a run's last checkpoint, (samples,): as it is (words: None), or after a change in EVERY_CHANGE."""
    steps = run.steps(seed)
    last = run.checkpoint(steps[-1], seed) if words is None else changed(run, words, seed)
    start, end = (states(what, each, samples, neurons_per_layer) for each in (run.checkpoint(steps[0], seed), last))
    return rise(what, end, start)


def name_of(what):
    """What a measure is called on a scorecard; what is no measure is refused."""
    if isinstance(what, Method):
        return what.name
    if callable(what) and not isinstance(what, type):
        return getattr(what, "__name__", type(what).__name__).replace("_", " ")
    found = arguments.shown(what)
    raise NeuroMFAError(f"a scorecard is made of a Method or of a function of a checkpoint, not of {found}")


def states(what, checkpoint, samples, neurons_per_layer):
    """What is kept of a checkpoint: (samples, 2) alpha0 and width; of a function (samples or 1, 1) its number."""
    samples = arguments.whole("samples", samples, 1, MOST_SAMPLES)
    neurons_per_layer = arguments.whole("neurons_per_layer", neurons_per_layer, 1)
    if isinstance(what, Method):
        spectra = spectra_of(checkpoint, what, samples, neurons_per_layer)
        return np.array([(spectrum.alpha0, spectrum.width) for spectrum in spectra])
    return np.array(_answers(what, checkpoint, samples), dtype=np.float64)[:, None]


def rise(what, state, start):
    """(samples,): a method's score of each sample against its step 0; a function's number minus that of step 0."""
    if isinstance(what, Method):
        return np.atleast_1d(degree_of_emergence(*state.T, *start.T, what))
    return (state - start)[:, 0]


def refuse_bad_measure(what, checkpoint, samples, neurons_per_layer):
    """Try a measure on one checkpoint; refused too is a function that gives another answer when it is asked again."""
    first = states(what, checkpoint, samples, neurons_per_layer)
    rise(what, first, first)
    again = first if isinstance(what, Method) else states(what, checkpoint, samples, neurons_per_layer)
    if (first != again).any():
        at = np.flatnonzero(first != again)[0]
        raise NeuroMFAError(
            f"{name_of(what)} gave two answers for {checkpoint}, {first[at, 0]:g} and {again[at, 0]:g}: {ONE_ANSWER}"
        )


def settings(what, neurons_per_layer):
    """{setting: (Method, neurons per layer) with another one, or in words why there is no other}."""
    if not isinstance(what, Method):
        return dict.fromkeys(SETTINGS, "it has no such setting")
    orders = tuple(q for q in what.q if abs(q) <= max(np.abs(what.q)) / 2)
    fewer, window = "one q", "it has no window"
    if len(orders) > 1:
        fewer = what.replace(q=orders, name=what.name), neurons_per_layer
    if what.window is not None:
        low, high = what.window
        window = what.replace(window=(low, 2 * high), name=what.name), neurons_per_layer
    return dict(zip(SETTINGS, (fewer, (what, max(2, neurons_per_layer // 2)), window), strict=True))


def _answers(function, checkpoint, samples):
    """The number of a function, one for every sample where it takes ``seed=``."""
    name = name_of(function)
    try:
        seeded = "seed" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        seeded = False
    try:
        values = [function(checkpoint, seed=seed) for seed in range(samples)] if seeded else [function(checkpoint)]
    except NeuroMFAError:
        raise
    except (Exception, SystemExit) as error:
        raise NeuroMFAError(f"{name} raised {said(error)} for {checkpoint}") from error
    for value in values:
        if not np.isfinite(arguments.number(value)):
            found = arguments.shown(value)
            raise NeuroMFAError(f"{name} returned {found} for {checkpoint}, where one finite number is needed")
    return values


def _with_common_radii(run, what, samples, neurons_per_layer):
    """The measure; a Method of radii_scope="run" with the radii that all checkpoints of the run cover."""
    if not isinstance(what, Method) or what.radii_scope == "network":
        return what
    networks = [load_network(each, wiring=what.wiring) for seed in run.seeds for each in run.checkpoints(seed)]
    drawn = [part for network in networks for part in samples_of(network, samples, neurons_per_layer)]
    return what.replace(radii=common_radii(drawn, what), radii_scope="network", name=what.name)
