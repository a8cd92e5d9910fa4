"""A measure over the checkpoints of a run: how far it has moved since step 0, for every training seed and sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import NeuroMFAError
from ..changes import changed


@dataclass(frozen=True, eq=False)
class Curves:
    """What a subject measured along a run.

    Attributes:
        run: the Run.
        subject: what measured it.
        starts: {seed: state of step 0}.
        rises: {seed: (steps, samples)}, one sample where all are equal all along the run, because nothing is drawn;
            steps: {seed: (steps,)}; ability: {seed: (steps,)}, empty where the run records none.
    """

    run: object
    subject: object
    starts: dict
    steps: dict
    rises: dict
    ability: dict

    @property
    def seeds(self):
        return tuple(self.steps)

    @property
    def common_steps(self):
        """The steps after 0 that every seed has."""
        shared = set.intersection(*(set(steps.tolist()) for steps in self.steps.values()))
        return sorted(shared - {0})

    @property
    def samples(self):
        """How many samples of a training seed there are to spread over."""
        return self.rises[self.seeds[0]].shape[1]

    @property
    def drawn(self):
        """What was drawn of every training seed, in words."""
        if self.samples > 1:
            return f"{self.samples} samples"
        return "one sample asked for" if self.subject.samples == 1 else "nothing drawn"

    def by_seed(self, step):
        """{seed: (samples,)} the rises at one step, of every seed that has it."""
        return {
            seed: self.rises[seed][steps.tolist().index(step)] for seed, steps in self.steps.items() if step in steps
        }

    def after(self, words):
        """(seeds, samples) rises of the last checkpoints after a change of :mod:`neuromfa_lite.laboratory.changes`."""
        subject, starts = self.subject, self.starts
        return self._distinct(
            [subject.rise(subject.state(changed(self.run, words, seed)), starts[seed]) for seed in self.seeds]
        )

    def by(self, subject):
        """(seeds, samples) rises of the last checkpoints, both ends measured by another subject."""
        rises = []
        for seed, steps in self.steps.items():
            start, last = (subject.state(self.run.checkpoint(int(step), seed)) for step in (0, steps[-1]))
            rises.append(subject.rise(last, start))
        return self._distinct(rises)

    def _distinct(self, rises):
        """One sample of each seed where nothing is drawn; half as many neurons may be drawn where all were not."""
        rises = np.array(rises)
        return rises[:, :1] if self.samples == 1 and (rises == rises[:, :1]).all() else rises


def refuse_bad_run(run):
    """Refuse, before any work, a run that a scorecard cannot be made of.

    Raises:
        NeuroMFAError: no step 0 for one of its seeds, or a checkpoint without the run's ability.
    """
    for seed in run.seeds:
        if 0 not in run.steps(seed):
            raise NeuroMFAError(
                f"run {run.name!r}, training seed {seed}: step 0 is missing, and every measure is compared with the "
                "untrained network"
            )
        for checkpoint in run.checkpoints(seed) if run.ability else ():
            if run.ability not in checkpoint.abilities:
                raise NeuroMFAError(
                    f"run {run.name!r}: step {checkpoint.step} of seed {seed} has no ability {run.ability!r}; it has "
                    f"{', '.join(checkpoint.abilities) or 'none'}: measure it, or name another in the manifest"
                )


def curves_of(run, subject):
    """Measure every checkpoint of a run.

    Args:
        run: Run; subject: of :func:`subject_of`.

    Returns:
        Curves.
    """
    checkpoints = {seed: run.checkpoints(seed) for seed in run.seeds}
    subject = subject.for_run([checkpoint for each in checkpoints.values() for checkpoint in each])
    starts, steps, rises, ability, drawn = {}, {}, {}, {}, False
    for seed, each in checkpoints.items():
        states = [subject.state(checkpoint) for checkpoint in each]
        drawn = drawn or any((state != state[0]).any() for state in states)
        starts[seed] = states[0]
        steps[seed] = np.array([checkpoint.step for checkpoint in each])
        rises[seed] = np.array([subject.rise(state, states[0]) for state in states])
        if run.ability:
            ability[seed] = np.array([checkpoint.abilities[run.ability] for checkpoint in each])
    if not drawn:
        rises = {seed: values[:, :1] for seed, values in rises.items()}
    return Curves(run, subject, starts, steps, rises, ability)


def rise_after(run, subject, words=None, seed=0):
    """The rise of a run's last checkpoint, as it is or after a change.

    Args:
        run: Run; subject: of :func:`subject_of`; words: a name in EVERY_CHANGE, None: as it is; seed: training seed.

    Returns:
        (samples,) float64.

    Raises:
        NeuroMFAError: no change of that name, or a seed that the run does not have.

    Example:
        >>> from neuromfa_lite import PAPER, load_run
        >>> from neuromfa_lite.laboratory.scorecards.subjects import subject_of
        >>> rise_after(load_run("induction"), subject_of(PAPER, 3, 32)).shape
        (3,)
    """
    steps = run.steps(seed)
    last = run.checkpoint(steps[-1], seed) if words is None else changed(run, words, seed)
    return subject.rise(subject.state(last), subject.state(run.checkpoint(steps[0], seed)))
