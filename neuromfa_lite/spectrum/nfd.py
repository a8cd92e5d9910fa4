"""The neuron-based fractal dimension (NFD): how fast the mass of a single neuron grows with the radius."""

from dataclasses import dataclass

import numpy as np

from .. import results
from ..errors import NeuroMFAError, arguments
from ..errors.text import html
from ..masses import count_masses
from ..method import PAPER, refuse_no_method
from ..network import refuse_no_network
from .fit import fit_lines, weights_of_fit
from .spread import knows_spread, normal_band, standard_error, strata_of, with_ends

OWN_WINDOW = (0.0, 200.0)  # the authors' window for the dimension, wider than the one for the spectrum
# Every radius a rounded distance can have, and one below them for the mass of distances that round to 0.
OWN_RADII = (0.5, *range(1, 201))


@dataclass(frozen=True, eq=False)
class NeuronDimensions(results.Result):
    """The neuron-based fractal dimension of every neuron of a network.

    Attributes:
        layer, role, neuron: (neurons,) names of its layer and role, its number in the layer.
        dimension: (neurons,) slope of ln N_i(r) on ln r; r2: (neurons,) how straight; radii: (neurons,) points fitted.
        error: (neurons,) standard error of the dimension over the neuron's connections; NaN by paths, which depend on
            each other, and where all connections lie within the first radius.
        grid: "common", whose mean is alpha0, or "own".
        mean_error: standard error of the mean over the neurons within their layers (on the common grid of alpha0); NaN
            where no two neurons can be compared.
        method, method_key, source, source_hash, seed, versions: where it came from.
    """

    layer: np.ndarray
    role: np.ndarray
    neuron: np.ndarray
    dimension: np.ndarray
    error: np.ndarray
    r2: np.ndarray
    radii: np.ndarray
    grid: str
    mean_error: float = float("nan")
    source: str = ""
    source_hash: str = ""
    seed: int | None = None

    _kind = "dimensions"
    _layout = {
        "names[neurons]": "layer role",
        "wholes[neurons]": "neuron radii",
        "numbers[neurons]": "dimension r2",
        "numbers[neurons] or nan": "error",
        "number or nan": "mean_error",
        "text": "grid method method_key source source_hash",
        "whole or none": "seed",
        "words": "versions",
    }

    def __len__(self):
        return len(self.dimension)

    def __getitem__(self, column):
        """A column of :meth:`frame`."""
        return self.frame()[column]

    def __repr__(self):
        mean = "mean = alpha0 =" if self.grid == "common" else "mean"
        return (
            f"NeuronDimensions({len(self)} neurons, grid {self.grid!r}: {mean} {self.mean_shown()}, from "
            f"{self.dimension.min():.4f} to {self.dimension.max():.4f}, r2 from {self.r2.min():.3f}{self.error_said()})"
        )

    @property
    def band(self) -> np.ndarray:
        """(2, neurons) the ends of the band of each dimension over its connections, nominal 90 %; docs/coverage.md."""
        return normal_band(self.dimension, self.error)

    def mean_shown(self, digits=4):
        """The mean with the band that its spread over neurons allows, nominal 90 %, as text."""
        mean, known = self.dimension.mean(), not np.isnan(self.mean_error)
        return with_ends(mean, normal_band(mean, self.mean_error) if known else None, digits)

    def error_said(self):
        """How sure a single dimension is, in words; "" where nothing is known of it."""
        known = self.error[~np.isnan(self.error)]
        return f"; each \u00b1 {np.median(known):.2f} over its connections (median)" if len(known) else ""

    def _repr_html_(self):
        table = self.summary().to_html(index=False, float_format="%.3f")
        of = f"{html(self.source)} ({html(self.method)}, grid {html(self.grid)})"
        return f"<b>Neuron-based fractal dimension</b> of {of}{table}"

    def frame(self):
        """pandas DataFrame, a row per neuron: layer, role, neuron, dimension, error, r2, radii."""
        import pandas as pd

        return pd.DataFrame({name: getattr(self, name) for name in _COLUMNS})

    def summary(self, by="layer"):
        """pandas DataFrame, a row per layer or role in the order of the flow.

        Columns: neurons, mean, sd (over neurons), min, max, error (median, over the connections of one), worst_r2.

        Raises:
            NeuroMFAError: another grouping than "layer" or "role".
        """
        columns = {name: ("dimension", of) for name, of in _SUMMARY.items()}
        groups = self.frame().groupby(self.grouping(by), sort=False)
        return groups.agg(**columns, error=("error", "median"), worst_r2=("r2", "min")).reset_index()

    def grouping(self, by):
        """The name of a grouping, "layer" or "role", refused where it is another."""
        return arguments.one_of("by", by, ("layer", "role"))

    def plot(self, ax=None, by="layer"):
        """Draw a dot per neuron, a row per "layer" or "role", with the means; returns the Axes."""
        return results.picture("plot_dimensions", self, ax=ax, by=by)


