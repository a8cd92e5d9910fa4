"""The panel of lesson 02: its numbers are those of a fresh measurement, and its picture follows them."""

import numpy as np
import pytest

from neuromfa_lite import SANDBOX, analyze, box_counting
from neuromfa_lite.fractals import Cascade
from neuromfa_lite.panels import CascadePanel
from neuromfa_lite.panels.fractals import ORDERS, SHARES


@pytest.fixture(scope="module")
def panel():
    return CascadePanel(levels=7)


@pytest.mark.parametrize("p", [0.05, 0.15, 0.25, 0.4, 0.5])
def test_numbers_are_those_of_a_fresh_measurement(panel, p):
    panel.controls["p"].value = p
    cascade, method = Cascade([p, 1 - p], 7), SANDBOX.replace(q=ORDERS, radii="natural")
    boxes, balls = box_counting(cascade, method=method), analyze(cascade, method)
    numbers, two = panel.numbers, ORDERS.index(2.0)
    assert numbers["D_2"] == cascade.exact_dimension(2)
    assert numbers["D_2 by boxes"] == pytest.approx(boxes.dimension[two], abs=1e-12)
    assert numbers["D_2 by balls"] == pytest.approx(balls.dimension[two], abs=1e-12)
    assert numbers["D_2 by balls_band"] == pytest.approx(tuple(balls.band("dimension")[:, two]), abs=1e-12)
    assert numbers["width by balls_band"] == pytest.approx(tuple(balls.band("width")), abs=1e-12)
    assert (numbers["r2 by boxes"], numbers["r2 by balls"]) == (boxes.r2, balls.r2)
    assert numbers["width by boxes"] == pytest.approx(boxes.width, abs=1e-12)
    assert numbers["width by balls"] == pytest.approx(balls.width, abs=1e-12)
    assert numbers["width"] == pytest.approx(np.ptp(cascade.exact_alpha(ORDERS)), abs=1e-12)
    assert f"{numbers['D_2 by balls']:.4f}" in panel.readout.value


def test_every_share_has_a_picture_of_its_own(panel):
    pictures = set()
    for p in SHARES:
        panel.controls["p"].value = p
        pictures.add(panel.png)
    assert len(pictures) == len(SHARES)
