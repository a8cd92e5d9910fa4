"""Geodesic reach: the same distances as SciPy's Dijkstra, the same masses as counting them one by one."""

import json
import subprocess
import sys
import textwrap
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import csgraph_from_dense, dijkstra
from twins import chain, gaussian

from neuromfa_lite import (
    GEODESIC,
    PAPER,
    SCALE_FREE,
    Method,
    NeuroMFAError,
    NeuronNetwork,
    analyze,
    follow,
    load_network,
    load_run,
)
from neuromfa_lite.cli.commands import main
from neuromfa_lite.masses import count_masses, geodesic, geodesic_distances, paths
from neuromfa_lite.method import METHODS
from neuromfa_lite.network import NeuronLayer
from neuromfa_lite.network.connections import Dense, Fixed
from neuromfa_lite.weights.matrix import WeightMatrix

UNDIRECTED = GEODESIC.replace(name="undirected", reach="geodesic-undirected")
both_reaches = pytest.mark.parametrize("method", [GEODESIC, UNDIRECTED], ids=lambda method: method.reach)


def transformer(hidden, mlp, blocks, deviation=0.05, zeros=0.0):
    """The chain of METHOD: input -> query, key, value -> attention -> middle -> mlp -> next input, Gaussian weights."""
    draw = np.random.default_rng(hidden + blocks)
    layers, joins = [NeuronLayer("input 0", hidden)], []

    def join(name, source, target):
        weights = (draw.standard_normal((layers[target].size, layers[source].size)) * deviation).astype(np.float32)
        weights[draw.random(weights.shape) < zeros] = 0
        joins.append(Dense(name, name, source, target, WeightMatrix.from_array(name, weights)))

    for block in range(blocks):
        first = len(layers) - 1
        parts = ["query", "key", "value", "attention", "middle", "mlp", "input"]
        layers += [NeuronLayer(f"{part} {block + 1}", mlp if part == "mlp" else hidden) for part in parts]
        query, key, value, attention, middle, wide, after = range(first + 1, first + 8)
        for part in (query, key, value):
            join(f"to {layers[part].name}", first, part)
            kind = "one-to-one" if part == query else "all-to-all"
            joins.append(Fixed.of_kind(f"attend {part}", "attention", part, attention, kind, (hidden, hidden)))
        for source, target in ((attention, middle), (middle, wide), (wide, after)):
            join(f"to {layers[target].name}", source, target)
    return NeuronNetwork(layers, joins)


def diamond():
    """Four layers of different widths, one of them stepped over: no stages, but no cycle either."""
    sizes, ends = (5, 3, 7, 4), ((0, 1), (1, 2), (0, 2), (2, 3), (0, 3))
    layers = [NeuronLayer(f"layer {k}", size) for k, size in enumerate(sizes)]
    blocks = [
        Dense(
            f"{a}{b}", "weights", a, b, WeightMatrix.from_array(f"{a}{b}", gaussian(sizes[b], sizes[a], seed=9 * a + b))
        )
        for a, b in ends
    ]
    return NeuronNetwork(layers, blocks)


def random_graph(neurons=30, edges=70, seed=0):
    draw = np.random.default_rng(seed)
    weights = draw.standard_normal(edges)
    weights[::9] = 0
    return NeuronNetwork.from_edges(draw.integers(0, neurons, edges), draw.integers(0, neurons, edges), weights)


def two_pieces():
    """Two chains side by side in one network, without a connection between them; the layers out of order."""
    layers = [NeuronLayer(name, size) for name, size in (("b", 4), ("a", 3), ("c", 6), ("d", 2), ("alone", 3))]
    matrices = [(1, 0, gaussian(4, 3)), (3, 2, gaussian(6, 2, seed=1))]
    blocks = [Dense(f"{a}{b}", "weights", a, b, WeightMatrix.from_array("w", w)) for a, b, w in matrices]
    return NeuronNetwork(layers, blocks)


