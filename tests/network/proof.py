"""What is checked of every record against a tiny model of its family, which is built, run and saved."""

from functools import cache

import numpy as np
import pytest

from neuromfa_lite import check_architecture, load_network
from neuromfa_lite.network.architectures import ARCHITECTURES
from neuromfa_lite.network.architectures.wire import known_of
from neuromfa_lite.network.feeders import feeders
from neuromfa_lite.network.parts import gain_of, unembedding_of
from neuromfa_lite.weights import open_source

torch = pytest.importorskip("torch")
from push import Runs, direct  # noqa: E402
from tiny_models import ONE_BY_ONE, tiny  # noqa: E402

OWN, OTHERS = ("query", "read"), ("key", "value", "write")


def family(case):
    return case.partition(",")[0]


def has_roles(case):
    """Whether tokens meet in it, by attention or states."""
    return family(case) != "resnet"


def has_gains(case):
    return ARCHITECTURES[family(case)].gains is not None


@cache
def pushed(case):
    """(model, who feeds whom in it by pushes)."""
    model, inputs = tiny(case)
    return model, direct(model, inputs, together=1 if case in ONE_BY_ONE else 32)


def check_pushes(case):
    """A push of any neuron moves what the record says it feeds, and nothing else."""
    model, observed = pushed(case)
    network = load_network(model, wiring="dataflow")
    recorded = feeders(network.layers, network.blocks)
    assert len(recorded) >= 8 and all(observed[name] for name in recorded if ".1." in name)
    refuse_other(recorded, observed)


def check_trace(case):
    """A trace of the model finds the same matrices, sources, targets and index maps as the record."""
    model, inputs = tiny(case)
    table = check_architecture(family(case), model, inputs)
    assert len(table) >= 8 and table["agrees"].all(), table.loc[~table["agrees"]].to_string()


def check_saved(case, folder):
    """The same of the folder that the model is saved to, whose names and rows may be others."""
    model, observed = pushed(case)
    model.save_pretrained(folder)
    network = load_network(folder, wiring="dataflow")
    recorded = feeders(network.layers, network.blocks)
    refuse_other(recorded, by_names_on_disk(observed, model, open_source(folder)))
    assert roles(network) == roles(load_network(model, wiring="dataflow"))


def check_roles(case):
    """A query moves what its own token gets, a key what others get; what is gated moves in proportion."""
    model, inputs = tiny(case)
    network = load_network(model, wiring="dataflow")
    first = [block for block in network.blocks if network.layers[block.target].block == 0]
    gated = {block.target for block in first if block.role in ("gate", "expert-gate")}
    seen = set()
    with Runs(model, inputs) as runs:
        for block in first:
            if block.role in (*OWN, *OTHERS):
                moved = what_moves(runs, block, at=4)
                assert moved == {4} if block.role in OWN else len(moved) > 1, block.name
            elif block.target in gated:
                once, twice = (of_one(runs, block, by=by) for by in (1.0, 2.0))
                assert np.allclose(2 * once, twice, rtol=1e-6) == (block.role in ("mlp-in", "expert-in")), block.name
            seen.add(block.role)
    assert len(seen.intersection((*OWN, *OTHERS))) > 1 and (not gated or seen & {"mlp-in", "expert-in", "entering"})


def check_gains(case):
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


def refuse_other(recorded, observed):
    """Compare {matrix: {matrix that feeds it: (inputs, outputs) bool}}, those of the first dict's matrices alone."""
    for name, by_record in recorded.items():
        moved = {writer: moves for writer, moves in observed[name].items() if writer in recorded}
        by_record = {writer: moves for writer, moves in by_record.items() if moves.any()}
        assert set(by_record) == set(moved), name
        for writer in moved:
            np.testing.assert_array_equal(by_record[writer], moved[writer], f"{writer} -> {name}")


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


def of_one(runs, block, **how):
    """(places, inputs) what moves in the one matrix that a row of a block feeds."""
    name, rows, _ = block.place
    [moved] = [moves[0] for moves in runs.push(name, [int(rows[-1])], **how).values() if moves.any()]
    return moved


def what_moves(runs, block, at):
    return set(np.flatnonzero(of_one(runs, block, at=at).any(axis=1)).tolist())
