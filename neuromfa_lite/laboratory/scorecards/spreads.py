"""The spread of a scorecard's number: over pairs of training seed and sample, or by leaving one of them out."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

SPREAD = (0.05, 0.95)  # the quantiles that are called low and high
FEWEST = 3  # with one of them left out two are there to compare
FEWEST_STEPS = 3  # between a first and a last alone every curve is the same line
UNKNOWN = "no spread can be known"


def ends(values):
    """Return the 5 % and the 95 % quantile; (None, None) of a single number, which has none.

    Args:
        values: (n,), e.g. of all pairs of training seed and sample.

    Example:
        >>> ends(np.arange(21.0)), ends(np.array([3.0]))
        ((1.0, 19.0), (None, None))
    """
    return tuple(float(end) for end in np.quantile(values, SPREAD)) if len(values) > 1 else (None, None)


def smallest_largest(value, without):
    """Return the smallest and the largest of a number and of what it is with one training seed left out.

    Args:
        value: the number; without: what it is without each of them in turn, empty where that cannot be asked.

    Example:
        >>> smallest_largest(2.0, [1.5, 2.5, 2.1]), smallest_largest(2.0, [])
        ((1.5, 2.5), (None, None))
    """
    return (min(value, *without), max(value, *without)) if without else (None, None)


def jackknife(value, without):
    """Return value -+ 1.64 standard errors: 5 % and 95 % of a normal, from what it is without each sample in turn.

    The error is sqrt((n - 1)/n sum_i (v_i - mean v)^2), v_i without sample i. The smallest and the largest v_i would
    not do: two of them differ by one sample in n, so that they lie the closer the more samples there are.
    Source: Efron and Stein 1981, Annals of Statistics 9, 586.

    Args:
        value: the number; without: (n,) what it is without each sample; None where it has no value.

    Example:
        >>> from statistics import NormalDist
        >>> data = np.array([1.0, 2.0, 6.0])
        >>> low, high = jackknife(data.mean(), [np.delete(data, place).mean() for place in range(3)])
        >>> bool(np.isclose(high - 3, NormalDist().inv_cdf(0.95) * data.std(ddof=1) / 3**0.5))
        True
    """
    if len(without) < FEWEST or any(found is None for found in without):
        return None, None
    apart, count = np.asarray(without) - np.mean(without), len(without)
    half = NormalDist().inv_cdf(SPREAD[1]) * float(np.sqrt((count - 1) / count * (apart @ apart)))
    return value - half, value + half


def worded(cell, seeds, samples, where=""):
    """A cell that has a number and no range, with the reason in its note; any other as it is.

    Args:
        cell: Cell; seeds: of how many trainings; samples: what was drawn of each, in words;
            where: e.g. " at this step".

    Example:
        >>> from neuromfa_lite.laboratory.scorecards.cells import Cell
        >>> worded(Cell("rise at the end", "mine", 3, 0.5, None, None, 1), 1, "nothing drawn").note
        'one training seed and nothing drawn: no spread can be known'
    """
    if cell.value is None or cell.low is not None:
        return cell
    trainings = "one training seed" if seeds == 1 else f"{seeds} training seeds"
    return cell._replace(note=joined(cell.note, f"{trainings}{where} and {samples}: {UNKNOWN}"))


def joined(*notes):
    """Put what is to be said of one number into one note.

    Example:
        >>> joined("at step 3", "", "of seed 0")
        'at step 3; of seed 0'
    """
    return "; ".join(filter(None, notes))
