"""Kill a training just before each change that it makes to the file system; a script, away from the threads of pytest.

`python killing.py kills PLACE` prints what is wrong after a kill at each such point, `python killing.py renames PLACE`
at the points that follow a rename. `python killing.py crowd PLACE` trains eight seeds into one run at once. A stand-in
writes small files in the place of weights. Every state that a kill leaves is one that a reader can meet.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from neuromfa_lite.errors import NeuroMFAError
from neuromfa_lite.laboratory import load_run, manifests, training

TEXT, LEFT, EVENTS = "old", None, []


def stand_in(self, stored_steps, progress):
    if TEXT == "stop":
        raise KeyboardInterrupt
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
    """Note the changes under PLACE, or relative to an open folder; the process dies before the one numbered LEFT."""
    if LEFT is None or event not in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "open"):
        return
    writes = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if not writes or not isinstance(arguments[0], (str, os.PathLike)):
        return
    path = os.fspath(arguments[0])
    if path.startswith(str(PLACE)) or (not os.path.isabs(path) and event != "open"):
        die_before(event)
        if event == "open" and arguments[2] & os.O_TRUNC:  # once more when it is open, with nothing written yet
            die_before("write", path)


def die_before(event, emptied=None):
    global LEFT
    if len(EVENTS) == LEFT:
        LEFT = None
        if emptied:
            os.truncate(os.open(emptied, os.O_WRONLY | os.O_CREAT), 0)
        os.kill(os.getpid(), signal.SIGKILL)
    EVENTS.append(event)


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


def points_of(scene, what):
    """Numbers of the changes that the training of a scene makes, or of those that follow a rename."""
    global LEFT
    folder, _, options = prepare(scene)
    EVENTS.clear()
    LEFT = 10**6
    train(folder, **options)
    LEFT = None
    return [at for at in range(len(EVENTS)) if what == "kills" or EVENTS[at - 1] == "os.rename"]


def kill(scene, at):
    """Kill the training of a scene before its change number ``at``, look, give the same command again twice: the first
    time it is stopped."""
    global LEFT
    folder, before, options = prepare(scene)
    child = os.fork()
    if child == 0:
        EVENTS.clear()
        LEFT = at
        train(folder, **options)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, "not killed"
    seed, there = options.get("seed", 0), (folder / "manifest.json").exists()
    left = texts_of(folder) if there or before else {}
    after = before | {seed: "new"}
    assert left in (before, after), f"finished results lost: {left}"
    for text in ("stop", "new"):
        try:
            train(folder, **options | {"text": text})
        except NeuroMFAError as error:
            assert left == after and not options.get("overwrite"), f"the same command is refused: {error}"
        except KeyboardInterrupt:
            assert text == "stop"
        there = after if text == "new" else left
        names = sorted(path.name.removesuffix("-again") for path in folder.glob("*"))
        assert names == sorted(["manifest.json"] * bool(there) + [f"seed-{each}" for each in there]), f"left: {names}"
        assert not there or texts_of(folder) == there
    others = [path.name for path in PLACE.rglob("*") if path.name.startswith(".")]
    assert not others and len(list(PLACE.iterdir())) == 1, f"left: {others}"


def crowd(seeds=8):
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
    what, PLACE = sys.argv[1], Path(sys.argv[2])
    training.Training.run = stand_in
    training._machine = dict
    training.refuse_without_torch = lambda what: None
    sys.addaudithook(die_in_time)
    if what == "crowd":
        print(json.dumps(crowd()))
        sys.exit()
    points = [(scene, at) for scene in SCENES for at in points_of(scene, what)]
    wrong = []
    for scene, at in points:
        try:
            kill(scene, at)
        except (AssertionError, NeuroMFAError, OSError) as error:
            wrong.append(f"{scene}, change {at}: {error}")
    print(json.dumps({"killed": len(points), "wrong": wrong}))
