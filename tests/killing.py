"""Kill a training just before each change that it makes to the file system; a script, away from the threads of pytest.

`python killing.py kills PLACE COUNT` prints how many points there are, then what is wrong after a kill at COUNT of
them, spread evenly, or at all for 0. `python killing.py crowd PLACE SEEDS` trains that many seeds into one run at once.
A stand-in writes small files in the place of weights. Every state that a kill leaves is one that a reader can meet.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.laboratory import load_run, manifests, trainer, training

TEXT, LEFT = "old", None


def stand_in(self, stored_steps, progress):
    for step in stored_steps:
        folder = self.built / manifests.step_folder(step)
        folder.mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            (folder / name).write_text(f"{TEXT} {self.seed} {step} {name}")
        files = {path.name: manifests.file_hash(path) for path in sorted(folder.iterdir())}
        self.entries.append({"seed": self.seed, "step": step, "train_loss": 1.0, "abilities": {}, "files": files})


def train(folder, seed=0, steps=1, text="old", overwrite=False):
    global TEXT
    TEXT = text
    training.train("induction", seed, folder, steps, progress=False, overwrite=overwrite)


# name: (the run's folder, trainings finished before, the training that is killed)
SCENES = {
    "first seed": ("mine", [], {"text": "new"}),
    "new parent": ("deep/er/mine", [], {"text": "new"}),
    "second seed": ("mine", [{}], {"seed": 3, "text": "new"}),
    "overwritten": ("mine", [{}, {"seed": 3}], {"steps": 2, "overwrite": True, "text": "new"}),
    "overwritten again": ("mine", [{}, {"overwrite": True}], {"steps": 0, "overwrite": True, "text": "new"}),
}


def die_in_time(event, arguments):
    """Count the changes under PLACE, or relative to an open folder, down to the one before which the process dies."""
    global LEFT
    if LEFT is None or event not in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "open"):
        return
    writes = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if not writes or not isinstance(arguments[0], (str, os.PathLike)):
        return
    path = os.fspath(arguments[0])
    if path.startswith(str(PLACE)) or (not os.path.isabs(path) and event != "open"):
        if LEFT == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        LEFT -= 1


def texts_of(folder):
    """{seed: the text that all its files hold}; AssertionError where a file is not the one of the manifest."""
    run, found = load_run(folder), {}
    for entry in run.manifest["checkpoints"]:
        for name, expected in entry["files"].items():
            path = run.checkpoint(entry["step"], entry["seed"]).folder / name
            assert manifests.file_hash(path) == expected, f"{path} has another hash"
            found.setdefault(entry["seed"], set()).add(path.read_text().split()[0])
    assert all(len(texts) == 1 for texts in found.values()), f"old and new in one seed: {found}"
    return {seed: texts.pop() for seed, texts in found.items()}


def prepare(scene):
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    path, before, killed = SCENES[scene]
    for options in before:
        train(PLACE / path, **options)
    return PLACE / path, {options.get("seed", 0): "old" for options in before}, killed


def changes_of(scene):
    """How many changes the training of a scene makes."""
    global LEFT
    folder, _, options = prepare(scene)
    LEFT = 10**6
    train(folder, **options)
    count, LEFT = 10**6 - LEFT, None
    return count


def kill(scene, at):
    """Kill the training of a scene before its change number ``at``, look, and give the same command again."""
    global LEFT
    folder, before, options = prepare(scene)
    child = os.fork()
    if child == 0:
        LEFT = at
        train(folder, **options)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, "not killed"
    seed, there = options.get("seed", 0), (folder / "manifest.json").exists()
    left = texts_of(folder) if there or before else {}
    after = before | {seed: "new"}
    assert left in (before, after), f"finished results lost: {left}"
    try:
        train(folder, **options)
    except NeuroMFAError as error:
        assert left == after and not options.get("overwrite"), f"the same command is refused: {error}"
    assert texts_of(folder) == after
    names = sorted(path.name.removesuffix("-again") for path in folder.iterdir())
    assert names == ["manifest.json", *(f"seed-{each}" for each in sorted(after))], f"left over: {names}"
    others = [path.name for path in PLACE.rglob("*") if path.name.startswith(".")]
    assert not others and len(list(PLACE.iterdir())) == 1, f"left over: {others}"


def crowd(seeds):
    """Train many seeds at once, each in a process of its own that waits for all to be there; what went wrong."""
    folder, ready = PLACE / "mine", os.pipe()
    children = []
    for seed in range(seeds):
        children.append(os.fork())
        if children[-1] == 0:
            os.close(ready[1])
            os.read(ready[0], 1)  # returns when the parent closes the other end
            train(folder, seed)
            os._exit(0)
    os.close(ready[1])
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    names = sorted(path.name for path in folder.iterdir())
    return {"codes": codes, "seeds": sorted(texts_of(folder)), "names": names}


if __name__ == "__main__":
    what, PLACE, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    trainer.Training.run = stand_in
    trainer._machine = trainer.versions = dict
    training._refuse_without_torch = lambda: None
    sys.addaudithook(die_in_time)
    if what == "crowd":
        print(json.dumps(crowd(count)))
        sys.exit()
    points = [(scene, at) for scene in SCENES for at in range(changes_of(scene))]
    chosen = [points[i * (len(points) - 1) // (count - 1)] for i in range(count)] if count else points
    wrong = []
    for scene, at in chosen:
        try:
            kill(scene, at)
        except (AssertionError, NeuroMFAError, OSError) as error:
            wrong.append(f"{scene}, change {at}: {error}")
    print(json.dumps({"points": len(points), "killed": len(chosen), "wrong": wrong}))
