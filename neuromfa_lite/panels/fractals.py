"""Lesson 02: a cascade, its exact spectrum, and what boxes and balls measure of it."""

import numpy as np

from ..fractals import Cascade
from ..method import SANDBOX
from ..plots.curves import BLUE, GREY, ORANGE, RED
from ..spectrum import box_counting
from ..spectrum.fit import quietly
from ..study import analyze
from .base import Panel, stops

SHARES = tuple((np.arange(1, 11) / 20).tolist())  # 0.05 ... 0.5
ORDERS = tuple((np.arange(41) / 4 - 5).tolist())
SHOWN_BOXES = 256


class CascadePanel(Panel):
    """A binomial cascade: move p, the share of the left half, and theory and measurement move together.

    ``levels``: divisions of the cascade that is measured. ``cascades``, ``boxes``, ``balls``: {p: Cascade, Spectrum by
    box counting, Spectrum by balls at their natural radii}.
    ``numbers``: exact D_0, D_1, D_2 and width of f(alpha) over the q shown; measured by boxes and balls: D_2, width and
    r2, the worst fit. Those by balls have bands over the centres; boxes cover the whole object, and nothing was chosen.
    """

    def __init__(self, levels=9):
        method = SANDBOX.replace(q=ORDERS, radii="natural")
        self.cascades = {p: Cascade([p, 1 - p], levels) for p in SHARES}
        self.boxes = {p: box_counting(cascade, method=method) for p, cascade in self.cascades.items()}
        with quietly():
            self.balls = {p: analyze(cascade, method) for p, cascade in self.cascades.items()}
        super().__init__({"p": stops([(f"{p:g}", p) for p in SHARES], 0.3, "p")}, width=1000, height=380)

    def draw_still(self):
        measure, tau, f = self.figure.subplots(1, 3)
        edges = np.arange(SHOWN_BOXES + 1) / SHOWN_BOXES
        self._measure = self.moving(measure.stairs(np.ones(SHOWN_BOXES), edges, fill=True, color=BLUE))
        measure.set(xlabel="place on the line", ylabel=r"mass of a box $\mu$", yscale="log", ylim=(1e-11, 1))
        measure.set_title(f"1  the measure, {SHOWN_BOXES} boxes")
        style = (("-", BLUE, 3, "exact"), (".", ORANGE, 7, "boxes"), ("x", RED, 5, "balls"))
        self._tau, self._f = [], []
        for ax, kept in ((tau, self._tau), (f, self._f)):
            for mark, color, size, label in style:
                kept.append(self.moving(*ax.plot([], [], mark, color=color, lw=size, ms=size, label=label)))
        tau.axhline(0, color=GREY, lw=0.6)
        tau.set(xlim=(-5.2, 5.2), ylim=(-22, 5), xlabel="moment order $q$", ylabel=r"mass exponent $\tau(q)$")
        tau.set_title("2  standard convention")
        # the moving lines are drawn later than the legend, which therefore needs still ones of its own
        shown = [tau.plot([], [], mark, color=color, lw=2, label=label)[0] for mark, color, _, label in style]
        tau.legend(handles=shown, frameon=False)
        f.set(xlim=(0, 4.4), ylim=(-0.1, 1.1), xlabel=r"singularity strength $\alpha$", ylabel=r"$f(\alpha)$")
        f.set_title("3  the spectrum")

    def draw_moving(self, p):
        cascade, q = self.cascades[p], np.array(ORDERS)
        boxes, balls = self.boxes[p], self.balls[p]
        # the first levels of the same division: 256 boxes a reader can see
        self._measure.set_data(Cascade([p, 1 - p], 8).measure())
        exact = cascade.exact_alpha(q), cascade.exact_f(q)
        for line, values in zip(self._tau, (cascade.exact_tau(q), boxes.tau, balls.tau), strict=True):
            line.set_data(q, values)
        for line, values in zip(self._f, (exact, (boxes.alpha, boxes.f), (balls.alpha, balls.f)), strict=True):
            line.set_data(*values)
        at_two = ORDERS.index(2.0)
        return {
            "D_0": cascade.exact_dimension(0.0),
            "D_1": cascade.exact_dimension(1.0),
            "D_2": cascade.exact_dimension(2.0),
            "D_2 by boxes": float(boxes.dimension[at_two]),
            "r2 by boxes": boxes.r2,
            "D_2 by balls": float(balls.dimension[at_two]),
            "D_2 by balls_band": tuple(balls.band("dimension")[:, at_two].tolist()),
            "r2 by balls": balls.r2,
            "width": float(np.ptp(exact[0])),
            "width by boxes": boxes.width,
            "width by balls": balls.width,
            "width by balls_band": tuple(balls.band("width").tolist()),
        }
