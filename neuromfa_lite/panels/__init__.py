"""ipywidgets panels, one per lesson; each also keeps its picture in the saved notebook."""

from .base import Panel
from .start_here import StartHerePanel

__all__ = ["Panel", "StartHerePanel"]
