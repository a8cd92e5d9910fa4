"""What a scorecard asks of a measure: of its rises in a run, a table (training seed, step) x samples of `values`.

Where two sizes are compared the number is their contrast (a - b)/(|a| + |b|): from -1 to 1, 0 where they are equal, 1
where b is nothing beside a or of the other sign. Unlike a ratio it stays small where both are.
"""

import numpy as np

from .cells import FEWEST, Cell, ends, jackknife, joined, seeds_in_words, smallest_largest

EARLY = 256
FEWEST_STEPS = 3  # between a first and a last alone every curve is the same line
OVER_SAMPLES = "range over samples alone"


def contrast(a, b):
    """(a - b)/(|a| + |b|), 0 where both are 0; numbers or arrays."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    size = np.abs(a) + np.abs(b)
    values = (a - b) / np.where(size > 0, size, 1.0)
    return float(values) if values.ndim == 0 else values


def seeds_of(rises):
    """The training seeds."""
    return list(rises.index.unique("seed"))


def last_step(rises):
    """The last step of the first training seed."""
    return int(rises.loc[seeds_of(rises)[0]].index[-1])


def at_the_end(rises):
    """(seeds, samples) the rises at the last checkpoints."""
    return np.ascontiguousarray(rises.groupby("seed").tail(1))


def _mean_cell(name, values, rises, step=None, note=""):
    """The mean of numbers and their quantiles."""
    if not len(values):
        return Cell(name, step, looks=rises.size, note="it stands still")
    return Cell(name, step, float(values.mean()), *ends(values), rises.size, note, seeds_in_words(len(seeds_of(rises))))


# --- its rise and its noise ---------------------------------------------------------------------------------------


def sign_cell(rises):
    """The rise at the last checkpoint, in the measure's own units, and how many pairs of seed and sample rise."""
    values = at_the_end(rises).ravel()
    note = f"{np.mean(values > 0):.0%} of seeds and samples rise"
    return _mean_cell("rise at the end", values, rises, last_step(rises), note)._replace(looks=values.size)


def noise_of_samples(rises, drawn):
    """How large is its spread over samples beside its rise? sd/(sd + |mean|) at the end: 0 without noise, at most 1."""
    name, step, lasts = "noise of samples", last_step(rises), at_the_end(rises)
    if lasts.shape[1] == 1:
        return Cell(name, step, looks=lasts.size, note=drawn)
    shares = np.array([_share(last) for last in lasts])
    if len(lasts) > 1:
        return _mean_cell(name, shares, rises, step)._replace(looks=lasts.size)
    low, high = jackknife(shares[0], [_share(np.delete(lasts[0], place)) for place in range(lasts.size)])
    if low is None:
        return Cell(name, step, float(shares[0]), None, None, lasts.size)
    note = joined("one training seed", OVER_SAMPLES)
    return Cell(name, step, float(shares[0]), max(low, 0.0), min(high, 1.0), lasts.size, note)  # of a share


def noise_of_seeds(rises):
    """The same of its means over samples, over training seeds."""
    name, step, means = "noise of seeds", last_step(rises), at_the_end(rises).mean(axis=1)
    count = len(means)
    if count == 1:
        return Cell(name, step, looks=1, note="one training seed")
    without = [_share(np.delete(means, place)) for place in range(count)] if count >= FEWEST else []
    value = _share(means)
    return Cell(name, step, value, *smallest_largest(value, without), count, trainings=seeds_in_words(count))


def _share(values):
    spread, mean = values.std(ddof=1), values.mean()
    total = spread + abs(mean)
    return float(spread / total) if total > 0 else 0.0


# --- does it follow the ability? ----------------------------------------------------------------------------------


def association(rises, ability, other=None):
    """Pearson's r of the rise with the ability over a run's checkpoints, (pairs,) of training seed and sample.

    With the rises of another measure of the run its own correlation, mean over its samples, is taken off. Left out are
    pairs in which the measure or the ability stands still, and seeds of two steps, where every correlation is 1.
    """
    found = [np.empty(0)]
    for seed in seeds_of(rises):
        if len(rises.loc[seed]) < FEWEST_STEPS:
            continue
        mine = _correlations(rises.loc[seed], ability.loc[seed])
        if other is not None:
            theirs = _correlations(other.loc[seed], ability.loc[seed])
            mine = mine - theirs.mean() if len(theirs) else mine[:0]
        found.append(mine)
    return np.concatenate(found)


