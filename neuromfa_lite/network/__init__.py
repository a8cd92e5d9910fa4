"""Which neurons, wired by what: networks of a model's weights, of graphs and of lists of edges.

A wiring is a function of a WeightSource that returns (layers, blocks) and reads no weights. One of your own:

    >>> from neuromfa_lite import PAPER, analyze, load_network, load_run
    >>> def mlp_only(source):
    ...     made = chain(source)
    ...     return made.layers, [block for block in made.blocks if block.role in ("mlp-in", "mlp-out")]
    >>> network = load_network(load_run("induction").checkpoint(724), wiring=mlp_only)
    >>> analyze(network, PAPER.replace(wiring=mlp_only)).neurons_used   # (64 middle + 256 MLP) in each of 2 blocks
    640
"""

from ..method import PARTS
from .architectures import ARCHITECTURES, Architecture, Join, register_architecture
from .architectures.wire import wire
from .checking import check_architecture
from .connections import NeuronLayer
from .heads import folded_head_products, head_products
from .network import NeuronNetwork, load_network, refuse_no_network
from .recording import record_of
from .wiring import both_directions, chain, dataflow, dataflow_kernel_norms, folded, with_embeddings

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Join",
    "NeuronLayer",
    "NeuronNetwork",
    "both_directions",
    "chain",
    "check_architecture",
    "dataflow",
    "dataflow_kernel_norms",
    "folded",
    "folded_head_products",
    "head_products",
    "load_network",
    "record_of",
    "refuse_no_network",
    "register_architecture",
    "wire",
    "with_embeddings",
]

PARTS["wiring"] |= {
    "chain": chain,
    "dataflow": dataflow,
    "dataflow-kernel-norms": dataflow_kernel_norms,
    "both-directions": both_directions,
    "head-products": head_products,
    "folded": folded,
    "folded-head-products": folded_head_products,
    "with-embeddings": with_embeddings,
}
