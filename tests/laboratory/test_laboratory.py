"""The laboratory: the bundled runs as shipped, and asking for what is not there."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from neuromfa_lite import follow, load_network
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.laboratory import (
    RECIPES,
    find_recipe,
    list_runs,
    load_checkpoint,
    load_run,
    manifests,
    tasks,
    verify_run,
)
from neuromfa_lite.laboratory.runs import BUNDLED, Run
from neuromfa_lite.laboratory.training import TRIED

NAMES = tuple(sorted(path.parent.name for path in BUNDLED.glob("*/manifest.json")))
SEED_0_STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 152, 181, 215, 256, 304, 362, 512, 724)
OTHER_STEPS = (0, 128, 256, 724)
ENDS = [(name, seed) for name in NAMES for seed in (0, 1, 2)]
MEGABYTE = 10**6
NO_RUN = "neither a bundled run nor a folder|must be the name of a file or folder|zero byte"
ODD_NAMES = (None, 3, [], b"induction", float("nan"), "", "x" * 5000, "a\0b", "~nobody-of-this-name/x")
ODD_LABELS = (None, 3, [], f"induction@{'9' * 5000}", f"induction@0:{'9' * 5000}", "induction@²", "induction@1\n")


@pytest.fixture
def copied_run(tmp_path):
    """A run folder of one's own: the bundled induction run, copied."""
    return shutil.copytree(BUNDLED / "induction", tmp_path / "mine")


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def weights_of(checkpoint):
    return load_file(checkpoint.folder / "model.safetensors")


# ---- the bundled runs --------------------------------------------------------------------------------------


@pytest.mark.small
def test_the_runs_hold_the_checkpoints_of_the_recipe():
    assert set(list_runs()["run"]) == set(NAMES) == set(RECIPES)
    for name in NAMES:
        run, recipe = load_run(name), find_recipe(name)
        assert run.seeds == (0, 1, 2)
        assert run.steps() == recipe.first_seed_checkpoints and 0 in run.steps()
        assert run.steps(seed=1) == run.steps(seed=2) == recipe.other_seed_checkpoints
        assert len(run.steps(1)) == 4 and set(run.steps(1)) <= set(run.steps())
        assert run.manifest["recipe"] == recipe.as_dict()
        assert run.manifest["recipes_tried"] == TRIED[name]
        assert run.manifest["control"] == recipe.control and run.manifest["control_of"] == recipe.control_of


@pytest.mark.small
def test_recipes_tried_are_changes_of_the_recipe_kept_and_one_was_kept():
    assert set(TRIED) == set(RECIPES)
    for name, trials in TRIED.items():
        assert sum(trial["outcome"].startswith("kept") and not trial["changed"] for trial in trials) == 1
        for trial in trials:
            recipe = RECIPES[name].as_dict()
            assert all(recipe[key] != value for key, value in trial["changed"].items())


@pytest.mark.small
@pytest.mark.parametrize("name", NAMES)
def test_every_file_has_the_hash_of_its_manifest_and_no_other_file_is_there(name):
    run = load_run(name)
    table = verify_run(run)
    stored = len(run.steps(0)) + 8
    assert len(table) == 2 * stored and table["ok"].all()
    found = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    assert found == {*table["file"], "manifest.json"}


