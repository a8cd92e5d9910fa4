"""Where weights come from: files, folders, the hub and torch objects; each failure names the file and the way out."""

import json
import operator
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from models import CONFIG, gpt_neox_tensors, write_folder, write_raw, write_shards
from safetensors.numpy import save_file

import neuromfa_lite as nmfa
from neuromfa_lite import PAPER, analyze, kernels, load_network
from neuromfa_lite.errors import NeuroMFAError, SourceError
from neuromfa_lite.network.architectures import ARCHITECTURES, Architecture, Join
from neuromfa_lite.network.architectures.wire import wire
from neuromfa_lite.network.connections import NeuronLayer
from neuromfa_lite.weights import open_source, safetensors_file
from neuromfa_lite.weights.folder import open_folder

torch = pytest.importorskip("torch")
save_torch_file = pytest.importorskip("safetensors.torch").save_file

TOY = {"model_type": "toy"}
W = np.arange(6, dtype="f4").reshape(2, 3)


def same_weights(source, tensors):
    """Whether a source holds exactly these arrays."""
    matrices = {name: array for name, array in tensors.items() if array.ndim == 2}
    return (
        set(source.names) == set(tensors)
        and set(source.matrices) == set(matrices)
        and source.other == {name: array.shape for name, array in tensors.items() if array.ndim != 2}
        and all(np.array_equal(source.matrices[name].read(), array) for name, array in matrices.items())
    )


# Folders and files


def test_a_folder_by_string_by_path_and_by_anything_that_names_a_path(tmp_path):
    tensors = gpt_neox_tensors()
    folder = write_folder(tmp_path / "model", tensors)

    class Checkpoint:
        def __fspath__(self):
            return str(folder)

    for given in (folder, str(folder), Checkpoint(), folder / "model.safetensors", str(folder / "model.safetensors")):
        source = open_source(given)
        assert same_weights(source, tensors)
        assert source.config == CONFIG
        assert source.origin == os.fspath(given)
    assert open_source(source) is source


def test_a_sharded_folder_is_one_model(tmp_path):
    tensors = gpt_neox_tensors()
    names = list(tensors)
    folder = write_shards(tmp_path, {n: tensors[n] for n in names[:5]}, {n: tensors[n] for n in names[5:]})
    source = open_source(folder)
    assert same_weights(source, tensors)


def test_the_path_of_a_home_and_a_path_that_looks_like_a_hub_model(tmp_path, monkeypatch):
    write_folder(tmp_path / "org" / "name", {"w": W}, TOY)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for given in ("~/org/name", "org/name", "./org/name"):
        assert same_weights(open_source(given), {"w": W})


def test_one_safetensors_file_of_another_name_is_enough(tmp_path):
    write_folder(tmp_path, {"w": W}, TOY)
    (tmp_path / "model.safetensors").rename(tmp_path / "weights.safetensors")
    assert same_weights(open_source(tmp_path), {"w": W})


def test_a_configuration_given_stands_instead_of_the_files_own(tmp_path):
    save_file({"w": W}, tmp_path / "model.safetensors")
    source = open_source(tmp_path, config=TOY)
    assert source.config == TOY and source.config_origin == "the config given"


def test_safetensors_are_preferred_to_bin(tmp_path):
    write_folder(tmp_path, {"w": W}, TOY)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even a file of PyTorch")
    assert same_weights(open_source(tmp_path), {"w": W})


def test_nothing_but_the_header_is_read_on_opening(tmp_path):
    source = open_source(write_folder(tmp_path, {"w": W}, TOY))
    before = (tmp_path / "model.safetensors").stat()
    with open(tmp_path / "model.safetensors", "r+b") as file:  # what is written later is what is read later
        file.seek(-4, os.SEEK_END)
        file.write(np.float32(9).tobytes())
    os.utime(tmp_path / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))  # as if nobody had
    assert source.matrices["w"].read()[-1, -1] == 9


