"""The command line: what it prints, what --json holds, how it fails."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import neuromfa_lite as nmfa
from neuromfa_lite import evaluation, laboratory
from neuromfa_lite.cli.commands import main
from neuromfa_lite.laboratory import RECIPES
from neuromfa_lite.study import measure as study


def _call(*words):
    return CliRunner().invoke(main, list(words))


def _json(*words):
    result = _call(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_analyze_prints_the_fields_of_a_spectrum():
    found = _json("analyze", "induction@724", "--seed", "3")
    spectrum = nmfa.analyze(nmfa.load_network(nmfa.load_run("induction").checkpoint(724)).sample(32, seed=3))
    assert {"q", "tau", "alpha", "f", "alpha0", "width", "r2", "neurons_used", "method"} <= set(found)
    np.testing.assert_array_equal(found["tau"], spectrum.tau)
    assert (found["alpha0"], found["width"], found["neurons_used"]) == (spectrum.alpha0, spectrum.width, 320)
    assert found["method"] == "paper" and found["seed"] == 3
    assert found["source_hash"] == spectrum.source_hash and "hashed" not in found


def test_analyze_takes_another_method_size_and_training_seed():
    found = _json("analyze", "induction@724:2", "--method", "published", "--neurons-per-layer", "16")
    assert found["method"] == "published" and len(found["alpha"]) == len(found["q"]) - 1
    assert _json("analyze", "induction@724", "--neurons-per-layer", "all")["seed"] is None


def test_analyze_takes_a_folder():
    checkpoint = nmfa.load_run("induction").checkpoint(724)
    assert _json("analyze", str(checkpoint.folder))["alpha0"] == _json("analyze", "induction@724")["alpha0"]


def test_follow_prints_a_summary_with_its_bands():
    found = _json("follow", "induction", "--samples", "2", "--neurons-per-layer", "16")
    names = "step alpha0 alpha0_sd width width_sd r2 emergence emergence_sd copy_accuracy emergence_over_seeds_sd"
    assert set(names.split()) <= set(found["summary"][0])
    assert [row["step"] for row in found["summary"]] == list(nmfa.load_run("induction").steps())
    assert found["summary"][0]["emergence"] == 0
    assert found["summary"][1]["emergence_over_seeds_sd"] is None  # step 1 exists for one training seed only
    assert set(found["by_training_seed"]) == {"0", "1", "2"}


def test_follow_saves_what_it_prints(tmp_path):
    out = tmp_path / "history.npz"
    assert _call("follow", "induction", "--samples", "1", "--neurons-per-layer", "8", "--out", str(out)).exit_code == 0
    assert nmfa.study.Trajectory.load(out).neurons_per_layer == 8


def test_describe_lists_what_is_read_and_what_is_left_out():
    rows = _json("describe", "induction@0")["matrices"]
    by_name = {row["name"]: row for row in rows}
    assert by_name["gpt_neox.layers.0.attention.query_key_value.weight[value]"]["read"] is True
    assert by_name["gpt_neox.embed_in.weight"]["read"] is False and by_name["gpt_neox.embed_in.weight"]["why"]


def test_describe_shows_the_network_of_a_method():
    rows = _json("describe", "induction@0", "--method", "head-products")["matrices"]
    assert "block 0 head 3 value-output" in {row["name"] for row in rows}


def test_runs_and_doctor():
    names = [run["run"] for run in _json("runs")["runs"]]
    assert names == sorted(RECIPES)
    report = _json("doctor")
    checked = [line["what"] for line in report["checks"] if line["what"].startswith("bundled run")]
    assert report["ok"] is True and checked == [f"bundled run {name}" for name in names]


@pytest.mark.parametrize(
    "words, message",
    [
        (("analyze", "induction@5"), "its steps are 0, 1, 2"),
        (("analyze", "induction@724", "--neurons-per-layer", "65"), "use at most 64"),
        (("analyze", "induction@724", "--neurons-per-layer", "few"), "neither a whole number"),
        (("analyze", "no-such-thing"), "no-such-thing"),
        (("follow", "no-such-run"), "the bundled runs are"),
        (("train", "no-such-run"), "no-such-run"),
    ],
)
def test_errors_are_one_message_and_no_traceback(words, message):
    result = _call(*words)
    assert result.exit_code != 0 and message in result.output and "Traceback" not in result.output


def test_follow_takes_steps_and_says_what_is_flagged():
    result = _call("follow", "induction", "--samples", "1", "--steps", "0,724", "--json")
    found = json.loads(result.stdout)
    assert [row["step"] for row in found["summary"]] == [0, 724] and found["samples"] == 1
    assert "0/724" in found["flags"] and "checkpoints are flagged" in result.stderr
    assert found["versions"]["neuromfa_lite"] == nmfa.__version__


@pytest.mark.parametrize(
    "words, message",
    [
        (("describe", "induction@724", "--revision", "step5"), "--revision is for hub ids"),
        (("follow", "induction", "--out", "no-such-folder/x.npz"), "no such folder"),
        (("follow", "induction", "--steps", "0;5"), "no list of steps"),
        (("train", "induction", "--folder", ""), "must be the name of a file or folder"),
    ],
)
def test_what_would_be_ignored_or_fail_late_is_refused_at_once(words, message):
    result = _call(*words)
    assert result.exit_code != 0 and message in result.output and "Traceback" not in result.output


def test_training_without_torch_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = _call("train", "induction")
    assert result.exit_code != 0 and "neuromfa_lite[train]" in result.output and "Traceback" not in result.output


def test_a_stopped_training_says_how_to_go_on(monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(laboratory, "train", stop)
    result = _call("train", "induction")
    assert result.exit_code == 1 and "the same command starts again" in result.output


# --- where the output goes -----------------------------------------------------------------------------------------

QUICK = ("follow", "induction", "--samples", "1", "--neurons-per-layer", "8", "--steps", "0,724")


@pytest.fixture
def no_work(monkeypatch):
    def work(*_, **__):
        raise AssertionError("work began")

    monkeypatch.setattr(study, "follow", work)
    monkeypatch.setattr(evaluation, "scorecard", work)
    monkeypatch.setattr(evaluation.shipped, "scorecard", work)


@pytest.mark.parametrize(
    "words, message",
    [
        ((*QUICK, "--out", ""), "names no file"),
        ((*QUICK, "--out", "."), "names no file"),
        ((*QUICK, "--out", "folder"), "is a folder"),
        ((*QUICK, "--out", "nowhere/x"), "no such folder"),
        ((*QUICK, "--out", "x" * 300), "no name for a file"),
        (("scorecard", "paper", "--picture", ""), "names no file"),
        (("scorecard", "paper", "--picture", "folder"), "is a folder"),
        (("scorecard", "paper", "--picture", "card.jpg"), "is drawn into a .png file"),
        (("scorecard", "--shipped", "--picture", "nowhere/x.png"), "no such folder"),
        ((*QUICK, "--method", "score.py", "--out", "x"), "score is a function, which no file keeps"),
    ],
)
def test_an_output_is_tried_before_the_work(tmp_path, monkeypatch, no_work, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "score.py").write_text(f"{HEAD}VARIANT = nmfa.PAPER.replace(name='s', score=lambda a, *rest: a)\n")
    before = sorted(os.listdir(tmp_path))
    result = _call(*words)
    assert result.exit_code == 1 and message in result.output and sorted(os.listdir(tmp_path)) == before


def test_the_shipped_scorecard_tries_its_place_before_the_work(tmp_path, monkeypatch, no_work):
    for name in ("SHIPPED", "STORED"):
        with monkeypatch.context() as patch:
            patch.setattr(evaluation.shipped, name, tmp_path / "nowhere" / "x.json")
            patch.setattr(evaluation.shipped, "store", lambda runs: pytest.fail("work began"))
            result = _call("scorecard", "--shipped")
        assert result.exit_code == 1 and "no such folder" in result.output


@pytest.mark.parametrize("words", [(*QUICK, "--json", "--out", "x"), ("scorecard", "--json", "--picture", "x.png")])
def test_a_full_disk_does_not_lose_the_result(tmp_path, monkeypatch, full_disk, words):
    monkeypatch.chdir(tmp_path)
    card = evaluation.shipped_scorecard().of(["induction"])
    few = evaluation.Scorecard(tuple(row for row in card.rows if row["method"] == "paper"), {})
    monkeypatch.setattr(evaluation, "shipped_scorecard", lambda: few)
    with full_disk():
        result = _call(*words)
    assert result.exit_code == 1 and json.loads(result.stdout)
    assert "was not written (File too large)" in result.stderr and not os.listdir(tmp_path)


def _shell(stdout, *words):
    command = [sys.executable, "-m", "neuromfa_lite", *words]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_output_is_one_line_and_a_status():
    with open("/dev/full", "w") as full:
        done = _shell(full, "runs")
    assert (done.returncode, done.stderr) == (1, "Error: the output cannot be written (No space left on device)\n")


def test_a_closed_pipe_ends_quietly():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = _shell(closed, "--help")
    assert (done.returncode, done.stderr) == (1, "")


# --- functions of the user's ---------------------------------------------------------------------------------------

HEAD = "import sys\nimport neuromfa_lite as nmfa\n"
PRINTS = f"""{HEAD}
print("from the file")
def distance(weights):
    print("from the distance")
    return 1 / abs(weights)