@pytest.mark.small
def test_all_runs_together_are_small_and_hold_no_pickle():
    files = [path for path in BUNDLED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40 * MEGABYTE
    assert {path.name for path in files} == {"manifest.json", "config.json", "model.safetensors"}
    for path in files:
        if path.name == "model.safetensors":
            content = path.read_bytes()
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            assert {entry["dtype"] for key, entry in header.items() if key != "__metadata__"} == {"F16"}
        else:
            json.loads(path.read_text())


@pytest.mark.small
@pytest.mark.parametrize(
    ("family", "budget"), [("induction-pythia", 6.0), ("code-lm", 17.0), ("modular-addition", 6.2)]
)
def test_every_family_of_runs_keeps_its_budget(family, budget):
    folders = [folder for folder in BUNDLED.iterdir() if folder.name.startswith(family)]
    size = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    assert 1 * MEGABYTE < size <= budget * MEGABYTE


@pytest.mark.small
@pytest.mark.parametrize("name", [name for name in NAMES if load_run(name).control])
def test_run_and_control_start_from_the_same_weights_and_end_apart(name):
    run = load_run(name)
    control = load_run(run.control)
    assert name.startswith(control.control_of) and control.control is None and run.control_of is None
    for seed in (0, 1, 2):
        for step, same in ((0, True), (run.steps()[-1], False)):
            one, other = (weights_of(each.checkpoint(step, seed)) for each in (run, control))
            assert {bool((one[key] == other[key]).all()) for key in one} == {same}


@pytest.mark.small
def test_the_ability_appears_in_the_run_and_not_in_its_control():
    frame = load_run("induction").abilities()
    assert list(frame.columns) == ["seed", "step", "copy_accuracy"]
    assert len(frame) == 25
    ends = frame[frame["step"] == 724]["copy_accuracy"]
    assert (ends > 0.98).all()
    assert (frame[frame["step"] == 0]["copy_accuracy"] < 0.03).all()
    control = load_run("induction-control").abilities()
    assert (control["copy_accuracy"] < 0.03).all()
    assert len(load_run("induction").abilities(seed=1)) == 4


@pytest.mark.small
def test_pythias_initial_weights_have_pythias_deviations():
    weights = weights_of(load_run("induction-pythia").checkpoint(0))
    for key, matrix in weights.items():
        if matrix.ndim == 2:
            writes = key.endswith(("attention.dense.weight", "dense_4h_to_h.weight"))
            expected = 2 / (2 * 8) if writes else (2 / (5 * 64)) ** 0.5
            assert matrix.astype(float).std() == pytest.approx(expected, rel=0.06), key


@pytest.mark.small
@pytest.mark.parametrize("name", ["induction", "induction-pythia"])
def test_copying_appears_in_the_run_and_not_in_its_control(name):
    frame = load_run(name).abilities()
    assert list(frame.columns) == ["seed", "step", "copy_accuracy"]
    ends = frame[frame["step"] == 724]["copy_accuracy"]
    assert len(ends) == 3 and (ends > 0.97).all()
    assert (frame[frame["step"] == 0]["copy_accuracy"] < 0.03).all()
    assert (load_run(f"{name}-control").abilities()["copy_accuracy"] < 0.03).all()
    assert len(load_run(name).abilities(seed=1)) == 4


@pytest.mark.small
def test_abilities_of_code_appear_in_the_run_and_not_in_its_control():
    names = ["next_token_accuracy", "closing_brackets", "indentation", "copying_identifier"]
    run, control = (load_run(name).abilities().query("step == 1448") for name in ("code-lm", "code-lm-control"))
    assert list(run.columns) == ["seed", "step", *names]
    for name in names:
        assert run[name].min() > 2 * control[name].max(), name
    assert "PSF" in load_run("code-lm").manifest["data"]["licence"]


@pytest.mark.small
def test_addition_is_memorised_first_and_learnt_later_with_weight_decay_alone():
    generalised = 0
    for seed in (0, 1, 2):
        curve = load_run("modular-addition").curve(seed)
        memorised = curve[curve["train_accuracy"] > 0.99]["step"].min()
        plateau = curve[(curve["step"] >= memorised) & (curve["step"] <= 500)]
        assert memorised <= 100 and (plateau["test_accuracy"] < 0.05).all() and len(plateau) >= 8
        generalised += curve["test_accuracy"].iloc[-1] > 0.9
        for name in ("modular-addition-memorised", "modular-addition-control"):
            other = load_run(name).curve(seed)
            assert other["train_accuracy"].max() > 0.99 and other["test_accuracy"].max() < 0.1
    # as the recipe says
    assert load_run("modular-addition-control").checkpoint(2500).abilities["train_accuracy"] < 0.9
    assert generalised >= 2


@pytest.mark.small
@pytest.mark.parametrize("name", NAMES)
def test_every_checkpoint_opens_as_a_network_and_says_what_was_measured(name):
    run = load_run(name)
    for seed in run.seeds:
        for checkpoint in run.checkpoints(seed):
            assert run.ability in checkpoint.abilities
            assert load_network(checkpoint).weight_blocks
        training = run.manifest["trainings"][str(seed)]
        assert training["seconds"] > 0 and training["versions"]["torch"] and training["last_step"] == run.steps()[-1]
        if "curve" in training:
            curve = run.curve(seed).set_index("step")
            stored = run.abilities(seed).set_index("step")
            assert (curve.loc[stored.index, run.ability] == stored[run.ability]).all()


@pytest.mark.torch
@pytest.mark.parametrize(("name", "seed"), ENDS)
def test_the_ordinary_loader_gives_the_abilities_of_the_manifest(name, seed):
    import torch
    from transformers import AutoModelForCausalLM

    run, recipe = load_run(name), find_recipe(name)
    checkpoint = run.checkpoint(run.steps(seed)[-1], seed)
    model = AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
    # all of a head is rotated, the two branches are as in the recipe and the embeddings are two matrices
    cosines, _ = model.gpt_neox.rotary_emb(torch.zeros(1, 3, 64), torch.arange(3)[None])
    assert cosines.shape[-1] == 64 // 4
    assert all(layer.use_parallel_residual == recipe.parallel_residual for layer in model.gpt_neox.layers)
    assert model.lm_head.weight is not model.gpt_neox.embed_in.weight
    # a processor with other rounding may decide a few near ties otherwise: 2 of 1743 answers, 8 of 7300 tokens
    measured = tasks.measure_abilities(model, recipe)
    assert measured == pytest.approx(checkpoint.abilities, abs=1.2e-3)


@pytest.mark.torch
def test_the_ordinary_loader_reads_half_precision_and_every_weight():
    import torch
    from transformers import AutoModelForCausalLM

    folder = load_run("induction").checkpoint(724).folder
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert model.dtype == torch.float16
    assert not report["missing_keys"] and not report["unexpected_keys"]


def test_runs_are_read_without_torch_transformers_and_pandas():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'pandas', 'safetensors']))\n"
        "from neuromfa_lite.laboratory import load_run\n"
        "print(load_run('induction').checkpoint(724).abilities['copy_accuracy'] > .9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


