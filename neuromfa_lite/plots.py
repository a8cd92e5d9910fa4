"""matplotlib pictures: every function takes a result and ``ax=None`` and returns the Axes it drew on."""

import numpy as np
from matplotlib.patches import Annulus, Circle, Rectangle

from .errors import NeuroMFAError
from .masses import one_hop_masses
from .method import PAPER

# Okabe and Ito's palette, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7F7F7F"
STYLE = {
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "legend.fontsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
}
WEIGHT_EDGES = np.linspace(-0.3, 0.3, 121)
LAYER_COLOURS = {
    "hidden": BLUE, "query": SKY, "key": SKY, "value": SKY, "attention": ORANGE, "middle": GREEN, "mlp": PURPLE, "output": GREY,
}  # fmt: skip


def _axes(ax):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        return plt.subplots(figsize=(6, 4), layout="constrained")[1]


def plot_spectrum(spectrum, ax=None, color=BLUE, label=None):
    """Draw f over alpha, with alpha0 marked and the quality flag written where there is one."""
    ax = _axes(ax)
    ax.plot(spectrum.alpha, spectrum.f, "o-", ms=3, color=color, label=label)
    ax.axvline(spectrum.alpha0, color=color, ls=":", lw=1.5)
    ax.set(xlabel=r"singularity strength $\alpha$", ylabel=r"$f(\alpha) = q\alpha - \tau$")
    ax.set_title(rf"$\alpha_0$ = {spectrum.alpha0:.3f}, width $w$ = {spectrum.width:.3f}")
    _write_badge(spectrum, ax)
    return ax


def plot_tau(spectrum, ax=None, color=BLUE, label=None):
    """Draw the mass exponent tau over the moment order q."""
    ax = _axes(ax)
    ax.plot(spectrum.q, spectrum.tau, "-", lw=2, color=color, label=label)
    ax.plot(0, 0, "o", color=color)
    ax.set(xlabel="moment order $q$", ylabel=r"mass exponent $\tau(q)$")
    return ax


def plot_partition(spectrum, q=None, ax=None):
    """Draw ln Z_q against ln(r/r_max) with the fitted line of each q; q: numbers, by default -3, -1, 1 and 3 where present."""
    ax = _axes(ax)
    x = np.log(spectrum.radii / spectrum.radii[-1])
    for color, wanted in zip((BLUE, SKY, ORANGE, RED, GREEN, PURPLE), np.atleast_1d((-3, -1, 1, 3) if q is None else q)):
        j = int(np.argmin(np.abs(spectrum.q - wanted)))
        ax.plot(x, spectrum.log_partition[j], ".", color=color, ms=4)
        line = spectrum.log_partition[j] - spectrum.residuals[j]
        ax.plot(x, line, "-", color=color, lw=1.5, label=rf"$q$ = {spectrum.q[j]:g}, $\tau$ = {spectrum.tau[j]:.2f}")
    ax.set(xlabel=r"$\ln(r/r_{\max})$", ylabel=r"$\ln Z_q(r)$")
    ax.legend(frameon=False)
    _write_badge(spectrum, ax)
    return ax


def plot_masses(masses, neurons=(0,), ax=None):
    """Draw the mass N_i(r) of some neurons over the radius, both on logarithmic axes; neurons: rows of the masses."""
    ax = _axes(ax)
    names = masses.labels("layer")
    for color, row in zip((BLUE, ORANGE, GREEN, RED, PURPLE, SKY), neurons):
        label = f"{names[row]}, neuron {masses.number[row]}"
        ax.step(masses.radii, masses.counts[row], where="post", color=color, lw=2, label=label)
    ax.set(xscale="log", yscale="log", xlabel="radius $r$ (distance $1/|w|$)", ylabel="mass $N_i(r)$")
    ax.legend(frameon=False)
    return ax


def plot_weights(network, ax=None, color=BLUE, edges=WEIGHT_EDGES):
    """Draw the distribution of all weights of a network; weights beyond the edges are counted in the outermost bins."""
    ax = _axes(ax)
    density, deviation = network.weight_histogram(edges)
    ax.stairs(density, edges, fill=True, color=color, alpha=0.8)
    ax.set(xlabel="weight $w$", ylabel="density", title=rf"standard deviation $\sigma$ = {deviation:.4f}")
    return ax


def plot_distances(network, method=PAPER, ax=None, color=BLUE):
    """Draw how many connections lie at each distance, to twice the window; grey are those that the window leaves out."""
    ax = _axes(ax)
    used = one_hop_masses(network, method)
    if method.window is None:
        wide, (low, high) = method.replace(minimum_connections=1), (0.0, np.inf)
    else:
        low, high = method.window
        wide = method.replace(minimum_connections=1, window=(0.0, 2 * high))
    masses = one_hop_masses(network, wide)
    ends = masses.counts.sum(axis=0, dtype=np.int64) - len(masses.counts)
    bars = 1.0 if method.rounding else -np.diff(masses.radii, prepend=0)
    inside = (masses.radii > low) & (masses.radii <= high)
    colours = np.where(inside, color, "#BBBBBB")
    ax.bar(masses.radii, np.diff(ends, prepend=0), bars, align="center" if method.rounding else "edge", color=colours)
    share = used.connections_inside / used.connections_total
    ax.set(xlabel="distance $d = 1/|w|$", ylabel="connections", title=f"{share:.0%} of the connections lie in the window")
    if np.isfinite(high):
        ax.axvspan(low, high, color=color, alpha=0.08, lw=0)
        ax.axvline(high, color="black", ls="--", lw=1)
        ax.set_xlim(0, 2 * high)
    return ax


