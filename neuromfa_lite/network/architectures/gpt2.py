"""GPT-2 and GPT-J."""

from .record import register
from .transformer import EMBEDDING, POSITIONS, UNEMBEDDING, Stack, transformer

register(
    transformer(
        "gpt2",
        Stack(
            "h.{}.",
            attention={"query key value": "attn.c_attn.weight", "attention-output": "attn.c_proj.weight"},
            mlp={"mlp-in": "mlp.c_fc.weight", "mlp-out": "mlp.c_proj.weight"},
            count="n_layer",
        ),
        heads="n_head",
        transposed=True,
        prefixes=("transformer.", ""),
        left_out=(("*wte.weight", EMBEDDING), ("*wpe.weight", POSITIONS), ("*lm_head.weight", UNEMBEDDING)),
        embedding=("wte.weight",),
        unembedding=("lm_head.weight",),
        norms={"attention": "ln_1.weight", "mlp": "ln_2.weight", "last": "ln_f.weight"},
    )
)
register(
    transformer(
        "gptj",
        Stack(
            "h.{}.",
            attention={
                "query": "attn.q_proj.weight",
                "key": "attn.k_proj.weight",
                "value": "attn.v_proj.weight",
                "attention-output": "attn.out_proj.weight",
            },
            mlp={"mlp-in": "mlp.fc_in.weight", "mlp-out": "mlp.fc_out.weight"},
            parallel=True,
            count="n_layer",
        ),
        heads="n_head",
        prefixes=("transformer.", ""),
        left_out=(("*wte.weight", EMBEDDING), ("*lm_head.weight", UNEMBEDDING)),
        embedding=("wte.weight",),
        unembedding=("lm_head.weight",),
        norms={"attention": "ln_1.weight", "mlp": "ln_1.weight", "last": "ln_f.weight"},
    )
)
