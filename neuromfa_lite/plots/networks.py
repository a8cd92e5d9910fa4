"""matplotlib drawings of networks: a matrix, the surroundings of one neuron, the layers and what joins them."""

import numpy as np
from matplotlib.patches import Annulus, Circle, Rectangle

from ..errors import NeuroMFAError
from ..errors.text import math_free
from ..method import PAPER
from .curves import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, axes_for, name_of_dimension

LAYER_COLOURS = {
    "hidden": BLUE, "query": SKY, "key": SKY, "value": SKY,
    "attention": ORANGE, "middle": GREEN, "mlp": PURPLE, "output": GREY,
}  # fmt: skip


def plot_matrix(network, name, neuron, ax=None):
    """Draw one weight matrix (blue positive, red negative) and frame the column of one of its source neurons."""
    ax = axes_for(ax)
    block = next((block for block in network.weight_blocks if block.name == name), None)
    if block is None:
        raise NeuroMFAError(f"no matrix {name!r} in this network; network.describe() lists their names")
    weights = block.weights()
    limit = float(np.quantile(np.abs(weights), 0.99))
    picture = ax.imshow(weights, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, label="weight $w$")
    corner = (neuron - 0.5, -0.5)
    ax.add_patch(Rectangle(corner, 1, len(weights), fill=False, ec="black", lw=2, clip_on=False))
    source, target = (math_free(network.layers[end].name) for end in (block.source, block.target))
    ax.set(xlabel=f"source neuron, in {source}", ylabel=f"target neuron, in {target}")
    ax.set_title(f"framed: all that leaves neuron {neuron}")
    ax.grid(False)
    return ax


RINGS = (1, 10, 100, 1000)


def around(distances):
    """Places (neurons, 2) around a neuron at the origin: ln(1 + distance) away, at angles in the order given."""
    angle = 2 * np.pi * (np.arange(len(distances)) + 0.5) / max(len(distances), 1)
    out = np.log1p(np.minimum(distances, RINGS[-1]))
    return np.column_stack([out * np.sin(angle), out * np.cos(angle)])


def rings(ax, window=PAPER.window):
    """Prepare the axes for neurons placed by :func:`around`: rings of equal distance, the window shaded; returns ax."""
    for ring in RINGS:
        ax.add_patch(Circle((0, 0), np.log1p(ring), fill=False, ec=GREY, lw=0.8, ls=":"))
        ax.text(0, np.log1p(ring), f"{ring}", fontsize=9, color=GREY, ha="center", va="bottom")
    if window is not None:
        low, high = np.log1p(window)
        ax.add_patch(Annulus((0, 0), high, high - low, fc=BLUE, alpha=0.08, lw=0))
    ax.plot(0, 0, "o", ms=11, color=ORANGE, mec="black")
    ax.set_aspect("equal")
    edge = np.log1p(RINGS[-1]) * 1.12
    ax.set(xlim=(-edge, edge), ylim=(-edge, edge))
    ax.set_axis_off()
    return ax


def plot_outgoing(table, ax=None, window=PAPER.window):
    """Draw one neuron (orange) and what it connects to, at distance d = 1/|w| from it; table: network.outgoing()."""
    ax = rings(axes_for(ax), window)
    spots = around(table["distance"].to_numpy())
    colours = np.where(table["weight"] < 0, RED, BLUE)
    ax.scatter(*spots.T, s=22, c=colours, lw=0)
    if window is not None:
        inside = ((table["distance"] > window[0]) & (table["distance"] <= window[1])).sum()
        ax.set_title(f"{inside} of {len(table)} within the shaded window")
    return ax


SHORT_NAMES = {"hidden": "input", "query": "Q", "key": "K", "value": "V", "mlp": "MLP"}


def _columns(network):
    """The column of every layer in a drawing: one more than the rightmost layer that feeds it."""
    column = [0] * len(network.layers)
    for block in network.blocks:  # in the order of the flow
        if block.source != block.target:
            column[block.target] = max(column[block.target], column[block.source] + 1)
    return column


def _places(network):
    """{node of to_networkx(): (x, y)}; layers of one column share it from top to bottom, a lone layer is a circle."""
    nodes = [[(layer.name, int(number)) for number in layer.numbers] for layer in network.layers]
    if len(nodes) == 1:
        angles = np.linspace(0, 2 * np.pi, len(nodes[0]), endpoint=False)
        return {node: (np.sin(angle), np.cos(angle)) for node, angle in zip(nodes[0], angles, strict=True)}
    column, place = _columns(network), {}
    for here in set(column):
        sharing = [layer for position, layer in enumerate(nodes) if column[position] == here]
        for floor, layer in enumerate(sharing):
            for rung, node in enumerate(layer):
                place[node] = (here, 1 - (floor + 0.14 + 0.84 * (rung + 0.5) / len(layer)) / len(sharing))
    return place


