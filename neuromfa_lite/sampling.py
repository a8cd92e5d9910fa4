"""Drawing neurons: the same ones for the same seed, whatever the weights."""

from functools import lru_cache

import numpy as np

from .errors import NeuroMFAError


def draw_layers(layers, blocks, neurons_per_layer, seed):
    """Draw a sampled network layer by layer; see NeuronNetwork.sample.

    Args:
        layers, blocks: of a network.
        neurons_per_layer: whole number, times its multiplier in a layer that has one.
        seed: whole number.

    Returns:
        (layers, blocks), lists.

    Raises:
        NeuroMFAError: a layer has fewer neurons than asked for.
    """
    groups = list(dict.fromkeys(layer.group or layer.name for layer in layers))
    # Tokens draw from the last stream, so that all other layers keep the neurons they have without tokens.
    groups.sort(key=lambda group: group == "tokens")
    kept, drawn = [], {}
    for layer in layers:
        group, wanted = layer.group or layer.name, neurons_per_layer * layer.multiplier
        there = len(layer)
        if wanted > there:
            raise NeuroMFAError(
                f"neurons_per_layer={neurons_per_layer} asks for {wanted} neurons of layer {layer.name!r}, which "
                f"has {there}: use at most {largest_sample(layers)}"
            )
        # Layers of a group share their neurons where they can: a smaller one (keys of grouped queries) draws its own.
        sharing = group, there, wanted
        if sharing not in drawn:
            drawn[sharing] = _draw(seed, groups.index(group), there, wanted)
        kept.append(drawn[sharing])
    parts = [layer.take(keep) for layer, keep in zip(layers, kept, strict=True)]
    return parts, [block.take(kept[block.target], kept[block.source]) for block in blocks]


def largest_sample(layers):
    """The largest neurons_per_layer that every layer can give."""
    return min(len(layer) // layer.multiplier for layer in layers)


@lru_cache(maxsize=4096)  # the samples of a run draw the same neurons again at every step
def _draw(seed, group, there, wanted):
    # default_rng([...]) is the same stream, made in twice the time
    stream = np.random.Generator(np.random.PCG64([seed, group]))
    drawn = np.sort(stream.choice(there, wanted, replace=False))
    drawn.setflags(write=False)
    return drawn
