"""Words that came from outside (folders, manifests, weight files) as a terminal, a page and a picture may show them."""

from html import escape


def plain(text, lines=False):
    r"""Text whose unprintable characters stand as Python writes them: ESC as \x1b, a turn of direction as \u202e.

    Args:
        text: what to print; lines: True keeps its line ends.

    Example:
        >>> print(plain("name\x1b]0;title\x07"))
        name\x1b]0;title\x07
    """
    kept = "\n" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in str(text))


def html(text):
    """Text that a page shows letter by letter: no tag of it is one.

    Example:
        >>> html("<img src=x>")
        '&lt;img src=x&gt;'
    """
    return escape(plain(text))


def math_free(text):
    r"""Text that matplotlib draws letter by letter: no dollar of it begins a formula.

    Example:
        >>> print(math_free("$x^{$"))
        \$x^{\$
    """
    return plain(text).replace("$", r"\$")