def sparse_chain():
    weights = [gaussian(9, 6), gaussian(4, 9, seed=1), gaussian(11, 4, seed=2)]
    for number, matrix in enumerate(weights):
        matrix[np.random.default_rng(number).random(matrix.shape) < 0.7] = 0
    weights[1][:, 3] = 0
    return chain(*weights)


def edge_matrix(network):
    """(neurons, neurons) lengths of single connections, the shortest where there are several; infinite for none."""
    starts = np.concatenate([[0], np.cumsum([len(layer.numbers) for layer in network.layers])])
    lengths = np.full((network.neurons, network.neurons), np.inf)
    for block in network.blocks:
        sources, targets, weights = block.edges()
        np.minimum.at(lengths, (sources + starts[block.source], targets + starts[block.target]), 1 / np.abs(weights))
    return lengths


def scipy_distances(network, method):
    edges = edge_matrix(network)
    if method.reach == "geodesic-undirected":
        edges = np.minimum(edges, edges.T)
    return dijkstra(csgraph_from_dense(edges, null_value=np.inf))


def same_as_scipy(network, method):
    expected = scipy_distances(network, method)
    np.testing.assert_allclose(geodesic_distances(network, method), expected, rtol=1e-12, atol=0)
    return expected


# the same distances

SMALL = {
    "chain": lambda: chain(gaussian(9, 5), gaussian(3, 9, seed=1), gaussian(17, 3, seed=2)),
    "transformer": lambda: transformer(6, 12, 2),
    "transformer with zeros": lambda: transformer(5, 9, 2, zeros=0.5),
    "zeros": sparse_chain,
    "two pieces": two_pieces,
    "diamond": diamond,
    "graph": random_graph,
}


@pytest.mark.small
@both_reaches
@pytest.mark.parametrize("name", SMALL)
def test_equal_to_scipy(name, method):
    same_as_scipy(SMALL[name](), method)


@pytest.mark.small
def test_each_network_goes_the_way_meant_for_it():
    ways = {
        name: [type(paths.shortest_paths(make(), method)).__name__ for method in (GEODESIC, UNDIRECTED)]
        for name, make in SMALL.items()
    }
    assert ways.pop("diamond") == ["LayeredPaths", "GraphPaths"]
    assert ways.pop("graph") == ["GraphPaths", "GraphPaths"]
    assert set(map(tuple, ways.values())) == {("LayeredPaths", "StagedPaths")}


@both_reaches
@pytest.mark.parametrize("shape", [(64, 128, 3), (16, 64, 6), (33, 65, 2)])
def test_equal_to_scipy_on_transformers_of_other_widths(shape, method):
    same_as_scipy(transformer(*shape), method)


@both_reaches
@pytest.mark.parametrize("step", [0, 128, 724])
def test_equal_to_scipy_on_sampled_checkpoints(step, method):
    expected = same_as_scipy(load_network(load_run("induction").checkpoint(step)).sample(16, seed=step), method)
    assert np.isfinite(expected).mean() > 0.3


@both_reaches
def test_equal_to_scipy_on_a_large_graph(method):
    same_as_scipy(random_graph(600, 3000, seed=3), method)


@both_reaches
def test_panels_of_neurons_change_nothing(method, monkeypatch):
    network = transformer(40, 80, 3)
    whole = geodesic_distances(network, method)
    monkeypatch.setattr(paths, "PANEL", 1)
    assert np.array_equal(geodesic_distances(network, method), whole)


@pytest.mark.small
@both_reaches
def test_paths_longer_than_the_limit_are_never_too_short(method):
    for make in SMALL.values():
        network = make()
        exact = geodesic_distances(network, method)
        limit = np.median(exact[np.isfinite(exact)])
        limited = np.full(exact.shape, np.inf)
        for sources, targets, lengths, both_ways in paths.shortest_paths(network, method).tiles(limit):
            limited[np.ix_(sources, targets)] = lengths
            if both_ways:
                limited[np.ix_(targets, sources)] = lengths.T
        np.fill_diagonal(limited, 0)
        near = exact <= limit
        assert np.array_equal(limited[near], exact[near])
        assert (limited[~near] > limit).all()


