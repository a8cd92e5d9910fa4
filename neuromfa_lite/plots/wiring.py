"""A drawing of any network: its layers as boxes in the order of the flow, and what joins them."""

import textwrap
from itertools import pairwise

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from ..errors import arguments
from ..errors.text import math_free
from .curves import BLUE, GREY, ORANGE, PURPLE, axes_for
from .folding import fold, lines_of, short_names
from .networks import LAYER_COLOURS

WIDTH, HEIGHT, ROW, GAP = 0.74, 0.56, 0.82, 0.7  # of a box; apart from the next one; between two lines of boxes
IN_A_LINE = 12  # columns
DASHES = {"one-to-one": ":", "one-to-many": "-.", "many-to-one": "-.", "groups": "-.", "all-to-all": "--"}
COLOURS = {"expert": PURPLE, "router": ORANGE, "gate": PURPLE, "channel": BLUE, "input": GREY}


def plot_wiring(network, ax=None, most=60):
    """Draw the layers of a network as boxes, and what joins them: solid arrows are weight matrices, others fixed joins.

    Args:
        network: NeuronNetwork of any model.
        ax: matplotlib axes; None: new ones, as large as the drawing needs.
        most: layers to draw; of a network with more, equal ones in a row or side by side are drawn once.

    Returns:
        The axes.
    """
    most = arguments.whole("most", most, 1)
    shown, lines, folds = fold(network.layers, lines_of(network), most)
    place, size = places(shown, lines)
    ax = axes_for(ax, (1.2 * size[0] + 0.6, 0.95 * size[1] + 0.7))
    layers = [network.layers[position] for position in shown]
    for line in lines:
        _draw_line(ax, line, place)
    for position, layer, name in zip(shown, layers, short_names(layers), strict=True):
        for spot in place[position]:
            _draw_box(ax, spot, layer, name)
    for each in folds:
        _draw_fold(ax, [place[layer][0] for layer in each.layers], str(each))
    spots = np.array([spot for of_layer in place.values() for spot in of_layer])
    (left, low, _), (right, high, _) = spots.min(axis=0), spots.max(axis=0)
    ax.set(xlim=(left - 0.7, right + 0.7), ylim=(low - 0.9, high + 1.0))
    _legend(ax, lines)
    ax.set_axis_off()
    return ax


def places(shown, lines):
    """({layer: its spots (x, y, y of its line)}, columns and rows): the last box of a line of boxes begins the next.

    A column is the longest way to a layer; in it layers are ordered by the mean height of what feeds them.
    """
    rank = {position: number for number, position in enumerate(shown)}
    onwards = [line for line in lines if rank[line.source] < rank[line.target]]
    column, height = dict.fromkeys(shown, 0), {}
    for position in shown:
        column[position] = max((column[each.source] + 1 for each in onwards if each.target == position), default=0)
    columns = [[p for p in shown if column[p] == number] for number in range(max(column.values()) + 1)]
    for members in columns:
        before = {p: [height[each.source] for each in onwards if each.target == p] for p in members}
        members.sort(key=lambda p: -np.mean(before[p] or [0.0]))
        for row, position in enumerate(members):
            height[position] = ROW * ((len(members) - 1) / 2 - row)
    breaks = _breaks(columns, column, onwards)
    spots, top, widest = {}, 0.0, 0
    for start, stop in pairwise(breaks):
        there = [p for number in range(start, stop + 1) for p in columns[number]]
        extent = max(abs(height[p]) for p in there)
        middle = top - extent
        for position in there:
            spots.setdefault(position, []).append((column[position] - start, middle + height[position], middle))
        top, widest = middle - extent - ROW - GAP, max(widest, stop - start + 1)
    return spots, (widest, -top)


def _breaks(columns, column, lines):
    """The columns at which lines of boxes begin and end: of a single layer, which nothing passes by."""
    single = [n for n, members in enumerate(columns) if len(members) == 1]
    free = [n for n in single if not any(column[each.source] < n < column[each.target] for each in lines)]
    last, found = len(columns) - 1, [0]
    while last - found[-1] + 1 > IN_A_LINE:
        fitting = [n for n in free if found[-1] < n < min(last, found[-1] + IN_A_LINE)]
        later = [n for n in free if found[-1] < n < last]
        if not later:
            break
        found.append(fitting[-1] if fitting else later[0])
    return [*found, last] if last > found[-1] or last == 0 else found


