"""Families of models, one short file each, all data: which layers of neurons they have, which matrix joins which two.

A new family is a file beside gpt_neox.py that registers its record, and its import below; transformer.py holds what
families of transformers share.
"""

from . import bert, bloom, gpt2, gpt_neox, llama, mamba, opt, resnet, silero_vad, t5  # noqa: F401 - a family is known once its file is imported
from .file import read_architecture, register_architecture
from .record import ARCHITECTURES, Architecture, Join, register
from .transformer import Stack, fused_rows, transformer

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Join",
    "Stack",
    "fused_rows",
    "read_architecture",
    "register",
    "register_architecture",
    "transformer",
]
