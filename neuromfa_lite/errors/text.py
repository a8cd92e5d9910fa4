"""Words that came from outside (folders, manifests, weight files) as a terminal, a page and a picture may show them."""

from html import escape


def plain(text, lines=False):
    r"""Text whose unprintable characters stand as Python writes them, ESC as \x1b; ``lines`` keeps its line ends."""
    kept = "\n" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in str(text))


def html(text):
    """Text that a page shows letter by letter: no tag of it is one."""
    return escape(plain(text))


def math_free(text):
    """Text that matplotlib draws letter by letter: no dollar of it begins a formula."""
    return plain(text).replace("$", r"\$")
