"""What a scorecard asks of a measure. Every answer is a number with its spread and how many looks it took.

Where two sizes are compared the number is their contrast (a - b)/(|a| + |b|): from -1 to 1, 0 where they are equal, 1
where b is nothing beside a or of the other sign. Unlike a ratio it stays small where both are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EARLY = 256
SPREAD = (0.05, 0.95)  # the quantiles over training seeds and samples that are called low and high
ONE_SEED = "one training seed at this step"


class Cell(NamedTuple):
    """One number of a scorecard.

    Attributes:
        property: what was asked; run, step: of what; step is None where the answer is of a whole run.
        value: the answer, None where there is none; note says why.
        low, high: 5 % and 95 % quantile over all pairs of training seed and sample; a contrast of two means may lie
            outside, where they nearly cancel. Of an effect size and of the noise of seeds the smallest and the largest
            with all seeds and with one left out.
        looks: how many measured numbers went into it.
        note: what to know.
    """

    property: str
    run: str
    step: int | None
    value: float | None
    low: float | None
    high: float | None
    looks: int
    note: str = ""


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
        (pairs,) Pearson's r, or the excess; pairs in which the measure or the ability stands still are left out.
    """
    found = []
    for seed in curves.seeds:
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
    cells = [_spread("follows ability", curves.run, association(curves), looks)]
    for words, other in baselines.items():
        cells.append(_spread(f"follows ability beyond {words}", curves.run, association(curves, other), looks))
    return cells


def timing_cells(curves):
    """Is it half way before or after the ability is? In doublings of the training step; below 0 it leads.

    Of the first seed alone: the others are stored at four steps, too few to say where half is.
    """
    seed = curves.seeds[0]
    steps, rises, ability = curves.steps[seed], curves.rises[seed], curves.ability[seed]
    last, noise = rises[-1].mean(), rises[-1].std(ddof=1) if rises.shape[1] > 1 else 0.0
    name, looks = "half way after ability", rises.size
    reached = half_way(steps, ability - ability[0])
    if reached is None or abs(last) <= 2 * noise:
        note = (
            "the ability does not rise" if reached is None else "its own rise is within twice its spread over samples"
        )
        return [Cell(name, curves.run.name, None, None, None, None, looks, note)]
    halves = [half_way(steps, column) for column in rises.T]
    octaves = np.array([np.log2((half + 1) / (reached + 1)) for half in halves if half is not None])
    return [_spread(name, curves.run, octaves, looks)._replace(note=f"training seed {seed} alone")]


def half_way(steps, rises):
    """The step at which a curve first reaches half of its last value; None where that is 0.

    Between checkpoints the curve is taken as straight over log(1 + step).

    Example:
        >>> round(half_way(np.array([0, 1, 3, 7]), np.array([0.0, 0.0, 4.0, 4.0])), 3)
        1.828
    """
    if rises[-1] == 0:
        return None
    share, time = rises / rises[-1], np.log1p(steps)
    above = int(np.argmax(share >= 0.5))
    if above == 0:
        return float(steps[0])
    low, high = share[above - 1], share[above]
    return float(np.expm1(time[above - 1] + (0.5 - low) / (high - low) * (time[above] - time[above - 1])))


def control_cells(curves, control):
    """Does it rise where an ability appears and not where none can? At every step that both runs have of all seeds.

    And at step 256, in the middle of every task, of the seeds that have it.
    """
    cells = []
    shared = set(curves.common_steps) & set(control.common_steps)
    shared |= {EARLY} & set(curves.steps[curves.seeds[0]].tolist()) & set(control.steps[control.seeds[0]].tolist())
    for step in sorted(shared):
        mine, theirs = curves.at(step), control.at(step)
        looks = len(mine) + len(theirs)
        note = ONE_SEED if any(_seeds_at(each, step) == 1 for each in (curves, control)) else ""
        pairs = contrast(*(each.ravel() for each in np.meshgrid(mine, theirs)))
        value = contrast(mine.mean(), theirs.mean())
        low, high = np.quantile(pairs, SPREAD)
        name = f"specific against {control.run.name}"
        cells.append(Cell(name, curves.run.name, step, float(value), float(low), float(high), looks, note))
        cells.append(_effect(curves, control, step, looks, note))
    return cells


