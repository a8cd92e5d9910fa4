"""Train a run from its recipe and store its checkpoints. torch is loaded when a training starts.

The arithmetic runs on one thread: the same order of additions on every number of cores, so two trainings on
one machine agree to the last bit, and their first steps on two machines to a few units of half precision.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import NeuroMFAError
from . import manifests
from .recipes import TRIED, Recipe, find_recipe
from .tasks import measure_abilities, seed_sequence, training_batch

THREADS = 1


def train(
    name: str,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    steps: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> dict:
    """Train one seed of a run and store it, in about a minute on one core.

    Nothing is left behind when the training fails or is interrupted.

    Args:
        name: the recipe's name, e.g. "induction".
        seed: decides the initial weights and the batches, 0 or larger.
        folder: the run folder to write, by default ``name`` in the working directory. A run of the same recipe that
            lies there already gains the seed.
        steps: stop early: store only the recipe's checkpoints up to this step; None: all of them.
        progress: show a progress bar with the loss (nats per token).
        overwrite: replace the seed if the folder holds it already.

    Returns:
        dict, the manifest of the run folder.

    Raises:
        NeuroMFAError: an unknown recipe, an impossible seed or number of steps, or a folder that would be overwritten.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as place:
        ...     manifest = train("induction", folder=pathlib.Path(place) / "mine", steps=1, progress=False)
        >>> [checkpoint["step"] for checkpoint in manifest["checkpoints"]]
        [0, 1]
    """
    recipe = find_recipe(name)
    _refuse_without_torch()
    seed_sequence("train", seed)  # refuses an impossible seed before any work
    stored_steps = _stored_steps(recipe, seed, steps)
    folder = Path(name if folder is None else folder).absolute()
    _refuse_to_overwrite(folder, recipe, seed, overwrite)
    with manifests.workspace(folder) as temporary:
        built = temporary / "run"
        built.mkdir()
        start = time.perf_counter()
        entries = _train_into(built, recipe, seed, stored_steps, progress)
        manifest = _manifest(recipe, seed, entries, time.perf_counter() - start)
        return manifests.publish(built, folder, seed, manifest)


def _refuse_without_torch():
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise NeuroMFAError(
            f"training needs torch and transformers ({error}): pip install 'neuromfa_lite[train]'"
        ) from None


def build_model(recipe: Recipe, seed: int = 0):
    """Build the untrained model of a recipe, with the library's own initialisation.

    The state of torch's global random numbers is the same before and after.

    Args:
        recipe: Recipe.
        seed: training seed, 0 or larger.

    Returns:
        GPTNeoXForCausalLM, fp32.

    Raises:
        NeuroMFAError: a seed that is not a whole number >= 0.

    Example:
        >>> model = build_model(find_recipe("induction"))
        >>> model.gpt_neox.layers[0].attention.query_key_value.weight.shape
        torch.Size([192, 64])
    """
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
        return GPTNeoXForCausalLM(config).float()


def build_optimizer(model, recipe: Recipe):
    """Build AdamW with weight decay on matrices only (embeddings included), none on biases and norms.

    Args:
        model: torch nn.Module.
        recipe: Recipe; gives learning rate, betas and weight decay.

    Returns:
        torch.optim.AdamW.

    Example:
        >>> recipe = find_recipe("induction")
        >>> [group["weight_decay"] for group in build_optimizer(build_model(recipe), recipe).param_groups]
        [0.01, 0.0]
    """
    import torch

    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)


def save_checkpoint(model, folder: Path) -> None:
    """Store a model in half precision as a Hugging Face folder: config.json and model.safetensors.

    Args:
        model: a model of transformers.
        folder: the folder to make; it must not exist.
    """
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


def _train_into(built: Path, recipe: Recipe, seed: int, stored_steps: list[int], progress: bool) -> list[dict]:
    """Train, and return the manifest's entry of every stored step."""
    import torch
    from tqdm.auto import tqdm

    entries = []
    with _threads(THREADS), torch.enable_grad():
        model = build_model(recipe, seed).train()
        optimizer = build_optimizer(model, recipe)
        batches = np.random.default_rng(seed_sequence("train", seed))
        label = f"{recipe.name}, seed {seed}"
        with tqdm(total=stored_steps[-1], desc=label, unit="step", disable=not progress) as bar:
            for step in range(stored_steps[-1] + 1):
                loss = _next_token_loss(model, torch.from_numpy(training_batch(batches, recipe)))
                if step in stored_steps:
                    folder = manifests.checkpoint_folder(built, seed, step)
                    save_checkpoint(model, folder)
                    entries.append(_entry(folder, model, recipe, seed, step, loss.item()))
                if step == stored_steps[-1]:
                    break
                _update(loss, optimizer, recipe.learning_rate_at(step))
                bar.update()
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return entries