def _correlations(rises, ability):
    rises, ability = rises.to_numpy(), ability.to_numpy()
    centred, target = rises - rises.mean(axis=0), ability - ability.mean()
    sizes = np.sqrt((centred**2).sum(axis=0) * (target @ target))
    moving = sizes > 1e-12
    return (centred[:, moving].T @ target) / sizes[moving]


def tracking_cells(rises, ability, baselines):
    """Does it move with the ability, and more than baselines, {words: their rises on the same run}, do?"""
    asked = {"follows ability": association(rises, ability)}
    for words, other in baselines.items():
        asked[f"follows ability beyond {words}"] = association(rises, ability, other)
    pairs = len(seeds_of(rises)) * rises.shape[1]
    for name, found in asked.items():
        still = f"{pairs - len(found)} of {pairs} pairs stand still" if len(found) < pairs else ""
        yield _mean_cell(name, found, rises, note=still)


# --- does it rise without the ability? ----------------------------------------------------------------------------


def control_cells(rises, control, theirs):
    """Does it rise in a run and not in its control? At the steps that all seeds have, and at 256 wherever it is."""
    shared = set.intersection(*(_common_steps(each) for each in (rises, theirs)))
    if all((seeds_of(each)[0], EARLY) in each.index for each in (rises, theirs)):
        shared |= {EARLY}
    for step in sorted(shared):
        sides = [each.xs(step, level="step") for each in (rises, theirs)]
        yield _specific(control, step, sides)
        yield _effect_cell(control, step, sides)


def _common_steps(rises):
    """The steps after 0 that every seed has."""
    counts = rises.groupby("step").size()
    return set(counts[counts == len(seeds_of(rises))].index) - {0}


def _specific(control, step, sides):
    mine, theirs = (np.ravel(side) for side in sides)
    pairs = contrast(*(each.ravel() for each in np.meshgrid(mine, theirs)))
    value = float(contrast(mine.mean(), theirs.mean()))
    note = joined(_few_seeds(sides), OVER_SAMPLES if max(map(len, sides)) == 1 else "") if len(pairs) > 1 else ""
    looks, trainings = len(mine) + len(theirs), "one training seed at this step"
    return Cell(f"specific against {control}", step, value, *ends(pairs), looks, note, trainings)


def _few_seeds(sides):
    """What is to be said where a step is there of fewer training seeds than it takes to leave one out."""
    count = min(map(len, sides))
    return f"{seeds_in_words(count)} at this step" if count < FEWEST else ""


def effect(mine, theirs):
    """The difference of two runs in their common standard deviation; None without a spread beyond that of rounding."""
    sides = [np.ravel(side) for side in (mine, theirs)]
    spread = np.sqrt(np.mean([side.var(ddof=1) for side in sides])) if min(map(len, sides)) > 1 else 0.0
    size = max(float(np.abs(side).max()) for side in sides)
    return float((sides[0].mean() - sides[1].mean()) / spread) if spread > 1e-12 * size else None


def _effect_cell(control, step, sides):
    """With its range: without one seed, or where there are too few of them without one sample, in both runs alike."""
    name, value, looks = f"effect against {control}", effect(*sides), sum(side.size for side in sides)
    if value is None:
        return Cell(name, step, looks=looks, note="no spread to measure the difference in")
    seeds = sides[0].index.intersection(sides[1].index)
    trainings = seeds_in_words(len(seeds))
    if len(seeds) >= FEWEST:
        without = [effect(*(side.drop(index=seed) for side in sides)) for seed in seeds]
        low, high = smallest_largest(value, [found for found in without if found is not None])
        return Cell(name, step, value, low, high, looks, trainings=trainings)
    samples = min(side.shape[1] for side in sides)
    places = range(samples) if samples >= FEWEST else ()
    low, high = jackknife(value, [effect(*(side.drop(columns=place) for side in sides)) for place in places])
    note = joined(_few_seeds(sides), OVER_SAMPLES) if low is not None else ""
    return Cell(name, step, value, low, high, looks, note, f"{trainings} at this step")


