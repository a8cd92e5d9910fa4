"""Llama, and all that are named as it: Mistral, Qwen, Gemma, Phi-3, OLMo, SmolLM3; with experts Mixtral and OLMoE."""

from .record import register
from .transformer import EMBEDDING, SELF_ATTENTION, UNEMBEDDING, Stack, transformer

GATED = {"gate": "mlp.gate_proj.weight", "mlp-in": "mlp.up_proj.weight", "mlp-out": "mlp.down_proj.weight"}
FUSED = (
    {"query key value": "self_attn.qkv_proj.weight", "attention-output": "self_attn.o_proj.weight"},
    {"gate mlp-in": "mlp.gate_up_proj.weight", "mlp-out": "mlp.down_proj.weight"},
)
OLMO = (
    {"query key value": "att_proj.weight", "attention-output": "attn_out.weight"},
    {"mlp-in gate": "ff_proj.weight", "mlp-out": "ff_out.weight"},
)
NORMS = {
    "norms": {"attention": "input_layernorm.weight", "mlp": "post_attention_layernorm.weight", "last": "norm.weight"},
}
ABOUT = {
    "prefixes": ("model.", ""),
    "left_out": (("*embed_tokens.weight", EMBEDDING), ("*lm_head.weight", UNEMBEDDING)),
    "embedding": ("embed_tokens.weight",),
    "unembedding": ("lm_head.weight",),
}


def _keys(known):
    return known.get("num_key_value_heads") or known["num_attention_heads"]


def _experts(known):
    """One matrix for each of an expert's, as on disk, or all experts stacked in one tensor, as in memory."""
    names = {"router": ("block_sparse_moe.gate.weight", "mlp.gate.weight")}
    if "layers.0.mlp.experts.gate_up_proj" in known.shapes:
        names |= {"expert-gate expert-in": "mlp.experts.gate_up_proj", "expert-out": "mlp.experts.down_proj"}
    else:
        each = {"expert-gate": ("w1", "gate_proj"), "expert-in": ("w3", "up_proj"), "expert-out": ("w2", "down_proj")}
        for role, (mixtral, olmoe) in each.items():
            called = f"block_sparse_moe.experts.{{e}}.{mixtral}.weight", f"mlp.experts.{{e}}.{olmoe}.weight"
            names[role] = called
    return Stack("layers.{}.", SELF_ATTENTION, names)


BLOCKS = Stack("layers.{}.", SELF_ATTENTION, GATED)
for name in ("llama", "mistral", "qwen2", "qwen3", "smollm3"):
    register(transformer(name, BLOCKS, kv_heads=_keys, **NORMS, **ABOUT))
register(transformer("gemma", BLOCKS, kv_heads=_keys, gain_offset=1.0, **NORMS, **ABOUT))
register(transformer("olmo", BLOCKS, kv_heads=_keys, **ABOUT))  # its norms have no gains
register(transformer("olmo2", BLOCKS, kv_heads=_keys, **ABOUT))  # its norms stand behind attention and MLP
register(transformer("phi3", Stack("layers.{}.", *FUSED), kv_heads=_keys, **NORMS, **ABOUT))
ROUTED = ABOUT | {"left_out": (*ABOUT["left_out"], ("*.gate.weight", "router: chooses experts; the chain has none"))}
register(transformer("mixtral", _experts, kv_heads=_keys, **ROUTED))
register(transformer("olmoe", _experts, kv_heads=_keys, **ROUTED))
register(
    transformer(
        "hf_olmo",  # OLMo's own checkpoints, which no class of transformers opens
        Stack("transformer.blocks.{}.", *OLMO, count="n_layers"),
        heads="n_heads",
        kv_heads=lambda known: (
            known.get("n_kv_heads") or (1 if known.get("multi_query_attention") else known["n_heads"])
        ),
        prefixes=("model.", ""),
        left_out=(("*transformer.wte.weight", EMBEDDING), ("*transformer.ff_out.weight", UNEMBEDDING)),
        embedding=("transformer.wte.weight",),
        unembedding=("transformer.ff_out.weight",),
    )
)
