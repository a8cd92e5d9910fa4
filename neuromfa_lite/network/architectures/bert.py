"""Encoders: BERT, RoBERTa, DistilBERT, ViT."""

from .record import register
from .transformer import EMBEDDING, HEAD, POSITIONS, SELF_ATTENTION, Stack, transformer

BERT = Stack(
    "encoder.layer.{}.",
    attention={
        "query": "attention.self.query.weight",
        "key": "attention.self.key.weight",
        "value": "attention.self.value.weight",
        "attention-output": "attention.output.dense.weight",
    },
    mlp={"mlp-in": "intermediate.dense.weight", "mlp-out": "output.dense.weight"},
)
DISTILBERT = Stack(
    "transformer.layer.{}.",
    attention={
        "query": "attention.q_lin.weight",
        "key": "attention.k_lin.weight",
        "value": "attention.v_lin.weight",
        "attention-output": "attention.out_lin.weight",
    },
    mlp={"mlp-in": "ffn.lin1.weight", "mlp-out": "ffn.lin2.weight"},
    count="n_layers",
)
ENDS = (
    ("*word_embeddings.weight", EMBEDDING),
    ("*position_embeddings*", POSITIONS),
    ("*token_type_embeddings.weight", "embedding of the segment: the published network starts after it"),
    ("*pooler*", HEAD),
    ("cls.*", HEAD),
    ("*lm_head.*", HEAD),
    ("*classifier*", HEAD),
    ("vocab_*", HEAD),
)


def _vit(known):
    """On disk as BERT; in memory transformers calls it otherwise since its fifth version."""
    if not any(name.startswith("layers.0.") for name in known.shapes):
        names = {role: name.replace("attention.self", "attention.attention") for role, name in BERT.attention.items()}
        return Stack("encoder.layer.{}.", names, BERT.mlp)
    attention = {role: name.replace("self_attn", "attention") for role, name in SELF_ATTENTION.items()}
    return Stack("layers.{}.", attention, {"mlp-in": "mlp.fc1.weight", "mlp-out": "mlp.fc2.weight"})


register(
    transformer("bert", BERT, prefixes=("bert.", ""), left_out=ENDS, embedding=("embeddings.word_embeddings.weight",))
)
register(
    transformer(
        "roberta", BERT, prefixes=("roberta.", ""), left_out=ENDS, embedding=("embeddings.word_embeddings.weight",)
    )
)
register(
    transformer(
        "distilbert",
        DISTILBERT,
        heads="n_heads",
        prefixes=("distilbert.", ""),
        left_out=ENDS,
        embedding=("embeddings.word_embeddings.weight",),
    )
)
register(
    transformer(
        "vit",
        _vit,
        prefixes=("vit.", ""),
        left_out=(
            ("*patch_embeddings*", "patch embedding: the published network starts after it"),
            ("*cls_token", "token of the class: an input, not a connection"),
            *ENDS,
        ),
        norms={"attention": "layernorm_before.weight", "mlp": "layernorm_after.weight", "last": "layernorm.weight"},
    )
)
