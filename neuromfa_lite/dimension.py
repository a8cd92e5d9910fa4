"""The neuron-based fractal dimension (NFD): how fast the mass of a single neuron grows with the radius."""

import numpy as np

from .errors import NeuroMFAError
from .masses import count_masses
from .method import PAPER
from .regression import fit_lines

OWN_WINDOW = (0.0, 200.0)  # the authors' window for the dimension, wider than the one for the spectrum
# Every radius a rounded distance can have, and one below them for the mass of distances that round to 0.
OWN_RADII = (0.5, *range(1, 201))


def neuron_fractal_dimension(network, method=PAPER, grid="common"):
    """Return the neuron-based fractal dimension of every neuron: the slope of ln N_i(r) on ln r.

    Args:
        network: NeuronNetwork.
        method: Method; the one that the spectrum uses.
        grid: "common": all neurons on the radii of the spectrum, so that the mean is alpha0 exactly; "own": each on the
            rounded distances it has itself, 0 < d <= 200, as the authors do: its mean is not alpha0.

    Returns:
        pandas DataFrame, a row per neuron: layer, role, neuron, dimension, r2, radii (number of points of the fit).
        With grid="own" neurons with a single radius have no slope and are left out.

    Raises:
        NeuroMFAError: an unknown grid, or no usable neuron.

    Source: Xiao et al. 2025, section 3.2, definition of the NFD.

    Example:
        >>> from neuromfa_lite import NeuronNetwork
        >>> line = NeuronNetwork.from_edges([0] * 20, range(1, 21), 1 / np.arange(2.0, 22.0))
        >>> neuron_fractal_dimension(line)["dimension"].round(3).tolist()   # mass r at radius r
        [1.0]
    """
    import pandas as pd

    if grid not in ("common", "own"):
        raise NeuroMFAError(f'grid={grid!r} is unknown: use "common" or "own"')
    if grid == "own":
        method = method.replace(window=OWN_WINDOW, rounding=True, radii=OWN_RADII, name=method.name)
    masses = count_masses(network, method)
    x, logs = np.log(masses.radii), np.log(masses.counts)
    table = pd.DataFrame(
        {"layer": masses.labels("layer"), "role": masses.labels("role"), "neuron": masses.number, "dimension": np.nan}
    )
    if grid == "common":
        lines = fit_lines(x, logs)
        return table.assign(dimension=lines.slope, r2=lines.r2, radii=len(x))
    own = masses.counts[:, 1:] > masses.counts[:, :-1]
    x, rows = x[1:], []
    for log_mass, mine in zip(logs[:, 1:], own, strict=True):
        line = fit_lines(x[mine], log_mass[None, mine]) if mine.sum() > 1 else None
        rows.append((line.slope[0], line.r2[0], int(mine.sum())) if line else (np.nan, np.nan, int(mine.sum())))
    table[["dimension", "r2", "radii"]] = rows
    return table[table["radii"] > 1].reset_index(drop=True)
