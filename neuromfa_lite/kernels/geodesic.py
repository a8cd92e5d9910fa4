"""Shortest paths in (min, +) arithmetic: where a product adds lengths and a sum keeps the shorter path.

Distances are float64, infinite where there is no path. A path longer than ``limit`` is of no interest to the caller:
it may come out infinite or too long, never too short.
"""

import numpy as np

from . import njit

NO_LIMIT = 1.7976931348623157e308  # the largest number there is


@njit(nogil=True, cache=True, error_model="numpy")
def extend_paths(paths, steps, limit, reached):
    """reached[i, j] = min(reached[i, j], min_k paths[i, k] + steps[k, j]): one more step for every path."""
    # Eight k at a time: a distance is read and written once for eight candidates.
    sources, middle = paths.shape
    whole = middle - middle % 8
    for i in range(sources):
        row, best = paths[i], reached[i]
        for k in range(0, whole, 8):
            if _shortest_of_eight(row, k) > limit:
                continue
            a, b, c, d = row[k], row[k + 1], row[k + 2], row[k + 3]
            e, f, g, h = row[k + 4], row[k + 5], row[k + 6], row[k + 7]
            to_a, to_b, to_c, to_d = steps[k], steps[k + 1], steps[k + 2], steps[k + 3]
            to_e, to_f, to_g, to_h = steps[k + 4], steps[k + 5], steps[k + 6], steps[k + 7]
            for j in range(steps.shape[1]):
                left = _less(_less(a + to_a[j], b + to_b[j]), _less(c + to_c[j], d + to_d[j]))
                right = _less(_less(e + to_e[j], f + to_f[j]), _less(g + to_g[j], h + to_h[j]))
                best[j] = _less(_less(left, right), best[j])
        for k in range(whole, middle):
            a, to_a = row[k], steps[k]
            for j in range(steps.shape[1]):
                best[j] = _less(a + to_a[j], best[j])


@njit(nogil=True, cache=True, inline="always")
def _shortest_of_eight(row, k):
    left = min(min(row[k], row[k + 1]), min(row[k + 2], row[k + 3]))
    return min(left, min(min(row[k + 4], row[k + 5]), min(row[k + 6], row[k + 7])))


@njit(nogil=True, cache=True, inline="always")
def _less(a, b):
    return a if a < b else b  # one instruction, which min() with its care for NaN is not


@njit(nogil=True, cache=True, error_model="numpy")
def join_groups(paths, out_of, into, labels, length, reached):
    """reached[i, j] = min(reached[i, j], min_k paths[i, k] + length) over the k whose label out_of is into[j] >= 0."""
    shortest = np.empty(labels)
    for i in range(paths.shape[0]):
        shortest[:] = np.inf
        for k in range(paths.shape[1]):
            if out_of[k] >= 0:
                shortest[out_of[k]] = _less(paths[i, k], shortest[out_of[k]])
        for j in range(reached.shape[1]):
            if into[j] >= 0:
                reached[i, j] = _less(shortest[into[j]] + length, reached[i, j])


@njit(nogil=True, cache=True, error_model="numpy")
def close_paths(distances):
    """Floyd and Warshall's closure in place: distances (neurons, neurons) become those of the shortest paths."""
    neurons = distances.shape[0]
    for start in range(0, neurons, 8):  # the paths among eight neurons, then from and to them, then through them
        stop = min(start + 8, neurons)
        for k in range(start, stop):
            for i in range(start, stop):
                first = distances[i, k]
                for j in range(neurons):
                    distances[i, j] = _less(first + distances[k, j], distances[i, j])
        onwards = distances[start:stop].copy()
        towards = distances[:, start:stop].copy()
        extend_paths(towards, onwards[:, start:stop].copy(), NO_LIMIT, towards)
        extend_paths(towards, onwards, NO_LIMIT, distances)


@njit(nogil=True, cache=True, error_model="numpy")
def dijkstra(starts, neighbours, lengths, source, limit, distances):
    """Dijkstra's distances (neurons,) from one neuron; edges starts[i] up to starts[i + 1] leave neuron i."""
    distances[:] = np.inf
    distances[source] = 0.0
    keys, neurons = np.empty(len(neighbours) + 1), np.empty(len(neighbours) + 1, np.int64)
    keys[0], neurons[0], size = 0.0, source, 1
    while size:
        nearest, here = keys[0], neurons[0]
        size -= 1
        _sift_down(keys, neurons, keys[size], neurons[size], size)
        if nearest > limit:
            break
        if nearest > distances[here]:
            continue  # an older, longer entry of a neuron that is done
        for e in range(starts[here], starts[here + 1]):
            there, length = neighbours[e], nearest + lengths[e]
            if length < distances[there]:
                distances[there] = length
                place = size
                size += 1
                while place and keys[(place - 1) // 2] > length:
                    keys[place], neurons[place] = keys[(place - 1) // 2], neurons[(place - 1) // 2]
                    place = (place - 1) // 2
                keys[place], neurons[place] = length, there


@njit(nogil=True, cache=True)
def walk_in_rounds(starts, neighbours, step, source, limit, distances):
    """The same where every edge has the length step > 0: round k meets the neurons that are k steps away."""
    distances[:] = np.inf
    distances[source] = 0.0
    waiting = np.empty(len(distances), np.int64)
    waiting[0], first, last, rounds = source, 0, 1, 0
    while first < last and rounds * step <= limit:
        rounds += 1
        end = last
        for place in range(first, end):
            for e in range(starts[waiting[place]], starts[waiting[place] + 1]):
                there = neighbours[e]
                if distances[there] == np.inf:
                    distances[there] = rounds * step
                    waiting[last] = there
                    last += 1
        first = end


@njit(nogil=True, cache=True)
def _sift_down(keys, neurons, key, neuron, size):
    """Put an entry at the top of a heap and let it sink until no entry below it is nearer."""
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[place], neurons[place] = keys[child], neurons[child]
        place = child
    keys[place], neurons[place] = key, neuron


@njit(nogil=True, cache=True, error_model="numpy")
def count_rounded_paths(paths, low, high, sources, targets, both_ways, histogram):
    """Count each low < d <= high in the bin round(d), halves to even, of its source, and of its target if both_ways."""
    for i in range(paths.shape[0]):
        mine = histogram[sources[i]]
        for j in range(paths.shape[1]):
            length = paths[i, j]
            if (length > low) & (length <= high):
                number = np.uint32(np.rint(length))
                mine[number] += np.uint32(1)
                if both_ways:
                    histogram[np.uint64(targets[j]), number] += np.uint32(1)


@njit(nogil=True, cache=True, error_model="numpy")
def count_paths(paths, radii, sources, targets, both_ways, histogram):
    """The same in the bin of the smallest radius that reaches each distance, or in the last; infinite ones nowhere."""
    for i in range(paths.shape[0]):
        for j in range(paths.shape[1]):
            if paths[i, j] < np.inf:
                number = np.searchsorted(radii, paths[i, j])
                histogram[sources[i], number] += np.uint32(1)
                if both_ways:
                    histogram[targets[j], number] += np.uint32(1)
