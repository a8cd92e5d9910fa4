"""The drawing of a wiring: every layer a box of its own, each with a name of its own, whatever the network."""

import itertools

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
from models import CONFIG, gpt_neox_tensors
from twins import chain, gaussian

from neuromfa_lite import NeuroMFAError, NeuronNetwork, load_network
from neuromfa_lite.network import NeuronLayer
from neuromfa_lite.network.connections import Dense
from neuromfa_lite.plots.folding import fold, lines_of, short_names
from neuromfa_lite.plots.wiring import HEIGHT, WIDTH, places, plot_wiring
from neuromfa_lite.weights import WeightMatrix

pytestmark = pytest.mark.small


def neox(blocks=2, wiring="dataflow"):
    config = {**CONFIG, "num_hidden_layers": blocks}
    return load_network(gpt_neox_tensors(config), config=config, wiring=wiring)


def graph():
    made = nx.path_graph(9)
    nx.set_edge_attributes(made, 2.5, "distance")
    return NeuronNetwork.from_networkx(made)


def experts(number):
    """One layer that feeds several alike side by side, which feed one."""
    layers = [
        NeuronLayer("in", 4),
        *(NeuronLayer(f"expert {n}", 5, "expert") for n in range(number)),
        NeuronLayer("out", 4),
    ]
    blocks = []
    for n in range(number):
        for ends in ((0, n + 1), (n + 1, number + 1)):
            shape = len(layers[ends[1]]), len(layers[ends[0]])
            matrix = WeightMatrix.from_array(f"w {n} {ends[0]}", gaussian(*shape))
            blocks.append(Dense(matrix.name, "weights", *ends, matrix))
    return NeuronNetwork(layers, blocks)


NETWORKS = {
    "chain": lambda: neox(wiring="chain"),
    "data flow": neox,
    "eight blocks": lambda: neox(8),
    "both directions": lambda: neox(wiring="both-directions"),
    "sample": lambda: neox().sample(3),
    "graph": graph,
    "one matrix": lambda: chain(gaussian(5, 4)),
    "forty layers": lambda: chain(*(gaussian(5, 5, seed=seed) for seed in range(40))),
    "experts": lambda: experts(6),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_do_not_overlap_and_names_differ(name):
    network = NETWORKS[name]()
    shown, lines, _ = fold(network.layers, lines_of(network), 60)
    spots = [spot for of_layer in places(shown, lines)[0].values() for spot in of_layer]
    for (x, y, _), (u, v, _) in itertools.combinations(spots, 2):
        assert abs(x - u) > WIDTH or abs(y - v) > HEIGHT
    names = short_names([network.layers[position] for position in shown])
    assert len(set(names)) == len(names) == len(network.layers)
    ax = plot_wiring(network)
    texts = [text.get_text() for text in ax.texts]
    assert sum(f"{len(layer):,}" in text for layer in network.layers[:1] for text in texts) >= 1
    plt.close("all")


def test_it_is_drawn_where_it_is_asked_for():
    _, ax = plt.subplots()
    assert neox().plot(ax=ax) is ax and neox().plot() is not ax
    with pytest.raises(NeuroMFAError, match="ax must be matplotlib Axes"):
        neox().plot(ax=3)
    with pytest.raises(NeuroMFAError, match="most"):
        neox().plot(most=0)
    plt.close("all")


def test_equal_blocks_in_a_row_are_drawn_once():
    network = neox(12)
    shown, lines, folds = fold(network.layers, lines_of(network), 20)
    assert len(shown) <= 20 and [each.times for each in folds] == [12] and folds[0].in_a_row
    assert {end for line in lines for end in line[:2]} == set(shown)
    assert "× 12 in a row" in [text.get_text() for text in network.plot(most=20).texts]
    plt.close("all")


def test_equal_layers_side_by_side_are_drawn_once():
    _, lines, folds = fold(experts(9).layers, lines_of(experts(9)), 5)
    assert [(each.times, each.in_a_row) for each in folds] == [(9, False)] and len(lines) == 2


def test_parallel_matrices_are_one_line_with_their_number():
    network = chain(gaussian(5, 4))
    twice = NeuronNetwork(network.layers, [*network.blocks, *network.blocks])
    (line,) = lines_of(twice)
    assert line.several == 2 and not line.fixed
    assert "× 2" in [text.get_text() for text in twice.plot().texts]
    plt.close("all")


def test_a_line_of_boxes_ends_at_a_layer_that_begins_the_next_one():
    network = chain(*(gaussian(5, 5, seed=seed) for seed in range(40)))
    spots, (columns, _) = places(*fold(network.layers, lines_of(network), 60)[:2])
    assert columns <= 13 and sum(len(of_layer) == 2 for of_layer in spots.values()) == 3
    assert np.ptp([spot[1] for spot in spots[0]]) == 0
