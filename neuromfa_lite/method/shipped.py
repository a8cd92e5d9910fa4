"""The methods that have a name: those of the paper and their relatives, and a place for one's own."""

from ..errors import NeuroMFAError, arguments
from .choices import Method

PAPER = Method(wiring="chain")
PUBLISHED = PAPER.replace(name="published", derivative="forward")
SCALE_FREE = Method(
    name="scale-free",
    wiring="chain",
    distance="inverse-over-median",
    window=None,
    rounding=False,
    minimum_connections=1,
    radii="log-spaced",
)
GEODESIC = PAPER.replace(name="geodesic", reach="geodesic")
SANDBOX = Method(
    name="sandbox",
    wiring="chain",
    reach="geodesic-undirected",
    window=None,
    rounding=False,
    minimum_connections=1,
    radii="every",
    mass="total-share",
    convention="standard",
)
ONE_GRAPH = SANDBOX.replace(name="one-graph", mass="others-share", convention="paper")
METHODS = {method.name: method for method in (PAPER, PUBLISHED, SCALE_FREE, GEODESIC, SANDBOX, ONE_GRAPH)}
_OWN = set()


def refuse_no_method(method):
    """Refuse what is no Method; the error says where the named ones are."""
    if not isinstance(method, Method):
        raise NeuroMFAError(
            f"method={arguments.shown(method)} must be a Method such as nmfa.PAPER; the named ones are in nmfa.METHODS"
        )


def register_method(method):
    """Put a method into ``METHODS`` and on the command line (``--method NAME``) by its name, and return it.

    Raises:
        NeuroMFAError: it is no Method, or a shipped one has that name; one's own of that name is replaced.

    Example:
        >>> mine = register_method(SCALE_FREE.replace(name="doctest", q=(0.0, 1.0)))
        >>> METHODS.pop("doctest") is mine
        True
    """
    refuse_no_method(method)
    if method.name in METHODS and method.name not in _OWN:
        raise NeuroMFAError(f"method {method.name!r} is shipped: give yours another name, method.replace(name=...)")
    _OWN.add(method.name)
    METHODS[method.name] = method
    return method
