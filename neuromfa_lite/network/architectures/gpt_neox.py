"""GPT-NeoX: Pythia, and the runs that ship."""

from .record import register
from .transformer import EMBEDDING, UNEMBEDDING, Stack, transformer


def _blocks(known):
    return Stack(
        "layers.{}.",
        attention={"query key value": "attention.query_key_value.weight", "attention-output": "attention.dense.weight"},
        mlp={"mlp-in": "mlp.dense_h_to_4h.weight", "mlp-out": "mlp.dense_4h_to_h.weight"},
        parallel=known.get("use_parallel_residual", True),
    )


register(
    transformer(
        "gpt_neox",
        _blocks,
        stored="by head",
        sizes={"hidden": "hidden_size", "mlp": "intermediate_size"},
        required=("num_hidden_layers",),
        prefixes=("gpt_neox.", ""),
        left_out=(
            ("*embed_in.weight", EMBEDDING),
            ("*embed_out.weight", UNEMBEDDING),
            ("*lm_head.weight", UNEMBEDDING),
        ),
        embedding=("embed_in.weight",),
        unembedding=("embed_out.weight", "lm_head.weight"),
        norms={
            "attention": "input_layernorm.weight",
            "mlp": "post_attention_layernorm.weight",
            "last": "final_layer_norm.weight",
        },
    )
)
