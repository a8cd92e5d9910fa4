"""The panel of a wiring shows whom a neuron reaches, as plain loops over the connections find it."""

import numpy as np
import pytest
from models import CONFIG, gpt_neox_tensors
from twins import chain, gaussian

from neuromfa_lite import NeuroMFAError, load_network
from neuromfa_lite.panels import WiringPanel


def by_loops(network, layer, number):
    """{layer: {steps: neurons}} of a breadth-first search over every single connection."""
    names = [each.name for each in network.layers]
    onwards = {}
    for block in network.blocks:
        for source, target, _ in zip(*block.edges(), strict=True):
            onwards.setdefault((block.source, int(source)), []).append((block.target, int(target)))
    at = names.index(layer)
    start = at, int(np.flatnonzero(network.layers[at].numbers == number)[0])
    steps, front = {start: 0}, [start]
    while front:
        here = front.pop(0)
        for there in onwards.get(here, []):
            if there not in steps:
                steps[there] = steps[here] + 1
                front.append(there)
    found = {}
    for (place, _), step in steps.items():
        of_layer = found.setdefault(names[place], {})
        of_layer[step] = of_layer.get(step, 0) + 1
    return found


def sparse():
    weights = [gaussian(9, 7), gaussian(8, 9, seed=1)]
    for number, each in enumerate(weights):
        each[np.random.default_rng(number).random(each.shape) < 0.8] = 0
    return chain(*weights)


NETWORKS = {
    "data flow": lambda: load_network(gpt_neox_tensors(CONFIG), config=CONFIG, wiring="dataflow"),
    "both directions": lambda: load_network(gpt_neox_tensors(CONFIG), config=CONFIG, wiring="both-directions"),
    "sparse": sparse,
}


@pytest.mark.small
@pytest.mark.parametrize("name", NETWORKS)
def test_whom_a_neuron_reaches_as_plain_loops_find_it(name):
    network = NETWORKS[name]()
    for layer in (network.layers[0], network.layers[1], network.layers[-1]):
        number = int(layer.numbers[-1])
        table, expected = network.reached(layer.name, number), by_loops(network, layer.name, number)
        rows = {(row.layer, row.steps): row.neurons for row in table.itertuples()}
        assert rows == {(name, step): n for name, of in expected.items() for step, n in of.items()}
    with pytest.raises(NeuroMFAError, match="no layer 'x'"):
        network.reached("x", 0)


def test_the_numbers_follow_the_controls_and_the_picture_changes():
    network = NETWORKS["data flow"]()
    panel, pictures = WiringPanel(network), set()
    for layer, neuron in (("block 0 query", 3), ("block 1 mlp", 5), ("output", 0)):
        panel.controls["layer"].value, panel.controls["neuron"].value = layer, neuron
        table = network.reached(layer, neuron)
        assert panel.numbers["neuron"] == neuron
        assert panel.numbers["reached at all"] == table.neurons.sum() - 1
        assert panel.numbers["reached at once"] == table[table.steps == 1].neurons.sum()
        pictures.add(panel.png)
    assert len(pictures) == 3 and panel.numbers["steps to the farthest"] == 0


def test_the_neurons_of_a_sample_are_called_by_their_numbers():
    sample = NETWORKS["data flow"]().sample(3, seed=1)
    panel = WiringPanel(sample)
    panel.controls["neuron"].value = 2
    assert panel.numbers["neuron"] == sample.layers[0].numbers[2] and panel.controls["neuron"].max == 2
    with pytest.raises(NeuroMFAError, match="load_network"):
        WiringPanel("gpt2")
