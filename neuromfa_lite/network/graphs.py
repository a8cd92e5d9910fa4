"""Graphs: lists of edges and networkx graphs as a network, and a network as a networkx graph."""

import math

import numpy as np

from ..errors import NeuroMFAError, arguments
from ..errors.memory import refuse_above
from .connections import Edges, NeuronLayer

LARGEST_GRAPH = 20_000  # connections
BYTES_A_NEURON = 100  # in the tables of a network


def is_graph(what):
    """Whether it is a networkx graph, told without importing networkx, which takes long."""
    return all(hasattr(what, name) for name in ("is_directed", "is_multigraph", "adj"))


def graph_of(layers, blocks):
    """The layers and blocks of a network as networkx.DiGraph."""
    import networkx as nx

    total = sum(block.connections for block in blocks)
    if total > LARGEST_GRAPH:
        raise NeuroMFAError(
            f"this network has {total:,} connections, too many for networkx (limit {LARGEST_GRAPH:,}): draw a sample "
            "first, network.sample(8, seed=0).to_networkx()"
        )
    graph, nodes = nx.DiGraph(), []
    for position, layer in enumerate(layers):
        nodes.append([(layer.name, int(number)) for number in layer.numbers])
        graph.add_nodes_from(nodes[-1], layer=layer.name, role=layer.role, position=position)
    for block in blocks:
        for source, target, weight in zip(*block.edges(), strict=True):
            ends = nodes[block.source][source], nodes[block.target][target]
            if graph.has_edge(*ends) and abs(graph.edges[ends]["weight"]) > abs(weight):
                continue  # a graph has one edge for two neurons: of parallel connections it is the strongest
            graph.add_edge(*ends, weight=float(weight), distance=float(1 / abs(weight)), role=block.role)
    return graph


def block_of_edges(sources, targets, weights, name):
    """(NeuronLayer, Edges) of a list of edges."""
    said = "the numbers of neurons, counted from 0"
    ends = [arguments.positions(*each, said) for each in (("sources", sources), ("targets", targets))]
    weights = arguments.numbers("weights", weights)
    if not (ends[0].shape == ends[1].shape == weights.shape) or weights.ndim != 1 or weights.size == 0:
        raise NeuroMFAError("sources, targets and weights must be flat lists of equal length, with at least one edge")
    size = int(max(end.max() for end in ends)) + 1
    refuse_above(size * BYTES_A_NEURON, f"{size:,} neurons", "number the neurons from 0, without gaps")
    block = Edges(name, "edges", 0, 0, ends[0], ends[1], weights, (size, size))
    return NeuronLayer("neurons", size, block=None), block


def block_of_graph(graph):
    """(NeuronLayer, Edges) of a networkx graph with edge attribute distance."""
    place = {node: position for position, node in enumerate(graph)}
    sources, targets, lengths = [], [], []
    for source, target, distance in graph.edges(data="distance"):
        if source != target:  # a node is no neighbour of its own
            sources.append(place[source])
            targets.append(place[target])
            lengths.append(_length(distance, source, target))
    if not lengths:
        raise NeuroMFAError(f"this graph of {len(place)} nodes has no edge between two of them: nothing to measure")
    ends, lengths = (np.array(sources, np.int64), np.array(targets, np.int64)), np.array(lengths)
    both_ways = not graph.is_directed()
    if both_ways:
        ends, lengths = (np.concatenate(ends), np.concatenate(ends[::-1])), np.concatenate([lengths, lengths])
    shape = (len(place), len(place))
    block = Edges("edges", "edges", 0, 0, *ends, 1.0 / lengths, shape, lengths, both_ways)
    return NeuronLayer("nodes", len(place), block=None), block


def _length(distance, source, target):
    if distance is None:
        raise NeuroMFAError(
            f"edge {source!r} - {target!r} has no attribute distance, its length: set it, "
            'networkx.set_edge_attributes(graph, 1.0, "distance")'
        )
    try:
        length = float(distance)
    except (TypeError, ValueError):
        length = math.nan
    if not 1e-300 <= length <= 1e300:
        raise NeuroMFAError(
            f"edge {source!r} - {target!r} has distance {distance!r}: give a positive finite length, or leave it out"
        )
    return length
