"""Ideas to start from, each a line or two. None of them is claimed to be better than the published method.

TOKEN_CLOUD alone was chosen by looking at runs: its definition is frozen, and it is judged on runs trained since.
"""

from ..method import METHODS, PAPER, SCALE_FREE

# A weight ten times as large is always as much closer, whatever its size.
MINUS_LOG = SCALE_FREE.replace(name="minus-log", distance="minus-log")

# The published window and radii, but a common factor of a matrix changes nothing.
MEDIAN_PUBLISHED = PAPER.replace(name="median-published", distance="inverse-over-median")

# Who listens to a neuron counts, and whom it listens to as well.
BOTH_DIRECTIONS = PAPER.replace(name="both-directions", join="both-directions")

# What an attention head does, not how its work is shared between Q and K, V and O.
HEAD_PRODUCTS = SCALE_FREE.replace(name="head-products", join="head-products")

# A layer norm's gain and the matrix behind it do one thing together: take them as one.
FOLDED = PAPER.replace(name="folded", join="folded")

# Both of these at once: unchanged by every rescaling that leaves the model's function as it is.
FOLDED_HEADS = SCALE_FREE.replace(name="folded-heads", join="folded-head-products")

# Shortest paths through all blocks, the fixed joins of attention as long as a matrix's median connection.
BLOCK_GEODESIC = SCALE_FREE.replace(name="block-geodesic", reach="geodesic")

# The network begins and ends with tokens.
WITH_EMBEDDINGS = SCALE_FREE.replace(name="with-embeddings", join="with-embeddings")

# Tokens as points, how they lie as angles; the score without the factor of widths.
TOKEN_CLOUD = SCALE_FREE.replace(
    name="token-cloud",
    join="tokens-by-angle",
    distance="angle-over-median",
    radii="close-pairs",
    mass="share-of-neurons",
    score="regularity",
)

IDEAS = (
    MINUS_LOG,
    MEDIAN_PUBLISHED,
    BOTH_DIRECTIONS,
    HEAD_PRODUCTS,
    FOLDED,
    FOLDED_HEADS,
    BLOCK_GEODESIC,
    WITH_EMBEDDINGS,
    TOKEN_CLOUD,
)
METHODS |= {method.name: method for method in IDEAS}
