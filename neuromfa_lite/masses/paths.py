"""Finding shortest paths: layer by layer, stage by stage, or from neuron to neuron in any graph."""

from graphlib import CycleError, TopologicalSorter

import numpy as np
from tqdm.auto import tqdm

from ..errors import NeuroMFAError
from ..errors.memory import refuse_above
from ..kernels.geodesic import NO_LIMIT, close_paths, dijkstra, extend_paths, walk_in_rounds

PANEL = 1 << 20  # distances computed before they are counted, 8 MB
LONG = 1e9  # steps of a loop, about a second: from here on its progress is shown
MATRIX, LISTED, LISTED_BOTH_WAYS = 16, 90, 150  # bytes a connection takes, measured


def shortest_paths(network, method, centres=None):
    """Choose how to find the shortest paths of a network.

    Each way has ``tiles(limit)``, which yields (sources (s,), targets (t,), lengths (s, t), both_ways): positions over
    all layers, each pair once, infinite from a neuron to itself; both_ways: the lengths hold from the targets to the
    sources as well. Paths longer than limit may come out too long.

    Directed paths through layers without a cycle go layer by layer, undirected ones stage by stage, where every block
    leads from one to the next: thirty times as fast as Dijkstra's algorithm, which takes anything else. That alone
    leaves out the paths from neurons that are no centres, (neurons,) bool.
    """
    if not network.weight_blocks:
        raise NeuroMFAError(f"{network.origin}: the network has no weight matrix; see network.describe()")
    undirected = method.reach == "geodesic-undirected"
    sizes = np.array([len(layer) for layer in network.layers])
    matrices = not any(block.listed_singly for block in network.blocks)
    stages = _stages(network.blocks, len(sizes)) if matrices and undirected else None
    order = _order(network.blocks, len(sizes)) if matrices and not undirected else None
    _refuse_too_large(network, sizes, stages, order, undirected)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places = [np.arange(*starts[k : k + 2]) for k in range(len(sizes))]
    if stages is None and order is None:
        return GraphPaths(places, network.blocks, method, centres)
    joins = [(block, block.steps(method)) for block in network.blocks]
    return LayeredPaths(places, joins, order) if stages is None else StagedPaths(places, joins, stages)


def _refuse_too_large(network, sizes, stages, order, undirected):
    """Refuse a network whose steps, and whose distances within and between stages, do not fit in memory."""
    needed = MATRIX * network.connections
    if stages is not None:
        widths = np.bincount(stages, weights=sizes)
        needed += 8 * ((widths**2).sum() + (widths[1:] * widths[:-1]).sum() + 4 * widths.max() ** 2)
    elif order is None:
        needed = (LISTED_BOTH_WAYS if undirected else LISTED) * sum(block.connections for block in network.blocks)
    refuse_above(
        needed,
        f"{network.origin}: shortest paths through {network.neurons:,} neurons",
        "draw a sample, network.sample(32, seed=0), or measure one hop, method.replace(reach='one-hop')",
    )


def _progress(parts, steps):
    """The parts of a loop, with a bar where it takes long."""
    return tqdm(parts, desc="shortest paths", unit="part", delay=1, leave=False) if steps > LONG else parts


class LayeredPaths:
    """Directed paths, layer after layer: D[l, m] = min over the joins k -> m of D[l, k] (min,+) W[k, m]."""

    def __init__(self, places, joins, order):
        self.places = [places[layer] for layer in order]
        rank = {layer: position for position, layer in enumerate(order)}
        self.into = [
            [(rank[join.source], join, steps) for join, steps in joins if join.target == layer] for layer in order
        ]
        self.last_use = {source: target for target, into in enumerate(self.into) for source, *_ in into}

    def tiles(self, limit=NO_LIMIT):
        for sources, own_rows in _panels(self.places):
            reached = {}
            for target, (there, own) in enumerate(zip(self.places, own_rows, strict=True)):
                if own.stop == 0:
                    continue  # a layer before these sources
                reached[target] = np.full((own.stop, len(there)), np.inf)
                for source, join, steps in self.into[target]:
                    if source in reached:
                        join.extend(steps, limit, reached[source], reached[target][: len(reached[source])])
                if own.start:
                    yield sources[: own.start], there, reached[target][: own.start], False
                own_neurons = np.searchsorted(there, sources[own])
                reached[target][np.arange(own.start, own.stop), own_neurons] = 0.0
                for done in [layer for layer in reached if self.last_use.get(layer, -1) <= target]:  # not needed again
                    del reached[done]