def size(checkpoint):
    print("from the function")
    return float(abs(nmfa.load_network(checkpoint).weight_blocks[0].weights()).mean())
VARIANT = nmfa.PAPER.replace(name="prints", distance=distance)
"""


@pytest.mark.parametrize(
    "words, printed",
    [
        (("analyze", "induction@724", "--method", "prints.py"), "from the distance"),
        (("describe", "induction@724", "--method", "prints.py"), "from the file"),
        ((*QUICK, "--method", "prints.py"), "from the distance"),
        (("scorecard", "prints.py:size", "--run", "induction-control"), "from the function"),
    ],
)
def test_what_a_function_prints_is_no_part_of_the_result(tmp_path, monkeypatch, words, printed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prints.py").write_text(PRINTS)
    result = _call(*words, "--json")
    assert result.exit_code == 0 and json.loads(result.stdout) and printed in result.stderr


@pytest.mark.parametrize(
    "text, message",
    [
        ("def VARIANT(checkpoint):\n    sys.exit(0)\n", "VARIANT raised SystemExit: 0 for induction@0"),
        ("def VARIANT(checkpoint):\n    raise KeyError('x\\ny')\n", "VARIANT raised KeyError: 'x"),
        ("def VARIANT(checkpoint):\n    return VARIANT(checkpoint)\n", "VARIANT raised RecursionError"),
        ("sys.exit(0)\n", "line 3: SystemExit: 0"),
        (
            "def distance(weights):\n    sys.exit(0)\nVARIANT = nmfa.PAPER.replace(name='m', distance=distance)\n",
            "distance 'distance' of method 'm' raised SystemExit: 0",
        ),
    ],
)
def test_a_function_that_fails_or_exits_is_named(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(HEAD + text)
    result = _call("scorecard", str(tmp_path / "mine.py"), "--run", "induction", "--json")
    assert result.exit_code == 1 and message in result.stderr and not result.stdout
    assert len(result.stderr.splitlines()) == 1


# --- what nobody expected --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error, message",
    [
        (RuntimeError("first line\nsecond line"), "RuntimeError: first line. This is a fault of neuromfa_lite's"),
        (RecursionError(), "RecursionError. This is a fault of neuromfa_lite's; NEUROMFA_TRACEBACK=1"),
        (MemoryError(), "more memory than there is"),
        (PermissionError(13, "Permission denied", "some/file"), "Permission denied: 'some/file'"),
        (BaseException("odd"), "BaseException: odd"),
    ],
)
def test_an_unexpected_error_is_one_line_and_its_traceback_can_be_had(monkeypatch, error, message):
    def fail():
        raise error

    monkeypatch.setattr(laboratory, "list_runs", fail)
    result = _call("runs")
    assert result.exit_code == 1 and message in result.stderr and len(result.stderr.splitlines()) == 1
    monkeypatch.setenv("NEUROMFA_TRACEBACK", "1")
    with pytest.raises(type(error)):
        CliRunner().invoke(main, ["runs"], catch_exceptions=False)


def test_names_that_no_terminal_can_show_end_in_no_traceback(tmp_path, monkeypatch):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.symlink(nmfa.load_run("induction").checkpoint(0).folder, folder)
    result = _call("describe", os.fsdecode(folder))
    assert result.exit_code == 0 and "caf\\udce9" in result.output


@pytest.mark.parametrize(
    "words, message",
    [
        (("analyze", "induction@724", "--seed", "-1"), "not in the range"),
        (("follow", "induction", "--samples", "0"), "not in the range"),
        (("follow", "induction", "--samples", "1000000000"), "not in the range"),
        (("scorecard", "paper", "--samples", "1000000000"), "not in the range"),
        (("follow", "induction", "--steps", ""), "no list of steps"),
        (("follow", "induction", "--steps", "0," + "9" * 5000), "no list of steps"),
        (("analyze", "induction@724", "--neurons-per-layer", "9" * 5000), "neither a whole number"),
        (("analyze", "induction@" + "9" * 5000), "induction@999"),
    ],
)
def test_numbers_out_of_all_range_are_refused(no_work, monkeypatch, words, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = _call(*words)
    assert result.exit_code in (1, 2) and message in result.output and "fault" not in result.output
