"""Model folders in the ordinary Hugging Face layout: config.json beside the weight files."""

import os
from pathlib import Path

from ..errors import SourceError
from .files import read_json, unreadable
from .safetensors_file import MappedFiles, read_tensors
from .weight_source import WeightSource

WEIGHT_FILES = "model.safetensors, model.safetensors.index.json with its shards, or pytorch_model.bin"


def open_folder(path, config=None, origin=None, read="auto"):
    """The WeightSource of a model folder, or of one weight file beside its config.json, which config replaces."""
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    config_origin = "the config given" if config is not None else folder / "config.json"
    config = read_config(folder / "config.json") if config is None else dict(config)
    files, weight_map = find_weights(path) if path.is_dir() else ([path], {})
    tensors, found_in, mapped = {}, {}, MappedFiles(read)
    for file in files:
        for name, tensor in read_file(file, mapped).items():
            if name in tensors:
                raise SourceError(
                    f"{name!r} is in both {found_in[name]} and {file}: keep one set of weight files in the folder"
                )
            tensors[name], found_in[name] = tensor, file
    for name, shard in weight_map.items():
        if name not in found_in or found_in[name].name != shard:
            held = f"is in {found_in[name].name}" if name in found_in else "is in none of the shards"
            raise SourceError(
                f"{folder}: its index says that {name!r} is in {shard}, but it {held}: fetch all of them again"
            )
    return WeightSource(origin or path, config, tensors, config_origin)


def read_file(path, mapped):
    """The tensors of one weight file (dict), read as the ending of its name says; mapped: MappedFiles."""
    if path.suffix == ".safetensors":
        return read_tensors(path, mapped)
    if path.suffix in (".bin", ".pt", ".pth"):
        if mapped.copied:
            raise SourceError(f'{path} is mapped by PyTorch: read="copy" is for safetensors files, save it as one')
        from .torch_objects import read_bin

        return read_bin(path)
    raise SourceError(f"{path} is no weight file: give a model folder, or a .safetensors, .bin, .pt or .pth file")


def read_config(path):
    """The configuration of a model (dict) in its config.json."""
    way_out = "a model folder holds config.json beside its weights; copy it there, or pass config={...}"
    if (path.parent / "adapter_config.json").is_file():
        way_out = "the folder holds an adapter alone (PEFT): save what model.merge_and_unload() returns"
    return read_json(path, way_out)


def find_weights(folder):
    """(paths of the weight files, {tensor: file name of its shard}, {} without an index) of a model folder."""
    try:
        names = [name for name in os.listdir(folder) if os.path.exists(folder / name)]
    except OSError as error:
        raise unreadable(folder, error) from None
    chosen = folder / choose_weights(names, folder)
    if chosen.suffix != ".json":
        return [chosen], {}
    weight_map = read_weight_map(chosen)
    shards = [folder / shard for shard in dict.fromkeys(weight_map.values())]
    for shard in shards:
        if not os.path.exists(shard):
            raise SourceError(f"{shard} is missing, a shard that {chosen.name} names: fetch it too")
    return shards, weight_map


def choose_weights(names, where):
    """Of the names in a model folder, here or on the hub, the file of its weights, or the index of its shards."""
    for name in ("model.safetensors", "model.safetensors.index.json"):
        if name in names:
            return name
    files = sorted(n for n in names if n.endswith(".safetensors") and n != "adapter_model.safetensors")
    if len(files) > 1:
        raise SourceError(
            f"{where} holds {len(files)} safetensors files ({', '.join(files[:6])}) and no "
            "model.safetensors.index.json: add it, or give the path of one file"
        )
    for name in (*files, "pytorch_model.bin", "pytorch_model.bin.index.json"):
        if name in names:
            return name
    raise SourceError(f"{where} holds no weights: expected {WEIGHT_FILES}")


def read_weight_map(index):
    """{tensor's name: file name of its shard} of an index of shards."""
    weight_map = read_json(index, "fetch it again").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise SourceError(f"{index} is damaged: it has no weight_map from names to files. Fetch it again")
    for shard in weight_map.values():
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.isprintable():
            raise SourceError(f"{index} is damaged: shard {shard!r} is no file of its folder. Fetch it again")
    return weight_map
