"""A tiny model of every family, of sizes that fit by no accident, with random weights in float64, and its inputs."""

import pytest

torch, T = pytest.importorskip("torch"), pytest.importorskip("transformers")
from torch import nn  # noqa: E402

SIZES = {"hidden_size": 60, "num_hidden_layers": 2, "num_attention_heads": 6, "vocab_size": 50}
MLP = {"intermediate_size": 52}
GROUPED = SIZES | MLP | {"num_key_value_heads": 2}
EXPERTS = GROUPED | {"hidden_size": 24, "intermediate_size": 10, "num_experts_per_tok": 2}
T5 = {"d_model": 60, "d_kv": 8, "d_ff": 52, "num_heads": 6, "num_layers": 2, "num_decoder_layers": 2, "vocab_size": 50}
VIT = {"image_size": 8, "patch_size": 4, "num_channels": 2}
FALCON = SIZES | {"ffn_hidden_size": 52}
OLD, NEW = {"new_decoder_architecture": False}, {"new_decoder_architecture": True}
GPT = {"n_embd": 60, "n_layer": 2, "n_head": 6, "n_inner": 52, "n_positions": 16, "vocab_size": 50}
MAMBA = {"hidden_size": 20, "num_hidden_layers": 2, "vocab_size": 50, "state_size": 3, "time_step_rank": 5}
RESNET = {"num_channels": 2, "embedding_size": 6, "hidden_sizes": [12, 20], "depths": [1, 2]}
DISTILBERT = {"dim": 60, "n_layers": 2, "n_heads": 6, "hidden_dim": 52, "vocab_size": 50}


class OlmoConfig(T.PreTrainedConfig):
    model_type = "hf_olmo"


