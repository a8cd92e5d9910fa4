"""Masses N_i(r): how many neurons lie within a radius of each neuron, by one hop, along paths, in balls."""

from .count import Masses, count_masses
from .geodesic import geodesic_distances

__all__ = ["Masses", "count_masses", "geodesic_distances"]
