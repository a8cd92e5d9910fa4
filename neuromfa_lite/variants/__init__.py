"""Variants of the method: ready ideas to start from, and one's own out of a file."""

from ..method import METHODS, register_method, register_part
from .file import find_method, load_variant
from .ideas import (
    BLOCK_GEODESIC,
    BOTH_DIRECTIONS,
    FOLDED,
    FOLDED_HEADS,
    HEAD_PRODUCTS,
    IDEAS,
    MEDIAN_PUBLISHED,
    MINUS_LOG,
    TOKEN_CLOUD,
    WITH_EMBEDDINGS,
)

__all__ = [
    "BLOCK_GEODESIC",
    "BOTH_DIRECTIONS",
    "FOLDED",
    "FOLDED_HEADS",
    "HEAD_PRODUCTS",
    "IDEAS",
    "MEDIAN_PUBLISHED",
    "METHODS",
    "MINUS_LOG",
    "TOKEN_CLOUD",
    "WITH_EMBEDDINGS",
    "find_method",
    "load_variant",
    "register_method",
    "register_part",
]
