"""Silero VAD, a detector of speech: four convolutions of a power spectrum, and a memory of one LSTM cell.

Its file, which the package of that name brings, has no config.json: load_network(file, architecture="silero_vad").
"""

import numpy as np

from ..connections import NeuronLayer
from .record import Architecture, Join, register
from .transformer import LEFT_OUT

CHAIN = ("power", "first", "second", "third", "fourth")
GATES = ("input gate", "forget gate", "cell", "output gate")


def _dataflow(known):
    kernels = [f"conv{number}.weight" for number in range(1, 5)]
    sizes = [known.shape(kernels[0])[1], *(known.shape(kernel)[0] for kernel in kernels)]
    memory, outputs = known.shape("lstm_cell.weight_hh")[1], known.shape("final_conv.weight")[0]
    layers = [NeuronLayer(name, size, "channel", None) for name, size in zip(CHAIN, sizes, strict=True)]
    layers += [
        NeuronLayer("memory", memory, "hidden", None),
        NeuronLayer("output", outputs, "output", None, small=True),
    ]
    joins = [Join(*ends, kernel, "convolution") for *ends, kernel in zip(CHAIN, CHAIN[1:], kernels, strict=False)]
    for number, gate in enumerate(GATES):
        rows = np.arange(number * memory, (number + 1) * memory)
        joins.append(Join("fourth", "memory", "lstm_cell.weight_ih", gate, gate, rows))
        joins.append(Join("memory", "memory", "lstm_cell.weight_hh", gate, gate, rows))
    return layers, [*joins, Join("memory", "output", "final_conv.weight", "convolution")]


register(
    Architecture(
        "silero_vad",
        layers=None,
        joins=None,
        dataflow=_dataflow,
        left_out=(
            ("stft_conv.weight", "waves of a Fourier transform: computed, not trained"),
            ("lstm_cell.bias*", "bias: shifts a neuron, joins no two neurons"),
            *LEFT_OUT,
        ),
    )
)
