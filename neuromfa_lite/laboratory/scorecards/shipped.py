"""The scorecard that comes with the package: the published method, its variants and what they must be better than."""

from __future__ import annotations

from ...method import GEODESIC, PAPER, PUBLISHED, SCALE_FREE
from ..abilities_after import store
from ..baselines import BASELINES
from ..runs import BUNDLED, bundled_runs
from ..token_clouds import token_cloud, two_neighbours
from .ask import has_ability, scorecard
from .result import Scorecard
from .subjects import subject_of

SHIPPED = BUNDLED / "scorecard.json"


def shipped_measures():
    """Everything on the shipped scorecard, in its order: methods, frozen measures of tokens, baselines."""
    regularity = PAPER.replace(score=_regularity_alone, name="NFD only")
    return [
        PUBLISHED, PAPER, SCALE_FREE, GEODESIC, regularity, token_cloud, two_neighbours, *BASELINES.values(),
    ]  # fmt: skip


def _regularity_alone(alpha0, width, alpha0_start, width_start):
    """ln[alpha0(0)/alpha0(t)], alpha0 the mean neuron-based fractal dimension: the score without the widths."""
    import numpy as np

    return np.log(alpha0_start / alpha0)


def measure_named(name):
    """Find a measure by the name it has on the shipped scorecard, or as a named method, or in a FILE.py.

    Args:
        name: e.g. "scale-free", "token cloud", "my_variant.py".

    Returns:
        Method or function of a checkpoint.

    Raises:
        NeuroMFAError: there is none of that name; the message lists those there are.

    Example:
        >>> measure_named("token cloud") is token_cloud
        True
    """
    known = {subject_of(each, 1, 1).name: each for each in shipped_measures()}
    return known[name] if name in known else find_measure(name)


def shipped_scorecard() -> Scorecard:
    """Read the scorecard that comes with the package.

    Returns:
        Scorecard; made by `neuromfa-lite scorecard --shipped`.

    Example:
        >>> "published" in shipped_scorecard().methods
        True
    """
    return Scorecard.load(SHIPPED)


def compute_shipped(progress=True) -> Scorecard:
    """Compute the shipped scorecard anew from the bundled runs and store it with the package; needs torch."""
    runs = bundled_runs()
    store([run for run in runs if has_ability(run)])
    card = scorecard(shipped_measures(), runs, progress=progress)
    card.save(SHIPPED)
    return card