def plot_network(network, ax=None, closer_than=None, strongest=400, dimensions=None):
    """Draw neurons and the connections between them, the thicker the stronger; fixed joins are thin and grey.

    Args:
        network: NeuronNetwork small enough for to_networkx().
        closer_than: draw the connections with distance 1/|w| up to this; None: the ``strongest`` so many.
        dimensions: NeuronDimensions of this network or of the one it is a sample of, to colour the neurons by; those
            without one (no outgoing weights, or left out by the method) stay white. None: a colour per role.
    """
    import networkx as nx

    ax = axes_for(ax)
    graph, place = network.to_networkx(), _places(network)
    fixed = {block.role for block in network.blocks} - {block.role for block in network.weight_blocks}
    edges = sorted(graph.edges(data=True), key=lambda edge: edge[2]["distance"])
    joins = [edge[:2] for edge in edges if edge[2]["role"] in fixed]
    edges = [edge for edge in edges if edge[2]["role"] not in fixed and edge[2]["distance"] <= (closer_than or np.inf)]
    edges = edges[:strongest]
    style = {"ax": ax, "arrows": False}
    nx.draw_networkx_edges(graph, place, edgelist=joins, width=0.4, edge_color="#BBBBBB", style=":", **style)
    # One scale for all drawings, so that two networks side by side can be compared.
    width = [min(0.3 + 14 * abs(data["weight"]), 5.0) for *_, data in edges]
    colour = [RED if data["weight"] < 0 else BLUE for *_, data in edges]
    ends = [edge[:2] for edge in edges]
    nx.draw_networkx_edges(graph, place, edgelist=ends, width=width, edge_color=colour, alpha=0.6, **style)
    if dimensions is None:
        fill = [LAYER_COLOURS.get(role, GREY) for role in nx.get_node_attributes(graph, "role").values()]
        nx.draw_networkx_nodes(graph, place, ax=ax, node_color=fill, node_size=42, edgecolors="white", linewidths=0.6)
    else:
        _draw_dimensions(graph, place, dimensions, ax)
    if len(network.layers) > 1:
        _name_layers(network, place, ax)
    ax.set_axis_off()
    which = f"connections with $d \\leq$ {closer_than:g}" if closer_than else "strongest connections"
    ax.set_title(f"{len(edges)} {which}")
    return ax


def _draw_dimensions(graph, place, dimensions, ax):
    """Nodes coloured by their neuron's dimension, on the scale of all neurons that were given."""
    import networkx as nx

    names = zip(dimensions.layer.tolist(), dimensions.neuron.tolist(), strict=True)
    of_neuron = dict(zip(names, dimensions.dimension.tolist(), strict=True))
    known = [node for node in graph if node in of_neuron]
    without = [node for node in graph if node not in of_neuron]
    if not known:
        raise NeuroMFAError("none of these neurons has a dimension: compute dimensions of this network's own neurons")
    style = {"ax": ax, "node_size": 60, "edgecolors": "black", "linewidths": 0.6}
    nx.draw_networkx_nodes(graph, place, without, node_color="white", **style)
    low, high = dimensions.dimension.min(), dimensions.dimension.max()
    values = [of_neuron[node] for node in known]
    scale = {"cmap": "cividis", "vmin": low, "vmax": high}
    coloured = nx.draw_networkx_nodes(graph, place, known, node_color=values, **scale, **style)
    ax.figure.colorbar(coloured, ax=ax, label=name_of_dimension(dimensions), shrink=0.8)


def _name_layers(network, place, ax):
    column = _columns(network)
    for layer, here in zip(network.layers, column, strict=True):
        highest = max(place[layer.name, int(number)][1] for number in layer.numbers)
        name = SHORT_NAMES.get(layer.role, math_free(layer.role))
        clear = {"fc": "white", "ec": "none", "pad": 0.5, "alpha": 0.8}
        ax.text(here, highest + 0.025, name, ha="center", va="bottom", fontsize=9, bbox=clear, zorder=9)
    for block in sorted({layer.block for layer in network.layers} - {None}):
        layers = zip(network.layers, column, strict=True)
        inside = [here for layer, here in layers if layer.block == block and layer.role != "output"]
        left, right = min(inside) - 0.3, max(inside) + 0.3
        ax.plot([left, right], [-0.05, -0.05], color=GREY, lw=1.5, clip_on=False)
        ax.text((left + right) / 2, -0.07, f"block {block}", ha="center", va="top", fontsize=11, color=GREY)
    ax.set_ylim(-0.15, 1.0)


def plot_chain(network, ax=None, block=0):
    """Draw the layers of one block as boxes: solid arrows are weight matrices, dotted ones fixed joins of weight 1."""
    ax = axes_for(ax, (10, 3))
    column = _columns(network)
    mine = [join for join in network.blocks if network.layers[join.source].block == block]
    shown = list(dict.fromkeys(position for join in mine for position in (join.source, join.target)))
    place = {}
    for here in {column[position] for position in shown}:
        sharing = [position for position in shown if column[position] == here]
        for rung, position in enumerate(sharing):
            place[position] = (here, (len(sharing) - 1) / 2 - rung)
    for join in mine:
        ends = place[join.target], place[join.source]
        fixed = join not in network.weight_blocks
        arrow = {"arrowstyle": "-|>", "shrinkA": 27, "shrinkB": 27, "lw": 2}
        ax.annotate("", *ends, arrowprops={**arrow, "ls": ":" if fixed else "-", "color": GREY if fixed else BLUE})
    for position, spot in place.items():
        layer = network.layers[position]
        last = column[position] == max(column[each] for each in shown)
        name = "next input" if last else SHORT_NAMES.get(layer.role, math_free(layer.role))
        box = {"boxstyle": "round,pad=0.4", "fc": "white", "ec": LAYER_COLOURS.get(layer.role, GREY), "lw": 2}
        ax.text(*spot, f"{name}\n{len(layer)}", ha="center", va="center", fontsize=10, bbox=box)
    spots = np.array(list(place.values()))
    (left, low), (right, high) = spots.min(axis=0), spots.max(axis=0)
    ax.set(xlim=(left - 0.4, right + 0.4), ylim=(low - 0.5, high + 0.5))
    ax.set_axis_off()
    return ax