_SUMMARY = {"neurons": "count", "mean": "mean", "sd": "std", "min": "min", "max": "max"}
_COLUMNS = ("layer", "role", "neuron", "dimension", "error", "r2", "radii")


def error_over_connections(x, counts):
    """Return the standard error of the slopes of ln N(r) on ln r over the connections that a neuron counts.

    A connection first counted at r_k pulls the slope by I_k = sum_{r >= r_k} c_r / N(r), c_r the weight of a radius in
    the regression. The variance is sum_k n_k I_k^2, n_k connections being new at r_k, each there or not by itself.

    Args:
        x: (radii,) ln r; counts: (neurons, radii) N_i(r), the neuron itself counted as 1.

    Returns:
        (neurons,) float64; NaN for a neuron whose mass does not grow from the first radius on.

    Example:
        >>> error_over_connections(np.log([1.0, 2.0, 4.0]), np.array([[2, 4, 8]])).round(3)   # one, two, four new ones
        array([0.349])
    """
    pulls = np.cumsum((weights_of_fit(x) / counts)[:, ::-1], axis=1)[:, ::-1]
    new = np.diff(counts.astype(np.int64), axis=1, prepend=1)
    error = np.sqrt((new * pulls**2).sum(axis=1))
    return np.where(counts[:, 0] < counts[:, -1], error, np.nan)


def neuron_fractal_dimension(network, method=PAPER, grid="common"):
    """Return the neuron-based fractal dimension of every neuron: the slope of ln N_i(r) on ln r.

    Args:
        network: NeuronNetwork.
        method: Method; the one that the spectrum uses.
        grid: "common": all neurons on the radii of the spectrum, so that the mean is alpha0 exactly; "own": each on the
            rounded distances it has itself, 0 < d <= 200, as the authors do: its mean is not alpha0.

    Returns:
        NeuronDimensions: .frame() has a row per neuron, .summary() one per layer or role, .plot() draws them all.
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
    arguments.one_of("grid", grid, ("common", "own"))
    refuse_no_method(method)
    refuse_no_network("network", network)
    key = method.key
    if grid == "own":
        method = method.replace(window=OWN_WINDOW, rounding=True, radii=OWN_RADII, name=method.name)
    masses = count_masses(network, method)
    x, logs = np.log(masses.radii), np.log(masses.counts)
    if grid == "common":
        lines = fit_lines(x, logs)
        slope, r2, radii = lines.slope, lines.r2, np.full(len(logs), len(x))
        error = error_over_connections(x, masses.counts)
    else:
        own = masses.counts[:, 1:] > masses.counts[:, :-1]
        radii, (slope, r2, error) = own.sum(axis=1), np.full((3, len(logs)), np.nan)
        for i in np.flatnonzero(radii > 1):
            line = fit_lines(x[1:][own[i]], logs[i, None, 1:][:, own[i]])
            slope[i], r2[i] = line.slope[0], line.r2[0]
            error[i] = error_over_connections(x[1:][own[i]], masses.counts[i, None, 1:][:, own[i]])[0]
    if method.reach != "one-hop":
        error[:] = np.nan
    kept = radii > 1
    if not kept.any():
        raise NeuroMFAError(f'{network.origin}: no neuron has two radii of its own to fit a line to: use grid="common"')
    columns = (masses.labels("layer"), masses.labels("role"), masses.number, slope, error, r2, radii)
    return NeuronDimensions(
        *(values[kept] for values in columns),
        grid=grid,
        mean_error=_error_of_the_mean(masses, slope, kept),
        method=method.name,
        method_key=key,
        source=network.origin,
        source_hash=network.content_hash(),
        seed=network.seed,
    )


def _error_of_the_mean(masses, slopes, kept):
    strata = strata_of(masses.layer[kept], masses.layers, masses.neurons_total)
    if not knows_spread(strata):
        return float("nan")
    pulls = ((slopes[kept] - slopes[kept].mean()) / kept.sum())[None]
    return float(standard_error(pulls, np.ones_like(pulls), strata)[0])
