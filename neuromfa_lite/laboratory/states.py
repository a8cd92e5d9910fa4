"""The state of an unfinished training: everything that the next step depends on, in one safetensors file.

Tensors are the model's weights, AdamW's moments and torch's generator; the file's header holds the rest as JSON. One
file, written under a temporary name and renamed, is whole or not there, whenever the training is stopped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import NeuroMFAError

FILE_NAME = "state.safetensors"


def save_state(folder: Path, model, optimizer, facts: dict) -> None:
    """Store the state of a training in place of the one before.

    Args:
        folder: where; it must exist.
        model, optimizer: as they are between two steps.
        facts: plain values (dict), anything else that the training needs to go on.

    Example:
        >>> import tempfile, torch
        >>> model = torch.nn.Linear(2, 1)
        >>> with tempfile.TemporaryDirectory() as place:
        ...     save_state(Path(place), model, torch.optim.AdamW(model.parameters()), {"step": 3})
        ...     load_state(Path(place))[1]
        {'step': 3}
    """
    import torch
    from safetensors.torch import save

    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    tensors["torch.generator"] = torch.random.get_rng_state()
    content = save({name: value.contiguous() for name, value in tensors.items()}, {"facts": json.dumps(facts)})
    temporary = folder / f".{FILE_NAME}.{os.getpid()}"
    try:
        temporary.write_bytes(content)
        os.replace(temporary, folder / FILE_NAME)
    finally:
        temporary.unlink(missing_ok=True)


def load_state(folder: Path) -> tuple[dict, dict]:
    """Read a stored state.

    Args:
        folder: where :func:`save_state` stored it.

    Returns:
        (tensors, facts): dict of torch tensors for :func:`restore`, and dict as it was given.

    Raises:
        NeuroMFAError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE_NAME
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            return tensors, json.loads(file.metadata()["facts"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise NeuroMFAError(f"{path} is damaged ({error}): delete {folder} to train from the start") from None


def restore(tensors: dict, model, optimizer) -> None:
    """Put a stored state into a model, an optimiser and torch's global generator.

    Args:
        tensors: dict of :func:`load_state`.
        model, optimizer: freshly built by the same recipe.
    """
    import torch

    parts: dict = {"model": {}, "optimizer": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part == "optimizer":
            number, _, moment = rest.partition(".")
            parts["optimizer"].setdefault(int(number), {})[moment] = value
        elif part == "model":
            parts["model"][rest] = value
    model.load_state_dict(parts["model"])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": parts["optimizer"], "param_groups": groups})
    torch.random.set_rng_state(tensors["torch.generator"])
