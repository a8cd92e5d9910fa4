"""The degree of emergence of networks that no run holds."""

import numpy as np

from ...errors import NeuroMFAError, arguments
from ...method import PAPER, refuse_no_method
from ...study import degree_of_emergence
from ...study.measure import MOST_SAMPLES, spectra_of


def emergence_from(start, networks, method=PAPER, samples=10, neurons_per_layer=32):
    """The degree of emergence of networks that no run holds, computed as :func:`neuromfa_lite.follow` does for a run.

    Args:
        start: NeuronNetwork or checkpoint of step 0.
        networks: iterable of NeuronNetwork or checkpoints with the same layers.
        method: Method.
        samples, neurons_per_layer: sampled networks, seeds 0, 1, ..., over which alpha0 and width are averaged, and
            their size; None measures the whole network once.

    Returns:
        (networks,) float64.

    Source: Xiao et al. 2025, section 3.3.

    Example:
        >>> from neuromfa_lite import load_run
        >>> from neuromfa_lite.evaluation.controls import permuted_outgoing
        >>> start = load_run("induction").checkpoint(0)
        >>> emergence_from(start, [start, permuted_outgoing(start)], neurons_per_layer=None)
        array([0., 0.])
    """
    refuse_no_method(method)
    samples = arguments.whole("samples", samples, 1, MOST_SAMPLES)
    networks = list(networks) if np.iterable(networks) else []
    if not networks:
        raise NeuroMFAError("networks must be a list of at least one NeuronNetwork or checkpoint")
    measured = [spectra_of(each, method, samples, neurons_per_layer) for each in (start, *networks)]
    alpha0 = np.array([np.mean([spectrum.alpha0 for spectrum in spectra]) for spectra in measured])
    width = np.array([np.mean([spectrum.width for spectrum in spectra]) for spectra in measured])
    return degree_of_emergence(alpha0[1:], width[1:], alpha0[0], width[0], method)
