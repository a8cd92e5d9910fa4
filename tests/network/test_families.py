"""Every record against the model that it describes: a push of any neuron moves the inputs that the record names."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from neuromfa_lite import SCALE_FREE, NeuroMFAError, QualityWarning, analyze, load_network
from neuromfa_lite.errors import SourceError
from neuromfa_lite.evaluation.controls import shuffled
from neuromfa_lite.network.architectures import ARCHITECTURES
from neuromfa_lite.network.feeders import feeders

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import proof  # noqa: E402 - it imports torch and transformers
from proof import family, pushed  # noqa: E402
from tiny_models import MODELS  # noqa: E402

pytestmark = pytest.mark.torch
every_model = pytest.mark.parametrize("case", MODELS)


@pytest.fixture(autouse=True)
def one_thread():
    """Two threads that share small products wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@every_model
def test_a_push_of_a_neuron_moves_what_the_record_names(case):
    proof.check_pushes(case)


@every_model
def test_a_trace_finds_what_the_record_says(case):
    proof.check_trace(case)


@every_model
def test_a_saved_model_is_wired_as_it_is_in_memory(case, tmp_path):
    proof.check_saved(case, tmp_path)


@pytest.mark.parametrize("case", [case for case in MODELS if proof.has_roles(case)])
def test_a_role_is_what_the_model_does_with_it(case):
    proof.check_roles(case)


@pytest.mark.parametrize("case", [case for case in MODELS if proof.has_gains(case)])
def test_gains_stand_in_front_of_the_matrices_that_the_record_names(case):
    proof.check_gains(case)


@every_model
def test_a_model_without_its_head_has_the_same_network(case, tmp_path):
    model, _ = pushed(case)
    model.base_model.save_pretrained(tmp_path)
    expected = load_network(model, wiring="dataflow")
    for found in (load_network(each, wiring="dataflow") for each in (model.base_model, tmp_path)):
        assert (found.neurons, found.connections) == (expected.neurons, expected.connections)
        assert not [name for name, shape, reason in found.left_out if len(shape) > 1 and "no join of" in reason]


@every_model
def test_every_tensor_of_two_dimensions_has_its_place_or_the_reason_why_not(case):
    network = load_network(pushed(case)[0], wiring="dataflow")
    for name, shape, reason in network.left_out:
        assert len(shape) < 2 or "no join of" not in reason, name


TRACED = {"silero_vad"}  # the same weights at each step of a recurrence: see test_silero_vad.py


def test_every_family_is_pushed():
    assert set(map(family, MODELS)) == set(ARCHITECTURES) - TRACED


@pytest.mark.parametrize("case", ["mamba", "resnet", "resnet, bottleneck", "mixtral", "t5"])
@pytest.mark.parametrize("reach", ["one-hop", "geodesic", "geodesic-undirected"])
def test_any_family_is_measured_sampled_and_controlled(case, reach):
    model, _ = pushed(case)
    network = load_network(model, wiring="dataflow")
    method = SCALE_FREE.replace(name="own", wiring=None, reach=reach)
    for part in (network.sample(3, seed=1), shuffled(network).sample(3, seed=1)):
        assert np.isfinite(analyze(part, method).alpha0)
    if case != "t5":
        with pytest.raises(NeuroMFAError, match=r"is no matrix of its own in .* change the network in place of"):
            shuffled(model)


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
    proof.refuse_other(feeders(network.layers, network.blocks), pushed("llama")[1])


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


def test_the_page_of_families_lists_them_all():
    page = (Path(__file__).parents[2] / "docs" / "families.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == sorted(set(ARCHITECTURES) - TRACED)
    assert all(f"`{name}`" in page for name in TRACED)
