"""Ideas to start from, each a line or two. None of them is claimed to be better than the published method."""

from .shipped import METHODS, PAPER, SCALE_FREE

IDEAS = (
    # A weight ten times as large is always as much closer, whatever its size.
    SCALE_FREE.replace(name="minus-log", distance="minus-log"),
    # The published window and radii, but a common factor of a matrix changes nothing.
    PAPER.replace(name="median-published", distance="inverse-over-median"),
    # Who listens to a neuron counts, and whom it listens to as well.
    PAPER.replace(name="both-directions", wiring="both-directions"),
    # The network as the model computes: an MLP beside its attention reads what that reads, and not what it found.
    PAPER.replace(name="dataflow", wiring="dataflow"),
    # What an attention head does, not how its work is shared between Q and K, V and O.
    SCALE_FREE.replace(name="head-products", wiring="head-products"),
    # A layer norm's gain and the matrix behind it do one thing together: take them as one.
    PAPER.replace(name="folded", wiring="folded"),
    # Both of these at once: unchanged by every rescaling that leaves the model's function as it is.
    SCALE_FREE.replace(name="folded-heads", wiring="folded-head-products"),
    # Shortest paths through all blocks, the fixed joins of attention as long as a matrix's median connection.
    SCALE_FREE.replace(name="block-geodesic", reach="geodesic"),
    # The network begins and ends with tokens.
    SCALE_FREE.replace(name="with-embeddings", wiring="with-embeddings"),
)
METHODS |= {method.name: method for method in IDEAS}