# ---- asking for what is not there --------------------------------------------------------------------------


@pytest.mark.small
def test_a_checkpoint_stands_for_its_folder_and_its_label():
    checkpoint = load_run("induction").checkpoint(np.int64(128), seed=np.int64(2))
    assert os.fspath(checkpoint).endswith(os.path.join("induction", "seed-2", "step-000128"))
    assert str(checkpoint) == "induction@128:2"
    assert load_run("induction").checkpoint(128.0, np.float64(2)).folder == checkpoint.folder  # as a table's row has it
    assert load_checkpoint("induction@128:2").folder == checkpoint.folder
    assert str(load_checkpoint("induction@724")) == "induction@724"


@pytest.mark.small
@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: load_run("inductoin"), "induction, induction-control, induction-pythia"),
        (lambda: load_run("induction").checkpoint(100), "no step 100 .* 0, 1, 2, 4, .* 724"),
        (lambda: load_run("induction").checkpoint(64, seed=1), "no step 64 for seed 1; its steps are 0, 128, 256, 724"),
        (lambda: load_run("induction").checkpoint(0, seed=3), "no seed 3; its seeds are 0, 1, 2"),
        (lambda: load_run("induction").steps(seed=9), "no seed 9"),
        (lambda: load_run("induction").abilities(seed=9), "no seed 9"),
        (lambda: load_run("induction").curve(seed=9), "no seed 9"),
        (lambda: load_run("induction").curve(), "measured at its checkpoints only"),
        (lambda: load_checkpoint("induction"), "RUN@STEP"),
        (lambda: load_checkpoint("induction@last"), "RUN@STEP"),
        (lambda: load_checkpoint("nowhere@0"), "'nowhere' is neither"),
        (lambda: find_recipe("inductoin"), "induction, induction-control, induction-pythia"),
        *[(lambda name=name: load_run(name), NO_RUN) for name in ODD_NAMES],
        *[(lambda label=label: load_checkpoint(label), "RUN@STEP") for label in ODD_LABELS],
        (lambda: verify_run(None), NO_RUN),
        (lambda: load_run("induction").checkpoint(True), "no step True"),
        (lambda: load_run("induction").checkpoint(np.arange(2)), "no step"),
        (lambda: load_run("induction").abilities(np.arange(2)), "no seed"),
        (lambda: load_run("modular-addition").curve(True), "no seed True"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(ask, message):
    with pytest.raises(NeuroMFAError, match=message):
        ask()


def test_a_run_folder_of_ones_own_is_a_run(copied_run, monkeypatch):
    run = load_run(copied_run)
    assert run.name == "induction" and run.checkpoint(724).folder.is_relative_to(copied_run)
    assert load_run(str(copied_run)).steps() == SEED_0_STEPS
    assert load_checkpoint(f"{copied_run}@724:1").seed == 1
    html = run._repr_html_()
    assert "copy_accuracy" in html and len(html) < 1000
    entries = [entry | {"abilities": {}} for entry in run.manifest["checkpoints"]]
    bare = Run("bare", copied_run, {"title": "no ability", "ability": None, "checkpoints": entries})
    assert bare._repr_html_().count("<tr>") == 4
    copied_run.rename(copied_run.parent / "induction")
    monkeypatch.chdir(copied_run.parent)
    assert load_run("./induction").folder != load_run("induction").folder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "is missing"),
        (lambda folder: (folder / "manifest.json").write_text('{"schema": 1,'), "is damaged"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "is damaged .*decode"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "holds no JSON object"),
        (lambda folder: (folder / "manifest.json").write_text('{"schema": 1}'), "run must be .* and is missing"),
        (lambda folder: edit_manifest(folder, schema=2), "schema 2, newer"),
        (lambda folder: edit_manifest(folder, checkpoints=[]), "checkpoints must be a list of at least one"),
        (lambda folder: edit_manifest(folder, checkpoints=[3]), r"checkpoints\[0\] seed must be .* and is missing"),
        (lambda folder: edit_manifest(folder, ability=None), "ability must be a line of text"),
    ],
)
def test_a_damaged_manifest_is_named(copied_run, damage, message):
    damage(copied_run)
    with pytest.raises(SourceError, match=message) as caught:
        load_run(copied_run)
    assert str(copied_run / "manifest.json") in str(caught.value)


