"""The neuron network: what it holds, what it describes, what a sample keeps, and what it refuses."""

import hashlib
import pickle
import zlib

import networkx as nx
import numpy as np
import oracle
import pytest
from models import CONFIG, gpt_neox_tensors
from twins import chain, edge_lists, gaussian

from neuromfa_lite import SCALE_FREE, NeuroMFAError, NeuronNetwork, analyze, load_network, load_run
from neuromfa_lite.masses import geodesic_distances
from neuromfa_lite.network import NeuronLayer
from neuromfa_lite.network.connections import Dense, Edges, Fixed
from neuromfa_lite.weights import WeightMatrix


@pytest.fixture(scope="module")
def trained():
    return load_network(load_run("induction").checkpoint(724))


# describing


def test_describe_has_a_row_for_every_matrix_and_says_why(trained):
    table = trained.describe()
    assert list(table.columns) == ["name", "role", "source", "target", "shape", "connections", "read", "why"]
    read = table[table["read"]]
    assert read["connections"].sum() == trained.connections == 2 * (3 * 64 * 64 + 64 * 64 + 2 * 64 * 256)
    assert set(read["role"]) == {"query", "key", "value", "attention-output", "mlp-in", "mlp-out"}
    assert (table["why"].str.len() > 0).all()
    left_out = " ".join(table.loc[table["role"] == "left out", "name"])
    assert "embed_in" in left_out and "lm_head" in left_out


def test_the_chain_of_a_block_is_the_papers(trained):
    names = [layer.name for layer in trained.layers]
    ends = {(names[b.source], names[b.target]): b.role for b in trained.blocks if names[b.source].startswith("block 0")}
    assert ends == {
        ("block 0 input", "block 0 query"): "query",
        ("block 0 input", "block 0 key"): "key",
        ("block 0 input", "block 0 value"): "value",
        ("block 0 query", "block 0 attention"): ends["block 0 query", "block 0 attention"],
        ("block 0 key", "block 0 attention"): ends["block 0 key", "block 0 attention"],
        ("block 0 value", "block 0 attention"): ends["block 0 value", "block 0 attention"],
        ("block 0 attention", "block 0 middle"): "attention-output",
        ("block 0 middle", "block 0 mlp"): "mlp-in",
        ("block 0 mlp", "block 1 input"): "mlp-out",
    }


def test_the_joins_of_attention_have_no_weights_and_do_not_count_in_one_hop(trained):
    sample = trained.sample(12, seed=0)
    sources = {oracle_source[0] for matrix in edge_lists(sample) for oracle_source, _, _ in matrix}
    roles = {sample.layers[position].role for position in sources}
    assert roles == {"hidden", "attention", "middle", "mlp"}
    assert analyze(sample).neurons_total == 2 * (12 + 12 + 12 + 24)


# samples


@pytest.mark.small
def test_a_sample_is_the_submatrix_of_its_neurons():
    first, second = gaussian(30, 20), gaussian(10, 30, seed=1)
    sample = chain(first, second).sample(6, seed=3)
    kept = [layer.numbers for layer in sample.layers]
    assert [len(numbers) for numbers in kept] == [6, 6, 6]
    for block, matrix in zip(sample.weight_blocks, (first, second), strict=True):
        np.testing.assert_array_equal(block.weights(), matrix[np.ix_(kept[block.target], kept[block.source])])


@pytest.mark.small
def test_the_same_seed_draws_the_same_neurons_whatever_the_weights():
    one, other = chain(gaussian(30, 20)), chain(gaussian(30, 20, seed=9))
    for layer_one, layer_other in zip(one.sample(5, seed=2).layers, other.sample(5, seed=2).layers, strict=True):
        np.testing.assert_array_equal(layer_one.numbers, layer_other.numbers)
    assert any(
        (a.numbers != b.numbers).any() for a, b in zip(one.sample(5, 0).layers, one.sample(5, 1).layers, strict=True)
    )


@pytest.mark.small
def test_a_sample_of_all_neurons_is_the_network():
    network = chain(gaussian(20, 20))
    np.testing.assert_array_equal(analyze(network.sample(20, seed=4)).tau, analyze(network).tau)


@pytest.mark.small
def test_a_sample_of_listed_edges_keeps_those_between_its_neurons():
    draw = np.random.default_rng(0)
    sources, targets, weights = draw.integers(0, 12, 80), draw.integers(0, 12, 80), draw.standard_normal(80)
    sample = NeuronNetwork.from_edges(sources, targets, weights).sample(7, seed=1)
    kept = sample.layers[0].numbers.tolist()
    expected = [(s, t, w) for s, t, w in zip(sources, targets, weights, strict=True) if s in kept and t in kept]
    found = [(kept[s], kept[t], w) for (_, s), (_, t), w in edge_lists(sample)[0]]
    assert found == expected


def test_query_key_value_and_attention_share_their_neurons_and_the_mlp_has_twice_as_many(trained):
    by_name = {layer.name: layer.numbers.tolist() for layer in trained.sample(8, seed=5).layers}
    assert len(by_name["block 1 mlp"]) == 16
    assert (
        by_name["block 1 query"]
        == by_name["block 1 key"]
        == by_name["block 1 value"]
        == by_name["block 1 attention"]
        != by_name["block 0 query"]
    )


