"""Results in files: where they can be written, what is refused before the work, and what a file may hold."""

import dataclasses
import json
import os
import stat
import struct
import threading
import zipfile

import numpy as np
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite import PAPER, SCALE_FREE, NeuroMFAError
from neuromfa_lite.evaluation.card import Scorecard
from neuromfa_lite.method import PARTS, register_part
from neuromfa_lite.spectrum import neuron_fractal_dimension
from neuromfa_lite.study import Confidence, Trajectory

RUN = nmfa.load_run("induction")


@pytest.fixture(scope="module")
def results():
    """One of every kind of result that is saved as .npz."""
    end = nmfa.load_network(RUN.checkpoint(724)).sample(16, seed=0)
    return {
        "Spectrum": nmfa.analyze(end),
        "NeuronDimensions": neuron_fractal_dimension(end),
        "Confidence": nmfa.confidence(end, PAPER.replace(derivative="forward"), resamples=20),
        "along a run": nmfa.trajectory_confidence(RUN, neurons_per_layer=16, steps=[0, 724], resamples=20),
        "Trajectory": nmfa.follow(RUN, samples=1, neurons_per_layer=16, steps=[0, 724]),
    }


KINDS = ("Spectrum", "NeuronDimensions", "Confidence", "along a run", "Trajectory")


@pytest.fixture(scope="module")
def card():
    cell = {"method": "mine", "run": "induction", "step": 724, "value": 0.1, "low": None, "high": None, "looks": 3}
    asked = ("follows ability", "follows ability beyond log(step)")
    return Scorecard(tuple({**cell, "property": words, "note": ""} for words in asked), {})


def parts_of(path):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("header"))), arrays


def write(path, header, arrays):
    header = header if isinstance(header, str) else json.dumps(header)
    np.savez(path, header=np.array(header), **arrays)


