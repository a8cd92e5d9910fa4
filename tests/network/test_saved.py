"""A network in a file: opened again without the model it is the same, and what does not fit is refused."""

import json

import networkx as nx
import numpy as np
import pytest
from models import CONFIG, gpt_neox_tensors
from safetensors.numpy import load_file, save_file
from twins import chain, gaussian

from neuromfa_lite import PAPER, NeuroMFAError, NeuronNetwork, analyze, load_network
from neuromfa_lite.errors import SourceError
from neuromfa_lite.network.feeders import feeders
from neuromfa_lite.network.saved import MARK, is_saved_network

LOOSE = PAPER.replace(wiring=None, window=(0, 1000), minimum_connections=1)


def same(opened, network):
    assert opened.describe().equals(network.describe())
    assert [layer.numbers.tolist() for layer in opened.layers] == [layer.numbers.tolist() for layer in network.layers]
    assert [layer.role for layer in opened.layers] == [layer.role for layer in network.layers]
    for mine, own in zip(opened.blocks, network.blocks, strict=True):
        for left, right in zip(mine.edges(), own.edges(), strict=True):
            np.testing.assert_array_equal(left, right)
    assert analyze(opened, LOOSE).alpha0 == analyze(network, LOOSE).alpha0
    assert (opened.origin, opened.seed, opened.wiring, opened.traced) == (
        network.origin, network.seed, network.wiring, network.traced,
    )  # fmt: skip


@pytest.fixture
def neox(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(gpt_neox_tensors(CONFIG), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.mark.small
@pytest.mark.parametrize("wiring", ["chain", "dataflow", "both-directions"])
def test_a_network_of_a_model_by_value(neox, tmp_path, wiring):
    network = load_network(neox, wiring=wiring)
    same(load_network(network.save(tmp_path / "saved")), network)
    sample = network.sample(4, seed=3)
    same(load_network(str(sample.save(tmp_path / "sample.safetensors"))), sample)


@pytest.mark.small
def test_a_network_of_a_model_by_reference_holds_no_weights(neox, tmp_path):
    network = load_network(neox, wiring="dataflow")
    path = network.save(tmp_path / "saved", weights=neox)
    assert not any("weights" in name for name in load_file(path))
    opened = load_network(path)
    same(opened, network)
    assert feeders(opened.layers, opened.blocks).keys() == feeders(network.layers, network.blocks).keys()


@pytest.mark.small
def test_weights_that_are_not_those_named_are_refused(neox, tmp_path):
    network = load_network(neox)
    with pytest.raises(NeuroMFAError, match=r"has other weights than .*network\.save\(path\)"):
        network.sample(4).save(tmp_path / "sample", weights=neox)
    path = network.save(tmp_path / "saved", weights=neox)
    tensors = load_file(neox / "model.safetensors")
    tensors.pop(next(name for name in tensors if "dense_h_to_4h" in name))
    save_file(tensors, neox / "model.safetensors")
    with pytest.raises(SourceError, match=r"dense_h_to_4h.* is not in .* as it was"):
        load_network(path)


@pytest.mark.small
def test_graphs_and_edges_keep_their_lengths_and_natural_radii(tmp_path):
    graph = nx.path_graph(9)
    nx.set_edge_attributes(graph, 2.5, "distance")
    graph.graph["natural_radii"] = [2.5, 5.0]
    network = NeuronNetwork.from_networkx(graph)
    opened = load_network(network.save(tmp_path / "graph"))
    assert opened.describe().equals(network.describe())
    assert opened.natural_radii == [2.5, 5.0] and opened.blocks[0].given.tolist() == network.blocks[0].given.tolist()


@pytest.mark.torch
def test_traced_networks_with_kernels_groups_and_gates(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, groups=4), torch.nn.Flatten()
    model = torch.nn.Sequential(*layers, torch.nn.Linear(8 * 4, 5))
    network = load_network(model, inputs=torch.ones(1, 3, 6, 6))
    same(load_network(network.save(tmp_path / "saved")), network)


@pytest.mark.small
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told.update(form=9), "a network of form 9, and this version reads form 1"),
        (lambda told: told.pop("layers"), "its network cannot be read .*KeyError: 'layers'"),
        (lambda told: told["blocks"][0].update(source=7), "joins layers of"),
        (lambda told: told["layers"][0].update(size=3), "joins layers of"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, said):
    path = chain(gaussian(12, 9)).save(tmp_path / "saved")
    tensors = load_file(path)
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        told = json.loads(file.metadata()[MARK])
    change(told)
    save_file(tensors, path, {MARK: json.dumps(told)})
    with pytest.raises(NeuroMFAError, match=said):
        load_network(path)


@pytest.mark.small
def test_what_cannot_be_saved_says_why(neox, tmp_path):
    with pytest.raises(NeuroMFAError, match="wired by a function"):
        load_network(neox, wiring=lambda source: load_wiring(source)).save(tmp_path / "saved")
    with pytest.raises(NeuroMFAError, match="weights must name"):
        load_network(neox).save(tmp_path / "saved", weights=3)
    assert not is_saved_network(neox / "model.safetensors") and not is_saved_network(neox) and not is_saved_network({})


def load_wiring(source):
    from neuromfa_lite.network import chain as wired

    return wired(source)
