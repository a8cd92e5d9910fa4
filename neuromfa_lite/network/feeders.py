"""Who feeds whom: which rows of which matrices write the neurons that a matrix reads, through the joins between them.

Two wirings of one model can be compared by it whatever their layers are called: a record's with a trace's.
"""

import numpy as np


def feeders(layers, blocks):
    """{matrix: {matrix that feeds it: (sources, stored rows) bool}}, True where a row writes what a source reads.

    A matrix is named as it is stored, with the number of an expert where it is one of a stack; its parts (query, key
    and value in one) go together. Matrices that nothing feeds are there, with an empty dict.

    Example:
        >>> from neuromfa_lite import load_network, load_run
        >>> network = load_network(load_run("induction").checkpoint(724), wiring="dataflow")
        >>> found = feeders(network.layers, network.blocks)["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"]
        >>> [name.removeprefix("gpt_neox.layers.0.") for name in found]
        ['attention.dense.weight', 'mlp.dense_4h_to_h.weight']
    """
    writers, reading = writers_of(layers, blocks), {}
    for block in blocks:
        if not block.fixed:
            name = block.place[0]
            for writer, rows in writers(block.source).items():
                _add(reading.setdefault(name, {}), writer, rows)
            reading.setdefault(name, {})
    return reading


def ends(layers, blocks):
    """{name of a layer that nothing leaves: {matrix that feeds it: (neurons, stored rows) bool}}."""
    writers, left = writers_of(layers, blocks), {block.source for block in blocks}
    return {layer.name: writers(number) for number, layer in enumerate(layers) if number not in left}


def writers_of(layers, blocks):
    """A function of a layer's position: {matrix that writes it: (neurons, stored rows) bool}."""
    into = [[block for block in blocks if block.target == layer] for layer in range(len(layers))]
    known = {}

    def writers(layer):
        if layer not in known:
            known[layer] = found = {}
            for block in into[layer]:
                if block.fixed:
                    joined = block.into[:, None] == np.where(block.out_of < 0, -2, block.out_of)
                    for name, rows in writers(block.source).items():
                        _add(found, name, (joined.astype(np.float32) @ rows.astype(np.float32)) > 0)
                else:
                    name, rows, stored = block.place
                    wide = np.zeros((len(layers[layer]), stored), bool)
                    wide[np.arange(len(rows)), rows] = True
                    _add(found, name, wide)
        return known[layer]

    return writers


def _add(found, name, rows):
    found[name] = found[name] | rows if name in found else rows