def grouped_queries():
    """A block of grouped queries: 32 queries and outputs share a sampling group with 8 keys."""
    sizes = {"input": (40, 1), "query": (32, 1), "key": (8, 1), "wide key": (32, 2), "output": (32, 1)}
    groups = {"query": "attention", "key": "attention", "wide key": "attention", "output": "attention"}
    layers = [
        NeuronLayer(name, size, group=groups.get(name), multiplier=multiplier)
        for name, (size, multiplier) in sizes.items()
    ]
    blocks = []
    for place, name in enumerate(("query", "key", "wide key"), start=1):
        matrix = WeightMatrix.from_array(name, gaussian(layers[place].size, 40, seed=place))
        blocks.append(Dense(name, name, 0, place, matrix))
        kind = "all-to-all" if name == "key" else "one-to-one"
        blocks.append(Fixed.of_kind(f"{name} -> output", "attention", place, 4, kind, (32, layers[place].size)))
    return NeuronNetwork(layers, blocks)


@pytest.mark.small
def test_layers_of_a_group_that_differ_in_size_or_multiplier_draw_their_own_neurons():
    network = grouped_queries()
    sample = network.sample(6, seed=3)
    numbers = {layer.name: layer.numbers for layer in sample.layers}
    assert {name: len(drawn) for name, drawn in numbers.items()} == {
        "input": 6,
        "query": 6,
        "key": 6,
        "wide key": 12,
        "output": 6,
    }
    assert all(drawn.max() < layer.size for layer, drawn in zip(network.layers, numbers.values(), strict=True))
    assert numbers["query"].tolist() == numbers["output"].tolist() and not set(numbers["query"]) <= set(range(8))
    for whole, block in zip(network.weight_blocks, sample.weight_blocks, strict=True):
        np.testing.assert_array_equal(block.weights(), whole.weights()[np.ix_(numbers[block.name], numbers["input"])])
    again = [layer.numbers.tolist() for layer in grouped_queries().sample(6, seed=3).layers]
    assert again == [drawn.tolist() for drawn in numbers.values()]


@pytest.mark.small
def test_a_neuron_is_joined_one_to_one_to_itself_where_two_layers_draw_differently():
    sample = grouped_queries().sample(6, seed=3).sample(4, seed=1)
    names = [layer.name for layer in sample.layers]
    for block in sample.blocks:
        if isinstance(block, Fixed):
            sources, targets, _ = block.edges()
            assert len(sources) == block.connections
            ends = [sample.layers[names.index(name)].numbers for name in block.name.split(" -> ")]
            both = set(ends[0]) & set(ends[1]) if block.kind == "one-to-one" else range(16)
            assert len(sources) == len(both)
            if block.kind == "one-to-one":
                assert ends[0][sources].tolist() == ends[1][targets].tolist()
    lengths = geodesic_distances(sample)
    starts = np.concatenate([[0], np.cumsum([len(layer) for layer in sample.layers])])
    there = lengths[starts[3] : starts[4], starts[4] :]
    sources, targets, _ = sample.blocks[-1].edges()
    expected = np.full(there.shape, np.inf)
    expected[sources, targets] = 1.0
    np.testing.assert_array_equal(there, expected)


def first_hash(network):
    """The content hash of the first release."""
    digest = hashlib.blake2b(digest_size=8)
    for block in network.weight_blocks:
        weights = np.ascontiguousarray(block.weights())
        checksum = zlib.adler32(weights) if weights.nbytes > 4096 else zlib.crc32(weights)
        digest.update(f"{block.name}{block.shape}{checksum}".encode())
    return digest.hexdigest()


def test_the_samples_of_bundled_models_are_those_of_the_first_release(trained):
    assert [first_hash(trained.sample(8, 0)), first_hash(trained.sample(32, 3))] == [
        "ca25f03989d9a56d",
        "6f57025eddb985f6",
    ]


@pytest.mark.small
def test_positions_outside_a_layer_are_refused_before_a_kernel_counts_by_them():
    ends = {"sources": np.array([0, 2]), "targets": np.array([1, 0])}
    Edges("edges", "edges", 0, 0, **ends, listed=np.ones(2), shape=(3, 3))
    for what, wrong in (("sources", [0, 3]), ("targets", [-1, 0]), ("sources", [0]), ("targets", [0.0, 1.0])):
        with pytest.raises(NeuroMFAError, match=f"edges: {what}"):
            Edges("edges", "edges", 0, 0, **ends | {what: np.array(wrong)}, listed=np.ones(2), shape=(3, 3))
    layers, matrix = [NeuronLayer("a", 3), NeuronLayer("b", 4)], WeightMatrix.from_array("w", gaussian(4, 5))
    for ends in ((0, 1), (1, 0), (0, 2), (-1, 1)):
        with pytest.raises(NeuroMFAError, match="block 'w' has shape"):
            NeuronNetwork(layers, [Dense("w", "weights", *ends, matrix)])


