"""The neuron interaction network: what can be asked of it, and how it is opened."""

import hashlib
import os
import warnings
from pathlib import PurePath

import numpy as np

from ..errors import NeuroMFAError, QualityWarning, SourceError, arguments
from ..errors.text import plain
from ..method import identity, label, refuse_no_method
from ..results import picture
from ..weights import has_config, open_source
from .architectures.wire import note_of
from .graphs import block_of_edges, block_of_graph, graph_of, is_graph
from .sampling import draw_layers
from .saved import is_saved_network, open_saved, save_network
from .wiring import recorded, usual, wired


class NeuronNetwork:
    """A neuron interaction network (NIN): layers of neurons, and blocks of connections, read when a measure asks.

    Build one with :func:`load_network`, :meth:`from_edges` or :meth:`from_networkx`.

    Attributes:
        layers: tuple of NeuronLayer, in the order of the flow through the model.
        blocks: tuple of Dense, Edges or Fixed; ``source`` and ``target`` are positions in ``layers``.
        origin: the file, folder or object that the weights come from.
        left_out: (name, shape, reason) of every matrix that is no part of the network.
        seed: the seed of the sample, None for a whole network.
        natural_radii: the radii at which an object with a scale of its own is measured, else None.
        wiring: a name or a callable, as in :class:`neuromfa_lite.Method`; None for a network given as it is.
        traced: whether it was found by running the model.
    """

    def __init__(self, layers, blocks, origin="array", left_out=(), seed=None, wiring=None, traced=False):
        self.layers = tuple(layers)
        self.blocks = tuple(blocks)
        self.origin = str(origin)
        self.left_out = tuple(left_out)
        self.seed = seed
        self.natural_radii = None
        self.wiring, self.traced = wiring, traced
        for block in self.blocks:
            _refuse_misfit(block, self.layers)

    @property
    def weight_blocks(self) -> tuple:
        """The blocks that count in one hop: all but the fixed joins."""
        return tuple(block for block in self.blocks if not block.fixed)

    @property
    def neurons(self) -> int:
        """Number of neurons in all layers."""
        return sum(len(layer) for layer in self.layers)

    @property
    def connections(self) -> int:
        """Number of places for a weight in all weight blocks, zero weights included."""
        return sum(block.connections for block in self.weight_blocks)

    def __repr__(self):
        kind = f"sample with seed {self.seed}" if self.seed is not None else "whole network"
        return plain(
            f"NeuronNetwork({kind} of {self.origin}: {self.neurons:,} neurons in {len(self.layers)} layers, "
            f"{self.connections:,} connections in {len(self.weight_blocks)} matrices)"
        )

    @classmethod
    def from_edges(cls, sources, targets, weights, name="edges"):
        """Build a network from a list of edges, of any graph.

        Args:
            sources, targets: (edges,) whole numbers >= 0: the neuron an edge leaves and the one it enters.
            weights: (edges,) real numbers; the distance of an edge is 1/|weight|, weight 0 is no edge.
            name: what error messages call it.

        Returns:
            NeuronNetwork with a single layer of max(sources, targets) + 1 neurons.

        Raises:
            NeuroMFAError: lists of different length, negative or fractional neuron numbers, no edge at all.

        Example:
            >>> NeuronNetwork.from_edges([0, 0, 1], [1, 2, 2], [0.5, 0.25, 0.1]).neurons
            3
        """
        arguments.text("name", name)
        layer, block = block_of_edges(sources, targets, weights, name)
        return cls([layer], [block], origin=name)

    def sample(self, neurons_per_layer, seed=0):
        """Draw a sampled neuron interaction network (SNIN): the same neurons for the same seed, whatever the weights.

        Args:
            neurons_per_layer: neurons kept in a hidden layer; an MLP keeps twice as many, and query, key, value and
                attention of a block share theirs.
            seed: whole number; layers draw from independent streams of numpy's generator.

        Returns:
            NeuronNetwork whose weights are in memory.

        Raises:
            NeuroMFAError: a layer has fewer neurons than asked for.

        Source: Xiao et al. 2025, section 3.1; sizes as in the authors' code.

        Example:
            >>> ring = NeuronNetwork.from_edges(range(6), [1, 2, 3, 4, 5, 0], [0.1] * 6)
            >>> ring.sample(3, seed=0).neurons
            3
        """
        size, seed = arguments.whole("neurons_per_layer", neurons_per_layer, 1), arguments.seed(seed)
        drawn = draw_layers(self.layers, self.blocks, size, seed)
        return NeuronNetwork(*drawn, self.origin, self.left_out, seed, self.wiring, self.traced)

    def refuse_other_wiring(self, method):
        """Refuse a method that names another wiring than the one that the network was opened with."""
        refuse_no_method(method)
        if method.wiring is not None and self.wiring is not None and identity(method.wiring) != identity(self.wiring):
            both = method.wiring, self.wiring
            asked, mine = (repr(wiring) if isinstance(wiring, str) else label(wiring) for wiring in both)
            this = "another one of that name" if asked == mine else asked
            raise NeuroMFAError(
                f"{self.origin} was opened with wiring={mine}, but method {method.name!r} asks for {this}: open it "
                f"with load_network(source, wiring={asked}), or measure it as it is with method.replace(wiring=None)"
            )

    def without(self, *names):
        """The same network without the matrices of these names, as :meth:`describe` lists them."""
        there = {block.name for block in self.blocks}
        unknown = [name for name in names if not isinstance(name, str) or name not in there]
        if unknown:
            said = ", ".join(map(arguments.shown, unknown))
            raise NeuroMFAError(f"no matrix {said} in this network; see network.describe()")
        kept = [block for block in self.blocks if block.name not in names]
        gone = [(block.name, block.shape, "left out by hand") for block in self.blocks if block.name in names]
        left_out = [*self.left_out, *gone]
        return NeuronNetwork(self.layers, kept, self.origin, left_out, self.seed, self.wiring, self.traced)

    def describe(self):
        """List what is read, what is left out and why.

        Returns:
            DataFrame, a row per matrix: name, role, source, target (layer names), shape (targets, sources),
            connections, read, why: "by dataflow", as the model computes, or "by convention of the paper".
        """
        import pandas as pd

        by = {"chain": ", by convention of the paper", "dataflow": ", by dataflow"}
        said = by["dataflow"] if self.traced else by.get(self.wiring, "") if isinstance(self.wiring, str) else ""
        names = [layer.name for layer in self.layers]
        rows = []
        for block in self.blocks:
            why = f"weight matrix{said}"
            if block.fixed:
                why = f"joins {block.kind} with weight 1{said}; counts in paths only"
            elif block.note:
                why += f"; {block.note}"
            ends = (names[block.source], names[block.target])
            rows.append((block.name, block.role, *ends, tuple(block.shape), block.connections, not block.fixed, why))
        rows += [(name, "left out", "", "", tuple(shape), 0, False, reason) for name, shape, reason in self.left_out]
        rows = [(plain(name), *rest) for name, *rest in rows]
        return pd.DataFrame(rows, columns=["name", "role", "source", "target", "shape", "connections", "read", "why"])

    def outgoing(self, layer, number):
        """List the connections that one neuron makes by weight matrices.

        Args:
            layer: name of the neuron's layer.
            number: the neuron's number within it (in a sample: one of the numbers drawn).

        Returns:
            DataFrame, a row per place for a weight: target_layer, target (number within it), weight,
            distance = 1/|weight| (infinite for weight 0, no connection).

        Raises:
            NeuroMFAError: no such layer or neuron, or a layer that no weights leave.

        Example:
            >>> star = NeuronNetwork.from_edges([0, 0], [1, 2], [0.5, -0.25])
            >>> star.outgoing("neurons", 0)["distance"].tolist()
            [2.0, 4.0]
        """
        import pandas as pd

        at, row = self._place(layer, number)
        parts = []
        for block in self.weight_blocks:
            if block.source == at:
                targets, weights = block.of_source(row)
                there = self.layers[block.target]
                columns = {"target": there.numbers[targets], "weight": weights.astype(np.float64)}
                parts.append(pd.DataFrame({"target_layer": there.name, **columns}))
        if not parts:
            having = dict.fromkeys(self.layers[block.source].name for block in self.weight_blocks)
            raise NeuroMFAError(f"no weight matrix leaves layer {layer!r}; layers with weights: {', '.join(having)}")
        table = pd.concat(parts, ignore_index=True)
        with np.errstate(divide="ignore", over="ignore"):
            return table.assign(distance=1.0 / table["weight"].abs())

    def reached(self, layer, number):
        """List whom one neuron reaches, by how many matrices and joins at least.

        Args:
            layer, number: as of :meth:`outgoing`.

        Returns:
            DataFrame, a row for each layer and number of steps in which neurons of it are reached: layer, steps,
            neurons; step 0 is the neuron itself.

        Raises:
            NeuroMFAError: no such layer or neuron.

        Example:
            >>> ring = NeuronNetwork.from_edges([0, 0, 1], [1, 2, 3], [0.5, 0.2, 0.1])
            >>> ring.reached("neurons", 0)[["steps", "neurons"]].values.tolist()
            [[0, 1], [1, 2], [2, 1]]
        """
        import pandas as pd

        at, row = self._place(layer, number)
        there = [np.zeros(len(each), bool) for each in self.layers]
        front = {at: np.arange(len(self.layers[at])) == row}
        rows, step = [], 0
        while front:
            rows += [(self.layers[place].name, step, int(fresh.sum())) for place, fresh in sorted(front.items())]
            for place, fresh in front.items():
                there[place] |= fresh
            found = {}
            for block in self.blocks:
                if block.source in front:
                    fresh = block.reaches(front[block.source]) & ~there[block.target]
                    if fresh.any():
                        found[block.target] = found.get(block.target, False) | fresh
            front, step = found, step + 1
        return pd.DataFrame(rows, columns=["layer", "steps", "neurons"])

    def _place(self, layer, number):
        """Positions of a layer, and of a neuron in it."""
        names = [each.name for each in self.layers]
        if not isinstance(layer, str) or layer not in names:
            raise NeuroMFAError(f"no layer {arguments.shown(layer)} in this network; it has {', '.join(names)}")
        number = arguments.whole("number", number)
        numbers = self.layers[names.index(layer)].numbers
        rows = np.flatnonzero(numbers == number)
        if not len(rows):
            some = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
            raise NeuroMFAError(f"no neuron {number} in layer {layer!r} of this network; its neurons are {some}")
        return names.index(layer), int(rows[0])

    def weight_histogram(self, edges):
        """(density (bins,), standard deviation) of all weights; those beyond the edges count in the outer bins."""
        edges = arguments.numbers("edges", edges)
        if len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise NeuroMFAError("edges must be at least two finite and increasing numbers, the ends of the bins")
        counts, total, squares, number = np.zeros(len(edges) - 1), 0.0, 0.0, 0
        for block in self.weight_blocks:
            weights = np.ravel(block.weights()).astype(np.float64)
            counts += np.histogram(np.clip(weights, edges[0], edges[-1]), edges)[0]
            total, squares, number = total + weights.sum(), squares + weights @ weights, number + weights.size
        return counts / counts.sum() / np.diff(edges), float(np.sqrt(squares / number - (total / number) ** 2))

    def to_networkx(self):
        """Make a networkx graph of it.

        Returns:
            DiGraph; a node is (layer name, neuron number) with attributes layer, role and position of the layer, an
            edge has weight and distance = 1/|weight|.

        Raises:
            NeuroMFAError: more than 20,000 connections.

        Example:
            >>> graph = NeuronNetwork.from_edges([0], [1], [-0.5]).to_networkx()
            >>> graph.edges[("neurons", 0), ("neurons", 1)]["distance"]
            2.0
        """
        return graph_of(self.layers, self.blocks)

    @classmethod
    def from_networkx(cls, graph, name="graph"):
        """Build a network of any networkx graph whose edges have a length, the attribute distance.

        Args:
            graph: of any class; a connection of an undirected one runs both ways. Edges from a node to itself never
                count; of parallel edges all count in one hop, the shortest in paths.
            name: what error messages call it.

        Returns:
            NeuronNetwork with one layer, "nodes", in the order of the graph; natural_radii as the graph's attribute.

        Raises:
            NeuroMFAError: no edge, or one whose length is missing or not positive and finite.

        Example:
            >>> import networkx as nx
            >>> graph = nx.path_graph(4)
            >>> nx.set_edge_attributes(graph, 2.5, "distance")
            >>> NeuronNetwork.from_networkx(graph).outgoing("nodes", 1)["distance"].tolist()
            [2.5, 2.5]
        """
        arguments.text("name", name)
        if not is_graph(graph):
            raise NeuroMFAError(f"graph must be a networkx graph, not {type(graph).__name__}")
        layer, block = block_of_graph(graph)
        network = cls([layer], [block], origin=graph.name or name)
        network.natural_radii = graph.graph.get("natural_radii")
        return network

    def save(self, path, weights=None):
        """Write the network to a file that :func:`load_network` opens without the model.

        Args:
            path: of the file, which gets the ending .safetensors where it lacks it.
            weights: None: they are in the file; else the folder, weight file or hub id that holds the same matrices by
                the same names, and the file says which of them are where.

        Returns:
            Path of the file.

        Raises:
            NeuroMFAError: a wiring by a function, weights that differ from those named, a disk that is full.

        Example:
            >>> import tempfile
            >>> ring = NeuronNetwork.from_edges(range(6), [1, 2, 3, 4, 5, 0], [0.1] * 6)
            >>> load_network(ring.save(tempfile.mkdtemp() + "/ring")).connections
            6
        """
        return save_network(self, path, weights)

    def plot(self, ax=None, most=60):
        """Draw the layers as boxes in the order of the flow, and what joins them; see plots.plot_wiring.

        Args:
            ax: matplotlib axes; None: new ones, as large as the drawing needs.
            most: layers to draw; of a network with more, equal ones in a row or side by side are drawn once.

        Returns:
            The axes.
        """
        return picture("plot_wiring", self, ax, most)

    def content_hash(self) -> str:
        """A short hash of all weights as stored; those of a file are read once in each of its states."""
        digest = hashlib.blake2b(digest_size=8)
        for block in self.weight_blocks:
            digest.update(f"{block.name}{block.shape}".encode())
            digest.update(block.digest())
        return digest.hexdigest()

    def hash_later(self):
        """A callable for :meth:`content_hash`: "" where the weights are no longer those that they are now."""

        def versions():
            return [block.version for block in self.weight_blocks]

        def ask():
            try:
                return self.content_hash() if versions() == now else ""
            except SourceError:  # a file that was saved again
                return ""

        now = versions()
        return ask


