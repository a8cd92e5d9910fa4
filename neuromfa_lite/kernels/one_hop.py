"""One-hop mass histograms: how many connections of a neuron lie at each distance.

A source neuron is a column of a weight block (targets, sources). A piece of a row, of 64 neurons, is handled in two
phases: first every weight becomes the number of its bin, which the compiler turns into vector instructions; then the
bins are counted, which it cannot.
"""

import numpy as np

from . import njit

LANES = 64  # neurons whose bins lie side by side: up to a window of 150 their table stays in the first-level cache
PANEL = 256  # rows between two changes of the table


@njit(nogil=True, cache=True, error_model="numpy")
def count_rounded_reciprocals_f32(weights, low, high, tiles):
    """Count d = 1/|w| with low < d <= high in the bin round(d), for float32 weights, without a division in double.

    weights (targets, sources); tiles (tiles, bins, 64) uint32: [s // 64, :, s % 64] are the bins of source s, the last
    takes what is outside the window. Returns how many weights are NaN or infinite, and how many are connections.
    """
    # floor(1/|w|) in single precision is right or, just below an integer, one too high. In both cases the product
    # |w| (f + 1/2) < 1 decides whether to round up: |w| has 24 bits and f + 1/2 few, so it is exact, and never equal.
    targets, sources = weights.shape
    outside = np.uint32(tiles.shape[1] - 1)
    bins = np.empty(LANES, np.uint32)
    not_finite, connections = 0, 0
    for panel in range(0, targets, PANEL):
        for tile in range(tiles.shape[0]):
            histogram, lanes = tiles[tile], min(LANES, sources - tile * LANES)
            for t in range(panel, min(panel + PANEL, targets)):
                row = weights[t, tile * LANES :]
                for s in range(lanes):
                    size = abs(row[s])
                    wide = np.float64(size)
                    inside = (wide * high >= 1.0) & (wide * low < 1.0)
                    whole = np.floor(np.float32(1.0) / (size if inside else np.float32(1.0)))
                    up = wide * (np.float64(whole) + 0.5) < 1.0
                    bins[s] = np.uint32(whole) + np.uint32(up) if inside else outside
                    not_finite += not (size < np.inf)
                    connections += (size > 0) & (size < np.inf)
                for s in range(lanes):
                    histogram[bins[s], np.uint32(s)] += np.uint32(1)
    return not_finite, connections


@njit(nogil=True, cache=True, error_model="numpy")
def count_rounded_reciprocals_f64(weights, low, high, tiles):
    """The same for float64 weights, halves rounded to even."""
    targets, sources = weights.shape
    outside = np.uint32(tiles.shape[1] - 1)
    bins = np.empty(LANES, np.uint32)
    not_finite, connections = 0, 0
    for panel in range(0, targets, PANEL):
        for tile in range(tiles.shape[0]):
            histogram, lanes = tiles[tile], min(LANES, sources - tile * LANES)
            for t in range(panel, min(panel + PANEL, targets)):
                row = weights[t, tile * LANES :]
                for s in range(lanes):
                    size = abs(row[s])
                    distance = 1.0 / size
                    inside = (distance > low) & (distance <= high)
                    bins[s] = np.uint32(np.rint(distance if inside else 0.0)) if inside else outside
                    not_finite += not (size < np.inf)
                    connections += (size > 0) & (size < np.inf)
                for s in range(lanes):
                    histogram[bins[s], np.uint32(s)] += np.uint32(1)
    return not_finite, connections


@njit(nogil=True, cache=True)
def total_tiles(tiles, minimum, degrees, occurring):
    """The degrees (tiles, 64) of all neurons, and how often each bin occurs among those of at least the minimum."""
    inside, kept = tiles.shape[1] - 1, np.empty(LANES, np.uint32)
    for tile in range(tiles.shape[0]):
        degree, histogram = np.zeros(LANES, np.uint32), tiles[tile]
        for b in range(inside):
            for s in range(LANES):
                degree[s] += histogram[b, s]
        for s in range(LANES):
            degrees[tile, s] = degree[s]
            kept[s] = degree[s] >= minimum
        for b in range(inside):
            total = np.uint32(0)
            for s in range(LANES):
                total += histogram[b, s] * kept[s]
            occurring[b] += total


@njit(nogil=True, cache=True)
def cumulate_tiles(tiles, neurons, last_bins, counts):
    """N_i(r) = 1 + the connections in all bins up to the last one of radius r, counts (radii, neurons)."""
    stop, mass = 0, np.empty(LANES, np.uint32)
    for tile in range(tiles.shape[0]):
        start, first = stop, tile * LANES
        while stop < neurons.shape[0] and neurons[stop] < first + LANES:
            stop += 1
        lanes, all_kept, b = neurons[start:stop] - first, stop - start == LANES, 0
        mass[:] = 1
        for r in range(last_bins.shape[0]):
            while b <= last_bins[r]:
                for s in range(LANES):
                    mass[s] += tiles[tile, b, s]
                b += 1
            of_radius = counts[r, start:stop]
            if all_kept:
                for s in range(LANES):  # a length the compiler knows
                    of_radius[s] = mass[s]
            else:
                for k in range(lanes.shape[0]):
                    of_radius[k] = mass[lanes[k]]


@njit(nogil=True, cache=True)
def count_distances(distances, radii, histogram):
    """Count each distance (targets, sources) in the bin of the smallest radius that reaches it; no connection is NaN.

    histogram (sources, radii + 1) uint32: its last bin takes what no radius reaches.
    """
    targets, sources = distances.shape
    for t in range(targets):
        for s in range(sources):
            histogram[s, _first_radius(distances[t, s], radii)] += np.uint32(1)


@njit(nogil=True, cache=True)
def count_listed_distances(distances, sources, radii, histogram):
    """The same for a list of edges."""
    for e in range(distances.shape[0]):
        histogram[sources[e], _first_radius(distances[e], radii)] += np.uint32(1)


@njit(nogil=True, cache=True)
def _first_radius(distance, radii):
    if not (distance <= radii[-1]):  # NaN, no connection, lands here too
        return radii.shape[0]
    first, last = 0, radii.shape[0] - 1
    while first < last:
        middle = (first + last) // 2
        if distance <= radii[middle]:
            last = middle
        else:
            first = middle + 1
    return first


@njit(nogil=True, cache=True)
def cumulate(histogram, neurons, last_bins, counts):
    """The same for a histogram (all neurons, bins)."""
    for i in range(neurons.shape[0]):
        row, mass, b = histogram[neurons[i]], 1, 0
        for r in range(last_bins.shape[0]):
            while b <= last_bins[r]:
                mass += row[b]
                b += 1
            counts[r, i] = mass


@njit(nogil=True, cache=True)
def log_ratio_to_final(counts, logarithms, log_masses):
    """ln mu_i(r) = ln N_i(r) - ln N_i(r_max), the logarithms of whole numbers taken from a table."""
    radii, neurons = counts.shape
    for r in range(radii):
        for i in range(neurons):
            log_masses[r, i] = logarithms[counts[r, i]] - logarithms[counts[radii - 1, i]]
