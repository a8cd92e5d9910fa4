"""Seconds to find the wiring of a model by running it: tiny models of several kinds, and one of pythia-160m's shape.

python benchmarks/trace.py
"""

import statistics
import time

import torch
import transformers
from torch import nn

from neuromfa_lite import load_network
from neuromfa_lite.network.trace import trace
from neuromfa_lite.network.traced import wiring_of
from neuromfa_lite.weights.torch_objects import tensors_of

TINY = {"hidden_size": 60, "num_hidden_layers": 2, "num_attention_heads": 6, "intermediate_size": 52, "vocab_size": 50}
LARGE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
TOKENS = {"input_ids": torch.arange(14).reshape(2, 7), "use_cache": False}


def models():
    """{name: (model, inputs, how often it is traced)}."""
    neox, llama = transformers.GPTNeoXForCausalLM, transformers.LlamaForCausalLM
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4), nn.Flatten(), nn.Linear(32, 5)
    mixtral = transformers.MixtralConfig(**TINY, num_key_value_heads=2, num_local_experts=4)
    large = transformers.GPTNeoXConfig(**LARGE, vocab_size=50304)
    return {
        "MLP 784-100-10": (nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10)), torch.ones(2, 784), 5),
        "CNN with groups": (nn.Sequential(*layers), torch.ones(2, 3, 6, 6), 5),
        "LSTM, 12 steps": (nn.LSTM(8, 24), torch.ones(12, 2, 8), 5),
        "GPT-NeoX, 2 blocks": (neox(transformers.GPTNeoXConfig(**TINY)), TOKENS, 5),
        "Llama, 2 blocks": (llama(transformers.LlamaConfig(**TINY, num_key_value_heads=2)), TOKENS, 5),
        "Mixtral, 2 blocks": (transformers.MixtralForCausalLM(mixtral), TOKENS, 5),
        "GPT-NeoX of 160m shape": (neox(large), {"input_ids": torch.arange(5)[None], "use_cache": False}, 2),
    }


def seconds(work, *given):
    start = time.perf_counter()
    answer = work(*given)
    return time.perf_counter() - start, answer


def call(model, inputs):
    return model(**inputs) if isinstance(inputs, dict) else model(inputs)


def main():
    print("| model | matrices | joins | forward | trace | network of it | forwards a trace takes |")
    print("|---|---|---|---|---|---|---|")
    for name, (model, inputs, turns) in models().items():
        model.eval()
        load_network(nn.Linear(2, 2), inputs=torch.ones(1, 2))  # imports
        rows = []
        for _ in range(turns):
            with torch.no_grad():
                forward, _ = seconds(call, model, inputs)
            traced, found = seconds(trace, model, inputs)
            made, (_, blocks, _) = seconds(wiring_of, found, tensors_of(model, name))
            rows.append((forward, traced, made))
        forward, traced, made = (statistics.median(each) for each in zip(*rows, strict=True))
        joins = sum(block.fixed for block in blocks)
        times = f"{forward:.4f} s | {traced:.2f} s | {made:.3f} s | {traced / forward:.0f}"
        print(f"| {name} | {len(blocks) - joins} | {joins} | {times} |", flush=True)


if __name__ == "__main__":
    main()
