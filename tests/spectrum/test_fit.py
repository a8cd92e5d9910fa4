"""Fit quality and scaling range: what is straight is called straight, what bends is not, and the range is found."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import chain, counterexample, from_distances, gaussian

from neuromfa_lite import PAPER, SANDBOX, NeuroMFAError, QualityWarning, analyze, follow, load_run
from neuromfa_lite.fractals import Cascade, Lattice, ParetoFanOut
from neuromfa_lite.spectrum import Spectrum, fit
from neuromfa_lite.spectrum.fit import (
    AGREEMENT,
    CURVED,
    POOR_FIT,
    SHORTEST,
    curvature_of_lines,
    longest_straight_range,
    verdict,
)
from neuromfa_lite.spectrum.partition import PartitionFunction
from neuromfa_lite.spectrum.spectrum import spectrum_of_partition

ONE_Q = PAPER.replace(q=[-1.0, 0.0, 1.0])


def partition_of(curve, radii):
    """The partition function of neurons that all have ln mu = curve: Z_q = 20 mu^q."""
    q = np.array(ONE_Q.q)
    return PartitionFunction(radii, np.log(20) + q[:, None] * curve, np.tile(curve, (len(q) + 1, 1)), 20)


# curvature and verdict


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0.1, 3), st.integers(5, 40))
@settings(deadline=None, max_examples=50)
def test_curvature_of_a_parabola_is_the_change_of_its_slope(level, bend, slope, points):
    x = np.sort(np.random.default_rng(points).uniform(-1, 1, points))
    curve = level + slope * x + bend * x**2
    line = np.polyfit(x, curve, 1)[0]
    expected = 2 * bend * (x[-1] - x[0]) / line
    if abs(line) > 1e-3:
        assert curvature_of_lines(x, curve[None], np.array([line]))[0] == pytest.approx(expected, abs=1e-8, rel=1e-8)


def test_power_laws_have_no_curvature_and_two_points_cannot_have_any():
    x = np.log(np.arange(1.0, 50))
    assert abs(curvature_of_lines(x, np.stack([2 * x, -0.5 * x + 3]), np.array([2, -0.5]))).max() < 1e-12
    assert curvature_of_lines(x[:2], x[None, :2], np.ones(1)).tolist() == [0]
    assert curvature_of_lines(x, np.zeros((1, 49)), np.zeros(1)).tolist() == [0]


def test_verdicts_in_words():
    assert verdict(0.99, 0.01, 100).startswith("straight")
    assert verdict(POOR_FIT - 0.01, 0, 100).startswith("curved: alpha depends on the window")
    assert verdict(0.99, -CURVED - 0.01, 100).startswith("curved: alpha depends on the window")
    assert verdict(0.99, 0, 3) == "too few neurons: 3"


@pytest.mark.small
def test_a_fit_is_poor_below_nine_tenths_and_curved_beyond_a_half():
    """The thresholds that README and notebooks name; on them a fit is still straight."""
    assert (POOR_FIT, CURVED) == (0.9, 0.5)
    for r2, curvature, word in [
        (0.9, 0.5, "straight"),
        (0.9, -0.5, "straight"),
        (np.nextafter(0.9, 0), 0.0, "curved"),
        (1.0, np.nextafter(0.5, 1), "curved"),
        (1.0, -np.nextafter(0.5, 1), "curved"),
    ]:
        assert verdict(r2, curvature, 100).startswith(word)


def test_known_objects_are_straight_and_gaussian_weights_are_not():
    lattice = Lattice((61, 61))
    method = SANDBOX.replace(radii=range(3, 26), minimum_connections=1)
    straight = [
        analyze(lattice, method, centres=lattice.centres(25)),
        analyze(Cascade([0.4, 0.6], 9), SANDBOX.replace(radii="natural", q=[0.0, 1.0, 2.0])),
        analyze(ParetoFanOut(1.5, 60, 4000), PAPER.replace(rounding=False, radii=np.geomspace(10, 150, 30))),
    ]
    for spectrum in straight:
        assert spectrum.quality.verdict.startswith("straight") and spectrum.flags == ()
        assert abs(spectrum.quality.curvature) < CURVED / 2
    curved = analyze(chain(gaussian(400, 60, deviation=0.02)))
    assert curved.quality.verdict.startswith("curved: alpha depends on the window")
    assert curved.quality.verdict == curved.flags[0]


def test_the_quality_holds_what_it_says():
    network = chain(gaussian(90, 40))
    spectrum = analyze(network, PAPER.replace(scaling_range=(10, 60)))
    quality = spectrum.quality
    assert quality.neurons == spectrum.neurons_used and quality.r2 == spectrum.r2_by_q.min()
    assert quality.radii == np.count_nonzero((spectrum.radii >= 10) & (spectrum.radii <= 60))
    assert quality.share_inside == spectrum.share_inside
    assert spectrum.scaling_range[0] >= 10 and spectrum.scaling_range[1] <= 60


def test_a_saved_spectrum_keeps_its_quality(tmp_path):
    spectrum = analyze(chain(gaussian(90, 40)), PAPER.replace(scaling_range=(10, 60)))
    again = Spectrum.load(spectrum.save(tmp_path / "spectrum"))
    assert again.quality == spectrum.quality and again.scaling_range == spectrum.scaling_range
    np.testing.assert_array_equal(again.fitted, spectrum.fitted)


# warnings


@pytest.fixture
def new_session(monkeypatch):
    """A session that has not been warned of anything."""
    monkeypatch.setattr(fit, "_WARNED", set())


def test_analyze_warns_where_the_caller_stands(new_session):
    with pytest.warns(QualityWarning, match="too few neurons: 2") as caught:
        analyze(from_distances([range(2, 20), range(3, 30)]))
    assert caught[0].filename == __file__ and len(caught) == 1


def test_a_straight_spectrum_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analyze(Cascade([0.4, 0.6], 9), SANDBOX.replace(radii="natural", q=[0.0, 1.0, 2.0]))


def test_every_kind_of_flag_is_warned_of_once_a_session_and_never_where_flags_are_shown(new_session):
    few, fewer = (from_distances([range(2, 20 + k) for k in range(neurons)]) for neurons in (3, 2))
    with warnings.catch_warnings(record=True) as caught, fit.quietly():
        warnings.simplefilter("always")
        analyze(few)
    assert not caught
    for number in range(2):  # Python's own filter would let both through: they differ in their numbers
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert all("too few neurons" in repr(analyze(network)) for network in (few, fewer))
        assert [str(warning.message)[:17] for warning in caught] == ["too few neurons: "] * (number == 0)
    with pytest.warns(QualityWarning, match="tau is not concave"):  # another kind
        analyze(counterexample())


def test_follow_warns_once_for_a_whole_run(new_session):
    with pytest.warns(QualityWarning, match="run 'induction': .* checkpoints are flagged") as caught:
        follow(load_run("induction"), samples=2, steps=[0, 724])
    assert len([warning for warning in caught if warning.category is QualityWarning]) == 1


# the scaling range


def broken_line(x, at, before, after):
    return np.where(x < at, before * x, before * at + after * (x - at))


@pytest.mark.parametrize("at, expected", [(3.0, (0, 60)), (1.5, (30, 100))])
def test_the_longer_piece_of_a_broken_line_is_found(at, expected):
    x = np.linspace(0, 5, 101)
    first, last = longest_straight_range(x, broken_line(x, at, 1.0, 2.5)[None])
    assert abs(first - expected[0]) <= 8 and abs(last - expected[1]) <= 8  # 10 % of the slope is a little of the other


def test_a_straight_line_is_taken_whole_and_so_is_what_is_straight_nowhere():
    x = np.linspace(0, 5, 60)
    assert longest_straight_range(x, np.stack([x, -3 * x])) == (0, 59)
    assert longest_straight_range(x[:5], np.exp(x[:5])[None]) == (0, 4)
    assert longest_straight_range(x, np.exp(3 * x)[None]) == (0, 59)  # six points further its slope has doubled
    fine = np.linspace(0, 5, 600)  # where a sliver of any smooth curve looks straight
    assert longest_straight_range(fine, np.exp(3 * fine)[None]) == (0, 599)


def plain_longest(x, curves):
    """The same, range by range with numpy.polyfit."""
    best = (SHORTEST, 0, len(x) - 1)
    for first in range(len(x) - 5):
        for last in range(first + 5, len(x)):
            cuts = [first, *(np.searchsorted(x, x[first] + (x[last] - x[first]) * t / 3) for t in (1, 2)), last]
            whole = [np.polyfit(x[first : last + 1], curve[first : last + 1], 1)[0] for curve in curves]
            parts = [
                [np.polyfit(x[a : b + 1], curve[a : b + 1], 1)[0] for curve in curves]
                for a, b in pairwise(cuts)
                if b > a
            ]
            close = [abs(p - w) <= AGREEMENT * abs(w) for part in parts for p, w in zip(part, whole, strict=True)]
            if len(parts) == 3 and all(close) and x[last] - x[first] > best[0]:
                best = (x[last] - x[first], first, last)
    return best[1:]


@pytest.mark.parametrize("seed", range(6))
def test_the_range_is_that_of_plain_loops(seed):
    draw = np.random.default_rng(seed)
    x = np.cumsum(draw.uniform(0.05, 0.3, 22))
    curves = np.stack([broken_line(x, x[12], 1, 3), 2 * x]) + draw.normal(0, 0.01, (2, 22))
    assert longest_straight_range(x, curves) == plain_longest(x, curves)


def test_an_automatic_range_leaves_out_where_balls_are_full():
    lattice = Lattice((41, 41))
    spectrum = analyze(lattice, SANDBOX.replace(scaling_range="automatic", q=[0.0, 2.0]))
    whole = analyze(lattice, SANDBOX.replace(q=[0.0, 2.0]))
    assert spectrum.scaling_range[1] < 41 < whole.scaling_range[1] == 80
    assert abs(spectrum.tau[1] - 2) < abs(whole.tau[1] - 2)
    np.testing.assert_array_equal(spectrum.radii, whole.radii)
    assert spectrum.residuals.shape == whole.residuals.shape  # of the radii left out, too
    line = spectrum.log_partition - spectrum.residuals
    np.testing.assert_allclose(np.diff(line[1]) / np.diff(np.log(spectrum.radii)), spectrum.tau[1], atol=1e-9)


def test_a_range_by_hand_is_the_fit_of_its_radii_alone():
    radii = np.arange(1.0, 41)
    curve = broken_line(np.log(radii), np.log(10), 1.0, 2.0)
    spectrum = spectrum_of_partition(partition_of(curve, radii), ONE_Q.replace(scaling_range=(10, 40)))
    np.testing.assert_allclose(spectrum.alpha, 2, atol=1e-12)
    assert spectrum.scaling_range == (10, 40) and spectrum.r2 == pytest.approx(1)
    assert spectrum_of_partition(partition_of(curve, radii), ONE_Q).alpha0 < 1.95


@pytest.mark.parametrize("bad", ["hand", (5,), (3, 3), (-1, 4), (5, 2), None])
def test_a_range_is_two_numbers_or_a_rule(bad):
    with pytest.raises(NeuroMFAError, match="scaling_range"):
        PAPER.replace(scaling_range=bad)


def test_a_range_without_radii_is_refused():
    with pytest.raises(NeuroMFAError, match=r"scaling_range=\(200, 300\) holds 0 of"):
        analyze(chain(gaussian(90, 40)), PAPER.replace(scaling_range=(200, 300)))
