"""The command line: what it prints, what --json holds, how it fails."""

import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import neuromfa_lite as nmfa
from neuromfa_lite import laboratory
from neuromfa_lite.cli import main
from neuromfa_lite.laboratory import RECIPES


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
    assert nmfa.Trajectory.load(out).neurons_per_layer == 8


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
        (("train", "induction", "--folder", ""), "names no folder"),
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
