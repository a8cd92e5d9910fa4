"""One number of a scorecard, with what has to be known of it."""

from __future__ import annotations

from typing import NamedTuple


class Cell(NamedTuple):
    """One number of a scorecard.

    Attributes:
        property: what was asked; run, step: of what; step is None where the answer is of a whole run.
        value: the answer, None where there is none; note says why.
        low, high: 5 % and 95 % quantile over all pairs of training seed and sample; a contrast of two means may lie
            outside, where they nearly cancel. Of an effect size and of the noise of seeds the smallest and the largest
            with all seeds and with one left out. Where one or two seeds hold the step, of an effect size, and in a run
            of one seed, of the noise of samples: value -+ 1.64 standard errors of a jackknife over samples, the
            uncertainty of other draws from the same trainings. Of a measure that draws nothing these are ranges of two
            or three numbers: a further training lies outside as often as not. None where one training seed was measured
            and nothing drawn: nothing is there to spread over, and note says so.
        looks: how many measured numbers went into it; samples that are equal all along a run, because nothing is drawn
            there, are one.
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