ENDS = ("inside", "all", "none")


def load_network(
    source, revision=None, config=None, wiring=None, read="auto", inputs=None, ends="inside", architecture=None
):
    """Open weights as a neuron interaction network; nothing is read yet but the files' headers.

    Args:
        source: a Hugging Face folder, a hub id such as "EleutherAI/pythia-70m-deduped", a checkpoint of a run, a torch
            nn.Module, a state dict, or a file of ``network.save``.
        revision: branch, tag or commit of a hub id, for instance "step1000".
        config: dict in the form of config.json, for a state dict.
        wiring: which neurons are joined by what, a name or a callable, as in :class:`neuromfa_lite.Method`; a callable
            is asked twice, and its answers are compared. None: "chain", or "dataflow" of a family without a chain.
        read: "auto" maps large matrices of a safetensors file, or reads each in one piece from a network file system;
            "copy" copies whatever is read, for files that a running training writes to: one that is cut short while it
            is read is an error then, and ends the process else.
        inputs: for any torch.nn.Module: an example of what it is called with, a tensor, a tuple of arguments or a dict
            of named ones. The model is run on it and wired as its data flow, whatever its family; of a convolution
            with wiring="dataflow-kernel-norms" the norm over the positions of a kernel is one connection.
        ends: with inputs, what is left out: "inside" tokens and their scores, "all" nothing, "none" pixels and classes
            too.
        architecture: the record of the family, its name, an Architecture or the path of a file as
            :func:`network.record_of` writes it, in place of the one that config.json names.

    Returns:
        NeuronNetwork, its blocks read from the file when a measure asks for them.

    Warns:
        QualityWarning: the model_type is unknown; the model was opened as the family that its tensors are named as.

    Raises:
        SourceError: missing, damaged or unknown files; later, where weights are read, a file that was cut short or
            saved again since.

    Example:
        >>> from neuromfa_lite import load_run
        >>> load_network(load_run("induction").checkpoint(0)).sample(32, seed=0).connections
        16384
    """
    arguments.one_of("ends", ends, ENDS)
    if inputs is not None:
        if architecture is not None:
            raise NeuroMFAError("inputs= asks the model for its wiring, architecture= a record: give one of them")
        return _traced(source, inputs, ends, wiring)
    if is_saved_network(source):
        layers, blocks, about, natural_radii = open_saved(source, read)
        network = NeuronNetwork(layers, blocks, **about)
        network.natural_radii = natural_radii
        return network
    if architecture is not None and config is None and not has_config(source):
        config = {}  # a record may need none
    opened = recorded(open_source(source, revision=revision, config=config, read=read), architecture)
    wiring = usual(opened) if wiring is None else wiring
    # A checkpoint knows a better name for itself ("induction@724") than its folder has.
    named = isinstance(source, os.PathLike) and not isinstance(source, PurePath)
    origin, made = source if named else opened.origin, wired(opened, wiring)
    if note := note_of(opened):
        origin = f"{origin} ({note})"
        warnings.warn(f"{origin}: its model_type is unknown, its tensors are called so", QualityWarning, stacklevel=2)
    return NeuronNetwork(made.layers, made.blocks, origin, made.left_out, wiring=wiring)


