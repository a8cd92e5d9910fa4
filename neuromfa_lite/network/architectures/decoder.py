"""What a block of a decoder shares between families: its layers, its attention, matrices that hold several others.

The chain is that of the authors of the method (Xiao et al. 2025, arXiv:2402.09099, section 3.1): hidden -> query, key,
value -> attention output -> hidden -> 4h -> hidden.
"""

import numpy as np

from ..connections import NeuronLayer
from .record import Join


def transformer_layers(hidden, middle, blocks):
    """The 7 * blocks + 1 layers of a decoder, in the order of the flow; hidden, middle: neurons in a layer, in an MLP.

    As in the authors' code, the four layers of attention are sampled together and an MLP twice as densely.
    """
    layers = []
    for block in range(blocks):
        name = f"block {block}"
        layers.append(NeuronLayer(f"{name} input", hidden, "hidden", block))
        for role in ("query", "key", "value", "attention"):
            layers.append(NeuronLayer(f"{name} {role}", hidden, role, block, group=f"{name} attention"))
        layers.append(NeuronLayer(f"{name} middle", hidden, "middle", block))
        layers.append(NeuronLayer(f"{name} mlp", middle, "mlp", block, multiplier=2))
    return [*layers, NeuronLayer("output", hidden, "output", max(blocks - 1, 0))]


def attention_joins(block):
    """What no matrix holds: query, key and value to attention output, all of weight 1, as in the authors' code."""
    kinds = {"query": "one-to-one", "key": "all-to-all", "value": "all-to-all"}
    return [
        Join(f"block {block} {role}", f"block {block} attention", role="attention", kind=kind)
        for role, kind in kinds.items()
    ]


def fused_rows(heads, head_size, position):
    """The rows of query, key or value (position 0, 1, 2) in a matrix that stores [query, key, value] head by head.

    Example:
        >>> fused_rows(2, 2, 1)
        array([2, 3, 8, 9])
    """
    return np.arange(heads * 3 * head_size).reshape(heads, 3, head_size)[:, position].ravel()