def _draw_line(ax, line, place):
    """An arrow from box to box, an arc above the boxes between, a loop above a box, below for a way back."""
    here, there = _nearest(place[line.source], place[line.target])
    start, end = here[:2], there[:2]
    color, dashes = (GREY, DASHES.get(line.kind, "-")) if line.fixed else (BLUE, "-")
    across = end[0] - start[0]
    between = [y for spots in place.values() for x, y, of in spots if of == here[2] and start[0] < x < end[0]]
    look = {"arrowstyle": "-|>", "mutation_scale": 10, "zorder": 1, "lw": 1.5, "color": color, "ls": dashes}
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    if line.source == line.target:
        route = _arc(start, end, start[1] + 0.62, HEIGHT / 2, apart=0.2)
        middle = start[0], start[1] + 0.5
    elif across <= 0:
        route = _arc(start, end, min(start[1], end[1]) - 0.55, -HEIGHT / 2)
    elif any(abs(y - middle[1]) < HEIGHT for y in between):
        route = _arc(start, end, max(between) + 0.5, HEIGHT / 2)
    else:
        route = None
        ends = {"patchA": _box(ax, start), "patchB": _box(ax, end), "shrinkA": 0, "shrinkB": 0}
        ax.add_patch(FancyArrowPatch(start, end, **ends, **look))
    if route is not None:
        ax.add_patch(FancyArrowPatch(path=route, **look))
    if line.several > 1:
        at = {"ha": "center", "va": "center", "fontsize": 8, "zorder": 4}
        ax.text(middle[0], middle[1] + 0.11, f"× {line.several}", color=color, **at)


def _arc(start, end, peak, edge, apart=0.0):
    """The way from one box to another past others, which is as high or low as peak; edge: of the boxes, from within."""
    ends = (start[0] + apart, start[1] + edge), (end[0] - apart, end[1] + edge)
    over = 2 * peak - (ends[0][1] + ends[1][1]) / 2
    return Path([ends[0], ((start[0] + end[0]) / 2, over), ends[1]], [Path.MOVETO, Path.CURVE3, Path.CURVE3])


def _nearest(starts, ends):
    """The spots of two layers in the same line of boxes, of the last one where they share several."""
    pairs = [(start, end) for start in starts for end in ends]
    return min(pairs, key=lambda pair: abs(pair[0][1] - pair[1][1]) + 0.01 * abs(pair[0][0] - pair[1][0]))


def _box(ax, spot):
    corner = spot[0] - WIDTH / 2, spot[1] - HEIGHT / 2
    look = {"boxstyle": "round,pad=0,rounding_size=0.08", "transform": ax.transData}
    return FancyBboxPatch(corner, WIDTH, HEIGHT, **look)


def _draw_box(ax, spot, layer, name):
    box = _box(ax, spot)
    box.set(fc="white", ec=COLOURS.get(layer.role, LAYER_COLOURS.get(layer.role, GREY)), lw=2, zorder=3)
    ax.add_patch(box)
    words = textwrap.wrap(math_free(name), 13, max_lines=3, placeholder=" …", break_on_hyphens=False)
    said = "\n".join([*words, f"{len(layer):,}"])
    ax.text(*spot[:2], said, ha="center", va="center", fontsize=7.5, zorder=4, linespacing=1.0)


def _draw_fold(ax, spots, text):
    left, right = min(x for x, *_ in spots) - WIDTH / 2, max(x for x, *_ in spots) + WIDTH / 2
    low = min(y for _, y, _ in spots) - HEIGHT / 2 - 0.14
    ax.plot([left, left, right, right], [low + 0.08, low, low, low + 0.08], color=GREY, lw=1.5)
    ax.text((left + right) / 2, low - 0.05, text, ha="center", va="top", fontsize=9, color=GREY)


def _legend(ax, lines):
    kinds = list(dict.fromkeys(line.kind for line in lines if line.fixed))
    handles = [Line2D([], [], color=BLUE, lw=1.6, label="weight matrix")] * any(not line.fixed for line in lines)
    handles += [Line2D([], [], color=GREY, lw=1.6, ls=DASHES[kind], label=f"{kind}, weight 1") for kind in kinds]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, fontsize=8, frameon=False)
