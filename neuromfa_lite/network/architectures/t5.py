"""T5: an encoder, and a decoder that looks at it."""

from .record import register
from .transformer import EMBEDDING, UNEMBEDDING, Stack, transformer


def _attention(layer, kind):
    names = {"query": "q", "key": "k", "value": "v", "attention-output": "o"}
    return {role: f"layer.{layer}.{kind}.{name}.weight" for role, name in names.items()}


def _mlp(known, layer):
    """With a gate since version 1.1."""
    names = {"mlp-in": f"layer.{layer}.DenseReluDense.wi.weight", "mlp-out": f"layer.{layer}.DenseReluDense.wo.weight"}
    if "encoder.block.0.layer.1.DenseReluDense.wi_0.weight" in known.shapes:
        names |= {"gate": names["mlp-in"].replace("wi", "wi_0"), "mlp-in": names["mlp-in"].replace("wi", "wi_1")}
    return names


def _encoder(known):
    return Stack(
        "encoder.block.{}.", _attention(0, "SelfAttention"), _mlp(known, 1), count="num_layers", name="encoder "
    )


def _decoder(known):
    return Stack(
        "decoder.block.{}.",
        _attention(0, "SelfAttention"),
        _mlp(known, 2),
        cross=_attention(1, "EncDecAttention"),
        count="num_decoder_layers" if known.get("num_decoder_layers") else "num_layers",
        name="decoder ",
        looks_at="encoder ",
    )


register(
    transformer(
        "t5",
        _encoder,
        _decoder,
        heads="num_heads",
        left_out=(
            ("*shared.weight", EMBEDDING),
            ("*embed_tokens.weight", EMBEDDING),
            ("*lm_head.weight", UNEMBEDDING),
            ("*relative_attention_bias.weight", "bias of the distance of two tokens: joins no two neurons"),
        ),
        embedding=("shared.weight",),
        unembedding=("lm_head.weight",),
    )
)
