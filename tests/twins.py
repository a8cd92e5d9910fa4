"""The same network twice: as a NeuronNetwork for the package and as lists of connections for the oracle."""

import numpy as np

from neuromfa_lite import PAPER
from neuromfa_lite.network import NeuronLayer, NeuronNetwork
from neuromfa_lite.network.connections import Dense, Fixed
from neuromfa_lite.weights.matrix import WeightMatrix

# few orders, and the ways in which an exponent can be taken from masses
FEW = PAPER.replace(q=[-2.0, -0.5, 0.0, 1.0, 3.0], minimum_connections=3)
WAYS = [
    FEW,
    FEW.replace(convention="standard"),
    FEW.replace(mass="total-share"),
    FEW.replace(derivative="forward"),
    FEW.replace(scaling_range=(15, 90)),
]


def chain(*arrays, names=None):
    """A network of layers one after another; each array is a weight matrix (targets, sources)."""
    sizes = [arrays[0].shape[1]] + [array.shape[0] for array in arrays]
    layers = [NeuronLayer(f"layer {k}", size) for k, size in enumerate(sizes)]
    names = names or [f"matrix {k}" for k in range(len(arrays))]
    blocks = [
        Dense(name, "weights", k, k + 1, WeightMatrix.from_array(name, array))
        for k, (name, array) in enumerate(zip(names, arrays, strict=True))
    ]
    return NeuronNetwork(layers, blocks)


def gaussian(*shape, deviation=0.05, seed=0, dtype=np.float32):
    """Gaussian weights of a given shape (targets, sources)."""
    return (np.random.default_rng(seed).standard_normal(shape) * deviation).astype(dtype)


def edge_lists(network):
    """Every weight matrix of a network as a list of connections; a neuron is named (layer, position)."""
    matrices = []
    for block in network.blocks:
        if not isinstance(block, Fixed):
            sources, targets, weights = block.edges()
            ends = zip(sources.tolist(), targets.tolist(), weights.tolist(), strict=True)
            matrices.append([((block.source, s), (block.target, t), w) for s, t, w in ends])
    return matrices


def from_distances(neurons):
    """A network in which neuron i has the outgoing distances neurons[i]; every connection has a target of its own."""
    sources = [i for i, distances in enumerate(neurons) for _ in distances]
    targets = range(len(neurons), len(neurons) + len(sources))
    return NeuronNetwork.from_edges(sources, targets, [1.0 / d for distances in neurons for d in distances])


def counterexample():
    """The two neurons whose spectrum is not concave: fifteen distances each."""
    short = [2, 3, 4, 5, 6, 7]
    return from_distances([short + [140] * 9, short + [100] * 9])