@pytest.mark.small
def test_a_query_reaches_only_its_own_output_in_one_step():
    network = transformer(4, 8, 1)
    query, attention = slice(4, 8), slice(16, 20)
    direct = geodesic_distances(network)[query, attention]
    assert (np.diag(direct) == 1).all()
    assert np.isinf(direct[~np.eye(4, dtype=bool)]).all()
    key = slice(8, 12)
    assert (geodesic_distances(network)[key, attention] == 1).all()


@pytest.mark.small
def test_fixed_joins_keep_length_one_whatever_the_distance():
    method = GEODESIC.replace(distance=lambda weights: np.abs(weights) + 5)
    assert np.diag(geodesic_distances(transformer(4, 8, 1), method)[4:8, 16:20]).tolist() == [1] * 4


# masses


def counted(network, method):
    """Radii and {neuron: [N(r), ...]} from SciPy's distances, one by one."""
    distances = scipy_distances(network, method)
    low, high = method.window or (-1, np.inf)
    near = []
    for neuron, row in enumerate(distances.tolist()):
        mine = [d for other, d in enumerate(row) if other != neuron and low < d <= high and d < np.inf]
        near.append([round(d) if method.rounding else d for d in mine])
    kept = {neuron: mine for neuron, mine in enumerate(near) if len(mine) >= method.minimum_connections}
    pooled = [d for mine in kept.values() for d in mine]
    radii = sorted(set(pooled)) if method.radii == "integer" else np.geomspace(*np.quantile(pooled, [0.02, 0.9]), 20)
    return radii, {i: [1 + sum(d <= r * (1 + 1e-12) for d in mine) for r in radii] for i, mine in kept.items()}


def same_as_counted(network, method):
    radii, expected = counted(network, method)
    masses = count_masses(network, method)
    np.testing.assert_allclose(masses.radii, radii, rtol=1e-12)
    starts = np.concatenate([[0], np.cumsum([len(layer.numbers) for layer in network.layers])])
    rows = [
        starts[layer] + int(np.flatnonzero(network.layers[layer].numbers == number)[0])
        for layer, number in zip(masses.layer, masses.number, strict=True)
    ]
    assert dict(zip(map(int, rows), masses.counts.tolist(), strict=True)) == expected
    assert masses.neurons_total == network.neurons


LOG_SPACED = GEODESIC.replace(rounding=False, radii="log-spaced", minimum_connections=3)


@pytest.mark.small
@pytest.mark.parametrize("reach", ["geodesic", "geodesic-undirected"])
@pytest.mark.parametrize("method", [GEODESIC.replace(minimum_connections=2), LOG_SPACED], ids=["integer", "log-spaced"])
@pytest.mark.parametrize("name", ["transformer", "zeros", "diamond", "graph"])
def test_masses_are_what_counting_gives(name, method, reach):
    same_as_counted(SMALL[name](), method.replace(reach=reach))


@both_reaches
def test_masses_of_a_sampled_checkpoint(method):
    same_as_counted(load_network(load_run("induction").checkpoint(724)).sample(16, seed=1), method)


@pytest.mark.small
@both_reaches
@pytest.mark.parametrize("window", [None, (0.0, 1e6)])
def test_whole_numbers_without_a_histogram(method, window):
    same_as_counted(transformer(4, 8, 1), method.replace(window=window))


@pytest.mark.small
def test_in_a_single_matrix_every_path_is_one_hop():
    network = chain(gaussian(40, 12))
    ours, one_hop = count_masses(network, GEODESIC), count_masses(network, PAPER)
    assert np.array_equal(ours.radii, one_hop.radii)
    assert np.array_equal(ours.counts, one_hop.counts)
    assert ours.share_inside == one_hop.share_inside
    assert (ours.neurons_total, one_hop.neurons_total) == (52, 12)


