"""Where weights come in: files, hub models, torch objects and state dicts, all as lazy weight matrices."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import SourceError
from ..errors.arguments import instance, one_of, text
from .matrix import WeightMatrix, WeightVector
from .weight_source import WeightSource

__all__ = ["WeightMatrix", "WeightSource", "WeightVector", "has_config", "open_source"]

ACCEPTED = (
    'a model folder, a weight file beside its config.json, a hub model "org/name", a torch model, a state dict with '
    'config=, or a checkpoint of a run such as nmfa.load_run("induction").checkpoint(724)'
)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]*\w")
HUB_ID_AT = re.compile(rf"({HUB_ID.pattern})@(.+)")
RUN_STEP = re.compile(r"([A-Za-z][\w-]*)@([0-9]{1,18})(?::([0-9]{1,18}))?")


def open_source(source, revision=None, config=None, read="auto"):
    """Open the weights of a model, without reading them.

    Args:
        source: a model folder in the Hugging Face layout or a checkpoint of a run, one weight file beside its
            config.json, a hub model "org/name", a torch module, or a state dict {name: tensor or array}.
        revision: branch, tag or commit of a hub model.
        config: dict, as config.json, or the config of a model of transformers: needed for a state dict, else instead
            of the model's own.
        read: "auto" or "copy", as of :func:`neuromfa_lite.load_network`.

    Returns:
        WeightSource.

    Raises:
        SourceError: anything missing, damaged or not accepted.

    Example:
        >>> source = open_source({"fc.weight": [[1.0, 2.0, 3.0]]}, config={"model_type": "toy"})
        >>> source.matrices["fc.weight"]
        WeightMatrix('fc.weight', targets=1, sources=3, float64)
    """
    one_of("read", read, ("auto", "copy"))
    if isinstance(source, WeightSource):
        return source
    config = config.to_dict() if hasattr(config, "to_dict") else config
    if config is not None:
        instance("config", config, Mapping, 'give what config.json holds, {"model_type": "gpt_neox", ...}')
    if revision is not None:
        text("revision", revision)
    if isinstance(source, (str, os.PathLike)):
        return _open_named(source, revision, config, read)
    if revision is not None:
        raise SourceError(f'revision={revision!r} belongs to a hub model "org/name", not to a {type(source).__name__}')
    from .torch_objects import open_module, open_state_dict

    if isinstance(source, Mapping):
        return open_state_dict(source, config)
    if callable(getattr(source, "state_dict", None)) and not isinstance(source, type):
        return open_module(source, config)
    raise SourceError(f"cannot open a {type(source).__name__} as weights: give {ACCEPTED}")


def has_config(source):
    """Whether what open_source takes comes with a configuration: anything but bare weights."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.path.expanduser(source))
        return not path.exists() or ((path if path.is_dir() else path.parent) / "config.json").exists()
    from .torch_objects import unwrapped

    return not isinstance(source, Mapping) and (not hasattr(source, "state_dict") or unwrapped(source)[1] is not None)


def _open_named(source, revision, config, read):
    """A path that exists is a path; "org/name" else is a hub model."""
    from .folder import open_folder

    try:
        path = Path(source).expanduser()
    except RuntimeError:  # the home of somebody who is not there
        path = Path(source)
    if os.path.exists(path) and str(source):
        if revision is not None:
            raise SourceError(f'revision={revision!r} belongs to a hub model "org/name", but {path} is a local path')
        return open_folder(path, config, read=read)
    if isinstance(source, str) and HUB_ID.fullmatch(source):
        from .hub import open_hub

        return open_hub(source, revision, config, read)
    if apart := HUB_ID_AT.fullmatch(str(source)):
        repo, revision = apart.groups()
        raise SourceError(
            f"{source!r}: there is no such folder or file; for a hub model give {repo!r} with revision={revision!r} "
            f"(on the command line: {repo} --revision {revision})"
        )
    if run := RUN_STEP.fullmatch(str(source)):
        name, step, seed = run.groups()
        seed = f", seed={seed}" if seed else ""
        raise SourceError(
            f"{source} is a checkpoint of a run: open it as nmfa.load_run({name!r}).checkpoint({int(step)}{seed})"
        )
    raise SourceError(f"{os.fspath(source)!r}: there is no such folder or file, nor is it a hub model: give {ACCEPTED}")