def damage(folder, how):
    """A model folder with one thing wrong."""
    write_folder(folder, {"w": W}, TOY)
    config, weights = folder / "config.json", folder / "model.safetensors"
    content = weights.read_bytes()
    short = {"w": ("F32", (2, 3), (0, 20))}
    overlapping = {"v": ("F32", (2, 3), (0, 24)), "w": ("F32", (2, 3), (0, 24))}
    twice = b'{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"w":{"dtype":"F32","shape":[6,1],' + (
        b'"data_offsets":[0,24]}}'
    )
    many = b'"data_offsets"' * ((1 << 18) + 1)

    def entry(**odd):
        whole = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **odd}
        write_raw(weights, {}, bytes(24 if whole["data_offsets"] != [0, 0] else 0), json.dumps({"w": whole}).encode())

    def nested(path):
        path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000)

    def in_place_of(path, make):
        path.unlink()
        make(path)

    acts = {
        "no config": config.unlink,
        "config is no JSON": lambda: config.write_text("{"),
        "config is a list": lambda: config.write_text("[]"),
        "config is not text": lambda: config.write_bytes(b"\xff\xfe\x00"),
        "no weights": weights.unlink,
        "truncated": lambda: weights.write_bytes(content[:-1]),
        "truncated in the header": lambda: weights.write_bytes(content[:20]),
        "empty": lambda: weights.write_bytes(b""),
        "LFS pointer": lambda: weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "a web page": lambda: weights.write_text("<!DOCTYPE html><html>404</html>"),
        "header is no JSON": lambda: write_raw(weights, {}, b"", b"{nothing}"),
        "header is a list": lambda: write_raw(weights, {}, b"", b"[]"),
        "header without offsets": lambda: write_raw(weights, {}, b"", b'{"w":{"dtype":"F32","shape":[2,3]}}'),
        "header of an entry is no object": lambda: write_raw(weights, {}, b"", b'{"w":3}'),
        "shape against offsets": lambda: write_raw(weights, short, bytes(20)),
        "overlapping": lambda: write_raw(weights, overlapping, bytes(24)),
        "trailing bytes": lambda: weights.write_bytes(content + b"tail"),
        "config nests": lambda: nested(config),
        "config says a thing twice": lambda: config.write_text('{"model_type": "toy", "model_type": "gpt_neox"}'),
        "config without end": lambda: os.truncate(config, 1 << 40),
        "config is a pipe": lambda: in_place_of(config, os.mkfifo),
        "config is a device": lambda: in_place_of(config, lambda path: path.symlink_to("/dev/zero")),
        "config is a folder": lambda: in_place_of(config, os.mkdir),
        "weights are a pipe": lambda: in_place_of(weights, os.mkfifo),
        "weights are a folder": lambda: in_place_of(weights, os.mkdir),
        "a .bin file is a pipe": lambda: in_place_of(weights, lambda path: os.mkfifo(folder / "pytorch_model.bin")),
        "header nests": lambda: write_raw(weights, {}, b"", b"[" * 100_000),
        "header says a thing twice": lambda: write_raw(weights, {}, bytes(24), twice),
        "header of a million": lambda: write_raw(weights, {}, b"", many),
        "shape beyond an index": lambda: entry(shape=[0, 1 << 62], data_offsets=[0, 0]),
        "shape beyond a pointer": lambda: entry(shape=[1 << 63, 0], data_offsets=[0, 0]),
        "shape whose product overflows": lambda: entry(shape=[1 << 33, 1 << 33]),
        "shape of truth values": lambda: entry(shape=[True, 6]),
        "shape of fractions": lambda: entry(shape=[2.0, 3.0]),
        "shape below zero": lambda: entry(shape=[-2, -3]),
        "offsets below zero": lambda: entry(data_offsets=[-24, 0]),
        "offsets turned round": lambda: entry(data_offsets=[24, 0]),
        "offsets that are no number": lambda: entry(data_offsets=[0, float("nan")]),
        "dtype is a number": lambda: entry(dtype=3),
        "a name that is not text": lambda: write_raw(weights, {}, bytes(24), b'{"\xff\xfe":{"dtype":"F32"}}'),
    }
    acts[how]()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no config", r"config\.json is missing: .*pass config="),
        ("config is no JSON", r"config\.json is damaged .*fetch it again"),
        ("config is a list", r"config\.json is damaged: it holds no JSON object"),
        ("config is not text", r"config\.json is damaged .*fetch it again"),
        ("no weights", r"holds no weights: expected model\.safetensors"),
        ("truncated", r"model\.safetensors is truncated: its header calls for (\d+) bytes, the file has .* Fetch it"),
        ("truncated in the header", r"model\.safetensors is truncated"),
        ("empty", r"model\.safetensors is damaged or no safetensors file: .*Fetch it again"),
        ("LFS pointer", r"model\.safetensors is a Git LFS pointer.*git lfs pull"),
        ("a web page", r"model\.safetensors is damaged or no safetensors file"),
        ("header is no JSON", r"model\.safetensors is damaged .*header cannot be read"),
        ("header is a list", r"model\.safetensors is damaged .*header cannot be read"),
        ("header without offsets", r"model\.safetensors is damaged .*header cannot be read"),
        ("header of an entry is no object", r"model\.safetensors is damaged .*header cannot be read"),
        ("shape against offsets", r"model\.safetensors is damaged"),
        ("overlapping", r"model\.safetensors is damaged"),
        ("trailing bytes", r"model\.safetensors is damaged"),
        ("config nests", r"config\.json is damaged \(it nests too deeply\)"),
        ("config says a thing twice", r"config\.json is damaged \('model_type' is there twice\)"),
        ("config without end", r"config\.json is no text of a model: it has more than 67,108,864 bytes"),
        ("config is a pipe", r"config\.json is no ordinary file"),
        ("config is a device", r"config\.json is no ordinary file"),
        ("config is a folder", r"config\.json is no ordinary file but a folder"),
        ("weights are a pipe", r"model\.safetensors is no ordinary file"),
        ("weights are a folder", r"model\.safetensors is no ordinary file but a folder"),
        ("a .bin file is a pipe", r"pytorch_model\.bin is no ordinary file"),
        ("header nests", r"model\.safetensors is damaged .*it nests too deeply"),
        ("header says a thing twice", r"model\.safetensors is damaged .*'w' is there twice"),
        ("header of a million", r"model\.safetensors is damaged .*lists more than 262,144 tensors"),
        ("shape beyond an index", r"model\.safetensors is damaged .*shape of 'w' is larger than any array"),
        ("shape beyond a pointer", r"model\.safetensors is damaged .*shape of 'w' is larger than any array"),
        ("shape whose product overflows", r"model\.safetensors is damaged .*overflow"),
        ("shape of truth values", r"model\.safetensors is damaged"),
        ("shape of fractions", r"model\.safetensors is damaged"),
        ("shape below zero", r"model\.safetensors is damaged"),
        ("offsets below zero", r"model\.safetensors is damaged"),
        ("offsets turned round", r"model\.safetensors is damaged"),
        ("offsets that are no number", r"model\.safetensors is damaged"),
        ("dtype is a number", r"model\.safetensors is damaged"),
        ("a name that is not text", r"model\.safetensors is damaged"),
    ],
)
def test_damage_is_named_with_the_way_out(tmp_path, how, said):
    damage(tmp_path / "model", how)
    with pytest.raises(SourceError, match=said) as caught:
        open_source(tmp_path / "model")
    assert str(tmp_path / "model") in str(caught.value)