def _panels(places):
    """Yield (sources, own_rows): some neurons in the order of the parts, and which rows each part has there."""
    sources = np.concatenate(places)
    ends = np.concatenate([[0], np.cumsum([len(part) for part in places])])
    rows = max(256, PANEL // max(map(len, places)))
    for start in _progress(range(0, len(sources), rows), len(sources) ** 2 * max(map(len, places))):
        panel = sources[start : start + rows]
        own = np.clip(ends - start, 0, len(panel))
        yield panel, [slice(*own[k : k + 2]) for k in range(len(places))]


class StagedPaths:
    """Undirected paths of a chain of stages, by the last visit to each stage on the way.

    W_s: the steps from stage s to s + 1. B_s, distances within stage s by paths that never go left of it, from the
    right end: B_s = closure of min(0 on the diagonal, W_s B_{s+1} W_s^T), products in (min, +).
    V_s = W_s B_{s+1}: cross from s to s + 1 for the last time, then stay to the right. C_s, distances within stage s
    by any path, from the left end: C_0 = B_0, C_{s+1} = min(B_{s+1}, V_s^T C_s V_s).
    Distances to the right are D[s, s] = C_s, D[s, m + 1] = D[s, m] V_m; those to the left are the same, transposed.
    """

    def __init__(self, places, joins, stages):
        members = [np.flatnonzero(stages == stage) for stage in range(stages.max() + 1)]
        self.places = [np.concatenate([places[layer] for layer in layers]) for layers in members]
        inside = [_closed(np.full((len(stage), len(stage)), np.inf)) for stage in self.places]
        self.across = [None] * (len(members) - 1)
        steps = sum(float(len(stage)) ** 3 for stage in self.places)
        for s in _progress(range(len(self.across))[::-1], steps):
            steps = _stage_steps(places, joins, members[s], members[s + 1])
            self.across[s] = _product(steps, inside[s + 1])
            inside[s] = _closed(_product(self.across[s], np.ascontiguousarray(steps.T)))
        for s, across in enumerate(self.across):
            around = _product(np.ascontiguousarray(across.T), _product(inside[s], across))
            inside[s + 1] = np.minimum(inside[s + 1], around)
        self.inside = inside

    def tiles(self, limit=NO_LIMIT):
        for sources, own_rows in _panels(self.places):
            reached = None
            for stage, (there, own) in enumerate(zip(self.places, own_rows, strict=True)):
                if own.stop == 0:
                    continue  # a stage before these sources
                farther = np.full((own.stop, len(there)), np.inf)
                if reached is not None:
                    extend_paths(reached, self.across[stage - 1], limit, farther[: len(reached)])
                    yield sources[: own.start], there, farther[: own.start], True
                own_neurons = np.searchsorted(there, sources[own])
                farther[own] = self.inside[stage][own_neurons]
                if len(own_neurons):
                    others = farther[own].copy()
                    others[np.arange(len(others)), own_neurons] = np.inf
                    yield sources[own], there, others, False
                reached = farther


def _closed(distances):
    np.fill_diagonal(distances, 0.0)
    close_paths(distances)
    return distances


def _product(paths, steps):
    reached = np.full((len(paths), steps.shape[1]), np.inf)
    extend_paths(paths, steps, NO_LIMIT, reached)
    return reached


def _stage_steps(places, joins, sources, targets):
    """All steps from one stage (its layers) to the next as one matrix."""
    rows, columns = ({layer: None for layer in layers} for layers in (sources, targets))
    for offsets in (rows, columns):
        ends = np.concatenate([[0], np.cumsum([len(places[layer]) for layer in offsets])])
        offsets.update({layer: slice(*ends[k : k + 2]) for k, layer in enumerate(offsets)})
    steps = np.full([sum(len(places[layer]) for layer in layers) for layers in (sources, targets)], np.inf)
    for join, lengths in joins:
        if join.source in rows:
            part = steps[rows[join.source], columns[join.target]]
            np.minimum(part, join.step_matrix(lengths), out=part)
    return steps


class GraphPaths:
    """Paths of any graph, from one neuron at a time: by Dijkstra's algorithm, or in rounds of equal steps."""

    def __init__(self, places, blocks, method, centres=None):
        self.neurons = sum(map(len, places))
        self.centres = np.arange(self.neurons) if centres is None else np.flatnonzero(centres)
        listed = []
        for block in blocks:
            sources, targets, lengths = block.listed_steps(method)
            sources, targets = places[block.source][sources], places[block.target][targets]
            listed.append((sources, targets, lengths))
            if method.reach == "geodesic-undirected" and not block.both_ways:
                listed.append((targets, sources, lengths))
        sources, targets, lengths = (np.concatenate(parts) for parts in zip(*listed, strict=True))
        order = np.argsort(sources, kind="stable")
        self.edges = np.searchsorted(sources[order], np.arange(self.neurons + 1)), targets[order], lengths[order]
        self.step = lengths[0] if len(lengths) and lengths[0] > 0 and (lengths == lengths[0]).all() else None

    def tiles(self, limit=NO_LIMIT):
        everyone = np.arange(self.neurons)
        rows = max(1, PANEL // self.neurons)
        for start in _progress(range(0, len(self.centres), rows), 10 * len(self.centres) * len(self.edges[1])):
            sources = self.centres[start : start + rows]
            reached = np.stack([self.lengths_from(source, limit) for source in sources])
            yield sources, everyone, reached, False

    def lengths_from(self, source, limit=NO_LIMIT):
        """(neurons,) lengths of the paths from one neuron, infinite to itself."""
        reached = np.empty(self.neurons)
        if self.step is None:
            dijkstra(*self.edges, source, limit, reached)
        else:
            walk_in_rounds(*self.edges[:2], self.step, source, limit, reached)
        reached[source] = np.inf
        return reached


def _order(joins, layers):
    """The layers so that every join leads onwards, or None where they go in a circle."""
    before = {layer: {join.source for join in joins if join.target == layer} for layer in range(layers)}
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:
        return None


def _stages(joins, layers):
    """(layers,) a whole number per layer, one more at the end of every join than at its start; None if impossible."""
    stages = {}
    for first in range(layers):
        if first in stages:
            continue
        piece, front = {first: 0}, [first]
        while front:
            here = front.pop()
            for join in joins:
                for this, other, step in ((join.source, join.target, 1), (join.target, join.source, -1)):
                    if this == here and other not in piece:
                        piece[other] = piece[here] + step
                        front.append(other)
        stages.update({layer: stage - min(piece.values()) for layer, stage in piece.items()})
    if any(stages[join.target] != stages[join.source] + 1 for join in joins):
        return None
    return np.array([stages[layer] for layer in range(layers)])
