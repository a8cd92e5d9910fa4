"""GPT-NeoX: Pythia, and the runs that ship."""

from ...errors import SourceError
from .decoder import attention_joins, fused_rows, transformer_layers
from .record import Architecture, Join, register


def _layers(config):
    return transformer_layers(config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"])


def _joins(config):
    hidden, heads, blocks = (config[key] for key in ("hidden_size", "num_attention_heads", "num_hidden_layers"))
    if hidden % heads:
        raise SourceError(f"hidden_size {hidden} is not a multiple of num_attention_heads {heads}")
    joins = []
    parts = {role: fused_rows(heads, hidden // heads, place) for place, role in enumerate(("query", "key", "value"))}
    for block in range(blocks):
        name, stored = f"block {block}", f"layers.{block}"
        after = f"block {block + 1} input" if block + 1 < blocks else "output"
        fused = f"{stored}.attention.query_key_value.weight"
        for role, rows in parts.items():
            joins.append(Join(f"{name} input", f"{name} {role}", fused, role, part=role, targets=rows))
        joins += attention_joins(block)
        joins += [
            Join(f"{name} attention", f"{name} middle", f"{stored}.attention.dense.weight", "attention-output"),
            Join(f"{name} middle", f"{name} mlp", f"{stored}.mlp.dense_h_to_4h.weight", "mlp-in"),
            Join(f"{name} mlp", after, f"{stored}.mlp.dense_4h_to_h.weight", "mlp-out"),
        ]
    return joins


def _gains(config):
    gains = {"unembedding": "final_layer_norm.weight"}
    for block in range(config["num_hidden_layers"]):
        gains[f"layers.{block}.attention.query_key_value.weight"] = f"layers.{block}.input_layernorm.weight"
        gains[f"layers.{block}.mlp.dense_h_to_4h.weight"] = f"layers.{block}.post_attention_layernorm.weight"
    return gains


register(
    Architecture(
        model_type="gpt_neox",
        layers=_layers,
        joins=_joins,
        required=("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        prefixes=("gpt_neox.", ""),
        left_out=(
            ("*embed_in.weight", "token embedding: the published network starts after it"),
            ("*embed_out.weight", "unembedding: the published network ends before it"),
            ("*lm_head.weight", "unembedding: the published network ends before it"),
            ("*rotary_emb.inv_freq", "rotary frequencies: computed, not trained"),
            ("*.attention.bias", "causal mask: a buffer, not trained"),
            ("*.masked_bias", "value of masked scores: a buffer, not trained"),
            ("*layernorm.*", "layer norm: scales and shifts a neuron, joins no two neurons"),
            ("*layer_norm.*", "layer norm: scales and shifts a neuron, joins no two neurons"),
            ("*.bias", "bias: shifts a neuron, joins no two neurons"),
        ),
        embedding=("embed_in.weight",),
        unembedding=("embed_out.weight", "lm_head.weight"),
        gains=_gains,
    )
)