def plot_matrix(network, name, neuron, ax=None):
    """Draw one weight matrix (blue positive, red negative) and frame the column of one source neuron, a position in it."""
    ax = _axes(ax)
    block = next((block for block in network.weight_blocks if block.name == name), None)
    if block is None:
        raise NeuroMFAError(f"no matrix {name!r} in this network; network.describe() lists their names")
    weights = block.weights()
    limit = float(np.quantile(np.abs(weights), 0.99))
    picture = ax.imshow(weights, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ax.figure.colorbar(picture, ax=ax, label="weight $w$")
    corner = (neuron - 0.5, -0.5)
    ax.add_patch(Rectangle(corner, 1, len(weights), fill=False, ec="black", lw=2, clip_on=False))
    ax.set(xlabel=f"source neuron, in {network.layers[block.source].name}", title=f"framed: all that leaves neuron {neuron}")
    ax.set_ylabel(f"target neuron, in {network.layers[block.target].name}")
    ax.grid(False)
    return ax


RINGS = (1, 10, 100, 1000)


def around(distances):
    """Places (neurons, 2) around a neuron at the origin: as far out as ln(1 + distance), at angles in the order given."""
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
    ax = rings(_axes(ax), window)
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
    """{node of to_networkx(): (x, y)}; layers of one column share it from bottom to top, a lone layer is a circle."""
    nodes = [[(layer.name, int(number)) for number in layer.numbers] for layer in network.layers]
    if len(nodes) == 1:
        angles = np.linspace(0, 2 * np.pi, len(nodes[0]), endpoint=False)
        return {node: (np.sin(angle), np.cos(angle)) for node, angle in zip(nodes[0], angles, strict=True)}
    column, place = _columns(network), {}
    for here in sorted(set(column)):
        sharing = [layer for position, layer in enumerate(nodes) if column[position] == here][::-1]
        for floor, layer in enumerate(sharing):
            for rung, node in enumerate(layer):
                place[node] = (here, (floor + 0.06 + 0.88 * (rung + 0.5) / len(layer)) / len(sharing))
    return place


def plot_network(network, ax=None, strongest=400):
    """Draw neurons and the strongest connections between them, thicker where stronger; fixed joins are thin and grey."""
    import networkx as nx

    ax = _axes(ax)
    graph, place = network.to_networkx(), _places(network)
    fixed = {block.role for block in network.blocks} - {block.role for block in network.weight_blocks}
    edges = sorted(graph.edges(data=True), key=lambda edge: edge[2]["distance"])
    joins = [edge[:2] for edge in edges if edge[2]["role"] in fixed]
    edges = [edge for edge in edges if edge[2]["role"] not in fixed][:strongest]
    style = {"ax": ax, "arrows": False}
    nx.draw_networkx_edges(graph, place, edgelist=joins, width=0.4, edge_color="#CCCCCC", style=":", **style)
    width = [0.4 + 3.6 * edges[0][2]["distance"] / data["distance"] for *_, data in edges]
    colour = [RED if data["weight"] < 0 else BLUE for *_, data in edges]
    nx.draw_networkx_edges(graph, place, edgelist=[edge[:2] for edge in edges], width=width, edge_color=colour, alpha=0.6, **style)
    colours = [LAYER_COLOURS.get(role, GREY) for role in nx.get_node_attributes(graph, "role").values()]
    nx.draw_networkx_nodes(graph, place, ax=ax, node_color=colours, node_size=42, edgecolors="white", linewidths=0.6)
    if len(network.layers) > 1:
        _name_layers(network, place, ax)
    ax.set_axis_off()
    ax.set_title(f"the {len(edges)} strongest connections: blue positive, red negative", pad=14)
    return ax


def _name_layers(network, place, ax):
    column = _columns(network)
    for layer, here in zip(network.layers, column, strict=True):
        name = SHORT_NAMES.get(layer.role, layer.role)
        lowest = min(place[layer.name, int(number)][1] for number in layer.numbers)
        if column.count(here) == 1:
            ax.text(here, -0.05, name, ha="center", va="top", fontsize=10)
        else:
            ax.text(here - 0.12, lowest, name, ha="right", va="bottom", fontsize=10)
    for block in sorted({layer.block for layer in network.layers} - {None}):
        inside = [here for layer, here in zip(network.layers, column, strict=True) if layer.block == block and layer.role != "output"]
        ax.plot([min(inside) - 0.3, max(inside) + 0.3], [-0.16, -0.16], color=GREY, lw=1.5, clip_on=False)
        ax.text((min(inside) + max(inside)) / 2, -0.18, f"block {block}", ha="center", va="top", fontsize=11, color=GREY)


def plot_chain(network, ax=None, block=0):
    """Draw the layers of one block as boxes: solid arrows are weight matrices, dotted ones fixed joins of weight 1."""
    ax = _axes(ax)
    column = _columns(network)
    mine = [join for join in network.blocks if network.layers[join.source].block == block]
    shown = list(dict.fromkeys(position for join in mine for position in (join.source, join.target)))
    place = {}
    for here in sorted({column[position] for position in shown}):
        sharing = [position for position in shown if column[position] == here]
        for rung, position in enumerate(sharing):
            place[position] = (here, (len(sharing) - 1) / 2 - rung)
    for join in mine:
        fixed = join not in network.weight_blocks
        arrow = {"arrowstyle": "-|>", "ls": ":" if fixed else "-", "color": GREY if fixed else BLUE, "lw": 2}
        ax.annotate("", place[join.target], place[join.source], arrowprops={**arrow, "shrinkA": 30, "shrinkB": 30})
    for position, spot in place.items():
        layer = network.layers[position]
        name = "next input" if column[position] == column[shown[-1]] else SHORT_NAMES.get(layer.role, layer.role)
        box = {"boxstyle": "round,pad=0.5", "fc": "white", "ec": LAYER_COLOURS.get(layer.role, GREY), "lw": 2}
        ax.text(*spot, f"{name}\n{len(layer.numbers)}", ha="center", va="center", fontsize=10, bbox=box)
    spots = np.array(list(place.values()))
    ax.set(xlim=(spots[:, 0].min() - 0.4, spots[:, 0].max() + 0.4), ylim=(spots[:, 1].min() - 0.5, spots[:, 1].max() + 0.5))
    ax.set_axis_off()
    return ax


def plot_trajectory(trajectory, ax=None, color=BLUE, label=None):
    """Draw E over the training steps: band = standard deviation over samples, thin lines = other training seeds."""
    ax = _axes(ax)
    _bands(trajectory, "emergence", "emergence_sd", ax, color, label or trajectory.run)
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="training step", ylabel="degree of emergence $E$")
    return ax


