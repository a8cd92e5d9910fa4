"""Changes of a GPT-NeoX model that leave its function as it is: other weights, the same logits up to rounding.

A measure of the weights that moves under one of them measures a choice of coordinates, not what the network does.
Each takes a checkpoint, or what `open_source` takes, and returns a ChangedCheckpoint, computed in float64.
"""

import numpy as np

from ...errors import NeuroMFAError
from ...network.architectures import fused_rows
from ...network.architectures.wire import wire
from ...weights import open_source
from .checkpoint import ChangedCheckpoint, arrays_of


def fold_layer_norms(checkpoint):
    """Move the gain of every layer norm into the matrix behind it: query, key and value; MLP-in; unembedding.

    W (g n + b) + c = (W g) n + (W b + c), where n is the normalised input. The norm's bias b goes into the bias c of
    the layer behind; where that has none, the unembedding in particular, it stays in the norm as b/g. A neuron of
    gain 0 stays as it is, and so does the last norm of a model whose unembedding is tied to its embedding.
    """
    source, arrays = _opened(checkpoint)
    for name in _block_names(source):
        _fold(arrays, f"{name}.input_layernorm", f"{name}.attention.query_key_value")
        _fold(arrays, f"{name}.post_attention_layernorm", f"{name}.mlp.dense_h_to_4h")
    unembedding = next((each for each in ("lm_head", "embed_out") if f"{each}.weight" in arrays), None)
    if unembedding is not None and not source.config.get("tie_word_embeddings"):
        _fold(arrays, f"{_prefix(source)}final_layer_norm", unembedding)
    return ChangedCheckpoint(checkpoint, "layer norms folded", arrays)


def scale_values(checkpoint):
    """Multiply every value by 3 and divide the attention's output matrix by it; value biases too.

    Example:
        >>> from neuromfa_lite import load_run
        >>> scale_values(load_run("induction").checkpoint(724)).change
        'values x 3, attention output / 3'
    """
    source, arrays = _opened(checkpoint)
    for name in _block_names(source):
        _scale_part(arrays, name, source.config, 2, 3.0)
        arrays[f"{name}.attention.dense.weight"] /= 3.0
    return ChangedCheckpoint(checkpoint, "values x 3, attention output / 3", arrays)


def scale_queries(checkpoint):
    """Multiply every query by 3 and divide every key by it, biases too; rotary positions do not mind."""
    source, arrays = _opened(checkpoint)
    for name in _block_names(source):
        _scale_part(arrays, name, source.config, 0, 3.0)
        _scale_part(arrays, name, source.config, 1, 1 / 3.0)
    return ChangedCheckpoint(checkpoint, "queries x 3, keys / 3", arrays)


def permute_hidden(checkpoint):
    """Renumber the neurons of every MLP: rows of MLP-in and its bias, and columns of MLP-out, by one permutation."""
    source, arrays = _opened(checkpoint)
    for place, name in enumerate(_block_names(source)):
        order = np.random.default_rng([0, place]).permutation(source.config["intermediate_size"])
        for tensor in (f"{name}.mlp.dense_h_to_4h.weight", f"{name}.mlp.dense_h_to_4h.bias"):
            arrays[tensor] = arrays[tensor][order]
        arrays[f"{name}.mlp.dense_4h_to_h.weight"] = arrays[f"{name}.mlp.dense_4h_to_h.weight"][:, order]
    return ChangedCheckpoint(checkpoint, "MLP neurons renumbered", arrays)


FUNCTION_PRESERVING = {
    "layer norms folded": fold_layer_norms,
    "values x 3": scale_values,
    "queries x 3": scale_queries,
    "MLP neurons renumbered": permute_hidden,
}


def _opened(checkpoint):
    """(WeightSource, float64 arrays), checked to be a whole GPT-NeoX."""
    source = open_source(checkpoint)
    model_type = source.config.get("model_type")
    if model_type != "gpt_neox":
        raise NeuroMFAError(f"{source.origin} is of model_type {model_type!r}: these changes are of gpt_neox only")
    wire(source)  # refuses a matrix that is missing or does not fit
    arrays = arrays_of(source, np.float64)
    norms = [f"{_prefix(source)}final_layer_norm"]
    norms += [f"{name}.{norm}_layernorm" for name in _block_names(source) for norm in ("input", "post_attention")]
    needed = [f"{norm}.{each}" for norm in norms for each in ("weight", "bias")]
    needed += [f"{name}.mlp.dense_h_to_4h.bias" for name in _block_names(source)]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise NeuroMFAError(
            f"{source.origin} lacks {', '.join(missing[:3])}: give all tensors of the model, biases and layer norms too"
        )
    return source, arrays


def _prefix(source):
    return "gpt_neox." if any(name.startswith("gpt_neox.") for name in source.names) else ""


def _block_names(source):
    return [f"{_prefix(source)}layers.{block}" for block in range(source.config["num_hidden_layers"])]


def _fold(arrays, norm, layer):
    gain, bias = arrays[f"{norm}.weight"], arrays[f"{norm}.bias"]
    weights, shift = arrays[f"{layer}.weight"], arrays.get(f"{layer}.bias")
    factor = np.where(gain == 0, 1.0, gain)
    if shift is None:
        arrays[f"{norm}.bias"] = bias / factor
    else:
        arrays[f"{layer}.bias"] = shift + weights @ bias
        arrays[f"{norm}.bias"] = np.zeros_like(bias)
    arrays[f"{layer}.weight"] = weights * factor
    arrays[f"{norm}.weight"] = gain / factor


def _scale_part(arrays, name, config, position, factor):
    """Scale query (0), key (1) or value (2) of a block, where it has biases those too."""
    heads = config["num_attention_heads"]
    rows = fused_rows(heads, config["hidden_size"] // heads, position)
    for kind in ("weight", "bias"):
        tensor = f"{name}.attention.query_key_value.{kind}"
        if tensor in arrays:
            arrays[tensor][rows] *= factor
