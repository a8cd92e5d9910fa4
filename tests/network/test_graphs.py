"""Any graph as a network: lengths kept exactly, centres, radii, and the relations between the conventions."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import chain, gaussian

from neuromfa_lite import GEODESIC, ONE_GRAPH, PAPER, SANDBOX, NeuroMFAError, NeuronNetwork, analyze
from neuromfa_lite.fractals import Cascade, Flower, Lattice, ParetoFanOut, Ring, WeightedFractal
from neuromfa_lite.masses.count import count_masses

EVERYONE = PAPER.replace(window=None, rounding=False, minimum_connections=1, radii="every")


def with_lengths(graph, lengths=1.0):
    nx.set_edge_attributes(graph, lengths, "distance")
    return graph


def random_graph(nodes, seed, weighted):
    """A connected graph: a random tree and some edges more."""
    draw = np.random.default_rng(seed)
    graph = nx.Graph([(node, int(draw.integers(node))) for node in range(1, nodes)])
    graph.add_edges_from((int(a), int(b)) for a, b in draw.integers(nodes, size=(nodes // 2, 2)) if a != b)
    for _, _, edge in graph.edges(data=True):
        edge["distance"] = float(draw.uniform(0.1, 3)) if weighted else 2.0
    return graph


def slope(x, y):
    x, y = np.asarray(x) - np.mean(x), np.asarray(y) - np.mean(y)
    return float(x @ y / (x @ x))


# a graph becomes a network


def test_lengths_are_kept_to_the_last_digit():
    lengths = {(0, 1): 0.1, (1, 2): 1 / 3, (0, 2): 49.0, (2, 3): 1e-7}
    graph = with_lengths(nx.Graph(list(lengths)), lengths)
    assert any(1 / (1 / length) != length for length in lengths.values())  # what a weight would have made of them
    masses = count_masses(NeuronNetwork.from_networkx(graph), EVERYONE)
    assert masses.radii.tolist() == sorted(lengths.values())
    assert masses.counts[0].tolist() == [1, 2, 2, 3]


def test_a_connection_of_an_undirected_graph_runs_both_ways_and_one_of_a_directed_graph_does_not():
    edges = [("a", "b"), ("b", "c")]
    undirected = NeuronNetwork.from_networkx(with_lengths(nx.Graph(edges), 2.0))
    directed = NeuronNetwork.from_networkx(with_lengths(nx.DiGraph(edges), 2.0))
    assert [undirected.outgoing("nodes", n)["target"].tolist() for n in range(3)] == [[1], [2, 0], [1]]
    assert directed.outgoing("nodes", 1)["target"].tolist() == [2]
    both = EVERYONE.replace(reach="geodesic-undirected")
    np.testing.assert_array_equal(count_masses(undirected, both).counts, count_masses(directed, both).counts)


def test_loops_never_count_and_of_parallel_edges_the_shortest_counts_in_paths():
    graph = nx.MultiGraph()
    graph.add_edge(0, 0, distance=1.0)
    graph.add_edge(0, 1, distance=5.0)
    graph.add_edge(0, 1, distance=3.0)
    network = NeuronNetwork.from_networkx(graph)
    assert count_masses(network, EVERYONE).counts.tolist() == [[2, 3], [2, 3]]
    paths = count_masses(network, EVERYONE.replace(reach="geodesic-undirected"))
    assert paths.radii.tolist() == [3] and paths.counts.tolist() == [[2], [2]]


def test_a_network_to_networkx_and_back_has_the_same_masses():
    network = chain(gaussian(12, 9), gaussian(7, 12, seed=1))
    back = NeuronNetwork.from_networkx(network.to_networkx())
    there, again = (count_masses(each, PAPER.replace(minimum_connections=2)) for each in (network, back))
    np.testing.assert_array_equal(there.radii, again.radii)
    np.testing.assert_array_equal(there.counts, again.counts)


@pytest.mark.parametrize("bad", [0, 0.0, -1.0, float("nan"), float("inf"), "far"])
def test_a_length_must_be_positive_and_finite(bad):
    graph = with_lengths(nx.path_graph(4))
    graph.edges[1, 2]["distance"] = bad
    with pytest.raises(NeuroMFAError, match="edge 1 - 2 has distance"):
        analyze(graph, SANDBOX)


def test_an_edge_without_a_length_is_named_with_the_way_out():
    with pytest.raises(NeuroMFAError, match=r"edge 0 - 1 has no attribute distance.*set_edge_attributes"):
        analyze(nx.path_graph(4), SANDBOX)
    with pytest.raises(NeuroMFAError, match="no edge between two of them"):
        analyze(nx.empty_graph(3), SANDBOX)


@pytest.mark.parametrize(
    "method", [SANDBOX, ONE_GRAPH, SANDBOX.replace(reach="geodesic"), SANDBOX.replace(mass="final-share")]
)
def test_a_graph_in_pieces_has_no_share_of_the_whole(method):
    for graph in (nx.disjoint_union(nx.path_graph(5), nx.path_graph(3)), nx.path_graph(5)):
        graph.add_nodes_from([] if len(graph) == 8 else ["alone"])
        with pytest.raises(NeuroMFAError, match=r"is in pieces.*largest piece"):
            analyze(with_lengths(graph), method)
    largest = graph.subgraph(max(nx.connected_components(graph), key=len))
    assert analyze(largest, method).neurons_used == 5
    assert analyze(graph, EVERYONE.replace(reach="geodesic", minimum_connections=2)).neurons_used == 5


@pytest.mark.parametrize("reach", ["geodesic", "geodesic-undirected"])
@pytest.mark.parametrize("window", [None, (0, 3), (0, 1e9)])
@pytest.mark.parametrize("mass", ["final-share", "total-share", "others-share"])
def test_a_window_or_a_direction_does_not_hide_that_a_graph_is_in_pieces(reach, window, mass):
    method = SANDBOX.replace(reach=reach, window=window, mass=mass, radii=[1, 2, 3])
    for kind in (nx.Graph, nx.DiGraph):
        whole = with_lengths(kind(list(pairwise(range(9)))))
        assert np.isfinite(analyze(whole, method).dimension).all()
        alone = whole.copy()
        alone.add_node("alone")
        for pieces in (alone, nx.disjoint_union(whole, whole)):
            with pytest.raises(NeuroMFAError, match=r"is in pieces.*takes shares of the whole.*weakly_connected"):
                analyze(pieces, method)
            own = method.replace(convention="paper", mass="final-share")  # every node by its own final mass
            assert np.isfinite(analyze(pieces, own).tau).all()
    largest = alone.subgraph(max(nx.weakly_connected_components(alone), key=len))
    assert len(largest) == 9 and analyze(largest, method).neurons_used >= 8


@pytest.mark.parametrize("convention", ["paper", "standard"])
@pytest.mark.parametrize("reach", ["one-hop", "geodesic", "geodesic-undirected"])
@pytest.mark.parametrize("mass", ["final-share", "total-share", "others-share"])
@pytest.mark.parametrize("window", [None, (0, 5)])
def test_no_bad_graph_gives_a_number_that_is_none(convention, reach, mass, window):
    """Pieces, isolated nodes, ends of directed paths: an error or finite numbers, whatever the choices."""
    method = SANDBOX.replace(convention=convention, reach=reach, mass=mass, window=window, radii=[1, 2, 3, 4, 5])
    path = nx.path_graph(12)
    graphs = [kind(path.edges) for kind in (nx.Graph, nx.DiGraph)] + [nx.cycle_graph(15, create_using=nx.DiGraph)]
    graphs += [nx.disjoint_union(graph, graph) for graph in graphs]
    for graph in list(graphs):
        graphs.append(graph.copy())
        graphs[-1].add_node("alone")
    for graph in graphs:
        with np.errstate(all="raise"):
            try:
                spectrum = analyze(with_lengths(graph), method.replace(q=[-2, -1, 0, 0.5, 1, 2]))
            except NeuroMFAError as error:
                assert "is in pieces" in str(error) and not nx.is_connected(graph.to_undirected())
                continue
        numbers = [spectrum.tau, spectrum.alpha, spectrum.f, spectrum.log_partition, spectrum.residuals]
        numbers += [[spectrum.alpha0, spectrum.width, spectrum.r2, spectrum.curvature, spectrum.share_inside]]
        numbers += [spectrum.dimension] if convention == "standard" else []
        assert all(np.isfinite(values).all() for values in numbers)


# shortest paths and centres


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_geodesic_masses_are_those_of_networkx(weighted, directed):
    graph = random_graph(40, seed=3, weighted=weighted)
    if directed:
        graph = nx.DiGraph([(a, b, data) for a, b, data in graph.edges(data=True) if a < b])
        graph.add_nodes_from(range(40))
    order = list(graph)
    lengths = dict(nx.all_pairs_dijkstra_path_length(graph, weight="distance"))
    masses = count_masses(NeuronNetwork.from_networkx(graph), EVERYONE.replace(reach="geodesic"))
    near = masses.radii * (1 + 1e-9)
    for row, number in zip(masses.counts, masses.number, strict=True):
        found = np.array(list(lengths[order[number]].values()))
        assert row.tolist() == [np.count_nonzero(found <= radius) for radius in near]


@pytest.mark.parametrize("reach", ["one-hop", "geodesic", "geodesic-undirected"])
@pytest.mark.parametrize("rounding", [True, False])
def test_centres_are_the_rows_of_a_measurement_of_all(reach, rounding):
    network = chain(gaussian(20, 15), gaussian(12, 20, seed=1))
    method = PAPER.replace(reach=reach, rounding=rounding, minimum_connections=2, radii=[2, 10, 40, 150])
    chosen = [3, 4, 20, 30]
    whole, some = count_masses(network, method), count_masses(network, method, centres=chosen)
    places = np.cumsum([0, 15, 20])[whole.layer] + whole.number
    np.testing.assert_array_equal(some.counts, whole.counts[np.isin(places, chosen)])
    assert set(np.cumsum([0, 15, 20])[some.layer] + some.number) == set(chosen)
    spectrum = analyze(network, method.replace(radii="integer", rounding=True), centres=chosen)
    alone = np.unique(np.concatenate([np.flatnonzero(np.diff(row)) for row in spectrum.masses.counts]))
    assert len(alone) >= len(spectrum.radii) - 1  # every radius is one that some centre has


@pytest.mark.parametrize("centres", [[], [-1], [9], [0.5], [[1]], "ab"])
def test_centres_must_be_positions_of_nodes(centres):
    with pytest.raises(NeuroMFAError, match="centres"):
        analyze(Ring(9, 2), SANDBOX, centres=centres)


# radii


def test_natural_radii_come_with_the_object_or_are_asked_for():
    network = WeightedFractal.sierpinski(4)
    natural = SANDBOX.replace(radii="natural")
    assert analyze(network, natural).radii.tolist() == network.natural_radii().tolist()
    with pytest.raises(NeuroMFAError, match="no natural radii"):
        analyze(with_lengths(nx.path_graph(5)), natural)


@pytest.mark.parametrize(
    "given", ["x", [1, "a"], 5, {"a": 1}, [1 + 1j, 2], [[1, 2]], [2, 1], [0, 1], [-1, 2], [1, np.nan]]
)
def test_natural_radii_of_a_graph_must_be_radii(given):
    graph = with_lengths(nx.path_graph(9))
    graph.graph["natural_radii"] = given
    with pytest.raises(NeuroMFAError, match=r'graph.graph\["natural_radii"\].* must be a flat list of positive'):
        analyze(graph, SANDBOX.replace(radii="natural"))
    assert len(analyze(graph, SANDBOX).radii) == 8  # asked for nothing, they do no harm


@pytest.mark.parametrize(
    "thing", [Flower(1, 3, 4), Flower(2, 2, 1), WeightedFractal.sierpinski(1), Lattice((2, 9))], ids=str
)
def test_an_object_with_a_single_natural_radius_says_so(thing):
    with pytest.raises(NeuroMFAError, match=r'has a single natural radius.*radii="every"'):
        analyze(thing, SANDBOX.replace(radii="natural"))
    with pytest.raises(NeuroMFAError, match=r"this measure has a single natural radius, 0\.5"):
        analyze(Cascade([0.5, 0.5], 2), SANDBOX.replace(radii="natural"))


def test_distances_that_are_equal_up_to_rounding_are_one_radius():
    graph = with_lengths(nx.path_graph(5), {(0, 1): 0.1, (1, 2): 0.2, (2, 3): 0.3, (3, 4): 1.0})
    assert 0.1 + 0.2 != 0.3
    radii = analyze(graph, SANDBOX).radii
    assert np.sum(np.isclose(radii, 0.3)) == 1


def test_radii_and_neurons_that_fill_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr("neuromfa_lite.masses.distances.LARGEST_MASSES", 100)
    with pytest.raises(NeuroMFAError, match=r"15 radii of 30 neurons are too many masses.*fewer centres"):
        analyze(Ring(30, 2), SANDBOX)


def test_radii_that_fill_the_memory_are_refused_from_the_distances_of_one_node(monkeypatch):
    def no_paths(self, limit):
        raise AssertionError("all paths are looked for")

    for thing in (Ring(50_000, 2), WeightedFractal((0.5, 0.25, 0.3), 9)):
        graph = thing.graph()
        with monkeypatch.context() as patch:
            patch.setattr("neuromfa_lite.masses.paths.GraphPaths.tiles", no_paths)
            for method in (SANDBOX, ONE_GRAPH, SANDBOX.replace(reach="geodesic")):
                with pytest.raises(NeuroMFAError, match="too many masses"):
                    analyze(graph, method)
    assert len(analyze(graph, SANDBOX, centres=[0, 7, 70]).radii) > 1342  # of few neurons they fit


def test_a_guess_from_one_node_refuses_nothing_that_fits(monkeypatch):
    """Directed paths and a window keep fewer neurons than there are."""
    monkeypatch.setattr("neuromfa_lite.masses.distances.LARGEST_MASSES", 20)
    path = with_lengths(nx.path_graph(10))
    assert len(analyze(path, SANDBOX.replace(window=(0, 2), convention="paper", mass="final-share")).radii) == 2
    directed = with_lengths(nx.DiGraph([(0, 1), (1, 2), (2, 3), (4, 3), (5, 3), (6, 3), (7, 3)]))
    paper = EVERYONE.replace(reach="geodesic")
    assert analyze(directed, paper.replace(minimum_connections=2)).radii.tolist() == [1, 2, 3]


# objects whose masses can be counted


@pytest.mark.parametrize("scales", [(1 / 2,) * 3, (1 / 5,) * 4, (0.5, 0.25)])
def test_balls_around_the_root_of_a_weighted_network_are_exact(scales):
    network = WeightedFractal(scales, 5)
    radii = network.natural_radii()
    masses = analyze(network, SANDBOX.replace(radii=radii), centres=network.centres()).masses
    assert masses.counts[0].tolist() == network.exact_ball(radii).tolist()


def test_balls_around_the_hubs_of_a_flower_are_exact():
    flower = Flower(2, 3, 4)
    masses = analyze(flower, SANDBOX, centres=flower.centres()).masses
    for row in masses.counts:
        assert row.tolist() == flower.exact_ball(masses.radii).tolist()


def test_a_lattice_gives_the_fit_of_its_formula():
    lattice, radii = Lattice((41, 45)), np.arange(3.0, 19)
    spectrum = analyze(lattice, SANDBOX.replace(radii=radii, q=[-2, 0, 1, 2]), centres=lattice.centres(18))
    ball = 2 * radii**2 + 2 * radii + 1
    np.testing.assert_array_equal(spectrum.masses.counts, np.broadcast_to(ball, spectrum.masses.counts.shape))
    dimension = slope(np.log(radii), np.log(ball))
    np.testing.assert_allclose(spectrum.tau, (spectrum.q - 1) * dimension, atol=1e-9)
    np.testing.assert_allclose(spectrum.dimension, dimension, atol=1e-9)


@pytest.mark.parametrize("neighbours", [2, 4, 6])
def test_a_ring_is_one_dimensional_without_the_node_itself(neighbours):
    spectrum = analyze(Ring(200, neighbours), ONE_GRAPH.replace(radii="natural"))
    np.testing.assert_allclose(spectrum.alpha, 1, atol=1e-12)
    assert spectrum.width < 1e-12 and spectrum.alpha0 == pytest.approx(1, abs=1e-12)


# the conventions against each other


@given(st.integers(4, 25), st.integers(0, 10_000), st.booleans())
@settings(deadline=None, max_examples=25)
def test_the_papers_tau_is_that_of_the_sandbox_one_order_higher(nodes, seed, weighted):
    graph = random_graph(nodes, seed, weighted)
    if nx.diameter(graph) < 2:
        return
    orders = np.array([-2.0, -0.5, 0.0, 1.0, 2.0])
    paper = analyze(graph, SANDBOX.replace(convention="paper", mass="final-share", q=orders))
    standard = analyze(graph, SANDBOX.replace(q=orders + 1))
    assert (paper.masses.counts[:, -1] == nodes).all()
    np.testing.assert_allclose(paper.tau, standard.tau, atol=1e-10)
    np.testing.assert_allclose(paper.alpha, standard.alpha, atol=1e-10)
    np.testing.assert_allclose(paper.f, standard.f - standard.alpha, atol=1e-10)
    assert paper.alpha0 == pytest.approx(standard.dimension[2], abs=1e-10)  # alpha_0 is D_1
    assert standard.tau[2] == 0
    start = max(min(edge["distance"] for _, _, edge in graph.edges(node, data=True)) for node in graph)
    others = ONE_GRAPH.replace(q=orders, radii=[r for r in standard.radii if r >= start * (1 - 1e-9)])
    assert len(others.radii) < 2 or analyze(graph, others).tau[2] == 0
    if start > standard.radii[0] * (1 + 1e-9):
        with pytest.raises(NeuroMFAError, match=f"begin where every one has a neighbour, here at {start:g}"):
            analyze(graph, others.replace(radii="every"))


def test_the_dimension_at_one_is_the_limit():
    flower = Flower(2, 2, 4)
    near, at = (analyze(flower, SANDBOX.replace(q=[q])).dimension[0] for q in (1 + 1e-6, 1.0))
    assert at == pytest.approx(near, abs=1e-5)
    for orders in (np.arange(-3, 3.1, 0.1), np.linspace(-3, 3, 61), [1 + 1e-15, 1 + 1e-12, 1 + 2e-8]):
        almost = analyze(flower, SANDBOX.replace(q=orders))
        close = np.abs(almost.q - 1) < 1e-6
        assert (almost.q[close] != 1).any() or len(orders) == 61
        np.testing.assert_allclose(almost.dimension[close], at, atol=1e-7)
    with pytest.raises(NeuroMFAError, match="standard convention"):
        _ = analyze(flower, ONE_GRAPH).dimension
    with pytest.raises(NeuroMFAError, match="exact"):
        _ = analyze(flower, SANDBOX.replace(derivative="forward", q=[0.0, 1.0, 2.0])).dimension


@pytest.mark.parametrize(
    "thing, method",
    [
        (Cascade([0.3, 0.7], 6), SANDBOX),
        (Flower(2, 2, 3), SANDBOX),
        (WeightedFractal.cantor_dust(3), SANDBOX),
        (Lattice((9, 9)), SANDBOX),
        (Ring(30, 4), ONE_GRAPH),
        (ParetoFanOut(1.5, 20, 200), PAPER),
        (Flower(2, 2, 3), GEODESIC.replace(window=None, minimum_connections=1)),
    ],
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
def test_every_object_can_be_analyzed(thing, method):
    spectrum = analyze(thing, method)
    assert np.isfinite(spectrum.alpha).all() and spectrum.source and spectrum.source_hash


def test_what_is_no_object_is_refused():
    with pytest.raises(NeuroMFAError, match="takes a NeuronNetwork, a networkx graph, a measure"):
        analyze({"a": 1}, SANDBOX)
