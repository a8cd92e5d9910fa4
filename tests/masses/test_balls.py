"""Measures by balls and by boxes: exact sums, exact self-similarity, and what bad measures are told."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromfa_lite import ONE_GRAPH, PAPER, SANDBOX, NeuroMFAError, analyze, box_counting
from neuromfa_lite.fractals import Cascade, Flower, Lattice
from neuromfa_lite.masses.balls import ball_masses
from neuromfa_lite.spectrum import greedy_boxes

LINE = SANDBOX.replace(radii=[0.5, 1.5, 2.5])


def plain_balls(measure, radii):
    """{centre: masses of its balls} of a line or a grid, box by box."""
    boxes = list(np.ndindex(measure.shape))
    return {
        number: [
            sum(measure[box] for box in boxes if max(abs(a - b) for a, b in zip(box, centre, strict=True)) <= r - 0.5)
            for r in radii
        ]
        for number, centre in enumerate(boxes)
        if measure[centre] > 0
    }


# balls


@pytest.mark.parametrize("shape", [(7,), (20,), (5, 6), (9, 4)])
def test_balls_hold_the_boxes_within_reach(shape):
    measure = np.random.default_rng(0).random(shape)
    measure[measure < 0.2] = 0
    masses = ball_masses(measure, SANDBOX)
    expected = plain_balls(measure, masses.radii)
    assert masses.number.tolist() == list(expected)
    np.testing.assert_allclose(masses.counts, list(expected.values()), rtol=1e-13)
    np.testing.assert_allclose(masses.weight, measure[measure > 0] / measure.sum(), rtol=1e-14)


def test_the_lightest_balls_keep_their_digits():
    cascade = Cascade([0.02, 0.98], 10)
    masses = ball_masses(cascade.measure(), SANDBOX)
    lightest = np.argsort(masses.counts[:, 0])[:20]
    assert masses.counts[lightest[0], 0] < 1e-16
    for row in lightest:
        exact = [cascade.exact_ball(int(masses.number[row]), int(r - 0.5)) for r in masses.radii]
        np.testing.assert_allclose(masses.counts[row], exact, rtol=1e-12)


def test_radii_are_whole_boxes_and_a_half():
    measure = np.ones(64)
    assert ball_masses(measure, SANDBOX).radii.tolist() == [r + 0.5 for r in range(32)]
    assert ball_masses(measure, SANDBOX.replace(radii=[0.7, 1.4, 3])).radii.tolist() == [0.5, 2.5]
    spaced = ball_masses(measure, SANDBOX.replace(radii="log-spaced")).radii
    assert spaced[0] == 0.5 and spaced[-1] == 31.5 and len(spaced) < 20
    natural = ball_masses(measure, SANDBOX.replace(radii="natural"), natural_radii=[0.5, 4.0]).radii
    assert natural.tolist() == [0.5, 3.5]
    every = ball_masses(measure, SANDBOX.replace(radii=lambda lengths: lengths[::10])).radii
    assert every.tolist() == [0.5, 10.5, 20.5, 30.5]


def test_centres_are_boxes_with_mass():
    measure = np.array([1.0, 0, 2, 3, 0, 4])
    assert ball_masses(measure, LINE, centres=[0, 1, 3]).number.tolist() == [0, 3]
    with pytest.raises(NeuroMFAError, match="none of the centres"):
        ball_masses(measure, LINE, centres=[1, 4])
    for centres in ([], [6], [-1], [0.5]):
        with pytest.raises(NeuroMFAError, match="centres"):
            ball_masses(measure, LINE, centres=centres)


@pytest.mark.parametrize(
    "measure, message",
    [
        ([1, 2, -1, 3], "not negative"),
        ([1, 2, np.nan, 3], "finite"),
        ([1, np.inf, 2, 3], "finite"),
        ([0, 0, 0, 0, 0], "some mass"),
        ([0, 5e-324, 1, 1, 0], "lightest box"),
        ([1, 2, 3], "at least 4 boxes"),
        (np.ones((4, 3)), "at least 4 boxes"),
        (np.ones((4, 4, 4)), "line .* or a grid"),
        (["a"], "list of numbers"),
    ],
)
def test_what_is_no_measure_is_refused(measure, message):
    for measured in (analyze, lambda what, method: box_counting(what, method=method)):
        with pytest.raises(NeuroMFAError, match=message):
            measured(measure, SANDBOX)


def test_radii_that_no_measure_has_are_refused(monkeypatch):
    with pytest.raises(NeuroMFAError, match="no natural radii"):
        analyze(np.ones(16), SANDBOX.replace(radii="natural"))
    with pytest.raises(NeuroMFAError, match="below 1/2"):
        analyze(np.ones(16), SANDBOX.replace(radii=[0.2, 2]))
    monkeypatch.setattr("neuromfa_lite.masses.balls.LARGEST_MASSES", 100)
    with pytest.raises(NeuroMFAError, match="too many balls"):
        analyze(np.ones(64), SANDBOX)


def test_the_scale_of_a_measure_changes_no_exponent():
    measure = Cascade([0.2, 0.8], 7).measure()
    once, more = analyze(measure, SANDBOX), analyze(1000 * measure, SANDBOX)
    np.testing.assert_allclose(once.tau, more.tau, atol=1e-11)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda grid: np.repeat(grid, 2, axis=0)[::2]])
def test_the_layout_in_memory_changes_nothing(layout):
    grid = np.random.default_rng(1).random((8, 6))
    for measured in (lambda what: analyze(what, SANDBOX), lambda what: box_counting(what, sizes=[1, 2])):
        once, again = measured(grid), measured(layout(grid))
        assert once.tau.tolist() == again.tau.tolist() and once.source_hash == again.source_hash


@pytest.mark.parametrize("convention", ["paper", "standard"])
def test_balls_as_shares_of_their_own_final_mass(convention):
    measure = Cascade([0.3, 0.7], 5).measure()
    orders = [-1.0, 0.0, 2.0]
    spectrum = analyze(measure, SANDBOX.replace(mass="final-share", convention=convention, q=orders))
    x = np.log(spectrum.radii / spectrum.radii[-1])
    shares = {box: np.divide(balls, balls[-1]) for box, balls in plain_balls(measure, spectrum.radii).items()}
    for q, tau in zip(orders, spectrum.tau, strict=True):
        if convention == "paper":
            z = sum(share**q for share in shares.values())
        else:
            z = sum(measure[box] * share ** (q - 1) for box, share in shares.items())
        assert tau == pytest.approx(np.polyfit(x, np.log(z), 1)[0], abs=1e-10)


def test_a_measure_has_no_neuron_to_leave_out():
    for scale in (1, 1e6):
        with pytest.raises(NeuroMFAError, match="not counted in neurons"):
            analyze(scale * Cascade([0.3, 0.7], 6).measure(), ONE_GRAPH)


def test_on_a_uniform_measure_the_papers_tau_is_that_of_the_sandbox_one_order_higher():
    """Exactly so at every size: all weights are equal, so only the order of the moment differs (METHOD, section 3)."""
    measure, orders = Cascade([0.5, 0, 0.5], 6).measure(), np.array([-2.0, -0.5, 0.0, 1.0, 2.0])
    paper = analyze(measure, SANDBOX.replace(convention="paper", q=orders))
    standard = analyze(measure, SANDBOX.replace(q=orders + 1))
    np.testing.assert_allclose(paper.tau, standard.tau, atol=1e-10)
    assert paper.alpha0 == pytest.approx(standard.dimension[2], abs=1e-10)  # alpha_0 is D_1


def test_centres_drawn_from_the_support_give_the_standard_tau_and_the_dimension_of_the_support():
    """tau(q) = tau_std(q) + D_0 in the limit: its error shrinks as the cascade grows (METHOD, section 3)."""
    uniform = SANDBOX.replace(convention="paper", radii="natural", q=[1.0, 2.0])
    errors = []
    for levels in (5, 6, 7):  # Cantor's set with unequal weights
        cascade = Cascade([0.3, 0.0, 0.7], levels)
        spectrum = analyze(cascade, uniform)
        errors.append(np.abs(spectrum.tau - cascade.exact_tau([1, 2]) - cascade.exact_dimension(0)).max())
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.08


# boxes


@pytest.mark.parametrize("p", [(0.3, 0.7), (1 / 3, 0, 2 / 3), (0.1, 0.2, 0.3, 0.4)])
def test_boxes_of_a_cascade_give_its_exact_exponents(p):
    q = np.array([-3, -1, 0, 0.5, 1, 2, 5])
    cascade = Cascade(p, 6)
    spectrum = box_counting(cascade, method=SANDBOX.replace(q=q))
    for name in ("tau", "alpha", "f", "dimension"):
        np.testing.assert_allclose(getattr(spectrum, name), getattr(cascade, f"exact_{name}")(q), atol=1e-10)
    assert spectrum.tau[4] == 0 and spectrum.convention == "standard"
    assert spectrum.alpha0 == pytest.approx(cascade.exact_alpha(0), abs=1e-10)


def test_a_grid_of_independent_cascades_adds_their_exponents():
    first, second = Cascade([0.3, 0.7], 5), Cascade([0.4, 0.6], 5)
    grid = np.outer(first.measure(), second.measure())
    q = np.array([-1.0, 0, 2, 3])
    spectrum = box_counting(grid, method=SANDBOX.replace(q=q))
    np.testing.assert_allclose(spectrum.tau, first.exact_tau(q) + second.exact_tau(q), atol=1e-10)


@given(st.lists(st.just(0.0) | st.floats(1e-9, 1), min_size=12, max_size=12).filter(any))
@settings(deadline=None, max_examples=30)
def test_box_masses_are_sums_of_their_boxes(values):
    spectrum = box_counting(values, sizes=[1, 3, 6], method=SANDBOX.replace(q=[0.0, 2.0]))
    for row, size in enumerate((1, 3, 6)):
        boxes = [sum(values[start : start + size]) / sum(values) for start in range(0, 12, size)]
        assert np.exp(spectrum.log_partition[1, row]) == pytest.approx(sum(box**2 for box in boxes), rel=1e-9)
        assert np.exp(spectrum.log_partition[0, row]) == pytest.approx(sum(box > 0 for box in boxes))


@pytest.mark.parametrize("sizes", [[1], [5, 10], [4, 2], [2, 2], [0, 2], [1.5, 3], []])
def test_boxes_must_tile_the_measure(sizes):
    with pytest.raises(NeuroMFAError, match="do not tile"):
        box_counting(np.ones(12), sizes=sizes)


@pytest.mark.parametrize("size", [1, 2, 3, 4.5, 100])
@pytest.mark.parametrize("graph", [nx.path_graph(17), nx.balanced_tree(2, 4), nx.cycle_graph(12), "flower"])
def test_every_box_of_a_covering_is_smaller_than_its_size(graph, size):
    graph = Flower(2, 2, 3).graph() if graph == "flower" else graph.copy()
    nx.set_edge_attributes(graph, 1.0, "distance")
    boxes = greedy_boxes(graph, size)
    assert list(boxes) == list(graph)
    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    for a in graph:
        for b in graph:
            assert boxes[a] != boxes[b] or lengths[a][b] < size
    assert set(boxes.values()) == set(range(max(boxes.values()) + 1))
    fewest = -(-(nx.diameter(graph) + 1) // -(-size // 1))  # a shortest path across cannot be covered by fewer
    assert len(set(boxes.values())) >= fewest


def test_no_covering_of_a_path_beats_the_best():
    path = nx.path_graph(24)
    nx.set_edge_attributes(path, 1.0, "distance")
    spectrum = box_counting(path, sizes=[1, 2, 3, 4])
    boxes = np.exp(spectrum.log_partition[30]).round(6)
    assert boxes[0] == 24 and (boxes >= [24, 12, 8, 6]).all() and (np.diff(boxes) < 0).all()


def test_a_lattice_covered_by_boxes_is_two_dimensional_roughly_and_monofractal():
    spectrum = box_counting(Lattice((14, 14)), sizes=[1, 2, 3, 4], method=SANDBOX.replace(q=[0.0, 1.0, 2.0]))
    assert 1.2 < spectrum.dimension[0] < 2.2 and spectrum.tau[1] == 0


def test_graphs_that_no_boxes_cover_are_refused(monkeypatch):
    pieces = nx.disjoint_union(nx.path_graph(3), nx.path_graph(3))
    nx.set_edge_attributes(pieces, 1.0, "distance")
    with pytest.raises(NeuroMFAError, match="in pieces"):
        greedy_boxes(pieces, 2)
    for size in (0, -1, np.nan, "two"):
        with pytest.raises(NeuroMFAError, match="positive finite size"):
            greedy_boxes(pieces.subgraph([0, 1, 2]), size)
    monkeypatch.setattr("neuromfa_lite.spectrum.boxes.LARGEST_COVERING", 5)
    with pytest.raises(NeuroMFAError, match="too much"):
        box_counting(Flower(2, 2, 3))
    with pytest.raises(NeuroMFAError, match="graphs and measures"):
        from neuromfa_lite.fractals import ParetoFanOut

        box_counting(ParetoFanOut(2, 5, 50), method=PAPER)


def test_a_picture_in_black_and_white_is_a_measure():
    picture = np.add.outer(np.arange(32), np.arange(32)) % 3 == 0
    np.testing.assert_array_equal(box_counting(picture).tau, box_counting(picture * 1.0).tau)