@pytest.mark.small
def test_places_are_the_neurons_of_the_layers_in_reach():
    network = two_pieces()
    directed = count_masses(network, GEODESIC.replace(minimum_connections=1))
    undirected = count_masses(network, UNDIRECTED.replace(minimum_connections=1))
    assert dict(zip(directed.labels("layer"), directed.places.tolist(), strict=True)) == {"a": 4, "d": 6}
    assert dict(zip(undirected.labels("layer"), undirected.places.tolist(), strict=True)) == dict.fromkeys("ab", 6) | {
        "c": 7,
        "d": 7,
    }


def test_too_many_distances_for_the_radii_rule_are_thinned_neuron_by_neuron(monkeypatch):
    network, method = transformer(8, 16, 2), LOG_SPACED
    distances = scipy_distances(network, method)
    np.fill_diagonal(distances, np.inf)
    near = (distances > 1) & (distances <= 150)
    kept = np.flatnonzero(near.sum(axis=1) >= 3)
    step = -(-int(near[kept].sum()) // 1000)
    assert step > 1
    pooled = distances[kept[::step]][near[kept[::step]]]
    monkeypatch.setattr(geodesic, "LARGEST_POOL", 1000)
    expected = np.geomspace(*np.quantile(pooled, [0.02, 0.9]), 20)
    np.testing.assert_allclose(count_masses(network, method).radii, expected, rtol=1e-12)


@both_reaches
def test_analyze_and_follow_a_geodesic_method(method):
    run = load_run("induction")
    spectrum = analyze(load_network(run.checkpoint(724)).sample(16, seed=0), method)
    assert spectrum.tau[30] == 0 and spectrum.neurons_used > 160
    history = follow(run, method, samples=1, neurons_per_layer=16, steps=[0, 724])
    assert np.isfinite(history.emergence).all() and history.emergence[0] == 0


def test_the_command_line_offers_it():
    words = ["analyze", "induction@724", "--method", "geodesic", "--neurons-per-layer", "16", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    network = load_network(load_run("induction").checkpoint(724)).sample(16, seed=0)
    assert found["method"] == "geodesic" and found["alpha0"] == analyze(network, GEODESIC).alpha0


def test_a_rescaled_network_has_the_same_scale_free_spectrum():
    method = SCALE_FREE.replace(reach="geodesic")
    first, second = gaussian(30, 8), gaussian(20, 30, seed=1)
    before = analyze(chain(first, second), method)
    after = analyze(chain(first * np.float32(4), second * np.float32(4)), method)
    assert np.array_equal(before.tau, after.tau)


def test_memory_at_the_shape_of_410m():
    """24 blocks, 64 neurons a layer: 12,352 neurons, a matrix of 1.2 GB if it were held."""
    code = """
        import re, sys
        from pathlib import Path
        from test_geodesic import GEODESIC, UNDIRECTED, count_masses, transformer

        def megabytes(name):
            return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

        for method in (GEODESIC, UNDIRECTED):
            count_masses(transformer(16, 32, 1), method)
        network = transformer(64, 128, 24, deviation=0.03)
        before = megabytes("VmRSS")
        for method in (GEODESIC, UNDIRECTED):
            print(len(count_masses(network, method).counts), megabytes("VmHWM") - before)
    """
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environment, check=True
    )
    for line in done.stdout.splitlines():
        neurons, used = line.split()
        assert int(neurons) > 10_000
        assert float(used) < 200


# properties

EDGES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.floats(2**-8, 2**8)), min_size=1, max_size=25).map(
    lambda edges: [*edges, (6, 6, 1.0)]
)  # always seven neurons
quick = settings(deadline=None, max_examples=30)


def distances_of(edges, method=GEODESIC):
    """Of seven neurons always; a connection of the last one to itself changes no distance."""
    ends = zip(*edges, (6, 6, 1.0), strict=True)
    return geodesic_distances(NeuronNetwork.from_edges(*map(list, ends)), method)


