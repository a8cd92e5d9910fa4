"""The degree of emergence of networks that no run holds."""

import numpy as np

from ... import arguments
from ...emergence import degree_of_emergence
from ...errors import NeuroMFAError
from ...method import PAPER
from ...network import NeuronNetwork, load_network
from ...quality import quietly
from ...study import MOST_SAMPLES, analyze


def emergence_from(start, networks, method=PAPER, samples=10, neurons_per_layer=32):
    """The degree of emergence of networks that no run holds, computed as :func:`neuromfa_lite.follow` does for a run.

    Args:
        start: NeuronNetwork or checkpoint of step 0.
        networks: iterable of NeuronNetwork or checkpoints with the same layers.
        method: Method.
        samples: number of sampled networks over which alpha0 and width are averaged, seeds 0, 1, ...
        neurons_per_layer: size of a sample; None measures the whole network once.

    Returns:
        (networks,) float64.

    Source: Xiao et al. 2025, section 3.3.

    Example:
        >>> from neuromfa_lite import load_run
        >>> from neuromfa_lite.laboratory.controls import permuted_outgoing
        >>> start = load_run("induction").checkpoint(0)
        >>> emergence_from(start, [start, permuted_outgoing(start)], neurons_per_layer=None)
        array([0., 0.])
    """
    samples = arguments.whole("samples", samples, 1, MOST_SAMPLES)
    networks = list(networks) if np.iterable(networks) else []
    if not networks:
        raise NeuroMFAError("networks must be a list of at least one NeuronNetwork or checkpoint")
    alpha0, width = np.transpose([_averages(each, method, samples, neurons_per_layer) for each in (start, *networks)])
    return degree_of_emergence(alpha0[1:], width[1:], alpha0[0], width[0], method)


def _averages(what, method, samples, neurons_per_layer):
    network = what if isinstance(what, NeuronNetwork) else load_network(what)
    parts = (
        [network] if neurons_per_layer is None else [network.sample(neurons_per_layer, seed) for seed in range(samples)]
    )
    with quietly():
        spectra = [analyze(part, method) for part in parts]
    return np.mean([spectrum.alpha0 for spectrum in spectra]), np.mean([spectrum.width for spectrum in spectra])
