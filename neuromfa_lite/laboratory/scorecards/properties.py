"""What a scorecard asks of a measure. Every answer is a number with its spread and how many looks it took.

Where two sizes are compared the number is their contrast (a - b)/(|a| + |b|): from -1 to 1, 0 where they are equal, 1
where b is nothing beside a or of the other sign. Unlike a ratio it stays small where both are.
"""

from __future__ import annotations

import numpy as np

from .cells import Cell
from .spreads import FEWEST, FEWEST_STEPS, ends, jackknife, joined, smallest_largest, worded

EARLY = 256
OVER_SAMPLES = "range over samples alone"


def contrast(a, b):
    """(a - b)/(|a| + |b|), 0 where both are 0; numbers or arrays.

    Example:
        >>> contrast(3.0, 1.0), contrast(2.0, -5.0), contrast(0.0, 0.0)
        (0.5, 1.0, 0.0)
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    size = np.abs(a) + np.abs(b)
    values = (a - b) / np.where(size > 0, size, 1.0)
    return float(values) if values.ndim == 0 else values


def association(curves, other=None):
    """Correlation of the rise with the ability over a run's checkpoints, of every training seed and sample.

    Every pair counts once, also those of seeds that are stored at four steps, whose correlations are of four points.

    Args:
        curves: Curves of a run with an ability.
        other: Curves of the same run by another measure, whose own correlation (mean over its samples) is taken off.

    Returns:
        (pairs,) Pearson's r, or the excess; pairs in which the measure or the ability stands still are left out, and
        seeds of two steps, through which every correlation is 1.
    """
    found = [np.empty(0)]
    for seed in curves.seeds:
        if len(curves.steps[seed]) < FEWEST_STEPS:
            continue
        ability = curves.ability[seed]
        mine = _correlations(curves.rises[seed], ability)
        if other is not None:
            theirs = _correlations(other.rises[seed], ability)
            mine = mine - theirs.mean() if len(theirs) else mine[:0]
        found.append(mine)
    return np.concatenate(found)


def _correlations(rises, ability):
    centred, target = rises - rises.mean(axis=0), ability - ability.mean()
    sizes = np.sqrt((centred**2).sum(axis=0) * (target @ target))
    moving = sizes > 1e-12
    return (centred[:, moving].T @ target) / sizes[moving]


def tracking_cells(curves, baselines):
    """Does it move with the ability, and more than the clock and the size of the weights do?

    Args:
        curves: Curves; baselines: {words: Curves of a baseline on the same run}.
    """
    looks = sum(rises.size for rises in curves.rises.values())
    asked = {"follows ability": association(curves)}
    asked |= {f"follows ability beyond {words}": association(curves, other) for words, other in baselines.items()}
    pairs = len(curves.seeds) * curves.samples
    cells = []
    for name, found in asked.items():
        still = f"{pairs - len(found)} of {pairs} pairs stand still" if len(found) < pairs else ""
        cells.append(_mean(name, curves, found, looks, note=still))
    return cells


def control_cells(curves, control):
    """Does it rise where an ability appears and not where none can? At every step that both runs have of all seeds.

    And at step 256, in the middle of every task, of the seeds that have it.
    """
    cells = []
    shared = set(curves.common_steps) & set(control.common_steps)
    shared |= {EARLY} & set(curves.steps[curves.seeds[0]].tolist()) & set(control.steps[control.seeds[0]].tolist())
    for step in sorted(shared):
        sides = [each.by_seed(step) for each in (curves, control)]
        cells += [_specific(curves, control, step, sides), _effect_cell(curves, control, step, sides)]
    return cells


def _specific(curves, control, step, sides):
    mine, theirs = (np.concatenate(list(side.values())) for side in sides)
    pairs = contrast(*(each.ravel() for each in np.meshgrid(mine, theirs)))
    name, value = f"specific against {control.run.name}", contrast(mine.mean(), theirs.mean())
    note = joined(_seeds_of(sides), OVER_SAMPLES if max(map(len, sides)) == 1 else "") if len(pairs) > 1 else ""
    cell = Cell(name, curves.run.name, step, float(value), *ends(pairs), len(mine) + len(theirs), note)
    return worded(cell, 1, curves.drawn, " at this step")


def _seeds_of(sides):
    """What is to be said where a step is there of fewer training seeds than it takes to leave one out."""
    count = min(map(len, sides))
    return f"{'one training seed' if count == 1 else f'{count} training seeds'} at this step" if count < FEWEST else ""


def effect(mine, theirs):
    """The difference of two runs in their common standard deviation, over seeds and samples.

    Args:
        mine, theirs: {training seed: (samples,) rises}.

    Returns:
        float; None where either has a single number, or no spread but that of rounding.

    Example:
        >>> effect({0: np.array([3.0, 5.0])}, {0: np.array([0.0, 2.0])}) == 3 / 2**0.5
        True
    """
    sides = [np.concatenate(list(side.values())) for side in (mine, theirs)]
    spread = np.sqrt(np.mean([side.var(ddof=1) for side in sides])) if min(map(len, sides)) > 1 else 0.0
    size = max(float(np.abs(side).max()) for side in sides)
    return float((sides[0].mean() - sides[1].mean()) / spread) if spread > 1e-12 * size else None


def _effect_cell(curves, control, step, sides):
    """With its range: without one seed, or where there are too few of them without one sample, in both runs alike."""
    name, run = f"effect against {control.run.name}", curves.run.name
    value, looks = effect(*sides), sum(len(rises) for side in sides for rises in side.values())
    if value is None:
        return Cell(name, run, step, None, None, None, looks, "no spread to measure the difference in")
    seeds = [seed for seed in sides[0] if seed in sides[1]]
    samples = min(len(rises) for side in sides for rises in side.values())
    if len(seeds) >= FEWEST:
        without = [effect(*({s: side[s] for s in side if s != seed} for side in sides)) for seed in seeds]
        low, high = smallest_largest(value, [found for found in without if found is not None])
        return worded(Cell(name, run, step, value, low, high, looks), len(seeds), curves.drawn)
    places = range(samples) if samples >= FEWEST else ()
    low, high = jackknife(value, [effect(*(_without_sample(side, place) for side in sides)) for place in places])
    note = joined(_seeds_of(sides), OVER_SAMPLES) if low is not None else ""
    return worded(Cell(name, run, step, value, low, high, looks, note), len(seeds), curves.drawn, " at this step")


def _without_sample(side, place):
    return {seed: np.delete(rises, place) for seed, rises in side.items()}


def change_cells(name, curves, changed, note=""):
    """How much a change of the last checkpoint moves the rise: contrast of after and before, 0 if not at all.

    Args:
        name: what was changed; curves: Curves; changed: (seeds, samples) rises after it.
    """
    before = np.array([curves.rises[seed][-1] for seed in curves.seeds])
    pairs = contrast(changed, before).ravel()
    value, looks = contrast(changed.mean(), before.mean()), changed.size + before.size
    cell = Cell(name, curves.run.name, _last(curves), value, *ends(pairs), looks, note)
    return [worded(cell, len(curves.seeds), curves.drawn)]


def sign_cells(curves):
    """The rise at the last checkpoint, in the measure's own units, and how many pairs of seed and sample rise."""
    values = np.concatenate([curves.rises[seed][-1] for seed in curves.seeds])
    note = f"{np.mean(values > 0):.0%} of seeds and samples rise"
    return [_mean("rise at the end", curves, values, values.size, _last(curves), note)]