def of_checkpoint(**changes):
    return lambda manifest: manifest["checkpoints"][3].update(changes)


def of_training(**changes):
    return lambda manifest: manifest["trainings"]["1"].update(changes)


@pytest.mark.small
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        *[(of_checkpoint(seed=value), "seed") for value in (True, -1, 2**63, 7, "0", None, 0.0)],
        *[(of_checkpoint(step=value), "step") for value in (True, -1, 10**6, 10**30, float("nan"), [4])],
        (of_checkpoint(step=2), "step 2 of seed 0 is there twice"),
        *[
            (of_checkpoint(abilities={"copy_accuracy": value}), "abilities must be shares from 0 to 1")
            for value in ("0.5", [], {}, True, None, float("nan"), float("inf"), -0.1, 1.1, 10**400)
        ],
        (of_checkpoint(abilities={"copy\x1b[2J": 0.5}), "abilities must be"),
        *[
            (of_checkpoint(files=files), "files")
            for files in (
                *({name: "0" * 64} for name in ("../x", "/etc/passwd", "a/b", "a\\b", "..", "", "a\0b", "x" * 300)),
                {"config.json": None},
                {},
            )
        ],
        *[(lambda manifest, value=value: manifest.update(trainings=value), "training") for value in (3, {})],
        (lambda manifest: manifest["trainings"].update({"x": {}}), "training 'x'"),
        (lambda manifest: manifest["trainings"].update({"00": {}}), "training '00'"),
        (lambda manifest: manifest["trainings"].update({"1": 3}), "trainings must be"),
        *[(of_training(folder=value), "training '1' must lie in seed-1 or") for value in ("../x", "seed-0", "", [])],
        *[
            (of_training(curve=value), "training '1' curve must be")
            for value in (3, {"step": "a"}, {"step": [1, 2], "loss": [1]}, {"step": [None]})
        ],
        *[(lambda manifest, value=value: manifest.update(run=value), "run") for value in ("", "a\nb", "a\0", 3, [])],
        *[(lambda manifest, value=value: manifest.update(control=value), "control must") for value in (3, [], "")],
        (lambda manifest: manifest.update(schema=True), "schema"),
        (lambda manifest: manifest.update(recipe="x"), "recipe"),
    ],
)
def test_a_manifest_with_a_value_of_the_wrong_kind_is_named(tmp_path, damage, message):
    manifest = json.loads((BUNDLED / "induction" / "manifest.json").read_text())
    damage(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SourceError, match=rf"manifest\.json.*{message}") as caught:
        load_run(tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.small
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("[" * 10**5), "is damaged .it nests too deeply"),
        (lambda path: path.write_text('{"schema": ' + "1" * 5000 + "}"), "is damaged"),
        (lambda path: path.mkdir(), "is no ordinary file but a folder"),
        (lambda path: os.mkfifo(path), "is no ordinary file"),
        (lambda path: path.symlink_to("/dev/zero"), "is no ordinary file"),
        (lambda path: path.symlink_to(path), "cannot be read"),
        (lambda path: path.symlink_to("nowhere"), "is missing"),
    ],
)
def test_what_is_no_manifest_is_named_and_not_read_for_ever(tmp_path, make, message):
    make(tmp_path / "manifest.json")
    with pytest.raises(SourceError, match=rf"manifest\.json {message}"):
        load_run(tmp_path)


