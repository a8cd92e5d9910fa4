"""Variants of the method: ready ideas to start from, and one's own out of a file."""

from .. import METHODS, register_method, register_part
from ..file import find_method, load_variant
from ..ideas import IDEAS

__all__ = ["IDEAS", "METHODS", "find_method", "load_variant", "register_method", "register_part"]
