"""From masses to Z, tau, alpha and f(alpha), with fits, quality and bands; dimensions of single neurons; boxes."""

from .boxes import box_counting, greedy_boxes
from .nfd import NeuronDimensions, neuron_fractal_dimension
from .spectrum import Spectrum, spectrum_of_masses

__all__ = [
    "NeuronDimensions",
    "Spectrum",
    "box_counting",
    "greedy_boxes",
    "neuron_fractal_dimension",
    "spectrum_of_masses",
]
