"""Families of models, one short file each, all data: which layers of neurons they have, which matrix joins which two.

A new family is a file beside gpt_neox.py that registers its record, and its import below; decoder.py holds what
families share.
"""

from . import gpt_neox  # noqa: F401 - a family is known once its file is imported
from .decoder import fused_rows
from .record import ARCHITECTURES, Architecture, Join, register

__all__ = ["ARCHITECTURES", "Architecture", "Join", "fused_rows", "register"]