def test_checkpoints_of_other_shapes_in_one_run_are_named_when_it_is_followed(copied_run):
    other = load_run("modular-addition").checkpoint(2500).folder
    shutil.copytree(other, copied_run / "seed-0" / "step-000724", dirs_exist_ok=True)
    with pytest.raises(NeuroMFAError, match=r"layer .* neurons at step 0 of seed 0 and .* at step 724 of seed 0"):
        follow(load_run(copied_run), samples=1, neurons_per_layer=8, steps=[0, 724])


def test_a_file_that_cannot_be_read_does_not_pass(copied_run, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(manifests, "file_hash", refuse)
    assert not verify_run(copied_run)["ok"].any()


def test_verify_finds_a_changed_and_a_missing_file(copied_run):
    weights = load_run(copied_run).checkpoint(8).folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (copied_run / "seed-1" / "step-000128" / "config.json").unlink()
    wrong = verify_run(copied_run).query("not ok")
    assert list(wrong["file"]) == ["seed-0/step-000008/model.safetensors", "seed-1/step-000128/config.json"]
    assert wrong["found"].isna().tolist() == [False, True]


def test_a_checkpoint_whose_folder_is_gone_is_named(copied_run):
    shutil.rmtree(copied_run / "seed-0" / "step-000064")
    with pytest.raises(SourceError, match="step-000064 is missing"):
        load_run(copied_run).checkpoint(64)
