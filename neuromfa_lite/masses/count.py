"""Masses: how many connections of each neuron, or neurons it reaches by a path, lie within each radius."""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import NeuroMFAError, arguments
from ..method import PAPER, refuse_no_method
from ..network import refuse_no_network
from .distances import choose_radii
from .geodesic import paths_of, refuse_pieces
from .one_hop import connections_of


@dataclass(frozen=True, eq=False)
class Masses:
    """The masses N_i(r) = 1 + #{connections of neuron i no longer than r} of the neurons that a method keeps.

    Attributes:
        radii: (radii,) distances, increasing.
        counts: (neurons, radii) N_i(r), uint32; of a measure its mass inside, float64.
        layer, number: (neurons,) the position of each neuron's layer in ``layers``, and its number there.
        inside, places: (neurons,) its connections inside the window, and all its places for a weight.
        layers: the network's NeuronLayers.
        neurons_total, places_total: of the whole network, neurons that were not kept included.
        weight: (neurons,) the measure at each neuron; None: the same for all.
        chosen: whether the neurons were named as centres.
    """

    radii: np.ndarray
    counts: np.ndarray
    layer: np.ndarray
    number: np.ndarray
    inside: np.ndarray
    places: np.ndarray
    layers: tuple
    neurons_total: int
    places_total: int
    weight: np.ndarray | None = None
    chosen: bool = False

    def __post_init__(self):
        for name in self._per_neuron():
            getattr(self, name).setflags(write=False)
        self.radii.setflags(write=False)

    def _per_neuron(self):
        names = ("counts", "layer", "number", "inside", "places")
        return names if self.weight is None else (*names, "weight")

    @property
    def share_inside(self) -> float:
        """The share of the network's connections that lie inside the window and leave a neuron that is kept."""
        return float(self.inside.sum() / self.places_total)

    def subset(self, kept):
        """The masses of some neurons, kept (neurons,) bool, on the same radii, as if there were no others."""
        parts = {name: getattr(self, name)[kept] for name in self._per_neuron()}
        return replace(self, **parts, neurons_total=len(parts["layer"]), places_total=int(parts["places"].sum()))

    def labels(self, by):
        """The (neurons,) name of each neuron's "layer" or "role"."""
        arguments.one_of("by", by, ("layer", "role"))
        names = np.array([layer.name if by == "layer" else layer.role for layer in self.layers])
        return names[self.layer]


def count_masses(network, method=PAPER, centres=None):
    """Count, for every neuron that a method keeps, its connections, or the neurons it reaches, within each radius.

    N_i(r) = 1 + #{j : d_ij <= r}, d_ij the method's distance, rounded where the method asks for it; along paths where
    its reach is geodesic, see :mod:`neuromfa_lite.masses.geodesic`.

    Args:
        network: NeuronNetwork, sampled or whole; method: Method.
        centres: positions of the neurons to measure, over all layers one after another; None: every one.

    Source: Xiao et al. 2025, section 3.2; the authors' code (one hop, window (1, 150], more than 10 connections).

    Example:
        >>> from neuromfa_lite import NeuronNetwork, PAPER
        >>> pair = NeuronNetwork.from_edges([0] * 4, [1, 2, 3, 4], [1 / 2, 1 / 2, -1 / 3, 1 / 200])
        >>> masses = count_masses(pair, PAPER.replace(minimum_connections=1))
        >>> masses.radii, masses.counts
        (array([2., 3.]), array([[3, 4]], dtype=uint32))
    """
    refuse_no_method(method)
    refuse_no_network("network", network).refuse_other_wiring(method)
    chosen = None if centres is None else _chosen(centres, network)
    counter = (connections_of if method.reach == "one-hop" else paths_of)(network, method, chosen)
    neurons, kept = counter.neurons, counter.inside >= method.minimum_connections
    if chosen is not None:
        kept &= neurons.among(chosen)
    if not kept.any():
        window = f"{method.window[0]:g} < d <= {method.window[1]:g}" if method.window else "any distance"
        raise NeuroMFAError(
            f"{network.origin}: no usable neuron. {counter.found(window)}: widen the window or lower "
            "minimum_connections (method.replace(...)), or draw a larger sample"
        )
    if method.reach != "one-hop":
        refuse_pieces(network, method, counter.inside, chosen)
    radii = choose_radii(method, network, counter, kept)
    counts = counter.masses(radii, kept)
    for block in network.weight_blocks:  # whole matrices were counted in the mapped file itself
        block.refuse_changed()
    if counts[-1].max() == 1:
        raise NeuroMFAError(
            f"no connection is as short as the largest radius, {radii[-1]:g}, so no mass grows: name larger radii"
        )
    return Masses(
        radii,
        counts.T,
        neurons.layer[kept],
        neurons.number[kept],
        counter.inside[kept],
        neurons.places[kept],
        neurons.layers,
        len(neurons),
        int(neurons.places.sum()),
        chosen=chosen is not None,
    )


def _chosen(centres, network):
    """(neurons,) bool, True for the centres."""
    places, neurons = arguments.positions("centres", centres, "the positions of neurons"), network.neurons
    if places.max() >= neurons:
        raise NeuroMFAError(
            f"centres {places.min()} to {places.max()}: {network.origin} has the neurons 0 to {neurons - 1}"
        )
    chosen = np.zeros(neurons, bool)
    chosen[places] = True
    return chosen
