"""When a measure is half way: before the ability or after it, in doublings of the training step."""

from __future__ import annotations

import numpy as np

from .cells import Cell
from .spreads import FEWEST_STEPS, ends, joined, worded

NOISE = "its own rise is within twice its spread over samples"


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


def octaves_after(curves, seed, steps=None):
    """How many doublings of the step after the ability is each sample half way? Below 0 it leads.

    Args:
        curves: Curves of a run with an ability; seed: training seed; steps: those to look at, None: all it has.

    Returns:
        (at most samples,) log2 (1 + half of the measure)/(1 + half of the ability); samples that stand still have
        none, and no sample has where the ability stands still.
    """
    taken = np.ones(len(curves.steps[seed]), bool) if steps is None else np.isin(curves.steps[seed], steps)
    times, ability = curves.steps[seed][taken], curves.ability[seed][taken]
    reached = half_way(times, ability - ability[0])
    halves = [half_way(times, column) for column in curves.rises[seed][taken].T] if reached is not None else []
    return np.array([np.log2((half + 1) / (reached + 1)) for half in halves if half is not None])


def timing_cells(curves):
    """Is it half way before or after the ability is? In doublings of the training step; below 0 it leads.

    The mean over all pairs of training seed and sample. Between few checkpoints the time of half comes out wrong, and
    of the seeds after the first few are stored. What that does is known of the first: thinned to the steps of another
    seed it is half way at another time, and by this difference, mean over samples, the other seed is corrected, roughly
    where the two are half way between different checkpoints. So the range is one over seeds and samples and not over
    checkpoints. A seed in which the measure or the ability does not rise is left out, and the note says so.
    """
    first, *others = curves.seeds
    name, run, looks = "half way after ability", curves.run.name, curves.rises[first].size
    fine, reason = octaves_after(curves, first), _why_not(curves, first)
    if len(curves.steps[first]) < FEWEST_STEPS:
        reason = f"{len(curves.steps[first])} steps, and through two every curve is half way at the same time"
    if reason or not len(fine):
        return [Cell(name, run, None, None, None, None, looks, reason or "it stands still")]
    found, notes = [fine], [f"seed {first}, of {len(curves.steps[first])} steps, {fine.mean():+.2f}"]
    asked, rough = curves.rises[first].shape[1], False
    for seed in others:
        shared = np.intersect1d(curves.steps[first], curves.steps[seed])
        coarse, thinned = octaves_after(curves, seed, shared), octaves_after(curves, first, shared)
        why = _why_not(curves, seed) or ("it stands still" if not len(coarse) else "")
        if len(shared) < FEWEST_STEPS or not len(thinned):
            why = why or f"too few of its steps are those of seed {first}"
        if why:
            notes.append(f"seed {seed} left out: {why}")
            continue
        shift = fine.mean() - thinned.mean()
        found.append(coarse + shift)
        rough |= abs(shift) > 1
        corrected = f" corrected by {shift:+.2f}" if len(shared) < len(curves.steps[first]) else ""
        notes.append(f"seed {seed}, of {len(shared)}, {coarse.mean():+.2f}{corrected}")
        looks, asked = looks + curves.rises[seed].size, asked + curves.rises[seed].shape[1]
    octaves = np.concatenate(found)
    if rough:
        notes.append("corrected by more than a doubling: rough")
    if len(octaves) < asked:
        notes.append(f"{asked - len(octaves)} of {asked} pairs stand still")
    cell = Cell(name, run, None, float(octaves.mean()), *ends(octaves), looks, joined(*notes))
    return [worded(cell, len(found), curves.drawn)]


def _why_not(curves, seed):
    """Why a seed has no time of half, in words; empty where it has one."""
    ability, last = curves.ability[seed], curves.rises[seed][-1]
    if ability[-1] <= ability[0]:
        return "the ability does not rise"
    noise = last.std(ddof=1) if len(last) > 1 else 0.0
    return NOISE if abs(last.mean()) <= 2 * noise else ""
