"""Controls: the same network with one thing changed, so that one sees what a measure feels and what it does not.

Each function takes a NeuronNetwork and returns a new one with the same layers; the one given stays as it was. The
weights of the new one are in memory. Change the whole network first and sample it afterwards.
"""

from dataclasses import replace

import numpy as np

from ..blocks import EdgeBlock, FixedJoin
from ..emergence import degree_of_emergence
from ..errors import NeuroMFAError
from ..joins import Making
from ..method import PAPER
from ..network import NeuronNetwork
from ..sources import WeightMatrix
from ..study import measure_spectrum


def scaled(network, factor):
    """Multiply every weight by one common factor.

    Args:
        network: NeuronNetwork.
        factor: a finite number other than 0.

    Returns:
        NeuronNetwork, its weights float64.

    Raises:
        NeuroMFAError: a factor of 0, NaN or infinity.

    Example:
        >>> pair = NeuronNetwork.from_edges([0, 0], [1, 2], [0.5, -0.25])
        >>> scaled(pair, 2).weight_blocks[0].weights()
        array([ 1. , -0.5])
    """
    if not np.isfinite(factor) or factor == 0:
        raise NeuroMFAError(f"factor={factor!r} must be a finite number other than 0")
    return _changed(network, f"scaled by {factor:g}", lambda block, weights: weights.astype(np.float64) * factor)


def rescaled(network, like):
    """Multiply each matrix by the factor that gives it the standard deviation of the same matrix in another network.

    Applied to an untrained network with a trained one to be like, it grows the weights as much as training did, matrix
    by matrix, and learns nothing.

    Args:
        network: NeuronNetwork; every matrix must have a spread of its own.
        like: NeuronNetwork with the same matrices, by name.

    Returns:
        NeuronNetwork, its weights float64.

    Raises:
        NeuroMFAError: a matrix that the other network does not have, or whose weights are all alike.

    Example:
        >>> start = NeuronNetwork.from_edges([0, 0], [1, 2], [0.1, -0.1])
        >>> now = NeuronNetwork.from_edges([0, 0], [1, 2], [0.7, 0.3])
        >>> rescaled(start, now).weight_blocks[0].weights()
        array([ 0.2, -0.2])
    """
    wanted = {block.name: block for block in like.weight_blocks}

    def grow(block, weights):
        if block.name not in wanted:
            raise NeuroMFAError(
                f"{like.origin} has no matrix {block.name!r} to rescale to: give another step of the same model"
            )
        own = weights.std(dtype=np.float64)
        if not own > 0:
            raise NeuroMFAError(
                f"the weights of matrix {block.name!r} of {network.origin} are all alike: no factor spreads them"
            )
        return weights.astype(np.float64) * (wanted[block.name].weights().std(dtype=np.float64) / own)

    return _changed(network, f"rescaled to {like.origin}", grow)


def gaussian_like(network, seed=0):
    """Replace each matrix by independent Gaussian numbers of the same mean and standard deviation; zeros stay zeros.

    Args:
        network: NeuronNetwork.
        seed: whole number; every matrix draws from a stream of its own.

    Returns:
        NeuronNetwork, its weights float64.

    Example:
        >>> star = NeuronNetwork.from_edges([0] * 3, [1, 2, 3], [0.5, 0.5, 0.0])
        >>> gaussian_like(star).weight_blocks[0].weights()
        array([0.5, 0.5, 0. ])
    """
    streams = _streams(network, seed)

    def draw(block, weights):
        there = weights != 0
        drawn = np.zeros(weights.shape)
        kept = weights[there].astype(np.float64)
        drawn[there] = streams[block.name].normal(kept.mean(), kept.std(), kept.size) if kept.size else kept
        return drawn

    return _changed(network, "Gaussian twin", draw)


def permuted_outgoing(network, seed=0):
    """Shuffle the outgoing weights of every neuron among its targets, within each matrix.

    Each neuron keeps exactly the connection strengths it had, so that nothing changes for a measure that sees one hop
    only; who is connected to whom is lost.

    Args:
        network: NeuronNetwork.
        seed: whole number; every matrix draws from a stream of its own.

    Returns:
        NeuronNetwork, its weights of the type they had.

    Example:
        >>> star = NeuronNetwork.from_edges([0, 0, 0, 1], [1, 2, 3, 2], [0.5, 0.25, 0.125, 7.0])
        >>> permuted_outgoing(star, seed=1).weight_blocks[0].weights()
        array([0.125, 0.5  , 0.25 , 7.   ])
    """
    streams = _streams(network, seed)

    def shuffle(block, weights):
        if not isinstance(block, EdgeBlock):
            return streams[block.name].permuted(weights, axis=0)
        shuffled = np.empty_like(weights)
        places = np.argsort(block.sources, kind="stable")
        shuffled[places] = weights[np.lexsort((streams[block.name].random(len(weights)), block.sources))]
        return shuffled

    return _changed(network, "outgoing weights permuted", shuffle)


def emergence_from(start, networks, method=PAPER, samples=10, neurons_per_layer=32):
    """The degree of emergence of networks that no run holds, computed as :func:`neuromfa_lite.follow` does for a run.

    Args:
        start: NeuronNetwork of step 0.
        networks: iterable of NeuronNetwork with the same layers.
        method: Method.
        samples: number of sampled networks over which alpha0 and width are averaged, seeds 0, 1, ...
        neurons_per_layer: size of a sample; None measures the whole network once.

    Returns:
        (networks,) float64.

    Source: Xiao et al. 2025, section 3.3.

    Example:
        >>> from neuromfa_lite import load_network, load_run
        >>> start = load_network(load_run("induction").checkpoint(0))
        >>> emergence_from(start, [start, permuted_outgoing(start)], neurons_per_layer=None)
        array([0., 0.])
    """
    alpha0, width = np.transpose([_averages(each, method, samples, neurons_per_layer) for each in (start, *networks)])
    return degree_of_emergence(alpha0[1:], width[1:], alpha0[0], width[0], method)


def _averages(network, method, samples, neurons_per_layer):
    parts = (
        [network] if neurons_per_layer is None else [network.sample(neurons_per_layer, seed) for seed in range(samples)]
    )
    spectra = [measure_spectrum(part, method) for part in parts]
    return np.mean([spectrum.alpha0 for spectrum in spectra]), np.mean([spectrum.width for spectrum in spectra])


def _changed(network, what, change):
    """The network with change(block, weights) in place of the weights of every block that has any."""
    blocks = []
    for block in network.blocks:
        if isinstance(block, EdgeBlock):
            block = replace(block, listed=change(block, block.weights()))
        elif not isinstance(block, FixedJoin):
            matrix = WeightMatrix.from_array(block.name, change(block, block.weights()), block.matrix.origin)
            block = replace(block, matrix=matrix)
        blocks.append(block)
    made = Making(network.join)  # the model behind it has other weights
    origin = f"{network.origin} ({what})"
    return NeuronNetwork(network.layers, blocks, origin, network.left_out, network.seed, made=made)


def _streams(network, seed):
    return {block.name: np.random.default_rng([int(seed), place]) for place, block in enumerate(network.weight_blocks)}