def _seeds_at(curves, step):
    return sum(step in steps for steps in curves.steps.values())


def _effect(curves, control, step, looks, note):
    """The difference of two runs in their common standard deviation, over seeds and samples."""
    name = f"effect against {control.run.name}"

    def effect(left_out=None):
        sides = []
        for each in (curves, control):
            seeds = [seed for seed in each.seeds if seed != left_out and step in each.steps[seed]]
            sides.append(np.concatenate([each.rises[s][each.steps[s].tolist().index(step)] for s in seeds]))
        spread = np.sqrt(np.mean([side.var(ddof=1) for side in sides])) if min(map(len, sides)) > 1 else 0.0
        size = max(float(np.abs(side).max()) for side in sides)  # a spread of rounding alone is none
        return float((sides[0].mean() - sides[1].mean()) / spread) if spread > 1e-12 * size else None

    value = effect()
    if value is None:
        return Cell(name, curves.run.name, step, None, None, None, looks, "no spread to measure the difference in")
    shared = [seed for seed in curves.seeds if seed in control.seeds and step in curves.steps[seed]]
    without = [found for found in map(effect, shared) if found is not None] if len(shared) > 2 else []
    return Cell(name, curves.run.name, step, value, *_range(value, without), looks, note)


def change_cells(name, curves, changed, note=""):
    """How much a change of the last checkpoint moves the rise: contrast of after and before, 0 if not at all.

    Args:
        name: what was changed; curves: Curves; changed: (seeds, samples) rises after it.
    """
    before = np.array([curves.rises[seed][-1] for seed in curves.seeds])
    pairs = contrast(changed, before).ravel()
    value = contrast(changed.mean(), before.mean())
    return [Cell(name, curves.run.name, _last(curves), value, *_ends(pairs), 2 * pairs.size, note)]


def sign_cells(curves):
    """The rise at the last checkpoint, in the measure's own units, and how many pairs of seed and sample rise."""
    values = np.concatenate([curves.rises[seed][-1] for seed in curves.seeds])
    cell = _spread("rise at the end", curves.run, values, values.size)
    return [cell._replace(step=_last(curves), note=f"{np.mean(values > 0):.0%} of seeds and samples rise")]


def noise_cells(curves):
    """How large is its spread beside its rise? sd/(sd + |mean|) at the end: 0 without noise, 1 where noise is all."""
    name, last = curves.run.name, _last(curves)
    ends = [curves.rises[seed][-1] for seed in curves.seeds]
    cells = []
    if len(ends[0]) > 1:
        shares = np.array([_share(end.std(ddof=1), end.mean()) for end in ends])
        cells.append(_spread("noise of samples", curves.run, shares, sum(map(len, ends)))._replace(step=last))
    if len(ends) > 1:
        means = np.array([end.mean() for end in ends])
        without = [np.delete(means, place) for place in range(len(means))] if len(means) > 2 else []
        value, *others = [_share(each.std(ddof=1), each.mean()) for each in (means, *without)]
        cells.append(Cell("noise of seeds", name, last, value, *_range(value, others), len(ends)))
    return cells


def _range(value, others):
    """The smallest and the largest of a value and of what it is with one seed left out."""
    return (min(value, *others), max(value, *others)) if others else (None, None)


def _share(spread, mean):
    total = spread + abs(mean)
    return float(spread / total) if total > 0 else 0.0


def _last(curves):
    return int(curves.steps[curves.seeds[0]][-1])


def _spread(name, run, values, looks):
    if not len(values):
        return Cell(name, run.name, None, None, None, None, looks, "it stands still")
    return Cell(name, run.name, None, float(values.mean()), *_ends(values), looks)


def _ends(values):
    return tuple(float(end) for end in np.quantile(values, SPREAD)) if len(values) > 1 else (None, None)
