"""Every record against the model that it describes: a push of any neuron moves the inputs that the record names."""

import json
from functools import cache

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from neuromfa_lite import QualityWarning, load_network
from neuromfa_lite.errors import SourceError
from neuromfa_lite.network.architectures import ARCHITECTURES
from neuromfa_lite.network.architectures.wire import known_of
from neuromfa_lite.network.feeders import feeders
from neuromfa_lite.network.parts import gain_of, unembedding_of
from neuromfa_lite.weights import open_source

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from push import Runs, direct  # noqa: E402 - they import torch and transformers
from tiny_models import MODELS, ONE_BY_ONE, tiny  # noqa: E402

pytestmark = pytest.mark.torch
every_model = pytest.mark.parametrize("case", MODELS)


@pytest.fixture(autouse=True)
def one_thread():
    """Two threads that share small products wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def family(case):
    return case.partition(",")[0]


@cache
def pushed(case):
    """(model, who feeds whom in it by pushes)."""
    model, inputs = tiny(case)
    return model, direct(model, inputs, together=1 if case in ONE_BY_ONE else 32)


def refuse_other(recorded, observed):
    """Compare {matrix: {matrix that feeds it: (inputs, outputs) bool}}, those of the first dict's matrices alone."""
    for name, by_record in recorded.items():
        moved = {writer: moves for writer, moves in observed[name].items() if writer in recorded}
        by_record = {writer: moves for writer, moves in by_record.items() if moves.any()}
        assert set(by_record) == set(moved), name
        for writer in moved:
            np.testing.assert_array_equal(by_record[writer], moved[writer], f"{writer} -> {name}")


@every_model
def test_a_push_of_a_neuron_moves_what_the_record_names(case):
    model, observed = pushed(case)
    network = load_network(model, wiring="dataflow")
    recorded = feeders(network.layers, network.blocks)
    assert len(recorded) >= 8 and all(observed[name] for name in recorded if ".1." in name)
    refuse_other(recorded, observed)


@every_model
def test_a_saved_model_is_wired_as_it_is_in_memory(case, tmp_path):
    model, observed = pushed(case)
    model.save_pretrained(tmp_path)
    network = load_network(tmp_path, wiring="dataflow")
    recorded = feeders(network.layers, network.blocks)
    refuse_other(recorded, by_names_on_disk(observed, model, open_source(tmp_path)))
    assert roles(network) == roles(load_network(model, wiring="dataflow"))


def roles(network):
    """{the first numbers of a matrix: its role}."""
    return {block.weights()[:1].tobytes(): block.role for block in network.weight_blocks}


def by_names_on_disk(observed, model, source):
    """What was observed, by the names and rows of the file where they differ: they are found by their numbers."""
    memory = dict(model.named_parameters())
    rows = {}
    for name in observed:
        stored, _, number = name.removesuffix("]").partition("[")
        weights = memory[stored].detach().numpy()
        for row, numbers in enumerate(weights[int(number)] if number else weights):
            rows[numbers.tobytes()] = name, row
    places = {name: (name, slice(None)) for name in observed}
    for name, matrix in source.matrices.items():
        if name not in places:
            found = [rows.get(numbers.tobytes()) for numbers in matrix.read()]
            if all(found):
                [where] = {where for where, _ in found}
                places[name] = where, [row for _, row in found]
    return {
        name: {
            writer: observed[where][there][:, those]
            for writer, (there, those) in places.items()
            if there in observed[where]
        }
        for name, (where, _) in places.items()
    }


OWN, OTHERS = ("query", "read"), ("key", "value", "write")


@pytest.mark.parametrize("case", [case for case in MODELS if not case.startswith("resnet")])
def test_a_role_is_what_the_model_does_with_it(case):
    """A query moves what its own token gets, a key what others get; what is gated moves in proportion."""
    model, inputs = tiny(case)
    network = load_network(model, wiring="dataflow")
    first = [block for block in network.blocks if network.layers[block.target].block == 0]
    gated = {block.target for block in first if block.role in ("gate", "expert-gate")}
    seen = set()
    with Runs(model, inputs) as runs:
        for block in first:
            if block.role in ("query", "key", "value"):
                moved = what_moves(runs, block, at=4)
                assert moved == {4} if block.role == "query" else len(moved) > 1, block.name
            elif block.target in gated:
                once, twice = (of_one(runs, block, by=by) for by in (1.0, 2.0))
                assert np.allclose(2 * once, twice, rtol=1e-6) == (block.role in ("mlp-in", "expert-in")), block.name
            seen.add(block.role)
    assert len(seen.intersection((*OWN, *OTHERS))) > 1 and (not gated or seen & {"mlp-in", "expert-in", "entering"})


def of_one(runs, block, **how):
    """(places, inputs) what moves in the one matrix that a row of a block feeds."""
    name, rows, _ = block.place
    [moved] = [moves[0] for moves in runs.push(name, [int(rows[-1])], **how).values() if moves.any()]
    return moved


