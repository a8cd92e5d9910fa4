"""Small models for the tests of sources: a GPT-NeoX of random weights as arrays, and folders that hold it."""

import json

import numpy as np
from safetensors.numpy import save_file

CONFIG = {
    "model_type": "gpt_neox",
    "hidden_size": 12,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 20,
    "vocab_size": 7,
}


def gpt_neox_shapes(config=CONFIG, prefix="gpt_neox."):
    """name -> shape of every tensor of a GPT-NeoX, buffers of old files included."""
    hidden, middle, vocab = (config[key] for key in ("hidden_size", "intermediate_size", "vocab_size"))
    shapes = {f"{prefix}embed_in.weight": (vocab, hidden)}
    for block in range(config["num_hidden_layers"]):
        name = f"{prefix}layers.{block}."
        shapes |= {
            f"{name}input_layernorm.weight": (hidden,),
            f"{name}attention.query_key_value.weight": (3 * hidden, hidden),
            f"{name}attention.query_key_value.bias": (3 * hidden,),
            f"{name}attention.dense.weight": (hidden, hidden),
            f"{name}attention.bias": (1, 1, 4, 4),
            f"{name}attention.masked_bias": (),
            f"{name}attention.rotary_emb.inv_freq": (2,),
            f"{name}mlp.dense_h_to_4h.weight": (middle, hidden),
            f"{name}mlp.dense_4h_to_h.weight": (hidden, middle),
        }
    return shapes | {f"{prefix}final_layer_norm.weight": (hidden,), "embed_out.weight": (vocab, hidden)}


def gpt_neox_tensors(config=CONFIG, prefix="gpt_neox.", dtype=np.float32):
    """name -> random array of every tensor of a GPT-NeoX."""
    draw = np.random.default_rng(0)
    return {
        name: np.array(draw.normal(0, 0.02, shape), dtype) for name, shape in gpt_neox_shapes(config, prefix).items()
    }


def write_folder(folder, tensors, config=CONFIG):
    """A model folder of one safetensors file; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


def write_shards(folder, *shards, config=CONFIG):
    """A model folder of several safetensors files with their index; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    weight_map = {}
    for number, tensors in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(tensors, folder / name)
        weight_map |= dict.fromkeys(tensors, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def write_raw(path, entries, data=b"", header=None):
    """A safetensors file written by hand: entries name -> (dtype, shape, (start, stop))."""
    if header is None:
        tensors = {n: {"dtype": d, "shape": list(s), "data_offsets": list(o)} for n, (d, s, o) in entries.items()}
        header = json.dumps(tensors).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path