def test_a_file_without_rights_is_named(tmp_path, monkeypatch):
    folder = write_folder(tmp_path, {"w": W}, TOY)

    def refuse(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)  # the tests may run as root, whom no mode keeps out
    with pytest.raises(SourceError, match=r"model\.safetensors cannot be read \(Permission denied\)"):
        open_source(folder, config=TOY)


def test_a_folder_without_rights_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.listdir", refuse)
    with pytest.raises(SourceError, match=r"model cannot be read \(Permission denied\)"):
        open_source(write_folder(tmp_path / "model", {"w": W}, TOY))


def test_an_index_that_names_a_missing_shard(tmp_path):
    folder = write_shards(tmp_path, {"a": W}, {"b": W})
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        SourceError, match=r"model-00002-of-00002\.safetensors is missing, a shard that model\.safetens"
    ):
        open_source(folder)


def test_shards_that_disagree(tmp_path):
    both = write_shards(tmp_path / "both", {"a": W, "twice": W}, {"b": W, "twice": W})
    with pytest.raises(SourceError, match=r"'twice' is in both .*model-00001-of-00002.* and .*model-00002-of-00002"):
        open_source(both)
    swapped = write_shards(tmp_path / "swapped", {"a": W}, {"b": W})
    save_file({"a": W, "b": W}, swapped / "model-00001-of-00002.safetensors")
    save_file({"c": W}, swapped / "model-00002-of-00002.safetensors")
    with pytest.raises(SourceError, match=r"index says that 'b' is in model-00002.* but it is in model-00001"):
        open_source(swapped)
    lacking = write_shards(tmp_path / "lacking", {"a": W}, {"b": W, "c": W})
    save_file({"b": W}, lacking / "model-00002-of-00002.safetensors")
    with pytest.raises(SourceError, match=r"index says that 'c' is in model-00002.* but it is in none"):
        open_source(lacking)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({}, "no weight_map"),
        ({"weight_map": {"w": 3}}, "shard 3 is no file of its folder"),
        ({"weight_map": {"w": "../model.safetensors"}}, "shard '../model.safetensors' is no file of its folder"),
        ({"weight_map": {"w": ["model.safetensors"]}}, r"shard \['model.safetensors'\] is no file of its folder"),
        ({"weight_map": {"w": {"a": "b"}}}, "shard {'a': 'b'} is no file of its folder"),
        ({"weight_map": {"w": "a\0.safetensors"}}, r"shard 'a\\x00.safetensors' is no file of its folder"),
        ({"weight_map": {"w": "\x1b[31m.safetensors"}}, r"shard '\\x1b\[31m.safetensors' is no file of its folder"),
    ],
)
def test_a_damaged_index(tmp_path, index, said):
    write_shards(tmp_path, {"w": W})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(SourceError, match=rf"model\.safetensors\.index\.json is damaged: .*{said}"):
        open_source(tmp_path)


