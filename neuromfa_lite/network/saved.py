"""A network in a file: its layers and joins, its weights by value or by where they are stored."""

import json
from pathlib import Path

import numpy as np

from ..errors import NeuroMFAError, SourceError
from ..errors.arguments import shown
from ..results import target, written
from ..weights import open_source
from ..weights.safetensors_file import MappedFiles, read_tensors
from .connections import Dense, Edges, Fixed, NeuronLayer

MARK = "neuromfa_lite.network"
FORM = 1
LAYER = ("name", "size", "role", "block", "group", "multiplier", "small")
ABOUT = ("origin", "seed", "wiring", "traced")


def save_network(network, path, weights=None):
    """Write a network to a .safetensors file and return its path; see NeuronNetwork.save."""
    path = target(path)
    path = path if path.suffix == ".safetensors" else target(path.with_name(f"{path.name}.safetensors"))
    if callable(network.wiring):
        raise NeuroMFAError(
            f"{network.origin} was wired by a function, which no file can hold: save it with a named wiring"
        )
    arrays, blocks = {}, []
    stored = None if weights is None else _stored_in(weights)
    for number, block in enumerate(network.blocks):
        entry = {
            "kind": type(block).__name__,
            **{name: getattr(block, name) for name in ("name", "role", "source", "target")},
        }
        blocks.append(entry | _written(block, f"block {number}", arrays, stored, weights))
    layers = [{name: getattr(layer, name) for name in LAYER} for layer in network.layers]
    for number, layer in enumerate(network.layers):
        if layer.neurons is not None:
            arrays[f"layer {number} neurons"] = layer.neurons.astype(np.int64)
    natural = None if network.natural_radii is None else list(map(float, network.natural_radii))
    about = {name: getattr(network, name) for name in ABOUT} | {"natural_radii": natural, "left_out": network.left_out}
    text = json.dumps({"form": FORM, "layers": layers, "blocks": blocks, "weights": weights and str(weights), **about})
    from safetensors.numpy import save

    with written(path) as file:
        file.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {MARK: text}))
    return path


def _stored_in(weights):
    if not isinstance(weights, str | Path):
        raise NeuroMFAError(f"weights must name the folder, file or hub id that holds them, not {shown(weights)}")
    return _all_matrices(open_source(weights))


def _all_matrices(source):
    """{name: WeightMatrix} of everything stored, tensors of more dimensions folded."""
    return source.matrices | {name: tensor.folded for name, tensor in source.stacked.items()}


def _written(block, key, arrays, stored, weights):
    """What the file says of a block besides its ends; puts its arrays among the arrays."""
    if block.fixed:
        arrays |= {f"{key} into": block.into.astype(np.int64), f"{key} out_of": block.out_of.astype(np.int64)}
        return {}
    if block.listed_singly:
        arrays |= {f"{key} sources": block.sources.astype(np.int64), f"{key} targets": block.targets.astype(np.int64)}
        arrays[f"{key} listed"] = block.listed
        if block.given is not None:
            arrays[f"{key} given"] = block.given
        return {"shape": block.shape, "both_ways": block.both_ways, "note": block.note}
    entry = {"parallel": block.parallel, "note": block.note}
    place = block.matrix.place_in_file
    if stored is None or place is None:
        arrays[f"{key} weights"] = block.weights()
        return entry
    there = _at(stored, place)
    if there is None or there.shape != block.matrix.shape or not np.array_equal(there.read(), block.weights()):
        raise NeuroMFAError(
            f"{block.name} has other weights than {weights}, or is no part of a matrix there: save it with its "
            "weights, network.save(path)"
        )
    return entry | {"stored": {**place, "rows": None if place["rows"] is None else place["rows"].tolist()}}


def _at(matrices, place):
    """The WeightMatrix at a place among stored ones; None where there is none."""
    matrix = matrices.get(place["name"])
    if matrix is None or (place["rows"] is not None and max(place["rows"], default=0) >= matrix.shape[0]):
        return None
    matrix = matrix.T if place["transposed"] else matrix
    return matrix if place["rows"] is None else matrix.part(np.array(place["rows"], np.int64), place["part"])


def is_saved_network(source):
    """Whether it is the path of a file that save_network wrote."""
    path = Path(source) if isinstance(source, str | Path) else None
    return path is not None and path.suffix == ".safetensors" and path.is_file() and MARK in _metadata(path)


def _metadata(path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}  # read_tensors says what is wrong with it


def open_saved(path, read="auto"):
    """(layers, blocks, what else a network is told, natural radii) of a file that save_network wrote."""
    from safetensors import safe_open

    tensors = read_tensors(path, MappedFiles(read))
    try:
        told = json.loads(_metadata(Path(path))[MARK])
        if told["form"] != FORM:
            raise SourceError(
                f"{path} is a network of form {told['form']}, and this version reads form {FORM}: save it anew"
            )
        stored = None if told["weights"] is None else _all_matrices(open_source(told["weights"], read=read))
        with safe_open(path, framework="numpy") as file:
            small = {name: file.get_tensor(name) for name in tensors if not name.endswith(" weights")}
        layers = [
            NeuronLayer(**{name: each[name] for name in LAYER}, neurons=small.get(f"layer {number} neurons"))
            for number, each in enumerate(told["layers"])
        ]
        blocks = [
            _read(each, f"block {n}", small, tensors, stored, told["weights"]) for n, each in enumerate(told["blocks"])
        ]
        about = {name: told[name] for name in ABOUT} | {"left_out": [tuple(each) for each in told["left_out"]]}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise SourceError(
            f"{path} is damaged, its network cannot be read ({type(error).__name__}: {error}): save it anew"
        ) from None
    return layers, blocks, about, told["natural_radii"]


def _read(entry, key, small, tensors, stored, weights):
    ends = [entry[name] for name in ("name", "role", "source", "target")]
    if entry["kind"] == "Fixed":
        return Fixed(*ends, small[f"{key} into"], small[f"{key} out_of"])
    if entry["kind"] == "Edges":
        arrays = (small[f"{key} {name}"] for name in ("sources", "targets", "listed"))
        about = tuple(entry["shape"]), small.get(f"{key} given"), entry["both_ways"], entry["note"]
        return Edges(*ends, *arrays, *about)
    if "stored" not in entry:
        matrix = tensors[f"{key} weights"]
    else:
        matrix = _at(stored, entry["stored"])
        if matrix is None:
            raise SourceError(f"{entry['name']} is not in {weights} as it was when the network was saved: save it anew")
    return Dense(*ends, matrix.named(entry["name"]), entry["parallel"], entry["note"])
