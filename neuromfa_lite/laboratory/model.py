"""The model of a recipe, its optimiser, and how its weights are stored. torch is loaded when a function is called."""

import math
from pathlib import Path

import numpy as np

from ..errors import NeuroMFAError
from .recipes import Recipe
from .tasks import seed_sequence


def refuse_without_torch(what: str) -> None:
    """Say in words that something needs torch and transformers, where one is missing."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        install = "pip install 'neuromfa_lite[train]'"
        raise NeuroMFAError(f"{what} needs torch and transformers ({error}): {install}") from None


def build_model(recipe: Recipe, seed: int = 0):
    """Build the untrained GPTNeoXForCausalLM (fp32) of a recipe; torch's global random numbers stay as they were."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate_size,
        max_position_embeddings=recipe.context,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": recipe.rotary_base,
            "partial_rotary_factor": recipe.rotary_fraction,
        },
        use_parallel_residual=recipe.parallel_residual,
        tie_word_embeddings=recipe.tied_embeddings,
        attention_dropout=recipe.dropout,
        hidden_dropout=recipe.dropout,
        initializer_range=recipe.initializer_range,
        bos_token_id=None,  # every token is an ordinary one
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):  # the library initialises from the global generator only
        torch.manual_seed(int(seed_sequence("init", seed).generate_state(1, np.uint64)[0]))
        model = GPTNeoXForCausalLM(config).float()
        if recipe.initialisation == "pythia":
            _initialise_as_pythia(model)
        return model


def _initialise_as_pythia(model) -> None:
    """ "small_init" and, where a block writes into the residual stream, "wang_init" (Black et al. 2022, 3.1)."""
    import torch

    hidden, layers = model.config.hidden_size, model.config.num_hidden_layers
    for name, weights in model.named_parameters():
        if weights.ndim == 2:
            writes = name.endswith(("attention.dense.weight", "dense_4h_to_h.weight"))
            deviation = 2 / (layers * math.sqrt(hidden)) if writes else math.sqrt(2 / (5 * hidden))
            torch.nn.init.normal_(weights, std=deviation)


def build_optimizer(model, recipe: Recipe):
    """AdamW with weight decay on matrices only (embeddings included), none on biases and norms."""
    import torch

    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)


def save_checkpoint(model, folder: Path) -> None:
    """Store a model in half precision as a Hugging Face folder, made for it: config.json and model.safetensors."""
    import torch
    from safetensors.torch import save

    folder.mkdir(parents=True)
    config = type(model.config).from_dict(model.config.to_dict())
    config.architectures = [type(model).__name__]
    config.dtype = "float16"
    config.save_pretrained(folder)
    weights = {name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    # save_file would leave a file that only its owner may read
    (folder / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))


def as_stored(folder: Path, model):
    """A second model of the same class with the half-precision weights of a folder, fp32, set to be tested."""
    import torch
    from safetensors.torch import load_file

    with torch.random.fork_rng(devices=[]):
        stored = type(model)(model.config)
    weights = load_file(folder / "model.safetensors")
    stored.load_state_dict({name: value.float() for name, value in weights.items()})
    return stored.eval()
