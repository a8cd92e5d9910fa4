"""Drawing neurons: the same ones for the same seed, whatever the weights."""

from functools import lru_cache

import numpy as np

from ..errors import NeuroMFAError


def draw_layers(layers, blocks, neurons_per_layer, seed):
    """(layers, blocks) of a sample, lists; see NeuronNetwork.sample."""
    groups = list(dict.fromkeys(layer.group for layer in layers))
    # Tokens draw from the last stream, so that all other layers keep the neurons they have without tokens.
    groups.sort(key=lambda group: group == "tokens")
    kept, drawn = [], {}
    for layer in layers:
        there, wanted = len(layer), neurons_per_layer * layer.multiplier
        wanted = min(wanted, there) if layer.small else wanted
        if wanted > there:
            largest = min(len(each) // each.multiplier for each in layers if not each.small)
            raise NeuroMFAError(
                f"neurons_per_layer={neurons_per_layer} asks for {wanted} neurons of layer {layer.name!r}, which "
                f"has {there}: use at most {largest}"
            )
        # Layers of a group share their neurons where they can: a smaller one (keys of grouped queries) draws its own.
        sharing = layer.group, there, wanted
        if sharing not in drawn:
            drawn[sharing] = _draw(seed, groups.index(layer.group), there, wanted)
        kept.append(drawn[sharing])
    parts = [layer.take(keep) for layer, keep in zip(layers, kept, strict=True)]
    return parts, [block.take(kept[block.target], kept[block.source]) for block in blocks]


@lru_cache(maxsize=4096)  # the samples of a run draw the same neurons again at every step
def _draw(seed, group, there, wanted):
    # default_rng([...]) is the same stream, made in twice the time
    stream = np.random.Generator(np.random.PCG64([seed, group]))
    drawn = np.sort(stream.choice(there, wanted, replace=False))
    drawn.setflags(write=False)
    return drawn


def groups_of(joined, layers):
    """The number of each layer's group: layers joined one to one (pairs of positions) share their sampled neurons."""
    group = list(range(layers))
    for first, second in joined:
        mine, other = sorted((group[first], group[second]))
        group = [mine if each == other else each for each in group]
    return group
