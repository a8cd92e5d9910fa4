"""Stored training runs: the checkpoints of one recipe, and what the model could do at each; read without torch."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NeuroMFAError, SourceError, arguments
from ..errors.text import html, plain
from . import manifests

if TYPE_CHECKING:
    import pandas as pd

BUNDLED = Path(__file__).parent / "data"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The stored weights of one training seed at one step; an `os.PathLike` that stands for their folder.

    Attributes:
        run, seed, step: name of the run, training seed, number of updates made.
        folder: the Hugging Face folder with config.json and model.safetensors.
        abilities: dict from names to what the model could do on held-out data, shares from 0 to 1.

    Example:
        >>> checkpoint = load_run("induction").checkpoint(724)
        >>> str(checkpoint), checkpoint.abilities["copy_accuracy"] > 0.9
        ('induction@724', True)
    """

    run: str
    seed: int
    step: int
    folder: Path
    abilities: dict[str, float]

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        return f"{self.run}@{self.step}" + (f":{self.seed}" if self.seed else "")

    def __repr__(self) -> str:
        return plain(f"<Checkpoint {self}>")


@dataclass(frozen=True, eq=False)
class Run:
    """One recipe, trained from one or several seeds, with its checkpoints; made by :func:`load_run`.

    Attributes:
        name: e.g. "induction".
        folder: where it is stored.
        manifest: how it was made: recipe, versions, and per checkpoint the files' hashes and the abilities.

    Example:
        >>> run = load_run("induction")
        >>> run.seeds, run.steps(seed=1), run.control
        ((0, 1, 2), (0, 128, 256, 724), 'induction-control')
    """

    name: str
    folder: Path
    manifest: dict

    @property
    def title(self) -> str:
        """One line that says what was trained."""
        return self.manifest["title"]

    @property
    def ability(self) -> str:
        """Name of the ability the run is about, e.g. "copy_accuracy": a column of :meth:`abilities`."""
        return self.manifest["ability"]

    @property
    def control(self) -> str | None:
        """Name of the run that was trained alike without a chance to gain the ability, or None."""
        return self.manifest.get("control")

    @property
    def control_of(self) -> str | None:
        """Name of the run this one is the control of, or None."""
        return self.manifest.get("control_of")

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds stored, in ascending order."""
        return tuple(sorted({entry["seed"] for entry in self.manifest["checkpoints"]}))

    def steps(self, seed: int = 0) -> tuple[int, ...]:
        """Return the stored training steps of one seed, ascending; NeuroMFAError if the seed is not stored."""
        if not arguments.among(seed, self.seeds):
            raise NeuroMFAError(
                f"run {self.name!r} has no seed {arguments.shown(seed)}; its seeds are {_listed(self.seeds)}"
            )
        return tuple(sorted(entry["step"] for entry in self.manifest["checkpoints"] if entry["seed"] == seed))

    def checkpoint(self, step: int, seed: int = 0) -> Checkpoint:
        """Return the Checkpoint of one of :meth:`steps` of one of ``seeds``.

        Raises:
            NeuroMFAError: that step or seed is not stored; the message lists those that are.
            SourceError: the manifest has it but its folder is gone.

        Example:
            >>> load_run("induction").checkpoint(256, seed=2)
            <Checkpoint induction@256:2>
        """
        steps = self.steps(seed)
        if not arguments.among(step, steps):
            raise NeuroMFAError(
                f"run {self.name!r} has no step {arguments.shown(step)} for seed {seed}; its steps are {_listed(steps)}"
            )
        entry = next(e for e in self.manifest["checkpoints"] if (e["seed"], e["step"]) == (seed, step))
        folder = manifests.checkpoint_folder(self.folder, self.manifest, int(seed), int(step))
        if not folder.is_dir():
            raise SourceError(f"{folder} is missing: load the run once more, or train this seed again")
        return Checkpoint(self.name, int(seed), int(step), folder, dict(entry["abilities"]))

    def checkpoints(self, seed: int = 0) -> tuple[Checkpoint, ...]:
        """Return all checkpoints (tuple) of one seed, in the order of training."""
        return tuple(self.checkpoint(step, seed) for step in self.steps(seed))

    def abilities(self, seed: int | None = None) -> pd.DataFrame:
        """Tabulate what the model could do on held-out data at every checkpoint of one training seed (None: of all).

        Returns:
            DataFrame with columns seed, step and one per ability (a share from 0 to 1); NeuroMFAError if the seed is
            not stored.

        Example:
            >>> list(load_run("induction-control").abilities(seed=0))
            ['seed', 'step', 'copy_accuracy']
        """
        import pandas as pd

        seeds = self.seeds if seed is None else (seed,)
        chosen = [checkpoint for each in seeds for checkpoint in self.checkpoints(each)]
        return pd.DataFrame([{"seed": c.seed, "step": c.step, **c.abilities} for c in chosen])

    def curve(self, seed: int = 0) -> pd.DataFrame:
        """Tabulate what was measured while a seed was trained, between its checkpoints too.

        Returns:
            DataFrame with columns step, train_loss (nats per token asked) and one per ability; NeuroMFAError if the
            seed is not stored, or was only measured at its checkpoints.

        Example:
            >>> list(load_run("modular-addition").curve())
            ['step', 'train_loss', 'test_accuracy', 'train_accuracy']
        """
        import pandas as pd

        self.steps(seed)  # refuses an unknown seed
        curve = self.manifest["trainings"][str(int(seed))].get("curve")
        if curve is None:
            raise NeuroMFAError(f"run {self.name!r} was measured at its checkpoints only: ask for abilities({seed})")
        return pd.DataFrame(curve)

    def __repr__(self) -> str:
        count = len(self.manifest["checkpoints"])
        return f"<Run {self.name!r}: {count} checkpoints, seeds {_listed(self.seeds)}>"

    def _repr_html_(self) -> str:
        rows = []
        last = {e["seed"]: e["abilities"] for e in sorted(self.manifest["checkpoints"], key=lambda e: e["step"])}
        names = list(dict.fromkeys(name for abilities in last.values() for name in abilities))
        for seed in self.seeds:
            reached = "".join(f"<td>{last[seed].get(name, float('nan')):.3f}</td>" for name in names)
            rows.append(f"<tr><td>{seed}</td><td>{_listed(self.steps(seed))}</td>{reached}</tr>")
        heads = "".join(f"<th>{html(name)} at the end</th>" for name in names)
        return (
            f"<b>{html(self.name)}</b>: {html(self.title)}"
            f"<table><tr><th>seed</th><th>steps</th>{heads}</tr>{''.join(rows)}</table>"
        )


def load_run(name_or_folder: str | os.PathLike) -> Run:
    """Open a bundled run by its name, or a run of one's own by its folder; returns a Run.

    Args:
        name_or_folder: a name from :func:`list_runs`, or a folder as `neuromfa-lite train` writes it; "./name" for a
            folder that is called like a bundled run.

    Raises:
        NeuroMFAError: it is neither; the message lists the bundled runs.
        SourceError: the folder's manifest is missing, damaged or of a newer version; the message names the file.

    Example:
        >>> load_run("induction")
        <Run 'induction': 25 checkpoints, seeds 0, 1, 2>
    """
    names = _bundled_names()
    bundled = isinstance(name_or_folder, str) and name_or_folder in names
    folder = BUNDLED / name_or_folder if bundled else arguments.path("run", name_or_folder)
    if not os.path.isdir(folder):
        raise NeuroMFAError(
            f"{os.fspath(name_or_folder)!r:.99} is neither a bundled run nor a folder; "
            f"the bundled runs are {_listed(names)}"
        )
    manifest = manifests.read_manifest(folder)
    return Run(manifest["run"], folder, manifest)


def list_runs() -> pd.DataFrame:
    """Tabulate the bundled runs.

    Returns:
        DataFrame: run, title, seeds, checkpoints, steps, ability, at_the_end (the ability of the first seed at its last
        step), control.

    Example:
        >>> list(list_runs()["run"])[:2]
        ['code-lm', 'code-lm-control']
    """
    import pandas as pd

    rows = []
    for run in map(load_run, _bundled_names()):
        seed = run.seeds[0]
        last = run.steps(seed)[-1]
        rows.append(
            {
                "run": run.name,
                "title": run.title,
                "seeds": len(run.seeds),
                "checkpoints": len(run.manifest["checkpoints"]),
                "steps": last,
                "ability": run.ability,
                "at_the_end": run.checkpoint(last, seed).abilities[run.ability],
                "control": run.control,
            }
        )
    frame = pd.DataFrame(rows)
    # a run without a control has None there, not the NaN that pandas makes of it in a column of text
    frame["control"] = pd.Series([row["control"] for row in rows], dtype=object)
    return frame


def load_checkpoint(label: str) -> Checkpoint:
    """The Checkpoint that a label "RUN@STEP" or "RUN@STEP:SEED" stands for; RUN is a bundled name or a run's folder."""
    parts = isinstance(label, str) and re.fullmatch(r"(?P<run>.+)@(?P<step>\d{1,19})(:(?P<seed>\d{1,19}))?", label)
    if not parts:
        raise NeuroMFAError(f"{label!r:.99} is not a checkpoint: write RUN@STEP or RUN@STEP:SEED, e.g. induction@724:1")
    return load_run(parts["run"]).checkpoint(int(parts["step"]), int(parts["seed"] or 0))


def verify_run(run: Run | str | os.PathLike) -> pd.DataFrame:
    """Compare every file of a run (Run, or what :func:`load_run` takes) with the hash in its manifest.

    Returns:
        DataFrame: file (path inside the run), expected and found (SHA-256; None where it cannot be read), ok.
    """
    import pandas as pd

    run = run if isinstance(run, Run) else load_run(run)
    rows = []
    for entry in run.manifest["checkpoints"]:
        folder = manifests.checkpoint_folder(run.folder, run.manifest, entry["seed"], entry["step"])
        for name, expected in entry["files"].items():
            path = folder / name
            found = None
            with suppress(OSError):
                found = manifests.file_hash(path) if path.is_file() else None
            file = path.relative_to(run.folder).as_posix()
            rows.append({"file": file, "expected": expected, "found": found, "ok": found == expected})
    return pd.DataFrame(rows, columns=["file", "expected", "found", "ok"])


def _bundled_names() -> list[str]:
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{manifests.FILE_NAME}"))


def _listed(values) -> str:
    return ", ".join(map(str, values)) or "none"