def plot_ability(trajectory, ax=None, color=ORANGE, label=None):
    """Draw the ability over the training steps; thin lines are other training seeds."""
    ax = _axes(ax)
    _bands(trajectory, trajectory.ability_name, None, ax, color, label or trajectory.run)
    ax.set(xlabel="training step", ylabel=trajectory.ability_name.replace("_", " "), ylim=(-0.03, 1.03))
    return ax


def plot_regularity(trajectory, ax=None, color=BLUE, label=None):
    """Draw alpha0 over the training steps with its band over samples."""
    ax = _axes(ax)
    _bands(trajectory, "alpha0", "alpha0_sd", ax, color, label or trajectory.run)
    ax.set(xlabel="training step", ylabel=r"regularity $\alpha_0$")
    return ax


def plot_heterogeneity(trajectory, ax=None, color=BLUE, label=None):
    """Draw the spectrum width over the training steps with its band over samples."""
    ax = _axes(ax)
    _bands(trajectory, "width", "width_sd", ax, color, label or trajectory.run)
    ax.set(xlabel="training step", ylabel="heterogeneity (width $w$)")
    return ax


def _bands(trajectory, name, spread, ax, color, label):
    for seed in trajectory.training_seeds:
        table = trajectory.summary(seed)
        main = seed == trajectory.training_seeds[0]
        ax.plot(
            table["step"], table[name], color=color, lw=2.2 if main else 1, ls="-" if main else ":", marker="o", ms=4 if main else 3,
            label=label if main else None,
        )  # fmt: skip
        if main and spread and table[spread].notna().all():
            low, high = table[name] - table[spread], table[name] + table[spread]
            ax.fill_between(table["step"], low, high, color=color, alpha=0.2, lw=0)
    step_axis(ax, int(trajectory.step.max()))
    ax.legend(frameon=False)


def step_axis(ax, last):
    """Training steps on a logarithmic axis that has a 0, the untrained network; returns the Axes."""
    ax.set_xscale("symlog", linthresh=1)
    ticks = [0, *(10**power for power in range(len(str(last))))]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xlim(-0.3, last * 1.15)
    return ax


def badge(spectrum):
    """The quality of a spectrum in a few words: its first flag, or how straight its fits are."""
    return f"\u26a0 {spectrum.flags[0]}" if spectrum.flags else f"fits: $r^2 \\geq$ {spectrum.r2:.3f}"


def _write_badge(spectrum, ax):
    color = RED if spectrum.flags else GREY
    ax.text(0.5, 0.03, badge(spectrum), transform=ax.transAxes, ha="center", fontsize=9, color=color, wrap=True)
