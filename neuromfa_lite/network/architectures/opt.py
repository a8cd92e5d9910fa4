"""OPT; its 350m puts projections around narrower embeddings."""

from .record import register
from .transformer import EMBEDDING, POSITIONS, SELF_ATTENTION, UNEMBEDDING, Stack, transformer

register(
    transformer(
        "opt",
        Stack(
            "layers.{}.",
            attention=SELF_ATTENTION | {"attention-output": "self_attn.out_proj.weight"},
            mlp={"mlp-in": "fc1.weight", "mlp-out": "fc2.weight"},
        ),
        prefixes=("model.decoder.", "decoder.", ""),
        left_out=(
            ("*embed_tokens.weight", EMBEDDING),
            ("*embed_positions.weight", POSITIONS),
            ("*lm_head.weight", UNEMBEDDING),
            ("*project_in.weight", "projection of the token embedding: the published network starts after it"),
            ("*project_out.weight", "projection before the unembedding: the published network ends before it"),
        ),
        embedding=("embed_tokens.weight",),
        unembedding=("lm_head.weight",),
    )
)
