"""Lesson 08: the layers of a network; choose a neuron and see whom it reaches."""

import ipywidgets as widgets
from matplotlib.patches import FancyBboxPatch

from ..network import refuse_no_network
from ..plots.curves import BLUE, ORANGE
from ..plots.folding import fold, lines_of
from ..plots.wiring import HEIGHT, WIDTH, places, plot_wiring
from .base import Panel


class WiringPanel(Panel):
    """The layers of a network, and how many of their neurons one neuron reaches: at once strong, in more steps fainter.

    ``network``: NeuronNetwork, its layers by dataflow or by the chain; of one with more than 60 layers equal ones are
    drawn once. ``numbers``: neuron, reached at once and reached at all (neurons), steps to the farthest.
    """

    def __init__(self, network):
        self.network = refuse_no_network("network", network)
        shown, lines, _ = fold(network.layers, lines_of(network), 60)
        self._spots, (columns, rows) = places(shown, lines)
        names = [network.layers[position].name for position in shown]
        layer = widgets.Dropdown(options=names, value=names[0], description="layer")
        neuron = widgets.IntSlider(0, 0, len(network.layers[shown[0]]) - 1, description="neuron")

        def fit_neurons(change):  # layers differ in size
            neuron.max = len(self._layer(layer.value)) - 1

        layer.observe(fit_neurons, names="value")
        super().__init__({"layer": layer, "neuron": neuron}, int(88 * columns) + 120, int(80 * rows) + 110)

    def _layer(self, name):
        return next(layer for layer in self.network.layers if layer.name == name)

    def draw_still(self):
        ax = plot_wiring(self.network, self.figure.subplots())
        self._boxes, self._counts = {}, {}
        for position, spots in self._spots.items():
            name = self.network.layers[position].name
            for x, y, _ in spots:
                corner = x - WIDTH / 2, y - HEIGHT / 2
                box = FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.08", zorder=5, lw=0)
                ax.add_patch(self.moving(box))
                count = ax.text(
                    x, y + HEIGHT / 2 + 0.03, "", ha="center", va="bottom", fontsize=8, zorder=6, weight="bold"
                )
                self._boxes.setdefault(name, []).append(box)
                self._counts.setdefault(name, []).append(self.moving(count))

    def draw_moving(self, layer, neuron):
        number = int(self._layer(layer).numbers[neuron])
        table = self.network.reached(layer, number)
        first = table.groupby("layer", sort=False).agg({"steps": "min", "neurons": "sum"})
        for name, boxes in self._boxes.items():
            steps = first.steps.get(name)
            shade = 0 if steps is None else 0.55 if steps < 2 else max(0.08, 0.3 / (steps - 1))
            for box, count in zip(boxes, self._counts[name], strict=True):
                box.set(fc=ORANGE if name == layer else BLUE, alpha=shade)
                count.set_text(
                    "" if steps is None else f"{first.neurons[name]} in {steps}" if steps else f"neuron {number}"
                )
        others = table[table.steps > 0]
        return {
            "neuron": number,
            "reached at once": int(others[others.steps == 1].neurons.sum()),
            "reached at all": int(others.neurons.sum()),
            "steps to the farthest": int(table.steps.max()),
        }
