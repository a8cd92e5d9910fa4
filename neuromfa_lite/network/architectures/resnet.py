"""ResNet, of basic or bottleneck blocks: channels are neurons, and a shortcut is a stream or a convolution."""

from ..connections import NeuronLayer
from .record import Architecture, Join, register
from .transformer import HEAD, LEFT_OUT, NORM

KERNEL = "{}layer.{}.convolution.weight"


def _dataflow(known):
    blocks = [(stage, layer) for stage, depth in enumerate(known["depths"]) for layer in range(depth)]
    layers, joins = [], []
    for number, (stage, layer) in enumerate(blocks):
        stored, name = f"encoder.stages.{stage}.layers.{layer}.", f"block {number}"
        after = f"block {number + 1} input" if number + 1 < len(blocks) else "output"
        kernels = [KERNEL.format(stored, place) for place in range(3)]
        kernels = kernels if kernels[2] in known.shapes else kernels[:2]  # three in a bottleneck
        points = [f"{name} input", *(f"{name} channel {place}" for place in range(len(kernels) - 1)), after]
        for place, kernel in enumerate(kernels):
            size = known.shape(kernel)[1]
            first = {"role": "hidden", "group": "stream"} if place == 0 else {"role": "channel"}
            layers.append(NeuronLayer(points[place], size, block=number, **first))
            joins.append(Join(points[place], points[place + 1], kernel, "convolution"))
        shortcut = f"{stored}shortcut.convolution.weight"
        if shortcut in known.shapes:
            joins.append(Join(points[0], after, shortcut, "shortcut"))
        else:
            joins.append(Join(points[0], after, role="residual", kind="one-to-one"))
    layers.append(NeuronLayer("output", known.shape(kernels[-1])[0], "output", len(blocks) - 1, group="stream"))
    return layers, joins


register(
    Architecture(
        "resnet",
        layers=None,
        joins=None,
        dataflow=_dataflow,
        prefixes=("resnet.", ""),
        left_out=(
            ("*embedder.embedder.convolution.weight", "convolution of the pixels: the network starts after it"),
            ("*classifier*", HEAD),
            ("*normalization*", f"batch {NORM}"),
            *LEFT_OUT,
        ),
    )
)
