"""A checkpoint as a model that runs: its logits, and what it can do. torch is loaded when one is asked for."""

import numpy as np

from ...errors import NeuroMFAError
from ...laboratory.model import refuse_without_torch
from ...laboratory.recipes import find_recipe
from ...laboratory.tasks import measure_abilities
from ...weights import open_source
from .checkpoint import arrays_of

# transformers before 5 calls it embed_out; later versions store it as lm_head, and read both.
UNEMBEDDINGS = ("embed_out.weight", "lm_head.weight")


def model_of(checkpoint, dtype="float64"):
    """The transformers model of a checkpoint, in evaluation mode; it computes in "float64" or "float32"."""
    refuse_without_torch("running a model")
    import torch

    source = open_source(checkpoint)
    model = _empty_model(source).to(getattr(torch, dtype))
    wanted = model.state_dict()
    arrays = _by_the_models_names(arrays_of(source), wanted, model.base_model_prefix)
    tied = UNEMBEDDINGS if source.config.get("tie_word_embeddings") else ()
    missing = [name for name in wanted if name not in arrays and name not in tied]
    wrong = [name for name in wanted if name in arrays and arrays[name].shape != tuple(wanted[name].shape)]
    if missing or wrong:
        said = f"lacks {', '.join(missing[:3])} of" if missing else f"has another shape of {', '.join(wrong[:3])} than"
        raise NeuroMFAError(f"{source.origin} {said} its model: are all weight files there, and of this model?")
    # masks of old files are not in the model and stay out
    model.load_state_dict({name: torch.tensor(arrays[name]) for name in wanted if name in arrays}, strict=False)
    model.tie_weights()
    return model.eval()


def logits(checkpoint, tokens):
    """The float64 logits of a checkpoint's model, (sequences, context, vocabulary), of tokens (sequences, context)."""
    model = model_of(checkpoint)
    import torch

    with torch.no_grad():
        return model(torch.as_tensor(np.array(tokens, np.int64)), use_cache=False).logits.numpy()


def abilities_of(checkpoint):
    """Measure what a checkpoint's weights can do, by the test of its run.

    Args:
        checkpoint: Checkpoint or ChangedCheckpoint of a run.

    Returns:
        dict from names of abilities to shares from 0 to 1, computed in float32 as those of the runs are.

    Raises:
        NeuroMFAError: it belongs to no run, or no model can be built of it.

    Example:
        >>> from neuromfa_lite import load_run
        >>> from neuromfa_lite.evaluation.controls import permuted_outgoing
        >>> trained = load_run("induction").checkpoint(724)
        >>> [abilities_of(each)["copy_accuracy"] > 0.9 for each in (trained, permuted_outgoing(trained))]
        [True, False]
    """
    run = getattr(checkpoint, "run", None)
    if run is None:
        raise NeuroMFAError(f"{checkpoint!r} belongs to no run, so it is not known what to test: give one of a run")
    return measure_abilities(model_of(checkpoint, "float32"), find_recipe(run))


def _empty_model(source):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    # The type of the file would round what the model computes on the way, its rotary frequencies for one.
    config = {key: value for key, value in source.config.items() if key not in ("dtype", "torch_dtype")}
    try:
        made = AutoConfig.for_model(config.pop("model_type", None), **config)
        with torch.random.fork_rng(devices=[]):
            # the other attention of transformers takes its softmax in float32, whatever the model's type
            return AutoModelForCausalLM.from_config(made, attn_implementation="sdpa")
    except ValueError as error:
        raise NeuroMFAError(f"transformers builds no model of {source.config_origin}: {error}") from None


def _by_the_models_names(arrays, wanted, prefix):
    """{the model's name: array}: with its prefix, and its name of the unembedding."""
    named = {}
    for name, array in arrays.items():
        choices = [name, f"{prefix}.{name}", *(UNEMBEDDINGS if name in UNEMBEDDINGS else ())]
        named[next((choice for choice in choices if choice in wanted), name)] = array
    return named