class Olmo(T.PreTrainedModel):
    """OLMo as its own code computes it, which transformers has no class for; without rotary positions."""

    config_class, main_input_name = OlmoConfig, "input_ids"

    def __init__(self, config):
        super().__init__(config)
        width, inner = config.d_model, config.mlp_hidden_size
        self.keys = config.n_kv_heads * (width // config.n_heads)
        parts = {"wte": nn.Embedding(50, width), "blocks": nn.ModuleList(), "ln_f": nn.LayerNorm(width)}
        for _ in range(config.n_layers):
            block = {"att_proj": nn.Linear(width, width + 2 * self.keys), "attn_out": nn.Linear(width, width)}
            block |= {"ff_proj": nn.Linear(width, inner), "ff_out": nn.Linear(inner // 2, width)}
            block |= {"attn_norm": nn.LayerNorm(width), "ff_norm": nn.LayerNorm(width)}
            parts["blocks"].append(nn.ModuleDict(block))
        self.model = nn.ModuleDict({"transformer": nn.ModuleDict(parts | {"ff_out": nn.Linear(width, 50)})})
        self.post_init()

    def forward(self, input_ids):
        parts, heads = self.model["transformer"], self.config.n_heads
        x = parts["wte"](input_ids)
        for block in parts["blocks"]:
            fused = block["att_proj"](block["attn_norm"](x)).split((x.shape[-1], self.keys, self.keys), dim=-1)
            q, k, v = (part.unflatten(-1, (-1, x.shape[-1] // heads)).transpose(1, 2) for part in fused)
            k, v = (part.repeat_interleave(heads // part.shape[1], dim=1) for part in (k, v))
            attention = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + block["attn_out"](attention.transpose(1, 2).flatten(2))
            up, gate = block["ff_proj"](block["ff_norm"](x)).chunk(2, dim=-1)
            x = x + block["ff_out"](nn.functional.silu(gate) * up)
        return parts["ff_out"](parts["ln_f"](x))


# {family, or family and variant: (class, entries of the configuration)}
MODELS = {
    "gpt_neox": (T.GPTNeoXForCausalLM, SIZES | MLP),
    "gpt_neox, one after another": (T.GPTNeoXForCausalLM, SIZES | MLP | {"use_parallel_residual": False}),
    "gpt2": (T.GPT2LMHeadModel, GPT),
    "gptj": (T.GPTJForCausalLM, GPT | {"rotary_dim": 4}),
    "opt": (T.OPTForCausalLM, SIZES | {"ffn_dim": 52, "word_embed_proj_dim": 60}),
    "opt, narrow embedding": (
        T.OPTForCausalLM,
        SIZES | {"ffn_dim": 52, "word_embed_proj_dim": 14, "do_layer_norm_before": False},
    ),
    "bloom": (T.BloomForCausalLM, SIZES),
    "falcon, first": (
        T.FalconForCausalLM,
        FALCON | OLD | {"multi_query": False, "parallel_attn": False, "alibi": True},
    ),
    "falcon, 7b": (T.FalconForCausalLM, FALCON | OLD | {"multi_query": True, "parallel_attn": True}),
    "falcon, 40b": (T.FalconForCausalLM, FALCON | NEW | {"num_kv_heads": 2}),
    "falcon, 11b": (T.FalconForCausalLM, FALCON | NEW | {"num_kv_heads": 2, "num_ln_in_parallel_attn": 1}),
    "llama": (T.LlamaForCausalLM, GROUPED),
    "llama, a key for each query": (T.LlamaForCausalLM, SIZES | MLP | {"head_dim": 14, "attention_bias": True}),
    "mistral": (T.MistralForCausalLM, GROUPED | {"head_dim": 14}),
    "qwen2": (T.Qwen2ForCausalLM, GROUPED),
    "qwen3": (T.Qwen3ForCausalLM, GROUPED | {"head_dim": 14}),
    "smollm3": (T.SmolLM3ForCausalLM, GROUPED | {"no_rope_layers": [1, 0], "pad_token_id": 0}),
    "gemma": (T.GemmaForCausalLM, GROUPED | {"head_dim": 14}),
    "olmo": (T.OlmoForCausalLM, GROUPED),
    "olmo2": (T.Olmo2ForCausalLM, GROUPED),
    "phi3": (T.Phi3ForCausalLM, GROUPED | {"pad_token_id": 0}),
    "hf_olmo": (Olmo, {"d_model": 60, "n_layers": 2, "n_heads": 6, "n_kv_heads": 2, "mlp_hidden_size": 104}),
    "mixtral": (T.MixtralForCausalLM, EXPERTS | {"num_local_experts": 3}),
    "olmoe": (T.OlmoeForCausalLM, EXPERTS | {"num_experts": 3}),
    "bert": (T.BertForMaskedLM, SIZES | MLP),
    "roberta": (T.RobertaForMaskedLM, SIZES | MLP),
    "distilbert": (T.DistilBertForMaskedLM, DISTILBERT),
    "vit": (T.ViTForImageClassification, SIZES | MLP | VIT),
    "t5": (T.T5ForConditionalGeneration, T5),
    "t5, version 1.1": (
        T.T5ForConditionalGeneration,
        T5 | {"feed_forward_proj": "gated-gelu", "num_decoder_layers": 1},
    ),
}
MODELS |= {
    "mamba": (T.MambaForCausalLM, MAMBA),
    "resnet": (T.ResNetForImageClassification, RESNET | {"layer_type": "basic"}),
    "resnet, bottleneck": (T.ResNetForImageClassification, RESNET | {"layer_type": "bottleneck", "depths": [2, 1]}),
}
ONE_BY_ONE = ("mixtral", "olmoe")  # tokens are sorted by expert


def tiny(case):
    """(model, its inputs) of a case of MODELS."""
    kind, entries = MODELS[case]
    torch.manual_seed(len(case))
    config = kind.config_class(**entries)
    config._attn_implementation = config._experts_implementation = "eager"
    return with_weights(kind(config)), inputs_of(kind, config)


def with_weights(model):
    """Weights large enough for every join to be felt, and gains and biases of no special value."""
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = torch.randn_like(parameter)
            parameter.copy_(0.15 * drawn if parameter.dim() > 1 else 0.3 * drawn + 1)
    return model.double().eval()


def inputs_of(kind, config):
    if kind.main_input_name == "pixel_values":
        size = getattr(config, "image_size", 32)
        return {"pixel_values": torch.randn(2, config.num_channels, size, size, dtype=torch.float64)}
    tokens = 40 if hasattr(config, "num_experts_per_tok") else 8  # to reach every expert
    found = {"input_ids": torch.randint(2, 50, (2, tokens))}
    return found | ({"decoder_input_ids": torch.randint(2, 50, (2, 7))} if config.is_encoder_decoder else {})
