"""A second proof of the trace, which shares no code with it: push one neuron and see which inputs move.

In double precision every module with a matrix answers with numbers drawn once, so that nothing passes through a matrix;
norms keep their statistics. Then one output channel of one module is moved at every place, by another step at each.
"""

import numpy as np
import pytest
from traced import joins

from neuromfa_lite.network.trace import trace

torch = pytest.importorskip("torch")
T = pytest.importorskip("transformers")
nn = torch.nn
pytestmark = pytest.mark.torch

IDS = torch.tensor([[3, 1, 4, 1, 5, 0]])
SIZES = dict(hidden_size=18, num_hidden_layers=1, num_attention_heads=3, intermediate_size=7, vocab_size=9)
CONVOLUTIONS = nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d
STEP = 3.0


class Pushed:
    """A model of which one number can be moved; answers which inputs of its matrices change."""

    def __init__(self, model, inputs):
        self.model, self.inputs, self.answers, self.held = model, inputs, {}, {}
        self.moved, self.read, self.times = None, {}, {}
        names = {id(p): name for name, p in reversed([*model.named_parameters(remove_duplicate=False)])}
        for name, module in model.named_modules():
            if getattr(module, "weight", None) is not None and module.weight.dim() > 1:
                own = names[id(module.weight)].removesuffix(".weight")  # one matrix may have two names
                module.register_forward_hook(self.matrix(own))
            elif "Norm" in type(module).__name__ and not isinstance(module, nn.BatchNorm2d):
                module.register_forward_hook(self.norm(name))

    def called(self, name):
        self.times[name] = self.times.get(name, 0) + 1
        return name if self.times[name] == 1 else f"{name}'{self.times[name]}"

    def matrix(self, name):
        def hook(module, args, out):
            call, axis = self.called(name), 1 if isinstance(module, CONVOLUTIONS) else -1
            x = args[0].detach()
            words = isinstance(module, nn.Embedding)
            self.read[call] = None if words else x.movedim(axis, -1).flatten(0, -2).numpy().copy()
            if call not in self.answers:
                self.answers[call] = torch.randn(out.shape, generator=self.draw, dtype=out.dtype), axis
            answer, axis = self.answers[call]
            if self.moved and self.moved[0] == call:
                answer = answer.clone()
                chosen = answer.movedim(axis, -1)[..., self.moved[1]]
                chosen += STEP * torch.randn(chosen.shape, generator=self.draw, dtype=out.dtype)
            return answer.clone()

        return hook

    def norm(self, name):
        def hook(module, args, out):
            call = self.called(name)
            x0, y0 = self.held.setdefault(call, (args[0].detach().clone(), out.detach().clone()))
            return y0 + (args[0] - x0) * 0.7

        return hook

    def run(self, moved=None):
        self.moved, self.read, self.times = moved, {}, {}
        with torch.no_grad():
            self.model(**self.inputs)
        return self.read

    def joins(self, draws):
        """{(call, earlier call): (inputs, outputs) bool} of what moves."""
        found = {}
        for draw in range(draws):
            self.answers, self.held, self.draw = {}, {}, torch.Generator().manual_seed(draw)
            base = self.run()
            for call, (answer, axis) in list(self.answers.items()):
                n_out = answer.shape[axis]
                for channel in range(n_out):
                    for reader, x in self.run((call, channel)).items():
                        if x is None:
                            continue
                        change = np.abs(x - base[reader]).max(0) > 1e-12
                        if change.any():
                            matrix = found.setdefault((reader, call), np.zeros((len(change), n_out), bool))
                            matrix[:, channel] |= change
        return found


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.d1, self.d2 = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
        self.norm, self.up = nn.BatchNorm2d(6), nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.o, self.gate, self.f = nn.Conv2d(8, 3, 3), nn.Linear(6, 4), nn.Linear(3 * 36, 5)

    def forward(self, x):
        a = self.d1(x).relu()
        b = torch.nn.functional.silu(self.norm(self.d2(a)))
        gate = self.gate(b.mean((2, 3))).sigmoid()[:, :, None, None]
        return self.f(self.o(torch.cat([self.up(b) * gate, a], 1)).relu().flatten(1))


TEXT = {"input_ids": IDS}
PLAIN = dict(TEXT, use_cache=False)
SQUEEZED = dict(num_key_value_heads=1, tie_word_embeddings=False)
MODELS = {
    "gpt_neox": (lambda: T.GPTNeoXForCausalLM(T.GPTNeoXConfig(**SIZES | {"num_hidden_layers": 2})), PLAIN),
    "gpt2": (lambda: T.GPT2LMHeadModel(T.GPT2Config(n_embd=18, n_layer=1, n_head=3, n_inner=7, vocab_size=9,
             n_positions=8, tie_word_embeddings=False)), PLAIN),
    "llama": (lambda: T.LlamaForCausalLM(T.LlamaConfig(**SIZES, **SQUEEZED)), PLAIN),
    "qwen3": (lambda: T.Qwen3ForCausalLM(T.Qwen3Config(**SIZES, **SQUEEZED, head_dim=6)), PLAIN),
    "olmo2": (lambda: T.Olmo2ForCausalLM(T.Olmo2Config(**SIZES, tie_word_embeddings=False, pad_token_id=None)), PLAIN),
    "bert": (lambda: T.BertModel(T.BertConfig(**SIZES)), TEXT),
    "opt": (lambda: T.OPTForCausalLM(T.OPTConfig(hidden_size=18, num_hidden_layers=1, num_attention_heads=3, ffn_dim=7,
            vocab_size=9, word_embed_proj_dim=18, max_position_embeddings=9, tie_word_embeddings=False)), PLAIN),
    "t5": (lambda: T.T5Model(T.T5Config(d_model=18, d_kv=6, d_ff=7, num_layers=1, num_heads=3, vocab_size=9)),
           dict(PLAIN, decoder_input_ids=IDS[:, :4])),
    "vit": (lambda: T.ViTModel(T.ViTConfig(hidden_size=18, num_hidden_layers=1, num_attention_heads=3, image_size=8,
            intermediate_size=7, patch_size=4)), dict(pixel_values=torch.randn(1, 3, 8, 8))),
    "resnet": (lambda: T.ResNetModel(T.ResNetConfig(embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1],
               layer_type="basic")), dict(pixel_values=torch.randn(1, 3, 16, 16))),
    "unet": (Network, dict(x=torch.randn(1, 2, 8, 8))),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_push_moves_what_the_trace_says(name):
    build, inputs = MODELS[name]
    torch.manual_seed(0)
    model = build().eval().double()
    inputs = {key: value.double() if torch.is_tensor(value) and value.is_floating_point() else value
              for key, value in inputs.items()}  # fmt: skip
    said = {key: matrix for key, matrix in joins(trace(model, inputs, progress=False)).items() if key[1] not in inputs}
    moved = Pushed(model, inputs).joins(12 if name == "unet" else 2)  # the dead and the living
    assert set(moved) == set(said)
    for key, matrix in moved.items():
        assert np.array_equal(matrix, said[key]), key
    assert len(moved) >= 7