def change_cell(words, rises, changed, note=""):
    """How much a change of the last checkpoints moves the rise: contrast of after and before, 0 if not at all."""
    before, after = at_the_end(rises), at_the_end(changed)
    value, pairs = contrast(after.mean(), before.mean()), contrast(after, before).ravel()
    trainings = seeds_in_words(len(before))
    return Cell(f"moved by {words}", last_step(rises), value, *ends(pairs), after.size + before.size, note, trainings)


# --- before the ability or after it? ------------------------------------------------------------------------------


def half_way(steps, rises):
    """The step at which a curve, straight over log(1 + step), first reaches half of its end; None where that is 0."""
    if rises[-1] == 0:
        return None
    share, time = rises / rises[-1], np.log1p(steps)
    above = int(np.argmax(share >= 0.5))
    if above == 0:
        return float(steps[0])
    low, high = share[above - 1], share[above]
    return float(np.expm1(time[above - 1] + (0.5 - low) / (high - low) * (time[above] - time[above - 1])))


def octaves_after(rises, ability):
    """log2 (1 + half of the measure)/(1 + half of the ability) of each sample of a training; none where it stands."""
    steps, ability = rises.index.to_numpy(), ability.to_numpy()
    reached = half_way(steps, ability - ability[0])
    halves = [half_way(steps, column) for column in rises.to_numpy().T] if reached is not None else []
    return np.array([np.log2((half + 1) / (reached + 1)) for half in halves if half is not None])


def timing_cell(rises, ability):
    """Is it half way before or after the ability is? In doublings of the training step; below 0 it leads.

    Between few checkpoints the time of half comes out wrong. What that does is known of the first seed, which has most:
    thinned to the steps of another it is half way at another time, and by this difference the other is corrected.
    """
    name, (first, *others) = "half way after ability", seeds_of(rises)
    mine, its = rises.loc[first], ability.loc[first]
    fine, why = octaves_after(mine, its), _why_not(mine, its)
    if len(mine) < FEWEST_STEPS:
        why = f"{len(mine)} steps, and through two every curve is half way at the same time"
    if why:
        return Cell(name, looks=mine.size, note=why)
    found, notes, looks = [fine], [f"seed {first}, of {len(mine)} steps, {fine.mean():+.2f}"], mine.size
    rough = False
    for seed in others:
        other, ability_there = rises.loc[seed], ability.loc[seed]
        shared = mine.index.intersection(other.index)
        coarse = octaves_after(other.loc[shared], ability_there.loc[shared])
        thinned = octaves_after(mine.loc[shared], its.loc[shared])
        why = _why_not(other, ability_there) or ("it stands still" if not len(coarse) else "")
        if len(shared) < FEWEST_STEPS or not len(thinned):
            why = why or f"too few of its steps are those of seed {first}"
        if why:
            notes.append(f"seed {seed} left out: {why}")
            continue
        shift = fine.mean() - thinned.mean()
        found.append(coarse + shift)
        looks += other.size
        rough |= abs(shift) > 1
        corrected = f" corrected by {shift:+.2f}" if len(shared) < len(mine) else ""
        notes.append(f"seed {seed}, of {len(shared)}, {coarse.mean():+.2f}{corrected}")
    octaves, asked = np.concatenate(found), len(found) * rises.shape[1]
    if rough:
        notes.append("corrected by more than a doubling: rough")
    if len(octaves) < asked:
        notes.append(f"{asked - len(octaves)} of {asked} pairs stand still")
    trainings = seeds_in_words(len(found))
    return Cell(name, None, float(octaves.mean()), *ends(octaves), looks, joined(*notes), trainings)


def _why_not(rises, ability):
    """Why a training has no time of half, in words; empty where it has one."""
    if ability.iloc[-1] <= ability.iloc[0]:
        return "the ability does not rise"
    last = rises.iloc[-1].to_numpy()
    noise = last.std(ddof=1) if len(last) > 1 else 0.0
    return "its own rise is within twice its spread over samples" if abs(last.mean()) <= 2 * noise else ""