# --- where a result is written ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, message",
    [
        ("", "names no file"),
        (".", "names no file"),
        ("folder", "is a folder"),
        ("folder/", "is a folder"),
        ("new/", "is a folder"),
        ("nowhere/x", "no such folder"),
        ("file/x", "no such folder"),
        ("x" * 300, "no name for a file .File name too long"),
        ("a\0b", "no name for a file"),
        ("a\udce9\ud800", "no name for a file"),
        ("pipe.npz", "no ordinary file"),
        (7, "is no path"),
        (None, "is no path"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_by_name(results, card, tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.npz")
    before = sorted(os.listdir(tmp_path))
    for save in (results["Spectrum"].save, results["Trajectory"].save, card.save, card.draw):
        with pytest.raises(NeuroMFAError, match=message):
            save(name)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_folder_that_takes_no_files_and_a_file_that_is_read_only_are_refused(card, tmp_path, monkeypatch):
    if os.path.isdir("/proc/self"):
        with pytest.raises(NeuroMFAError, match=r"/proc/self takes no files .*: save x\.json elsewhere"):
            card.save("/proc/self/x.json")
    path = card.save(tmp_path / "x.json")
    monkeypatch.setattr(os, "access", lambda place, mode: False)  # root may write to all
    with pytest.raises(NeuroMFAError, match=r"x\.json is read-only"):
        card.save(path)


def test_a_picture_is_a_png_file(card, tmp_path):
    with pytest.raises(NeuroMFAError, match=r"card\.jpg: a picture is drawn into a \.png file"):
        card.draw(tmp_path / "card.jpg")
    assert card.draw(tmp_path / "card.png").read_bytes()[1:4] == b"PNG"


def test_a_full_disk_is_named_and_leaves_the_file_that_was_there(results, card, tmp_path, full_disk):
    saves = {"a.npz": results["Spectrum"].save, "b.json": card.save, "c.png": card.draw}
    for name, save in saves.items():
        save(tmp_path / name)
    before = {name: (tmp_path / name).read_bytes() for name in saves}
    for name, save in saves.items():
        with full_disk(), pytest.raises(NeuroMFAError, match=rf"{name} was not written \(File too large\)"):
            save(tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_saved_file_has_the_usual_permissions(results, card, tmp_path):
    (tmp_path / "plain").touch()
    for number, save in enumerate((results["Spectrum"].save, card.save)):
        assert stat.S_IMODE(save(tmp_path / str(number)).stat().st_mode) == stat.S_IMODE(
            (tmp_path / "plain").stat().st_mode
        )


def test_threads_save_under_one_name_and_links_in_the_way_are_not_followed(card, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    for name in ("x.json", "x.png"):  # the name that a process would be guessed to use
        (tmp_path / f".{name}.{os.getpid()}").symlink_to(victim)
    failed = []

    def save():
        try:
            for _ in range(5):
                card.save(tmp_path / "x.json")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=save) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    card.draw(tmp_path / "x.png")
    assert not failed and victim.read_text() == "untouched"
    assert Scorecard.load(tmp_path / "x.json").rows == card.rows


def test_a_name_as_long_as_the_system_allows_is_saved(card, tmp_path):
    name = "x" * 250 + ".json"
    assert Scorecard.load(card.save(tmp_path / name)).rows == card.rows


# --- what a file may hold --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_a_result_survives_its_file(results, tmp_path, name):
    result, kind = results[name], type(results[name])
    again = kind.load(result.save(tmp_path / "x"))
    lost = {"masses", "choices", "stored_errors", "stored_notes", "hashed"} if kind is nmfa.spectrum.Spectrum else set()
    assert getattr(again, "source_hash", None) == getattr(result, "source_hash", None) != ""
    for name in {each.name for each in dataclasses.fields(kind)} - lost:
        np.testing.assert_equal(getattr(again, name), getattr(result, name), err_msg=name)
    assert repr(again) == repr(result) and again._repr_html_() == result._repr_html_()


@pytest.mark.parametrize("name", KINDS)
def test_every_field_of_another_kind_or_length_is_named(results, tmp_path, name):
    path, kind = results[name].save(tmp_path / "x"), type(results[name])
    header, arrays = parts_of(path)
    lists, empty = ("flags", "notes", "stored_notes"), ("radii",) if kind is Trajectory else ()
    odd = {  # what no field of any result can be
        **{
            name: [{"a": [1]}, [float("nan")] if name in lists else [], 10**400]
            for name in header["plain"]
            if name != "choices"  # what makes no Method is None there
        },
        **{
            name: [array[..., None], array.astype("S4"), *([array[..., :0]] if name not in empty else [])]
            for name, array in arrays.items()
        },
    }
    for name, values in odd.items():
        for value in [*values, MISSING]:
            changed, rest = {**header, "plain": dict(header["plain"])}, dict(arrays)
            fields = changed["plain"] if name in changed["plain"] else rest
            fields[name] = value
            if value is MISSING:
                del fields[name]
            write(path, changed, rest)
            try:
                kind.load(path)
            except NeuroMFAError as error:
                assert name in str(error) and "x.npz is damaged" in str(error)
            else:
                raise AssertionError(f"{name} = {value!r} was taken")


MISSING = object()
NAN = {  # fields that may be NaN: nothing to compare, no ability
    "NeuronDimensions": ("error", "mean_error"),
    "Trajectory": ("alpha0_error", "width_error", "emergence_error", "ability"),
}


@pytest.mark.parametrize("name", KINDS)
def test_nan_is_named_where_a_result_allows_none(results, tmp_path, name):
    path, kind, allowed = results[name].save(tmp_path / "x"), type(results[name]), NAN.get(name, ())
    header, arrays = parts_of(path)
    tried = 0
    for name, value in {**header["plain"], **arrays}.items():
        if not (isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size)):
            continue
        if isinstance(value, float):
            write(path, {**header, "plain": {**header["plain"], name: float("nan")}}, arrays)
        else:
            write(path, header, {**arrays, name: np.where(np.arange(value.size).reshape(value.shape), value, np.nan)})
        tried += 1
        if name in allowed:
            assert repr(kind.load(path))
        else:
            with pytest.raises(NeuroMFAError, match=rf"x\.npz is damaged: {name} must be "):
                kind.load(path)
    assert tried > 3


HEADERS = {
    "a list": "[]",
    "a text": '"spectrum"',
    "a number": "7",
    "nothing": "null",
    "no JSON": "{",
    "nested a million deep": "[" * 1_000_000,
    "a number of a million digits": "9" * 1_000_000,
    "no kind": '{"schema": 3, "plain": {}}',
    "no schema": '{"kind": "spectrum", "plain": {}}',
    "no values": '{"kind": "spectrum", "schema": 3}',
    "values that are a list": '{"kind": "spectrum", "schema": 3, "plain": []}',
    **{
        f"schema {value}": f'{{"kind": "spectrum", "schema": {value}, "plain": {{}}}}'
        for value in ('"1"', "null", "true", "1.5", "0", "-1", "NaN", "[1]", "{}")
    },
    **{
        f"kind {value}": f'{{"kind": {value}, "schema": 3, "plain": {{}}}}'
        for value in ("null", "1", '["spectrum"]', "{}", '"spec\\ntrum"', '""')
    },
}


@pytest.mark.parametrize("text", HEADERS.values(), ids=HEADERS)
def test_a_damaged_header_is_named(tmp_path, text):
    write(tmp_path / "x.npz", text, {"q": np.ones(3)})
    with pytest.raises(NeuroMFAError, match=r"x\.npz is damaged or not a file of neuromfa_lite"):
        nmfa.spectrum.Spectrum.load(tmp_path / "x.npz")


def test_another_header_array_more_fields_and_another_schema_are_named(results, tmp_path):
    path = results["Spectrum"].save(tmp_path / "x")
    header, arrays = parts_of(path)
    for text in (np.ones(3), np.array(["a", "b"]), np.array(b"{}")):
        np.savez(path, header=text, **arrays)
        with pytest.raises(NeuroMFAError, match="is damaged or not"):
            nmfa.spectrum.Spectrum.load(path)
    write(path, header, {**arrays, "extra": np.ones(2)})
    with pytest.raises(NeuroMFAError, match="it holds 'extra', which no such result has"):
        nmfa.spectrum.Spectrum.load(path)
    write(path, {**header, "plain": {**header["plain"], "masses": 1}}, arrays)
    with pytest.raises(NeuroMFAError, match="it holds 'masses'"):
        nmfa.spectrum.Spectrum.load(path)
    for schema in (1, 2, 99):
        write(path, {**header, "schema": schema, "plain": []}, {})
        with pytest.raises(NeuroMFAError, match=f"schema {schema}, and this version of neuromfa_lite reads 3"):
            nmfa.spectrum.Spectrum.load(path)


def member_of(dtype, shape, data=b""):
    """The bytes of a .npy file that declares one thing and holds another."""
    words = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    words += b" " * (117 - len(words)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(words)) + words + data


@pytest.mark.parametrize(
    "dtype, shape, data",
    [
        ("<f8", (10**12,), b""),  # 8 TB
        ("<f8", (10**12,), bytes(800)),
        ("<f8", (2**61,), b""),  # times 8 is 0 in 64 bits
        ("<f8", (-1,), b""),
        ("<U0", (10**18,), b""),
        ("|O", (3,), b"cos\nsystem\n(S'true'\ntR."),
        ("|V8", (3,), bytes(24)),
        ("<c16", (3,), bytes(48)),
        ("<M8[s]", (3,), bytes(24)),
    ],
)
def test_an_array_that_declares_what_it_does_not_hold_is_refused_before_it_is_allocated(
    results, tmp_path, dtype, shape, data
):
    whole = results["Spectrum"].save(tmp_path / "whole")
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, member_of(dtype, shape, data) if name == "tau.npy" else old.read(name))
    with pytest.raises(NeuroMFAError, match=r"x\.npz is damaged.*tau|negative dimensions") as caught:
        nmfa.spectrum.Spectrum.load(tmp_path / "x.npz")
    assert "pickle" not in str(caught.value)


def test_an_archive_whose_directory_lies_about_sizes_is_refused(results, tmp_path):
    whole = results["Spectrum"].save(tmp_path / "whole").read_bytes()
    at = whole.rindex(b"PK\x01\x02")  # the last entry of the directory
    for offset, size in ((20, 2**31), (24, 2**31)):  # compressed, plain
        (tmp_path / "x.npz").write_bytes(whole[: at + offset] + struct.pack("<I", size) + whole[at + offset + 4 :])
        with pytest.raises(NeuroMFAError, match=r"x\.npz is damaged or not.*declares more than"):
            nmfa.spectrum.Spectrum.load(tmp_path / "x.npz")


def test_every_changed_byte_of_a_small_file_is_read_as_it_was_or_named(results, tmp_path):
    whole = results["along a run"].save(tmp_path / "x").read_bytes()
    path, result = tmp_path / "x.npz", repr(results["along a run"])
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            assert repr(Confidence.load(path)) == result
        except NeuroMFAError as error:
            assert str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("seed", [2**63, 2**64, np.uint64(2**63 + 5)])
def test_large_seeds_are_kept(tmp_path, seed):
    spectrum = nmfa.analyze(nmfa.load_network(nmfa.load_run("induction").checkpoint(724)).sample(8, seed=seed))
    assert nmfa.spectrum.Spectrum.load(spectrum.save(tmp_path / "x")).seed == int(seed)


COUNTS = ("Spectrum.neurons_used", "Trajectory.sample", "Trajectory.neurons_used", "Confidence.resamples")


@pytest.mark.parametrize(("kind", "field"), [name.split(".") for name in COUNTS])
def test_a_count_below_nothing_is_named(results, tmp_path, kind, field):
    value = getattr(results[kind], field)
    wrong = dataclasses.replace(results[kind], **{field: -value - 1})
    with pytest.raises(NeuroMFAError, match=f"{field} must be .*of at least 0"):
        wrong.save(tmp_path / "x")


def test_a_private_file_stays_private_and_a_home_is_known(results, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = results["Spectrum"].save("~/x")
    assert path == tmp_path / "x.npz"
    path.chmod(0o600)
    assert results["Spectrum"].save("~/x").stat().st_mode & 0o777 == 0o600


def test_a_folder_and_a_pipe_are_named_on_loading(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for place, message in ((tmp_path, "is a folder"), (tmp_path / "pipe.npz", "no such file")):
        with pytest.raises(NeuroMFAError, match=message):
            nmfa.spectrum.Spectrum.load(place)


@pytest.mark.parametrize("place", [None, True, 3, 10**5000, [], b"name", np.ones(2), ""], ids=type)
def test_what_is_no_path_is_named(results, place):
    for result in (*results.values(), nmfa.shipped_scorecard()):
        for call in (result.save, type(result).load):
            with pytest.raises(NeuroMFAError, match=r"no path|must be the name of a file|names no file"):
                call(place)


def test_masked_and_object_arrays_are_refused_on_saving(results, tmp_path):
    for array in (np.ma.masked_less(np.ones(61), 2), np.array([None] * 61), np.full(61, np.nan)):
        spectrum = dataclasses.replace(results["Spectrum"], tau=array)
        with pytest.raises(NeuroMFAError, match=r"this spectrum cannot be saved: tau must be an array \(61\)"):
            spectrum.save(tmp_path / "x")
    assert not list(tmp_path.iterdir())


# --- a trajectory says how it was measured -----------------------------------------------------------------------


def followed(method):
    return nmfa.follow(RUN, method, samples=1, neurons_per_layer=8, steps=[0, 724])


def test_a_loaded_trajectory_knows_its_method(tmp_path):
    for method in (SCALE_FREE, SCALE_FREE.replace(name="x", radii=(1, 2, 4), scaling_range=(1, 4), score="regularity")):
        history = followed(method)
        again = Trajectory.load(history.save(tmp_path / "x"))
        assert again.choices == method and again.choices.key == again.method_key
        assert again.summary().equals(history.summary())


def test_a_loaded_trajectory_does_not_guess_what_a_function_was(tmp_path):
    history = followed(PAPER.replace(name="mine", score="regularity", distance=lambda weights: 2 / np.abs(weights)))
    again = Trajectory.load(history.save(tmp_path / "x"))
    assert again.choices is None and again.summary().equals(history.summary()) and again.plot()
    assert Trajectory.load(again.save(tmp_path / "y")).summary().equals(history.summary())


def test_a_score_that_is_not_registered_here_and_a_seed_without_step_0_are_named(results, tmp_path):
    register_part("score", "test-mine", lambda alpha0, width, alpha0_start, width_start: alpha0_start - alpha0)
    try:
        history = followed(PAPER.replace(score="test-mine"))
        path = history.save(tmp_path / "x")
        assert Trajectory.load(path).summary().equals(history.summary())
    finally:
        del PARTS["score"]["test-mine"]
    with pytest.raises(NeuroMFAError, match=r"x\.npz: its score 'test-mine' is not known here: register it"):
        Trajectory.load(path)
    path = results["Trajectory"].save(tmp_path / "y")
    header, arrays = parts_of(path)
    write(path, header, {**arrays, "step": np.where(arrays["training_seed"] == 1, 5, arrays["step"])})
    with pytest.raises(NeuroMFAError, match=r"y\.npz is damaged: training_seed 1 has no step 0"):
        Trajectory.load(path)


# --- scorecards ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "[]", "7", "[" * 100_000, '{"schema": "1", "versions": {}, "cells": []}', '{"schema": 1, "cells": []}',
        '{"schema": 1, "versions": [], "cells": []}', '{"schema": 1, "versions": {}, "cells": {}}',
        '{"schema": 1, "versions": {}, "cells": ["abc"]}', '{"schema": 1, "versions": {}, "cells": [7]}',
    ],
)  # fmt: skip
def test_a_damaged_scorecard_is_named(tmp_path, damage):
    (tmp_path / "x.json").write_text(damage)
    with pytest.raises(NeuroMFAError, match=r"x\.json is damaged or no scorecard"):
        Scorecard.load(tmp_path / "x.json")


@pytest.mark.parametrize(
    "field, value",
    [("value", float("nan")), ("value", "1"), ("low", []), ("step", 1.5), ("looks", None), ("run", 7), ("extra", 1)],
)
def test_a_damaged_cell_is_named(card, tmp_path, field, value):
    path = card.save(tmp_path / "x.json")
    content = json.loads(path.read_text())
    content["cells"][0][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(NeuroMFAError, match=rf"x\.json is damaged.*cell 1.*{field}"):
        Scorecard.load(path)
