"""The scorecard that comes with the package: the published method, its variants and what they must be better than."""

from pathlib import Path

from .. import results
from ..method import GEODESIC, METHODS, PAPER, PUBLISHED, SCALE_FREE
from ..method.file import find_variant
from ..method.ideas import IDEAS
from .abilities_after import STORED, store
from .ask import bundled_runs, has_ability, scorecard
from .card import Scorecard
from .measures.baselines import BASELINES
from .measures.circuits import reciprocity, token_agreement
from .measures.token_clouds import token_cloud, two_neighbours
from .values import name_of

SHIPPED = Path(__file__).with_suffix(".json")
FRESH = Path(__file__).with_name("fresh_seeds.json")


def shipped_measures():
    """Everything on the shipped scorecard, in its order: methods, frozen measures of tokens, baselines."""
    # alpha0 is the mean neuron-based fractal dimension (NFD): the score without the widths
    dimension = PAPER.replace(score="regularity", name="NFD only")
    return [
        PUBLISHED, PAPER, SCALE_FREE, GEODESIC, dimension, token_cloud, two_neighbours, token_agreement, reciprocity,
        *IDEAS, *BASELINES.values(),
    ]  # fmt: skip


def measure_named(name):
    """A measure by its name on the shipped scorecard ("token cloud"), a named method, or what a FILE.py holds."""
    known = {name_of(each): each for each in shipped_measures()}
    return find_variant(name, known | METHODS | known, "measure")


def shipped_scorecard() -> Scorecard:
    """Read the Scorecard that comes with the package, made by `neuromfa-lite scorecard --shipped`.

    Example:
        >>> "published" in shipped_scorecard().methods
        True
    """
    return Scorecard.load(SHIPPED)


def fresh_scorecard() -> Scorecard:
    """Read how the published E and the frozen measures did on trainings, of the same tasks, that picked none of them.

    Training seeds 3 and 4 of every run and control, made by `benchmarks/fresh_seeds.py --write`: younger than the
    definitions, but those of induction and its control are older than token agreement and reciprocity.

    Example:
        >>> "reciprocity" in fresh_scorecard().methods
        True
    """
    return Scorecard.load(FRESH)


def compute_shipped() -> Scorecard:
    """Compute the shipped scorecard anew from the bundled runs and store it with the package; needs torch."""
    for place in (SHIPPED, STORED):  # refused before the work, not after it
        results.target(place)
    runs = bundled_runs()
    store([run for run in runs if has_ability(run)])
    card = scorecard(shipped_measures(), runs)
    card.save(SHIPPED)
    return card