def _update(loss, optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _next_token_loss(model, tokens):
    """Mean cross-entropy of the next token over all positions, in nats; tokens (batch, context)."""
    import torch

    logits = model(tokens, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def _entry(folder: Path, model, recipe: Recipe, seed: int, step: int, loss: float) -> dict:
    """What the manifest says of a checkpoint; abilities are those of the weights as stored."""
    return {
        "seed": seed,
        "step": step,
        "train_loss": loss,
        "abilities": measure_abilities(_as_stored(folder, model), recipe),
        "files": {path.name: manifests.file_hash(path) for path in sorted(folder.iterdir())},
    }


def _as_stored(folder: Path, model):
    """A second model of the same configuration with the stored half-precision weights, in fp32."""
    import torch
    from safetensors.torch import load_file

    with torch.random.fork_rng(devices=[]):
        stored = type(model)(model.config)
    weights = load_file(folder / "model.safetensors")
    stored.load_state_dict({name: value.float() for name, value in weights.items()})
    return stored.eval()


def _stored_steps(recipe: Recipe, seed: int, steps: int | None) -> list[int]:
    last = recipe.steps if steps is None else steps
    if isinstance(last, bool) or not isinstance(last, (int, np.integer)) or not 0 <= last <= recipe.steps:
        raise NeuroMFAError(f"steps must be a whole number from 0 to {recipe.steps}, not {steps!r}")
    return [step for step in recipe.checkpoints(seed) if step <= last]


def _refuse_to_overwrite(folder: Path, recipe: Recipe, seed: int, overwrite: bool) -> None:
    """Stop before the work if storing would destroy something or mix two runs."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise NeuroMFAError(f"{folder} is a file: give a folder to store {recipe.name!r} in")
    if not (folder / manifests.FILE_NAME).exists():
        if any(folder.iterdir()):
            raise NeuroMFAError(f"{folder} is not empty and not a run: give a new folder")
        return
    found = manifests.read_manifest(folder)
    if found["run"] != recipe.name or found["recipe"] != recipe.as_dict():
        raise NeuroMFAError(f"{folder} holds run {found['run']!r} made by another recipe: give a new folder")
    if str(seed) in found["trainings"] and not overwrite:
        raise NeuroMFAError(f"{folder} already holds seed {seed} of {recipe.name!r}: give a new folder or overwrite it")


def _manifest(recipe: Recipe, seed: int, entries: list[dict], seconds: float) -> dict:
    import safetensors
    import torch
    import transformers

    training = {
        "last_step": entries[-1]["step"],
        "seconds": round(seconds, 1),
        "threads": THREADS,
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "safetensors": safetensors.__version__,
        },
    }
    return {
        "schema": manifests.SCHEMA,
        "run": recipe.name,
        "title": recipe.title,
        "ability": recipe.ability,
        "control": recipe.control,
        "control_of": recipe.control_of,
        "recipe": recipe.as_dict(),
        "recipes_tried": TRIED[recipe.name],
        "trainings": {str(seed): training},
        "checkpoints": entries,
    }


@contextmanager
def _threads(count: int):
    """Run torch on ``count`` threads, then on as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
