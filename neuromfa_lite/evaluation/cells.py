"""One number of a scorecard: its spread, and in words what has to be known of it."""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

COLUMNS = "method property run step value low high looks note".split()
SPREAD = (0.05, 0.95)  # the quantiles that are called low and high
FEWEST = 3  # with one of them left out two are there to compare


class Cell(NamedTuple):
    """One number of a scorecard.

    Attributes:
        property, step: what was asked, and where; step is None where the answer is of a whole run.
        value: the answer, None where there is none; note says why.
        low, high: 5 % and 95 % quantile over all pairs of training seed and sample; a contrast of two means may lie
            outside. Of an effect size and of the noise of seeds the smallest and the largest with all seeds and with
            one left out; with too few seeds value -+ 1.64 standard errors of a jackknife over samples. Of a measure
            that draws nothing these are ranges of two or three numbers, and a further training lies outside as often
            as not. None of a single number: one training seed, and nothing drawn.
        looks, note: how many measured numbers went into it (samples equal all along a run are one), and what to know.
        trainings: of how many training seeds it is, in words, for the note of a number without a range.
    """

    property: str
    step: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    looks: int = 0
    note: str = ""
    trainings: str = "one training seed"


def row_of(method, run, cell, drawn):
    """A cell as a row, of 6 digits, which is more than any knows; a number without a range says why in its note."""
    if cell.value is not None and cell.low is None:
        cell = cell._replace(note=joined(cell.note, f"{cell.trainings} and {drawn}: no spread can be known"))
    values = {"method": method, "run": run, **cell._asdict()}
    rounded = {name: float(f"{value:.6g}") for name, value in values.items() if isinstance(value, (float, np.floating))}
    return {name: (values | rounded)[name] for name in COLUMNS}


def seeds_in_words(count):
    """How many training seeds."""
    return "one training seed" if count == 1 else f"{count} training seeds"


def joined(*notes):
    """What is to be said of one number, as one note."""
    return "; ".join(filter(None, notes))


def ends(values):
    """The 5 % and the 95 % quantile; (None, None) of a single number, which has none."""
    return tuple(float(end) for end in np.quantile(values, SPREAD)) if len(values) > 1 else (None, None)


def smallest_largest(value, without):
    """The smallest and the largest of a number and of what it is with each training seed in turn left out."""
    return (min(value, *without), max(value, *without)) if without else (None, None)


def jackknife(value, without):
    """Return value -+ 1.64 standard errors: 5 % and 95 % of a normal, from what it is without each sample in turn.

    The error is sqrt((n - 1)/n sum_i (v_i - mean v)^2), v_i without sample i. The smallest and the largest v_i would
    lie the closer the more samples there are. Source: Efron and Stein 1981, Annals of Statistics 9, 586.
    """
    if len(without) < FEWEST or any(found is None for found in without):
        return None, None
    apart, count = np.asarray(without) - np.mean(without), len(without)
    half = NormalDist().inv_cdf(SPREAD[1]) * float(np.sqrt((count - 1) / count * (apart @ apart)))
    return value - half, value + half