def noise_cells(curves):
    """How large is its spread beside its rise? sd/(sd + |mean|) at the end: 0 without noise, 1 where noise is all."""
    lasts = [curves.rises[seed][-1] for seed in curves.seeds]
    return [_noise_of_samples(curves, lasts), _noise_of_seeds(curves, np.array([last.mean() for last in lasts]))]


def _noise_of_samples(curves, lasts):
    name, run, step, looks = "noise of samples", curves.run.name, _last(curves), sum(map(len, lasts))
    if curves.samples == 1:
        return Cell(name, run, step, None, None, None, looks, curves.drawn)
    shares = np.array([_share(last) for last in lasts])
    if len(lasts) > 1:
        return _mean(name, curves, shares, looks, step)
    low, high = jackknife(shares[0], [_share(np.delete(lasts[0], place)) for place in range(curves.samples)])
    low, high = (low, high) if low is None else (max(low, 0.0), min(high, 1.0))  # of a share
    note = joined("one training seed", OVER_SAMPLES) if low is not None else ""
    return worded(Cell(name, run, step, float(shares[0]), low, high, looks, note), 1, curves.drawn)


def _noise_of_seeds(curves, means):
    name, run, step, count = "noise of seeds", curves.run.name, _last(curves), len(means)
    if count == 1:
        return Cell(name, run, step, None, None, None, 1, "one training seed")
    without = [_share(np.delete(means, place)) for place in range(count)] if count >= FEWEST else []
    cell = Cell(name, run, step, _share(means), *smallest_largest(_share(means), without), count)
    return worded(cell, count, curves.drawn)


def _share(values):
    spread, mean = values.std(ddof=1), values.mean()
    total = spread + abs(mean)
    return float(spread / total) if total > 0 else 0.0


def _last(curves):
    return int(curves.steps[curves.seeds[0]][-1])


def _mean(name, curves, values, looks, step=None, note=""):
    """The mean of numbers and their quantiles."""
    run = curves.run.name
    if not len(values):
        return Cell(name, run, step, None, None, None, looks, "it stands still")
    cell = Cell(name, run, step, float(values.mean()), *ends(values), looks, note)
    return worded(cell, len(curves.seeds), curves.drawn)
