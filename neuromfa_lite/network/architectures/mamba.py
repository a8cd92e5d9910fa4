"""Mamba: in place of attention each channel has a state, which it writes and reads as all of its channels say."""

import numpy as np

from ..connections import NeuronLayer
from .record import Architecture, Join, register
from .transformer import EMBEDDING, LEFT_OUT, NORM, UNEMBEDDING


def _dataflow(known):
    blocks, layers, joins = known["num_hidden_layers"], [], []
    for block in range(blocks):
        after = f"block {block + 1} input" if block + 1 < blocks else "output"
        layers += _layers(known, f"layers.{block}.mixer.", f"block {block}", block)
        joins += _joins(known, f"layers.{block}.mixer.", f"block {block}", after)
    return [*layers, NeuronLayer("output", layers[0].size, "output", blocks - 1, group="stream")], joins


def _sizes(known, stored):
    """How many channels, numbers of a step before they are one for each channel, and numbers of a channel's state."""
    return *known.shape(f"{stored}dt_proj.weight"), known.shape(f"{stored}A_log")[1]


def _layers(known, stored, name, block):
    channels, step, state = _sizes(known, stored)
    hidden = known.shape(f"{stored}in_proj.weight")[1]
    yield NeuronLayer(f"{name} input", hidden, "hidden", block, group="stream")
    for what, role in (("entering", "channel"), ("channel", "channel"), ("gate", "gate"), ("step", "step")):
        yield NeuronLayer(f"{name} {what}", channels, role, block, f"{name} channels", multiplier=2)
    for what, size in (("step before", step), ("write", state), ("read", state)):
        yield NeuronLayer(f"{name} {what}", size, "state", block, small=True)
    yield NeuronLayer(f"{name} state", channels, "channel", block, f"{name} channels", multiplier=2)


def _joins(known, stored, name, after):
    channels, step, state = _sizes(known, stored)
    halves = np.split(np.arange(2 * channels), 2)
    parts = np.split(np.arange(step + 2 * state), [step, step + state])
    yield Join(f"{name} input", after, role="residual", kind="one-to-one")
    for what, rows in zip(("entering", "gate"), halves, strict=True):
        yield Join(f"{name} input", f"{name} {what}", f"{stored}in_proj.weight", what, what, rows)
    yield Join(f"{name} entering", f"{name} channel", f"{stored}conv1d.weight", "convolution", groups=channels)
    for what, rows in zip(("step before", "write", "read"), parts, strict=True):
        yield Join(f"{name} channel", f"{name} {what}", f"{stored}x_proj.weight", what, what, rows)
    yield Join(f"{name} step before", f"{name} step", f"{stored}dt_proj.weight", "step")
    for what in ("channel", "step", "gate"):
        yield Join(f"{name} {what}", f"{name} state", role="state", kind="one-to-one")
    for what in ("write", "read"):
        yield Join(f"{name} {what}", f"{name} state", role="state", kind="all-to-all")
    yield Join(f"{name} state", after, f"{stored}out_proj.weight", "state-output")


register(
    Architecture(
        "mamba",
        layers=None,
        joins=None,
        dataflow=_dataflow,
        required=("num_hidden_layers",),
        prefixes=("backbone.", ""),
        left_out=(
            ("*embeddings.weight", EMBEDDING),
            ("*lm_head.weight", UNEMBEDDING),
            ("*.A_log", "decay of the states: of a neuron alone, joins no two"),
            ("*.D", "what passes a state by: of a neuron alone, joins no two"),
            ("*norm_f.weight", NORM),
            *LEFT_OUT,
        ),
        embedding=("embeddings.weight",),
        unembedding=("lm_head.weight",),
    )
)
