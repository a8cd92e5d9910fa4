"""BLOOM and Falcon, whose one matrix holds query, key and value head by head."""

from .record import register
from .transformer import EMBEDDING, UNEMBEDDING, Stack, transformer

ATTENTION = {
    "query key value": "self_attention.query_key_value.weight",
    "attention-output": "self_attention.dense.weight",
}
MLP = {"mlp-in": "mlp.dense_h_to_4h.weight", "mlp-out": "mlp.dense_4h_to_h.weight"}
ABOUT = {
    "stored": "by head",
    "prefixes": ("transformer.", ""),
    "left_out": (("*word_embeddings.weight", EMBEDDING), ("*lm_head.weight", UNEMBEDDING)),
    "embedding": ("word_embeddings.weight",),
    "unembedding": ("lm_head.weight",),
}


def _falcon(known):
    """In parallel: its 40b and 180b always, its 7b by the configuration, its first ones not."""
    parallel = known.get("new_decoder_architecture", False) or known.get("parallel_attn", True)
    return Stack("h.{}.", ATTENTION, MLP, parallel=parallel)


def _falcon_keys(known):
    """The groups of queries of the 40b and 180b, one key for all of the 7b, or one for each query."""
    if known.get("new_decoder_architecture", False):
        return known.get("num_kv_heads") or known["num_attention_heads"]
    return 1 if known.get("multi_query", True) else known["num_attention_heads"]


register(transformer("bloom", Stack("h.{}.", ATTENTION, MLP, count="n_layer"), heads="n_head", **ABOUT))
register(transformer("falcon", _falcon, kv_heads=_falcon_keys, **ABOUT))