def what_moves(runs, block, at):
    return set(np.flatnonzero(of_one(runs, block, at=at).any(axis=1)).tolist())


@every_model
def test_every_tensor_of_two_dimensions_has_its_place_or_the_reason_why_not(case):
    network = load_network(pushed(case)[0], wiring="dataflow")
    for name, shape, reason in network.left_out:
        assert len(shape) < 2 or "no join of" not in reason, name


def test_every_family_is_pushed():
    assert set(map(family, MODELS)) == set(ARCHITECTURES)


@pytest.mark.parametrize("case", [case for case in MODELS if ARCHITECTURES[family(case)].gains])
def test_gains_stand_in_front_of_the_matrices_that_the_record_names(case):
    """Multiplied into the matrices behind them, and set to 1, they leave what the model computes as it was."""
    model, inputs = tiny(case)
    source, record = open_source(model), ARCHITECTURES[family(case)]
    folded = {block.name: block.weights() for block in load_network(model, wiring="folded").weight_blocks}
    for block in load_network(model).weight_blocks:
        gain = gain_of(source, block.matrix.stored_name)
        np.testing.assert_array_equal(folded[block.name], block.weights() * (1 if gain is None else gain))
    asked = {name: name for name in source.matrices}
    if record.unembedding and not model.config.tie_word_embeddings:
        asked[unembedding_of(source).name] = "unembedding"
    gains = {name: gain_of(source, behind) for name, behind in asked.items()}
    gains = {name: torch.tensor(gain) for name, gain in gains.items() if gain is not None}
    with torch.no_grad():
        before = model(**inputs)[0]
        for name, gain in gains.items():
            model.get_parameter(name).mul_(gain[:, None] if family(case) == "gpt2" else gain)
        told = record.list_gains(known_of(source))
        folded = {gain for behind, gain in told.items() if any(f".{name}".endswith(f".{behind}") for name in gains)}
        folded |= {told["unembedding"]} if "unembedding" in asked.values() else set()
        for name, parameter in model.named_parameters():
            if any(f".{name}".endswith(f".{gain}") for gain in folded):
                bias = getattr(model.get_submodule(name.rpartition(".")[0]), "bias", None)
                if bias is not None:
                    bias.div_(parameter)
                parameter.fill_(1 - record.gain_offset)
        after = model(**inputs)[0]
    assert len(gains) >= len(folded) >= 2
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * float(before.std()))  # some norms take float32


# Models of no known family


def renamed(case, folder, change=lambda config: config, **tensors):
    """The folder of a tiny model whose configuration calls it otherwise."""
    model, _ = pushed(case)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(change(config | {"model_type": "newcomer"})))
    if tensors:
        path = folder / "model.safetensors"
        save_file(load_file(path) | tensors, path)
    return folder


@pytest.mark.parametrize(
    "case", ["gpt2", "gptj", "gpt_neox", "llama", "qwen3", "phi3", "falcon, 40b", "mixtral", "olmoe", "bert", "t5"]
)
def test_a_model_that_is_named_as_a_known_family_is_opened_as_it_and_says_so(case, tmp_path):
    folder = renamed(case, tmp_path)
    first = {"qwen3": "llama", "olmoe": "mixtral"}.get(case, family(case))  # of those named alike
    with pytest.warns(QualityWarning, match=rf"named as {first}; not checked\): its model_type is unknown"):
        network = load_network(folder)
    assert f"named as {first}; not checked" in repr(network) and network.wiring == "chain"
    assert network.neurons == load_network(pushed(case)[0]).neurons


def test_a_newcomer_named_and_normed_as_llama_has_its_dataflow_too(tmp_path):
    with pytest.warns(QualityWarning):
        network = load_network(renamed("llama", tmp_path), wiring="dataflow")
    refuse_other(feeders(network.layers, network.blocks), pushed("llama")[1])


@pytest.mark.parametrize("case", ["olmo2", "bert"])
def test_where_the_norms_do_not_tell_how_blocks_are_put_together_the_chain_alone_is_told(case, tmp_path):
    folder = renamed(case, tmp_path)
    for wiring in ("dataflow", "folded"):
        with pytest.raises(SourceError, match=r"named as (llama|bert)"):
            load_network(folder, wiring=wiring)


@pytest.mark.parametrize(
    ("change", "tensors"),
    [
        (lambda config: config | {"num_attention_heads": 7}, {}),
        (lambda config: config | {"num_hidden_layers": 3}, {}),
        (lambda config: config, {"model.layers.0.mlp.shared_expert.weight": np.ones((3, 4))}),
        (lambda config: config, {"model.layers.1.mlp.down_proj.weight": np.ones((60, 51))}),
    ],
)
def test_a_newcomer_that_does_not_fit_is_unknown(change, tensors, tmp_path):
    with pytest.raises(SourceError, match=r"Unknown architecture: .* says model_type 'newcomer'; known are bert"):
        load_network(renamed("llama", tmp_path, change, **tensors))
