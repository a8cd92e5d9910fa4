"""Which matrix joins which layers: one short record per family of models.

A record is all that is known of a family. To add one, list its layers and say which stored matrix joins which two of
them, then call `register`. The chain of one transformer block is that of the authors of the method (Xiao et al. 2025,
arXiv:2402.09099): hidden -> query, key, value -> attention output -> hidden -> 4h -> hidden.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import SourceError
from .connections import NeuronLayer


@dataclass(frozen=True, eq=False)
class Join:
    """What joins one layer to another: a stored matrix, or part of one, or a fixed pattern of weight 1.

    Attributes:
        source, target: names of the layers that the connections leave and enter.
        matrix: the matrix's name in the file, without the prefixes of the Architecture; None for a fixed pattern.
        role: what the matrix does: "query", "key", "value", "attention-output", "mlp-in" or "mlp-out".
        part: a name for the rows of this join, when one matrix serves several.
        targets: (rows,) indices of those rows; None: all.
        transposed: True where the file holds (sources, targets).
        kind: "weights", or without a matrix "one-to-one" or "all-to-all".

    Example:
        >>> Join("in", "out", "fc.weight", role="mlp-in").kind
        'weights'
    """

    source: str
    target: str
    matrix: str | None = None
    role: str = ""
    part: str = ""
    targets: Sequence[int] | None = None
    transposed: bool = False
    kind: str = "weights"


@dataclass(frozen=True)
class Architecture:
    """How the neuron network of one family of models is wired.

    Attributes:
        model_type: as in config.json.
        layers, joins: callables that take the configuration (dict) and list NeuronLayer or Join, or the lists
            themselves.
        required: configuration keys that must be there as positive whole numbers.
        prefixes: what may stand before every matrix name.
        left_out: (pattern, reason) of stored tensors that are no connections; `*` and `?` as in file names.
        embedding, unembedding: names that the matrix (tokens, hidden) of either kind may have; without an unembedding
            the embedding serves as one.
        gains: {matrix: the layer norm's gain in front of it}, both without prefix, or a callable that takes the
            configuration and returns that; "unembedding" stands for that matrix. None: not told.
        heads: the configuration's key for the number of attention heads.

    Example:
        >>> toy = Architecture("toy", layers=[NeuronLayer("in", 3), NeuronLayer("out", 2, role="output")],
        ...                    joins=[Join("in", "out", "fc.weight")])
        >>> [layer.name for layer in toy.list_layers({})]
        ['in', 'out']
    """

    model_type: str
    layers: Callable | Sequence
    joins: Callable | Sequence
    required: tuple = ()
    prefixes: tuple = ("",)
    left_out: tuple = ()
    embedding: tuple = ()
    unembedding: tuple = ()
    gains: Callable | Mapping | None = None
    heads: str = "num_attention_heads"

    def list_layers(self, config):
        """Return the layers (tuple of NeuronLayer) of a model with this configuration (dict)."""
        return tuple(self.layers(config) if callable(self.layers) else self.layers)

    def list_joins(self, config):
        """Return the joins (tuple of Join) of a model with this configuration (dict)."""
        return tuple(self.joins(config) if callable(self.joins) else self.joins)

    def list_gains(self, config):
        """Return the gains (dict) of a model with this configuration (dict); None where the record does not tell."""
        return self.gains(config) if callable(self.gains) else self.gains


ARCHITECTURES = {}


def register(architecture):
    """Make an architecture known under its model_type, in the place of one of that name.

    Args:
        architecture: Architecture.

    Returns:
        The same Architecture.

    Raises:
        SourceError: it is not an Architecture.

    Example:
        >>> mine = register(Architecture("doctest-family", layers=[], joins=[]))
        >>> ARCHITECTURES.pop("doctest-family") is mine
        True
    """
    if not isinstance(architecture, Architecture):
        raise SourceError(f"register() takes an Architecture(model_type, layers, joins), not {architecture!r}")
    ARCHITECTURES[architecture.model_type] = architecture
    return architecture


def transformer_layers(hidden, middle, blocks):
    """The 7 * blocks + 1 layers of a decoder, in the order of the flow; hidden, middle: neurons in a layer, in an MLP.

    Query, key, value and attention output of a block are one sampling group; an MLP is sampled twice as densely.

    Source: Xiao et al. 2025, section 3.1; chain and sampling as in the authors' code.
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
    """The three Join of a block that no matrix holds: query, key and value to attention output, all of weight 1.

    Source: the authors' code of Xiao et al. 2025.
    """
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


def _gpt_neox_layers(config):
    return transformer_layers(config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"])


def _gpt_neox_joins(config):
    hidden, heads, blocks = (config[key] for key in ("hidden_size", "num_attention_heads", "num_hidden_layers"))
    if hidden % heads:
        raise SourceError(f"hidden_size {hidden} is not a multiple of num_attention_heads {heads}")
    joins = []
    parts = {role: fused_rows(heads, hidden // heads, place) for place, role in enumerate(("query", "key", "value"))}
    for block in range(blocks):
        name, stored = f"block {block}", f"layers.{block}"
        after = f"block {block + 1} input" if block + 1 < blocks else "output"
        fused = f"{stored}.attention.query_key_value.weight"
        for role, rows in parts.items():
            joins.append(Join(f"{name} input", f"{name} {role}", fused, role, part=role, targets=rows))
        joins += attention_joins(block)
        joins += [
            Join(f"{name} attention", f"{name} middle", f"{stored}.attention.dense.weight", "attention-output"),
            Join(f"{name} middle", f"{name} mlp", f"{stored}.mlp.dense_h_to_4h.weight", "mlp-in"),
            Join(f"{name} mlp", after, f"{stored}.mlp.dense_4h_to_h.weight", "mlp-out"),
        ]
    return joins


def _gpt_neox_gains(config):
    gains = {"unembedding": "final_layer_norm.weight"}
    for block in range(config["num_hidden_layers"]):
        gains[f"layers.{block}.attention.query_key_value.weight"] = f"layers.{block}.input_layernorm.weight"
        gains[f"layers.{block}.mlp.dense_h_to_4h.weight"] = f"layers.{block}.post_attention_layernorm.weight"
    return gains


GPT_NEOX = register(
    Architecture(
        model_type="gpt_neox",
        layers=_gpt_neox_layers,
        joins=_gpt_neox_joins,
        required=("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        prefixes=("gpt_neox.", ""),
        left_out=(
            ("*embed_in.weight", "token embedding: the published network starts after it"),
            ("*embed_out.weight", "unembedding: the published network ends before it"),
            ("*lm_head.weight", "unembedding: the published network ends before it"),
            ("*rotary_emb.inv_freq", "rotary frequencies: computed, not trained"),
            ("*.attention.bias", "causal mask: a buffer, not trained"),
            ("*.masked_bias", "value of masked scores: a buffer, not trained"),
            ("*layernorm.*", "layer norm: scales and shifts a neuron, joins no two neurons"),
            ("*layer_norm.*", "layer norm: scales and shifts a neuron, joins no two neurons"),
            ("*.bias", "bias: shifts a neuron, joins no two neurons"),
        ),
        embedding=("embed_in.weight",),
        unembedding=("embed_out.weight", "lm_head.weight"),
        gains=_gpt_neox_gains,
    )
)
