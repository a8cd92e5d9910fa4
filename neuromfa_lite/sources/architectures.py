"""Which matrix joins which layers: one short record per family of models.

A record is all that is known of a family. To add one, list its layers and say which stored matrix joins which two of
them, then call `register`. The chain of one transformer block is that of the authors of the method (Xiao et al. 2025,
arXiv:2402.09099): hidden -> query, key, value -> attention output -> hidden -> 4h -> hidden.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from neuromfa_lite.errors import SourceError


@dataclass(frozen=True)
class LayerRecord:
    """One layer of neurons: its name, its size in neurons and what it is for.

    role: "hidden", "query", "key", "value", "attention", "middle", "mlp" or "output". group: layers of one
    group share the same sampled neurons (default: a group of its own). multiplier: a sample of k neurons
    per layer takes multiplier * k neurons here.

    >>> LayerRecord("block 0 mlp", 256, role="mlp", multiplier=2).group
    'block 0 mlp'
    """

    name: str
    size: int
    role: str = "hidden"
    block: int = 0
    group: str = ""
    multiplier: int = 1

    def __post_init__(self):
        if not self.group:
            object.__setattr__(self, "group", self.name)


@dataclass(frozen=True, eq=False)
class Join:
    """What joins layer `source` to layer `target`: a stored matrix, or part of one, or a fixed pattern of weight 1.

    matrix: its name in the file, without the prefixes of the Architecture. part, targets: a name for, and the
    indices of, the rows that belong to this join, when one matrix serves several. transposed: the file holds
    (sources, targets). kind: "weights", or without a matrix "one-to-one" or "all-to-all".

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

    model_type: as in config.json. layers, joins: functions of the configuration (a dict) that list
    LayerRecord and Join, or the lists themselves. required: configuration keys that must be there as
    positive whole numbers. prefixes: what may stand before every matrix name. left_out: (pattern, reason)
    pairs for stored tensors that are no connections; `*` and `?` as in file names.

    >>> toy = Architecture("toy", layers=[LayerRecord("in", 3), LayerRecord("out", 2, role="output")],
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

    def list_layers(self, config):
        """The layers (tuple of LayerRecord) of a model with this configuration."""
        return tuple(self.layers(config) if callable(self.layers) else self.layers)

    def list_joins(self, config):
        """The joins (tuple of Join) of a model with this configuration."""
        return tuple(self.joins(config) if callable(self.joins) else self.joins)


ARCHITECTURES = {}


def register(architecture):
    """Make an Architecture known under its model_type (replacing one of that name) and return it.

    Raises SourceError if it is not an Architecture.

    >>> mine = register(Architecture("doctest-family", layers=[], joins=[]))
    >>> ARCHITECTURES.pop("doctest-family") is mine
    True
    """
    if not isinstance(architecture, Architecture):
        raise SourceError(f"register() takes an Architecture(model_type, layers, joins), not {architecture!r}")
    ARCHITECTURES[architecture.model_type] = architecture
    return architecture


def transformer_layers(hidden, middle, blocks):
    """The layers of a decoder of `blocks` blocks, `hidden` wide with `middle` neurons in each MLP.

    Query, key, value and attention output of a block are one sampling group; an MLP is sampled twice as
    densely.

    >>> [layer.name for layer in transformer_layers(64, 256, 1)][-3:]
    ['block 0 middle', 'block 0 mlp', 'output']
    """
    layers = []
    for block in range(blocks):
        name = f"block {block}"
        layers.append(LayerRecord(f"{name} input", hidden, "hidden", block))
        for role in ("query", "key", "value", "attention"):
            layers.append(LayerRecord(f"{name} {role}", hidden, role, block, group=f"{name} attention"))
        layers.append(LayerRecord(f"{name} middle", hidden, "middle", block))
        layers.append(LayerRecord(f"{name} mlp", middle, "mlp", block, multiplier=2))
    return [*layers, LayerRecord("output", hidden, "output", max(blocks - 1, 0))]


def attention_joins(block):
    """The joins of a block that no matrix holds: query, key and value to attention output, all of weight 1.

    >>> [join.kind for join in attention_joins(0)]
    ['one-to-one', 'all-to-all', 'all-to-all']
    """
    kinds = {"query": "one-to-one", "key": "all-to-all", "value": "all-to-all"}
    return [
        Join(f"block {block} {role}", f"block {block} attention", role="attention", kind=kind)
        for role, kind in kinds.items()
    ]


def fused_rows(heads, head_size, position):
    """Rows of a query-key-value matrix stored per head as [query, key, value]; position 0, 1 or 2 picks one.

    Returns int indices (heads * head_size,): head h's rows start at h * 3 * head_size + position * head_size.

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
    for block in range(blocks):
        name, stored = f"block {block}", f"layers.{block}"
        after = f"block {block + 1} input" if block + 1 < blocks else "output"
        fused = f"{stored}.attention.query_key_value.weight"
        for position, role in enumerate(("query", "key", "value")):
            rows = fused_rows(heads, hidden // heads, position)
            joins.append(Join(f"{name} input", f"{name} {role}", fused, role, part=role, targets=rows))
        joins += attention_joins(block)
        joins += [
            Join(f"{name} attention", f"{name} middle", f"{stored}.attention.dense.weight", "attention-output"),
            Join(f"{name} middle", f"{name} mlp", f"{stored}.mlp.dense_h_to_4h.weight", "mlp-in"),
            Join(f"{name} mlp", after, f"{stored}.mlp.dense_4h_to_h.weight", "mlp-out"),
        ]
    return joins


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
    )
)
