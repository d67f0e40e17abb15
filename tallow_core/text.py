"""Text that a peer or a plugin chose, made safe to show.

A peer sets file names, messages and error texts. Shown raw, a control sequence in them could move
the cursor, rewrite what was printed, or set the clipboard; a bidirectional override could make
`gpj.exe` read as `exe.jpg`. So every such text passes `printable` on its way to a terminal, a log,
a JSON event or an error message.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode general categories with no glyph of their own: controls, formats (bidi included),
surrogates, unassigned, separators."""


def printable(text: str, *, lines: bool = False) -> str:
    """Return `text` with every character that has no visible glyph written as an escape.

    With `lines`, line feeds and tabs stay (for a message shown as a block); otherwise they are
    escaped too. A backslash is doubled only by the escapes themselves, so ordinary text is
    unchanged.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _shown(char, lines) else _escape(char) for char in text)


def _shown(char: str, lines: bool) -> bool:
    if lines and char in "\n\t":
        return True
    return unicodedata.category(char) not in _HIDDEN


def _escape(char: str) -> str:
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def nearest(word: str, known: Iterable[str], mark: str = ",") -> str:
    """`, did you mean "..."?` with the word of `known` that is nearest to a mistyped one, or "" if
    none is near."""
    import difflib  # only mistakes need it

    found = difflib.get_close_matches(word, list(known), n=1)
    return f'{mark} did you mean "{printable(found[0])}"?' if found else ""
