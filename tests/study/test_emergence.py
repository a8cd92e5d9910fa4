"""The degree of emergence: zero at the start, equal to the plain loops, and refused where it is not defined."""

import math

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import chain, edge_lists, gaussian

from neuromfa_lite import PAPER, SCALE_FREE, NeuroMFAError, analyze
from neuromfa_lite.study.measure import degree_of_emergence

pytestmark = pytest.mark.small
positive = st.floats(1e-3, 1e3)


@given(positive, positive)
@settings(deadline=None)
def test_it_is_zero_at_the_start(alpha0, width):
    assert degree_of_emergence(alpha0, width, alpha0, width) == 0.0


@given(st.lists(st.tuples(positive, positive, positive, positive), min_size=1, max_size=5))
@settings(deadline=None)
def test_it_is_the_oracles(samples):
    """alpha_0 and the width are averaged over the samples first."""
    columns = [list(column) for column in zip(*samples, strict=True)]
    expected = oracle.emergence(*columns)
    assert degree_of_emergence(*(np.mean(column) for column in columns)) == pytest.approx(
        expected, rel=1e-12, abs=1e-12
    )


def test_by_hand():
    assert degree_of_emergence(1.0, 0.6, 2.0, 0.3) == pytest.approx(2 * math.log(2))
    assert degree_of_emergence(1.30, 0.4, 0.68, 0.4) == pytest.approx(math.log(0.68 / 1.30))  # alpha_0 rises: negative
    assert degree_of_emergence(1.453, 0.773, 1.689, 0.365) == pytest.approx(0.32, abs=0.005)  # as published for 6.9b


def test_arrays_are_taken_element_by_element():
    alpha0, width = np.array([1.6, 1.5, 1.2]), np.array([0.3, 0.4, 0.6])
    found = degree_of_emergence(alpha0, width, 1.6, 0.3)
    assert found.tolist() == [degree_of_emergence(a, w, 1.6, 0.3) for a, w in zip(alpha0, width, strict=True)]
    assert found[0] == 0.0


def test_a_single_value_is_a_float():
    assert type(degree_of_emergence(1.0, 0.6, 2.0, 0.3)) is float


@pytest.mark.parametrize(
    "bad", [(0.0, 1, 1, 1), (-1.0, 1, 1, 1), (1, 1, 0.0, 1), (1, math.nan, 1, 1), (1, 1, math.inf, 1)]
)
def test_values_it_is_not_defined_for_are_refused(bad):
    with pytest.raises(NeuroMFAError, match="finite widths and positive alpha0"):
        degree_of_emergence(*bad)


def test_a_start_without_width_is_refused():
    with pytest.raises(NeuroMFAError, match="width at step 0 is 0"):
        degree_of_emergence(1.0, 0.5, 2.0, 0.0)


def test_any_score_can_be_used():
    fall = PAPER.replace(score=lambda alpha0, width, alpha0_start, width_start: np.log(alpha0_start / alpha0))
    assert degree_of_emergence(1.0, 0.6, 2.0, 0.0, fall) == pytest.approx(math.log(2))
    with pytest.raises(NeuroMFAError, match="score of method"):
        degree_of_emergence(1.0, 0.6, 2.0, 0.3, PAPER.replace(score=lambda *values: math.nan))


def test_weights_that_only_grow_emerge_by_the_papers_method_and_not_without_scale():
    """The fixed window (1, 150] makes E > 0 of a pure rescaling; relative distances make it exactly 0."""
    weights = gaussian(120, 40, deviation=0.014)
    emergence = {}
    for method in (PAPER, SCALE_FREE):
        start, end = analyze(chain(weights), method), analyze(chain(weights * np.float32(2)), method)
        emergence[method.name] = degree_of_emergence(end.alpha0, end.width, start.alpha0, start.width, method)
    assert emergence["paper"] > 0.1
    assert emergence["scale-free"] == 0.0


def test_from_weights_to_emergence_as_in_the_plain_loops():
    networks = [chain(gaussian(60, 20, deviation=deviation, seed=3)) for deviation in (0.02, 0.05)]
    by_us = [analyze(network) for network in networks]
    by_loops = [oracle.spectrum(*oracle.paper_masses(edge_lists(network)), q=[-3.0, 0.0, 3.0]) for network in networks]
    e = degree_of_emergence(by_us[1].alpha0, by_us[1].width, by_us[0].alpha0, by_us[0].width)
    # alpha falls with q where tau is concave, so that its extremes lie at the ends of the list
    assert not any("concave" in flag for spectrum in by_us for flag in spectrum.flags)
    expected = oracle.emergence(
        [by_loops[1]["alpha0"]], [by_loops[1]["width"]], [by_loops[0]["alpha0"]], [by_loops[0]["width"]]
    )
    assert e == pytest.approx(expected, abs=1e-10)