def _traced(model, inputs, ends, wiring):
    arguments.one_of("wiring", wiring or "dataflow", ("dataflow", "dataflow-kernel-norms"))
    from ..weights.torch_objects import tensors_of, unwrapped
    from .trace import trace
    from .traced import wiring_of
    from .traced_weights import with_kernel_norms

    found, origin = trace(model, inputs), type(model).__name__
    # The trace has the model's own names, without those of what is wrapped around it or compiled in it.
    tensors = {name.replace("_orig_mod.", ""): t for name, t in tensors_of(unwrapped(model)[0], origin).items()}
    layers, blocks, left_out = wiring_of(found, tensors, ends)
    blocks = blocks if wiring in (None, "dataflow") else map(with_kernel_norms, blocks)
    return NeuronNetwork(layers, blocks, origin, left_out, traced=True)


def _refuse_misfit(block, layers):
    """Refuse a block that has not the shape of its layers, by which kernels count."""
    ends = (block.target, block.source)
    sizes = [len(layers[end]) if 0 <= end < len(layers) else "no such layer" for end in ends]
    if tuple(block.shape) != tuple(sizes):
        raise NeuroMFAError(
            f"block {block.name!r} has shape {tuple(block.shape)} (targets, sources), but joins layers of "
            f"{sizes[0]} and {sizes[1]} neurons"
        )


def refuse_no_network(name, what):
    """Return a NeuronNetwork; refuse anything else and say how to open one."""
    return arguments.instance(name, what, NeuronNetwork, "open a model with load_network(...)")