def test_a_shard_of_a_name_that_no_file_can_have_is_missing(tmp_path):
    write_shards(tmp_path, {"w": W})
    index = {"weight_map": {"w": f"{'x' * 5000}.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(SourceError, match=r"xxx\.safetensors is missing, a shard that model\.safetensors"):
        open_source(tmp_path)


def test_several_files_without_an_index(tmp_path):
    write_shards(tmp_path, {"a": W}, {"b": W})
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(SourceError, match=r"holds 2 safetensors files .*add it, or give the path of one"):
        open_source(tmp_path)
    (tmp_path / "notes.txt").write_text("no weights")
    with pytest.raises(SourceError, match=r"notes\.txt is no weight file: give a model folder"):
        open_source(tmp_path / "notes.txt")


# A file that changes while it is open


CUT = """
import os, shutil, sys
import numpy as np
import neuromfa_lite as nmfa
method = nmfa.PAPER.replace(minimum_connections=1)
acts = {
    "sample": lambda network: network.sample(16),
    "whole": lambda network: nmfa.analyze(network, method),
    "heads": lambda network: network.sample(16),
    "stripe": lambda network: network.blocks[0].matrix.rows(100, 110),
    "hash": lambda network: network.content_hash(),
}
for ways in ({}, {"read": "copy"}):
    for name, act in acts.items():
        folder = shutil.copytree(sys.argv[1], f"{sys.argv[1]}-{name}-{len(ways)}")
        network = nmfa.load_network(folder, wiring="head-products" if name == "heads" else "chain", **ways)
        os.truncate(f"{folder}/model.safetensors", 9000)
        try:
            act(network)
        except nmfa.NeuroMFAError as error:
            print(name, error)
"""


def test_a_file_cut_short_while_it_is_open_is_an_error_and_not_the_end_of_the_process(tmp_path):
    config = {**CONFIG, "hidden_size": 132, "intermediate_size": 260, "num_hidden_layers": 1}
    folder = write_folder(tmp_path / "model", gpt_neox_tensors(config), config)
    done = subprocess.run([sys.executable, "-c", CUT, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 10 and all(
        "model.safetensors became shorter since it was opened: open it" in line for line in said
    )


def save_again(path):
    """Another content of the same size, written in place."""
    content = path.read_bytes()
    path.write_bytes(content[:-4] + bytes(4))


def replace_it(path):
    """What a saver does that writes beside and renames."""
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").replace(path)


@pytest.mark.parametrize("change", [save_again, replace_it])
@pytest.mark.parametrize("read", ["auto", "copy"])
def test_a_file_saved_again_while_it_is_open_is_named(tmp_path, change, read):
    folder = write_folder(tmp_path, gpt_neox_tensors())
    file = folder / "model.safetensors"
    os.utime(file, ns=(0, 0))  # the clock of a file system has ticks
    network = load_network(folder, read=read)
    sample = network.sample(4)
    change(file)
    for act in (lambda: network.sample(4), lambda: network.blocks[0].weights(), network.content_hash):
        with pytest.raises(SourceError, match=r"model\.safetensors was saved again since it was opened: open it again"):
            act()
    assert sample.content_hash()  # that is in memory
    assert load_network(folder, read=read).sample(4).connections


def test_a_file_that_is_gone_is_still_read(tmp_path):
    folder = write_folder(tmp_path, gpt_neox_tensors())
    network = load_network(folder)
    before = network.content_hash()
    (folder / "model.safetensors").unlink()
    assert network.content_hash() == before


# The content hash


def reads_of(monkeypatch):
    """A list that gains the bytes of every read of a file."""
    read, counted = safetensors_file.MappedFile.read, []
    monkeypatch.setattr(
        safetensors_file.MappedFile, "read", lambda file, at, n: (counted.append(n), read(file, at, n))[1]
    )
    return counted


def test_every_byte_of_the_weights_enters_the_hash(tmp_path):
    config = {**CONFIG, "hidden_size": 300, "num_attention_heads": 3}  # a matrix of more than 65,536 numbers
    tensors = gpt_neox_tensors(config)
    names = [name for name in tensors if name.endswith(("query_key_value.weight", "dense.weight", "h.weight"))]
    before = load_network(write_folder(tmp_path / "0", tensors, config)).content_hash()
    assert load_network(tensors, config=config).content_hash() == before
    draw, seen = np.random.default_rng(0), {before}
    for number, name in enumerate(names, start=1):
        changed = {**tensors, name: tensors[name].copy()}
        bits = changed[name].view(np.uint32)
        bits[tuple(draw.integers(bits.shape))] ^= 1
        from_file = load_network(write_folder(tmp_path / str(number), changed, config)).content_hash()
        assert load_network(changed, config=config).content_hash() == from_file
        seen.add(from_file)
    assert len(seen) == 1 + len(names) == 9


def test_a_file_is_hashed_once_in_each_of_its_states(tmp_path, monkeypatch):
    counted, folder = reads_of(monkeypatch), write_folder(tmp_path, gpt_neox_tensors())
    file = folder / "model.safetensors"
    os.utime(file, ns=(0, 10**9))
    first = load_network(folder).content_hash()
    assert sum(counted) == 2 * 4 * (4 * 12 * 12 + 2 * 20 * 12)  # each of the fused matrices once
    assert load_network(folder, read="copy").content_hash() == first and len(counted) == 8
    save_again(file)
    os.utime(file, ns=(0, 2 * 10**9))
    load_network(folder).content_hash()
    assert len(counted) == 16
    for _ in range(2):  # a file that may be written once more in this tick of its clock is read each time
        os.utime(file)
        load_network(folder).content_hash()
    assert len(counted) == 16 + 2 * 12  # and each part of a fused matrix anew


@pytest.mark.parametrize("wiring", ["folded", "both-directions", "head-products", "folded-head-products"])
def test_what_weights_are_computed_of_enters_the_hash(wiring):
    fused = "attention.query_key_value.weight"  # query, key and value of a head in its rows 0, 4 and 8
    places = [(fused, 0), (fused, 4), (fused, 8), ("attention.dense.weight", 0), ("mlp.dense_h_to_4h.weight", 1)]
    gains = {f"gpt_neox.layers.{block}.post_attention_layernorm.weight": np.ones(12, "f4") for block in (0, 1)}
    before = load_network(gpt_neox_tensors() | gains, config=CONFIG, wiring=wiring).content_hash()
    for name, row in places + [("input_layernorm.weight", 1)] * ("folded" in wiring):
        tensors = gpt_neox_tensors() | gains
        tensors[f"gpt_neox.layers.1.{name}"][row] += 1
        assert load_network(tensors, config=CONFIG, wiring=wiring).content_hash() != before


def test_the_hash_is_computed_when_a_save_asks_and_never_while_a_network_is_analyzed(tmp_path, monkeypatch):
    network = load_network(write_folder(tmp_path, gpt_neox_tensors()))
    monkeypatch.setattr(nmfa.NeuronNetwork, "content_hash", lambda network: pytest.fail("hashed"))
    method = PAPER.replace(minimum_connections=1)
    spectra = [analyze(each, method) for each in (network, network.sample(8))]
    monkeypatch.undo()
    assert [each.source_hash for each in spectra] == [network.content_hash(), network.sample(8).content_hash()]
    again = nmfa.spectrum.Spectrum.load(spectra[0].save(tmp_path / "whole"))
    assert again.source_hash == spectra[0].source_hash


def test_the_hash_of_weights_that_were_changed_meanwhile_is_not_that_of_others(tmp_path):
    method = PAPER.replace(minimum_connections=1)
    folder = write_folder(tmp_path, gpt_neox_tensors())
    os.utime(folder / "model.safetensors", ns=(0, 0))
    spectrum = analyze(load_network(folder), method)
    save_again(folder / "model.safetensors")
    again = nmfa.spectrum.Spectrum.load(spectrum.save(tmp_path / "late"))
    assert spectrum.source_hash == again.source_hash == ""
    module = torch.nn.Module()
    tensors = gpt_neox_tensors()
    state = {name: torch.tensor(array) for name, array in tensors.items()}
    module.state_dict = lambda: {name: tensor.detach() for name, tensor in state.items()}
    before, after = (analyze(load_network(module, config=CONFIG), method) for _ in range(2))
    assert before.source_hash == load_network(tensors, config=CONFIG).content_hash()
    state["gpt_neox.layers.0.attention.dense.weight"].mul_(2)  # as a training step does
    assert after.source_hash == "" and before.source_hash


@pytest.mark.parametrize("small", [True, False])
def test_a_file_saved_again_during_the_work_is_named(tmp_path, monkeypatch, small):
    """The window after the first look: what was read may be half of the old and half of the new."""
    if not small:
        monkeypatch.setattr(safetensors_file, "SMALL", -1)
    folder = write_folder(tmp_path, gpt_neox_tensors())
    file, changes = folder / "model.safetensors", []

    def distance(weights):
        changes.append(os.utime(file, ns=(0, len(changes))))
        return 1 / np.abs(weights)

    method = PAPER.replace(distance=distance, minimum_connections=1, radii=[10.0, 50.0, 100.0], name="slow")
    with pytest.raises(SourceError, match="was saved again since it was opened"):
        analyze(load_network(folder), method)
    gather = kernels.gather.gather
    monkeypatch.setattr(kernels.gather, "gather", lambda *given: (os.utime(file, ns=(1, 9)), gather(*given)))
    with pytest.raises(SourceError, match="was saved again since it was opened"):
        load_network(folder).sample(4)


@pytest.mark.parametrize("read", ["auto", "copy"])
def test_a_copied_file_cut_short_after_the_first_look_is_named(tmp_path, monkeypatch, read):
    monkeypatch.setattr(safetensors_file.MappedFile, "refuse_changed", lambda file: None)
    folder = write_folder(tmp_path, gpt_neox_tensors())
    if read == "copy":
        monkeypatch.setattr(safetensors_file, "SMALL", -1)
    network = load_network(folder, read=read)
    os.truncate(folder / "model.safetensors", 3000)
    block = network.weight_blocks[-1]
    for act in (lambda: block.weights(), lambda: block.matrix.rows(0, 12), lambda: network.sample(4)):
        with pytest.raises(SourceError, match="became shorter since it was opened"):
            act()


def test_a_file_saved_again_while_it_is_being_opened_is_named(tmp_path, monkeypatch):
    folder = write_folder(tmp_path, gpt_neox_tensors())
    monkeypatch.setattr(safetensors_file, "_validate", lambda path: os.utime(path, ns=(0, 0)))
    with pytest.raises(SourceError, match=r"model\.safetensors was saved again while it was opened"):
        open_source(folder)


def test_ways_to_read(tmp_path):
    folder = write_folder(tmp_path / "safe", gpt_neox_tensors())
    whole = [load_network(folder, read=read).content_hash() for read in ("auto", "copy")]
    assert whole[0] == whole[1]
    with pytest.raises(NeuroMFAError, match="read='fast' is unknown: use one of 'auto', 'copy'"):
        load_network(folder, read="fast")
    path = write_bin(tmp_path / "bin" / "pytorch_model.bin", {"w": torch.tensor(W)})
    with pytest.raises(SourceError, match=r"pytorch_model\.bin is mapped by PyTorch.*save it as one"):
        open_source(path.parent, read="copy")


# Files of PyTorch


def write_bin(path, content, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "config.json").write_text(json.dumps(TOY))
    torch.save(content, path, **options)
    return path


def test_a_bin_file_alone_in_shards_and_of_an_old_format(tmp_path):
    state = OrderedDict(w=torch.tensor(W), b=torch.ones(2), half=torch.tensor(W).bfloat16())
    write_bin(tmp_path / "new" / "pytorch_model.bin", state)
    write_bin(tmp_path / "old" / "pytorch_model.bin", state, _use_new_zipfile_serialization=False)
    write_bin(tmp_path / "wrapped" / "model.pt", {"state_dict": state})
    write_bin(tmp_path / "shards" / "pytorch_model-1.bin", {"w": state["w"], "b": state["b"]})
    write_bin(tmp_path / "shards" / "pytorch_model-2.bin", {"half": state["half"]})
    index = {"weight_map": {"w": "pytorch_model-1.bin", "b": "pytorch_model-1.bin", "half": "pytorch_model-2.bin"}}
    (tmp_path / "shards" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    for given in ("new", "old", "wrapped/model.pt", "shards"):
        source = open_source(tmp_path / given)
        assert same_weights(source, {"w": W, "b": np.ones(2), "half": W}), given
        assert source.matrices["half"].dtype == "bfloat16"


class Intruder:
    """Pickled code: unpickling it would make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_bin_file_is_refused_and_never_run(tmp_path, zipped):
    content = {"w": torch.tensor(W), "code": Intruder(tmp_path / "made by code")}
    path = write_bin(tmp_path / "model" / "pytorch_model.bin", content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        SourceError, match=r"pytorch_model\.bin: it holds .*mkdir, which is no tensor.*refused.*safetensors file"
    ) as caught:
        open_source(path.parent)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made by code").exists()


def test_bin_files_that_hold_no_weights(tmp_path):
    path = write_bin(tmp_path / "pytorch_model.bin", [torch.ones(2, 2)])
    with pytest.raises(SourceError, match=r"pytorch_model\.bin holds no state dict"):
        open_source(tmp_path)
    for value in ("text", [1.0], True, float("nan"), None):
        torch.save({"w": torch.tensor(W), "v": value}, path)
        with pytest.raises(SourceError, match=rf"holds no state dict, v is a {type(value).__name__}: save model"):
            open_source(tmp_path)
    torch.save({"w": torch.tensor(W)}, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html>404</html>", pickle.dumps({"w": [1.0]}, protocol=2)[:-3]):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=r"pytorch_model\.bin: it is damaged or no file of PyTorch") as caught:
            open_source(tmp_path)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(SourceError, match=r"model\.pt is missing"):
        open_folder(tmp_path / "model.pt")


def test_a_bin_path_that_is_no_ordinary_file_or_unpacks_to_more_than_its_size(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "endless.pt").symlink_to("/dev/zero")
    (tmp_path / "pytorch_model.bin").mkdir()
    (tmp_path / "config.json").write_text(json.dumps(TOY))
    for given in ("pipe.pt", "endless.pt", ""):
        with pytest.raises(SourceError, match=r"(pipe\.pt|endless\.pt|pytorch_model\.bin) is no ordinary file"):
            open_source(tmp_path / given, config=TOY)
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(1 << 20))
    with pytest.raises(SourceError, match=r"bomb\.pt: it is damaged .*unpacks to more than its size"):
        open_source(tmp_path / "bomb.pt", config=TOY)


@pytest.mark.parametrize(("version", "read"), [("2.9.1+cpu", False), ("1.13", False), ("2.10.0", True), ("3.0", True)])
def test_a_torch_whose_safe_loading_has_holes_reads_no_bin_file(tmp_path, monkeypatch, version, read):
    path = write_bin(tmp_path / "model.pt", {"w": torch.tensor(W)})
    monkeypatch.setattr(torch, "__version__", version)
    if read:
        assert same_weights(open_source(path), {"w": W})
        return
    with pytest.raises(SourceError, match=r"model\.pt is read by torch 2\.10 or newer only.*this is " + version[:3]):
        open_source(path)


def test_without_torch_safetensors_open_and_a_bin_file_says_what_to_install(tmp_path):
    write_folder(tmp_path / "safe", {"w": W}, TOY)
    write_bin(tmp_path / "bin" / "pytorch_model.bin", {"w": torch.tensor(W)})
    code = f"""if True:
        import sys
        sys.modules["torch"] = sys.modules["transformers"] = None
        from neuromfa_lite.weights import open_source
        print(open_source({str(tmp_path / "safe")!r}).matrices["w"].read().sum())
        print(open_source({{"w": [[1.0]]}}, config={{}}).matrices["w"].read())
        try:
            open_source({str(tmp_path / "bin")!r})
        except ValueError as error:
            print(error)
    """
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.startswith("15.0\n[[1.]]\n") and "pip install torch" in told and "pytorch_model.bin" in told


# Objects in memory


class Model(torch.nn.Module):
    def __init__(self, config=TOY):
        super().__init__()
        self.fc = torch.nn.Linear(3, 2)
        if config is not None:
            self.config = config


def test_a_module_is_read_without_a_copy():
    model = Model()
    source = open_source(model)
    weights = model.fc.weight.detach().numpy()
    assert same_weights(source, {"fc.weight": weights, "fc.bias": np.zeros(2)})
    assert np.shares_memory(source.matrices["fc.weight"].read(), weights)
    assert (source.origin, source.config_origin) == ("Model", "the config of Model")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_a_module_of_every_dtype_and_a_transposed_view(dtype):
    weights = torch.randn(3, 4, requires_grad=True).to(getattr(torch, dtype))
    source = open_source({"w": weights, "turned": weights.T}, config=TOY)
    assert source.matrices["w"].dtype == dtype
    np.testing.assert_array_equal(source.matrices["w"].read(), weights.detach().to(torch.float64).numpy())
    np.testing.assert_array_equal(source.matrices["turned"].read(), weights.detach().T.to(torch.float64).numpy())


def test_a_state_dict_of_tensors_and_arrays():
    state = {"torch": torch.tensor(W), "numpy": W, "lists": W.tolist(), "scalar": np.float32(3), "mask": W > 2}
    state["whole"] = W.astype(int).tolist()
    source = open_source(state, config=TOY)
    for name in ("torch", "numpy", "lists", "whole"):
        np.testing.assert_array_equal(source.matrices[name].read(), W)
    assert source.other == {"scalar": ()} and source.matrices["mask"].dtype == "bool"


def test_tied_weights_are_listed_under_each_name():
    model = Model()
    model.tied = model.fc
    assert set(open_source(model).matrices) == {"fc.weight", "tied.weight"}


class Packed(torch.Tensor):
    """Stands for the quantised and shared-out tensors of other libraries."""

    def numpy(self):
        raise TypeError("no storage\nat all")


def test_weights_that_are_not_there_are_refused_on_reading():
    packed = open_source({"w": torch.ones(2, 3).as_subclass(Packed)}, config=TOY).matrices["w"]
    said = r"w in the state dict is a Packed without plain numbers \(TypeError: no storage\): .*$"
    with pytest.raises(SourceError, match=said):
        packed.read()
    source = open_source({"meta": torch.empty(2, 3, device="meta"), "sparse": torch.eye(3).to_sparse()}, config=TOY)
    for name, said in (("meta", "on the meta device"), ("sparse", "stored as torch.sparse_coo")):
        with pytest.raises(SourceError, match=f"{name} in the state dict is {said}.*plain tensors"):
            source.matrices[name].read()


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ({"w": W}, {}, "a state dict does not tell which model .*config="),
        ({"w": "weights"}, {"config": TOY}, "w in the state dict is no tensor"),
        ({"w": [[1.0], [2.0, 3.0]]}, {"config": TOY}, "w in the state dict is no tensor"),
        ({"w": None}, {"config": TOY}, "w in the state dict is no tensor"),
        ({"w": W.astype(object)}, {"config": TOY}, r"w in the state dict is no tensor .*\(object\)"),
        ({"w": W + 1j}, {"config": TOY}, r"w in the state dict is no tensor .*\(complex64\)"),
        ({"w": [["a", "b"]]}, {"config": TOY}, r"w in the state dict is no tensor .*\(list\)"),
        ({"w": np.ma.masked_less(W, 2)}, {"config": TOY}, "w in the state dict is an array with masked entries"),
        ({"w": [[1, 2**53 + 2]]}, {"config": TOY}, r"w in the state dict holds whole numbers beyond 2\^53"),
        ({"w": [[1, 2**99]]}, {"config": TOY}, r"w in the state dict is no tensor .*\(list\)"),
        ({3: W}, {"config": TOY}, "the state dict: 3 is no name of a tensor"),
        ({"fc._packed_params._packed_params": (None, None)}, {"config": TOY}, "open the model as it was before"),
        (torch.nn.LazyLinear(3), {"config": TOY}, "weight in LazyLinear has no shape"),
        (Model, {"config": TOY}, "cannot open a type as weights"),
        (Model(config=None), {}, "the model Model has no config .*config="),
        (Model(), {"revision": "step1000"}, "revision='step1000' belongs to a hub model .*not to a Model"),
        (3, {}, "cannot open a int as weights: give a model folder"),
        (None, {}, "cannot open a NoneType as weights"),
        (W, {}, "cannot open a ndarray as weights"),
    ],
)
def test_objects_that_are_no_model(given, options, said):
    with pytest.raises(SourceError, match=said):
        open_source(given, **options)


# What wraps a model, a layer or a state dict


def compiled(module):
    return torch.compile(module)


def inside_compiled(module):
    module.fc = compiled(module.fc)
    return module


def data_parallel(module):
    return torch.nn.DataParallel(module)


def data_parallel_of_compiled(module):
    return data_parallel(compiled(module))


def averaged(module):
    return torch.optim.swa_utils.AveragedModel(module)


def in_peft(module):
    """As PEFT holds a model whose adapters were merged and taken off."""
    wrapped, inner = torch.nn.Module(), torch.nn.Module()
    inner.model, wrapped.base_model, wrapped.config = module, inner, module.config
    return wrapped


@pytest.mark.parametrize(
    "around", [compiled, inside_compiled, data_parallel, data_parallel_of_compiled, averaged, in_peft]
)
def test_a_wrapped_model_has_the_names_of_the_model_itself(tmp_path, around):
    expected = Model().state_dict()
    model = Model()
    model.load_state_dict(expected)
    wrapped = around(model)
    state = wrapped.state_dict()
    assert not set(state) & set(expected)
    torch.save(state, tmp_path / "model.pt")
    save_torch_file({name: tensor.clone() for name, tensor in state.items()}, tmp_path / "model.safetensors")
    for given in (wrapped, state, tmp_path / "model.pt", tmp_path / "model.safetensors"):
        source = open_source(given, config=None if given is wrapped else TOY)
        found = source.matrices | source.vectors
        assert set(found) == set(expected) == {tensor.name for tensor in found.values()}
        np.testing.assert_array_equal(found["fc.weight"].read(), expected["fc.weight"])
    assert open_source(wrapped).origin == "Model"


def test_module_as_the_name_of_a_part_stays_and_two_tensors_of_one_name_are_refused():
    assert set(open_source({"module.w": W, "head.w": W}, config=TOY).matrices) == {"module.w", "head.w"}
    with pytest.raises(SourceError, match=r"the state dict holds w twice, once as _orig_mod\.w"):
        open_source({"w": W, "_orig_mod.w": W}, config=TOY)


@pytest.mark.parametrize("around", ["{}", "model.{}", "module.base_model.model._orig_mod.{}"])
def test_an_adapter_that_is_not_merged_is_named(around):
    state = {"fc.base_layer.weight": W, "fc.lora_A.default.weight": W[:1], "fc.lora_B.default.weight": W[:, :1]}
    with pytest.raises(SourceError, match=r"the state dict holds an adapter .*LoRA.*merge_and_unload\(\)"):
        open_source({around.format(name): tensor for name, tensor in state.items()}, config=TOY)


@pytest.mark.parametrize("value", [True, "text", [], [[1], [2, 3]], 10**5000, np.ones(3), 1.5, 3j], ids=type)
@pytest.mark.parametrize("argument", ["config", "revision", "read", "wiring"])
def test_arguments_of_the_wrong_kind_are_named(argument, value):
    with pytest.raises(NeuroMFAError, match=argument) as caught:
        load_network(nmfa.load_run("induction").checkpoint(0), **{argument: value})
    assert "\n" not in str(caught.value)


def test_a_tensor_that_gives_no_numbers_and_no_words_is_named():
    class Silent(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, kinds, given=(), named=None):
            if function is torch.Tensor.cpu:
                raise NotImplementedError
            return super().__torch_function__(function, kinds, given, named or {})

    source = open_source({"w": torch.ones(2, 3).as_subclass(Silent)}, config=TOY)
    with pytest.raises(SourceError, match=r"w in .* without plain numbers \(NotImplementedError\)"):
        source.matrices["w"].read()


def test_a_checkpoint_that_holds_itself_is_named():
    content = {}
    content["model"] = content
    with pytest.raises(SourceError, match="nests more than 4 deep"):
        open_source(content, config=TOY)


def test_a_folder_of_an_adapter_alone_is_named(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(SourceError, match=r"adapter alone.*merge_and_unload\(\)"):
        open_source(tmp_path)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("weight_norm", r"fc\.weight_g, fc\.weight_v"),
        ("spectral_norm", r"fc\.weight_orig"),
        ("parametrizations.weight_norm", r"fc\.parametrizations\.weight\.original0, .*1"),
    ],
)
def test_a_matrix_that_a_layer_computes_is_named_with_the_way_out(monkeypatch, kind, part):
    model = Model()
    operator.attrgetter(kind)(torch.nn.utils)(model.fc)
    record = Architecture("toy", [NeuronLayer("in", 3), NeuronLayer("out", 2)], [Join("in", "out", "fc.weight")])
    monkeypatch.setitem(ARCHITECTURES, "toy", record)
    with pytest.raises(SourceError, match=rf"fc\.weight.* its layer computes it of: {part}.*remove_") as caught:
        wire(open_source(model))
    assert "weight files" not in str(caught.value)


WEIGHTS = {"w": torch.tensor(W), "b": torch.ones(2)}
OPTIMIZER = {"state": {0: {"step": 1, "exp_avg": torch.ones(2)}}, "param_groups": []}


@pytest.mark.parametrize(
    "saved",
    [
        {"model_state_dict": WEIGHTS, "optimizer_state_dict": OPTIMIZER, "epoch": 3},
        {"state_dict": WEIGHTS, "state_dict_ema": WEIGHTS, "rng_state": torch.ones(9, dtype=torch.uint8)},
        {"model": {f"_orig_mod.{name}": tensor for name, tensor in WEIGHTS.items()}, "loss": torch.tensor(0.5)},
        {"best": WEIGHTS, "optimizer": OPTIMIZER, "accuracy": 0.9},
    ],
    ids=lambda saved: next(iter(saved)),
)
def test_what_a_training_saved_is_opened_at_the_models_part(tmp_path, saved):
    for given in (saved, write_bin(tmp_path / "checkpoint.pt", saved)):
        assert same_weights(open_source(given, config=TOY), {"w": W, "b": np.ones(2)})


def test_parts_of_several_models_are_named(tmp_path):
    saved = {"generator": WEIGHTS, "discriminator": WEIGHTS}
    for given in (saved, write_bin(tmp_path / "gan.pt", saved)):
        with pytest.raises(SourceError, match="holds the weights of generator, discriminator: open one of them"):
            open_source(given, config=TOY)


class Config:
    def to_dict(self):
        return TOY


def test_a_configuration_object_is_read_as_a_dict(tmp_path):
    save_file({"w": W}, tmp_path / "model.safetensors")
    for given in ({"w": W}, Model(), tmp_path):
        assert open_source(given, config=Config()).config == TOY


# Names: paths, hub models, and what is neither


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("induction@724", r"open it as nmfa\.load_run\('induction'\)\.checkpoint\(724\)"),
        ("induction-control@0:2", r"open it as nmfa\.load_run\('induction-control'\)\.checkpoint\(0, seed=2\)"),
        ("induction", r"'induction': there is no such folder or file, nor is it a hub model.*load_run"),
        ("", "no such folder or file.*a state dict with config="),
        ("/no/such/folder", "'/no/such/folder': there is no such folder or file"),
        ("./org/name", "no such folder or file"),
        ("a/b/c", "no such folder or file"),
        (Path("org/name"), r"'org/name': there is no such folder or file, .*give a model folder"),
        ("a" * 300, "no such folder or file"),
        ("a/" * 4000, "no such folder or file"),
        ("a\0b", r"'a\\x00b': there is no such folder or file"),
        ("~nobody-of-this-name/model", "no such folder or file"),
    ],
)
def test_names_that_are_neither_a_path_nor_a_hub_model(given, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=said):
        open_source(given)


def test_a_revision_of_a_local_folder_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"revision='step1000' belongs to a hub model .*is a local path"):
        open_source(write_folder(tmp_path, {"w": W}, TOY), revision="step1000")
