"""What is known of a family of models: its layers, and which stored matrix joins which two of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...errors import SourceError


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
        labels: in place of a kind, a label for each neuron of the target and of the source: equal ones are joined.
        stacked: the number of the matrix in a tensor of three dimensions. Without it a tensor of three or more is the
            kernel of a convolution, (targets, sources, positions...).
        groups: into how many groups the channels of such a kernel fall.

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
    labels: tuple | None = None
    stacked: int | None = None
    groups: int = 1


class Known(dict):
    """What is known of a model before its network: the entries of config.json, and the shape of each stored tensor.

    Attributes:
        shapes: {name: shape as stored}, names without a prefix of the architecture.
    """

    def __init__(self, config, shapes=None):
        super().__init__(config)
        self.shapes = shapes or {}

    def shape(self, name):
        """The shape of a stored tensor; SourceError where it is missing."""
        if name not in self.shapes:
            raise SourceError(f"{name} is missing: are all the weight files there, and of this model?")
        return self.shapes[name]


@dataclass(frozen=True)
class Architecture:
    """How the neuron network of one family of models is wired.

    Attributes:
        model_type: as in config.json.
        layers, joins: lists of NeuronLayer and Join, or callables that make them of what is Known of the model, a dict
            of the configuration with the shapes of all tensors; None: there is no chain of matrices as published.
        dataflow: a callable that makes (layers, joins) of the model's own wiring of the same; None: not told.
        required: configuration keys that must be there as positive whole numbers.
        prefixes: what may stand before every matrix name.
        left_out: (pattern, reason) of stored tensors that are no connections; `*` and `?` as in file names.
        embedding, unembedding: names that these matrices (tokens, hidden) may have.
        gains: {matrix: the layer norm's gain in front of it}, both without prefix, "unembedding" for that matrix, or a
            callable that makes it of what is Known; None: not told.
        gain_offset: added to a stored gain, where a family stores its difference from 1.
        heads: the configuration's key for the number of attention heads.

    Example:
        >>> from neuromfa_lite.network import NeuronLayer
        >>> toy = Architecture("toy", layers=[NeuronLayer("in", 3), NeuronLayer("out", 2, role="output")],
        ...                    joins=[Join("in", "out", "fc.weight")])
        >>> [layer.name for layer in toy.list_layers({})]
        ['in', 'out']
    """

    model_type: str
    layers: Callable | Sequence | None
    joins: Callable | Sequence | None
    dataflow: Callable | None = None
    required: tuple = ()
    prefixes: tuple = ("",)
    left_out: tuple = ()
    embedding: tuple = ()
    unembedding: tuple = ()
    gains: Callable | Mapping | None = None
    gain_offset: float = 0.0
    heads: str = "num_attention_heads"

    def list_layers(self, config):
        """The layers (tuple of NeuronLayer) of a model with this configuration (dict)."""
        return tuple(self.layers(config) if callable(self.layers) else self.layers)

    def list_joins(self, config):
        """The joins (tuple of Join) of a model with this configuration."""
        return tuple(self.joins(config) if callable(self.joins) else self.joins)

    def list_gains(self, config):
        """The gains (dict) of a model with this configuration; None where the record does not tell."""
        return self.gains(config) if callable(self.gains) else self.gains


def is_count(value):
    """Whether a value of a configuration is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


ARCHITECTURES = {}


def register(architecture):
    """Make an Architecture known under its model_type, in the place of one of that name, and return it."""
    if not isinstance(architecture, Architecture):
        raise SourceError(f"register() takes an Architecture(model_type, layers, joins), not {architecture!r}")
    ARCHITECTURES[architecture.model_type] = architecture
    return architecture