@pytest.mark.small
@both_reaches
@quick
@given(edges=EDGES, order=st.permutations(range(7)))
def test_the_order_of_the_neurons_does_not_matter(method, edges, order):
    renamed = [(order[source], order[target], weight) for source, target, weight in edges]
    moved = distances_of(renamed, method)[np.ix_(order, order)]
    np.testing.assert_allclose(moved, distances_of(edges, method), rtol=1e-15)


@pytest.mark.small
@both_reaches
@quick
@given(edges=EDGES)
def test_doubled_weights_halve_every_distance_exactly(method, edges):
    doubled = [(source, target, 2 * weight) for source, target, weight in edges]
    assert np.array_equal(distances_of(doubled, method) * 2, distances_of(edges, method))


@both_reaches
def test_doubled_weights_halve_every_distance_of_layers_exactly(method):
    first, second, third = gaussian(20, 9), gaussian(5, 20, seed=1), gaussian(13, 5, seed=2)
    once = geodesic_distances(chain(first, second, third), method)
    assert np.array_equal(2 * geodesic_distances(chain(2 * first, 2 * second, 2 * third), method), once)


@pytest.mark.small
@both_reaches
@quick
@given(edges=EDGES, extra=st.tuples(st.integers(0, 6), st.integers(0, 6), st.floats(2**-8, 2**8)))
def test_one_more_edge_never_lengthens_a_path(method, edges, extra):
    assert (distances_of([*edges, extra], method) <= distances_of(edges, method)).all()


@pytest.mark.small
@quick
@given(edges=EDGES)
def test_paths_both_ways_are_never_longer(edges):
    undirected = distances_of(edges, UNDIRECTED)
    assert (distances_of(edges) >= undirected).all()
    np.testing.assert_allclose(undirected, undirected.T, rtol=1e-15)


@pytest.mark.small
@both_reaches
@quick
@given(widths=st.lists(st.integers(1, 10), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_chains_of_any_widths_equal_scipy(method, widths, seed):
    arrays = [gaussian(b, a, seed=seed + k) for k, (a, b) in enumerate(pairwise(widths))]
    same_as_scipy(chain(*arrays), method)


# what is refused


@pytest.mark.small
def test_the_method_knows_its_reach():
    assert Method().reach == "one-hop"
    assert METHODS["geodesic"] is GEODESIC
    assert "reach='geodesic'" in repr(GEODESIC)
    assert len({PAPER.key, GEODESIC.key, UNDIRECTED.key}) == 3
    assert PAPER.replace(reach="geodesic").name == "paper with reach=geodesic"
    with pytest.raises(NeuroMFAError, match="reach='two-hop' is unknown: use one of 'one-hop', 'geodesic'"):
        PAPER.replace(reach="two-hop")


@pytest.mark.small
def test_errors_name_what_is_wrong_and_the_way_out():
    network = chain(gaussian(9, 5))
    with pytest.raises(NeuroMFAError, match=r"no usable neuron.*at most 0 others.*1 < d <= 2.*widen the window"):
        count_masses(network, GEODESIC.replace(window=(1, 2)))
    with pytest.raises(NeuroMFAError, match=r"method.replace\(reach="):
        geodesic_distances(network, PAPER)
    with pytest.raises(NeuroMFAError, match="holds 1 weights that are NaN"):
        count_masses(chain(np.where(np.arange(20).reshape(4, 5) == 3, np.nan, 0.1)), GEODESIC)
    with pytest.raises(NeuroMFAError, match="no weight matrix"):
        count_masses(NeuronNetwork([NeuronLayer("alone", 3)], []), GEODESIC)


@pytest.mark.small
def test_a_matrix_too_large_to_hold_is_refused():
    edges = NeuronNetwork.from_edges([0], [9000], [1.0])
    with pytest.raises(NeuroMFAError, match="9,001 neurons squared is too large"):
        geodesic_distances(edges)
