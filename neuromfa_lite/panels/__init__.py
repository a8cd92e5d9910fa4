"""ipywidgets panels, one per lesson; each also keeps its picture in the saved notebook."""

from .base import Panel
from .changes import ChangePanel
from .emergence import EmergencePanel
from .fractals import CascadePanel
from .network import NetworkPanel
from .spectrum import SpectrumPanel
from .start_here import StartHerePanel
from .window import WindowPanel
from .wiring import WiringPanel

__all__ = [
    "CascadePanel",
    "ChangePanel",
    "EmergencePanel",
    "NetworkPanel",
    "Panel",
    "SpectrumPanel",
    "StartHerePanel",
    "WindowPanel",
    "WiringPanel",
]