@pytest.mark.small
@pytest.mark.parametrize("wanted", [0, -1, 2.5, "8", None])
def test_a_sample_size_that_is_no_size_is_refused(wanted):
    with pytest.raises(NeuroMFAError, match="neurons_per_layer"):
        chain(gaussian(30, 20)).sample(wanted)


@pytest.mark.small
def test_more_neurons_than_a_layer_has_names_the_layer_and_the_most():
    with pytest.raises(NeuroMFAError, match=r"'layer 1'.*has 9: use at most 9"):
        chain(gaussian(9, 20)).sample(10)


def test_the_most_a_network_gives_respects_the_doubled_layers(trained):
    with pytest.raises(NeuroMFAError, match="use at most 64"):
        trained.sample(65)
    assert trained.sample(64).connections == 2 * (4 * 64 * 64 + 2 * 64 * 128)


@pytest.mark.small
@pytest.mark.parametrize("seed", [-1, 1.5, None, "one"])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(NeuroMFAError, match="seed"):
        chain(gaussian(9, 20)).sample(3, seed=seed)


# lists of edges


@pytest.mark.small
def test_from_edges_counts_neurons_up_to_the_largest_number():
    network = NeuronNetwork.from_edges([0, 0, 5], [1, 2, 2], [0.5, 0.0, -0.1])
    assert network.neurons == 6 and network.connections == 3
    assert edge_lists(network) == [[((0, 0), (0, 1), 0.5), ((0, 5), (0, 2), -0.1)]]


@pytest.mark.small
@pytest.mark.parametrize(
    "edges",
    [
        ([], [], []),
        ([0], [1, 2], [0.5]),
        ([0], [1], [0.5, 0.1]),
        ([-1], [1], [0.5]),
        ([0.5], [1], [0.5]),
        ([[0]], [[1]], [[0.5]]),
        ([0], [1], ["strong"]),
        ([0], [1], [0.5j]),
    ],
)
def test_edges_that_make_no_network_are_refused(edges):
    with pytest.raises(NeuroMFAError, match=r"sources|weights"):
        NeuronNetwork.from_edges(*edges)


# networkx


@pytest.mark.small
def test_to_networkx_gives_distances():
    graph = chain(np.array([[0.5, 0.0], [-0.25, 2.0]], np.float32)).to_networkx()
    assert isinstance(graph, nx.DiGraph) and graph.number_of_nodes() == 4
    found = {(s, t): data["distance"] for s, t, data in graph.edges(data=True)}
    assert found == {
        (("layer 0", 0), ("layer 1", 0)): 2.0,
        (("layer 0", 0), ("layer 1", 1)): 4.0,
        (("layer 0", 1), ("layer 1", 1)): 0.5,
    }


def test_to_networkx_agrees_with_the_lists_of_edges(trained):
    sample = trained.sample(8, seed=0)
    graph = sample.to_networkx()
    distances = oracle.all_distances(edge_lists(sample))
    for (layer, position), expected in distances.items():
        node = (sample.layers[layer].name, int(sample.layers[layer].numbers[position]))
        assert sorted(
            data["distance"] for *_, data in graph.out_edges(node, data=True) if data["weight"] != 1
        ) == sorted(expected)


def test_a_network_too_large_to_draw_says_what_to_do(trained):
    with pytest.raises(NeuroMFAError, match=r"too many for networkx.*sample\(8"):
        trained.to_networkx()


# changing


@pytest.mark.small
def test_without_leaves_a_matrix_out_and_says_so():
    network = chain(gaussian(30, 20), gaussian(5, 30, seed=1)).without("matrix 1")
    assert [block.name for block in network.weight_blocks] == ["matrix 0"]
    row = network.describe().set_index("name").loc["matrix 1"]
    assert not row["read"] and "by hand" in row["why"]
    with pytest.raises(NeuroMFAError, match="matrix 7"):
        network.without("matrix 7")


@pytest.mark.small
def test_the_content_hash_follows_the_weights():
    weights = gaussian(30, 20)
    changed = weights.copy()
    changed[29, 19] *= 2
    assert chain(weights).content_hash() == chain(weights.copy()).content_hash() != chain(changed).content_hash()


def test_a_spectrum_of_weights_that_changed_in_memory_names_no_hash():
    """A hash computed afterwards would be that of weights that were not measured."""
    tensors = gpt_neox_tensors()
    for wiring in ("chain", "head-products"):
        spectrum = analyze(load_network(tensors, config=CONFIG, wiring=wiring), SCALE_FREE.replace(wiring=None))
        for weights in tensors.values():
            weights *= 2
        assert spectrum.source_hash == "" != load_network(tensors, config=CONFIG).content_hash()


def test_a_spectrum_is_pickled_with_its_hash_and_without_its_network(trained):
    spectrum = analyze(trained.sample(16))
    again = pickle.loads(pickle.dumps(spectrum))
    assert again.source_hash == again.hashed == spectrum.source_hash != ""
