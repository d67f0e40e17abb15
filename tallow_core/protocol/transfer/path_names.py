"""The rules for names and trees that may be sent: the same rules on every system, at both ends
(docs/protocol/transfer.md, "Names").

A receiver refuses an offer that breaks the rules before it creates a file. A sender leaves such
files out and reports them. The rules are those of the strictest file system, because the tree may
be copied on later. They apply to the name as it is used; no decoding follows. This module does not
touch a disk, and `tallow_core.files.output.output_tree` is safe even for a name that these rules
should have refused.

All other names are allowed, in any script: emoji with joiners, combining marks, right-to-left
text, and `?*"<>|`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from tallow_core.errors import RemoteProtocolError
from tallow_core.text import printable

MAX_COMPONENT_BYTES = 255
"""The most bytes of UTF-8 in one name."""

MAX_DEPTH = 64
"""The most names in one path."""

MAX_PATH_BYTES = 4096
"""The most bytes of UTF-8 in one path, separators included."""

STAGING_PREFIX = ".tallow-"
"""The prefix of the receiver's own staging folders; such a name is neither sent nor accepted."""

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_ .~@+,=()\[\]-]*[A-Za-z0-9_)\]])?")
"""Most names match this; the only rule that such a name can still break is that of device names."""

_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17)
)

_BANNED = {
    "has a path separator in a name": r"/\\",
    "has a control character in a name": "\x00-\x1f\x7f-\x9f\u2028\u2029",
    "has a colon in a name, which names a drive or a stream on some systems": ":",
    "has something in a name that is no character": "\ud800-\udfff" + _NONCHARACTERS,
    "has a character in a name that reverses the text around it": "\u202a-\u202e\u2066-\u2069",
    "has a character in a name that looks like a path separator": (
        "\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff3c"
    ),
}
"""Reason -> the characters, as the inside of a regular expression's class."""

# Patterns that few names need are compiled on first use.
_SUSPECT = f"[%{''.join(_BANNED.values())}]"

_ENCODED = r"(?i:%(?:25)*(?:2[ef]|5c|00|3a|c[01]%|u[0-9a-f]{4}))"

_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\xb9\xb2\xb3]) *(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
"""Names that Windows gives to devices, in any folder and with any extension."""

_INVISIBLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties): HFS+ and case-insensitive ext4
ignore them when they compare names."""


def check_name(name: str) -> str | None:
    """Check a name like `check_component`, without the cache: for names that do not repeat."""
    if len(name) <= MAX_COMPONENT_BYTES and _PLAIN.fullmatch(name):
        return "has a name that is a device on Windows" if _DEVICE.fullmatch(name) else None
    if (
        len(name) > MAX_COMPONENT_BYTES
        or len(name.encode("utf-8", "surrogatepass")) > MAX_COMPONENT_BYTES
    ):
        return f"has a name longer than {MAX_COMPONENT_BYTES} bytes"
    return _check_characters(name) or _check_form(name) or _check_compatible(name)


@lru_cache(maxsize=2 * MAX_DEPTH)  # a folder's name repeats with each entry in it
def check_component(name: str) -> str | None:
    """The reason why one name of a path is not acceptable, as the end of a sentence ("has a colon
    in a name"), or None."""
    return check_name(name)


def _check_characters(name: str) -> str | None:
    if re.search(_SUSPECT, name) is None:
        return None
    for reason, characters in _BANNED.items():
        if re.search(f"[{characters}]", name):
            return reason
    return (
        "has an encoded dot, separator, colon or NUL in a name"
        if re.search(_ENCODED, name)
        else None
    )


def _check_form(name: str) -> str | None:
    if not name or name.isspace():
        return "has an empty name"
    if name in {".", ".."}:
        return "has a name that points to a folder itself or above it"
    if name.endswith((".", " ")):
        return "has a name that ends with a dot or a space"
    if _DEVICE.fullmatch(name):
        return "has a name that is a device on Windows"
    if name.casefold().startswith(STAGING_PREFIX):
        return f"has a name that begins with {STAGING_PREFIX}, which is kept for files on their way"
    return None


def _check_compatible(name: str) -> str | None:
    """Apply the rules to the form that the name has after a system drops invisible characters and
    simplifies the others (NFKC).

    Three common uses are allowed: fractions (a half becomes `1`, U+2044, `2`), a name that ends
    with an ellipsis, and the wide colon of Chinese and Japanese titles, unless it makes a drive.
    """
    shape = unicodedata.normalize("NFKC", re.sub(_INVISIBLE, "", name))
    if shape == name:
        return None
    if re.match("[A-Za-z]:", shape):
        return "has a name that looks like a drive"
    if reason := _check_characters(shape.replace(":", "_").replace("\u2044", "_")):
        return reason
    if name.endswith("\u2026") and shape.strip(". "):
        shape = shape.rstrip(".")
    return _check_form(shape)


def check_path(components: Sequence[str]) -> str | None:
    """The reason why a path, a list of names, is not acceptable, as the end of a sentence, or
    None."""
    if not components:
        return "is empty"
    if len(components) > MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep"
    for name in components:
        if reason := check_component(name):
            return reason
    if (
        sum(map(len, components)) * 4 + len(components) > MAX_PATH_BYTES
        and len("/".join(components).encode()) > MAX_PATH_BYTES
    ):
        return f"is longer than {MAX_PATH_BYTES} bytes"
    return None


def takes_any(folder: Sequence[str]) -> bool:
    """Whether every acceptable name makes an acceptable path in this folder. Then `check_name`
    can replace `check_path`."""
    return (
        len(folder) < MAX_DEPTH
        and 4 * (sum(map(len, folder)) + MAX_COMPONENT_BYTES) + MAX_DEPTH < MAX_PATH_BYTES
    )


def check_target(components: Sequence[str], target: str) -> str | None:
    """The reason why the link at `components` may not have `target`, as the end of a sentence, or
    None.

    A target is relative: `..` as its first names only, then names that may be sent, joined by `/`;
    or `.` alone. It stays in the top-level folder that the link lies in, so a link at the top level
    has no acceptable target.
    """
    names = target.split("/")
    up = 0
    while up < len(names) and names[up] == "..":
        up += 1
    if up > len(components) - 2:
        return "points out of the folder that is sent"
    if target == "." or up == len(names):
        return None
    return check_path(names[up:])


def fold(name: str) -> str:
    """The key under which names collide: two names with the same key may be one file on some file
    system.

    It is NFD(casefold(NFD(name))), the canonical caseless match of the Unicode standard (3.13,
    D145), without the invisible characters. Folding a folded name changes nothing.
    """
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", re.sub(_INVISIBLE, "", name))
    return unicodedata.normalize("NFD", decomposed.casefold())


class TreeOrder:
    """Checks that entries come in the canonical order. Its memory grows with the depth only.

    A folder comes before its contents, and its contents before its siblings (depth-first,
    pre-order). Within one folder `fold` of the names strictly increases, compared by code point. So
    a repeated name (also in another case or normal form), an entry below a file, and an entry below
    a folder that was not announced are all out of order.
    """

    def __init__(self) -> None:
        self._open: tuple[str, ...] = ()
        self._short = True
        self._last: list[str] = [""]

    def place(
        self, components: Sequence[str], is_directory: bool, *, checked: bool = False
    ) -> None:
        """Take the next entry. Raises `RemoteProtocolError`, and changes nothing, if it is not
        acceptable or out of order.

        `checked`: the caller has just called `check` for it.
        """
        parents = tuple(components[:-1])
        reason = None if checked else self.check(components)
        if reason is None and parents != self._open:
            reason = self._check_parents(parents)
        if reason is None:
            depth, key = len(parents), fold(components[-1])
            reason = self._check_key(depth, key)
        if reason is not None:
            raise RemoteProtocolError(
                f"the other side sent a path that {reason}: {_shown(components)}"
            )
        del self._last[depth:]
        self._last.append(key)
        if is_directory:
            self._enter(tuple(components))
            self._last.append("")
        elif parents != self._open:
            self._enter(parents)

    def _enter(self, folder: tuple[str, ...]) -> None:
        self._open = folder
        self._short = takes_any(folder)

    def check(self, components: Sequence[str]) -> str | None:
        """Check a path like `check_path`, and faster within the folder of the last entry."""
        if components and self._short and tuple(components[:-1]) == self._open:
            return check_name(components[-1])
        return check_path(components)

    def _check_parents(self, parents: tuple[str, ...]) -> str | None:
        return (
            None
            if parents == self._open[: len(parents)]
            else "does not lie in the folder that was announced before it"
        )

    def _check_key(self, depth: int, key: str) -> str | None:
        last = self._last[depth]
        if key == last:
            return "has the same name as the one before it, on some systems"
        return "is out of order" if key < last else None


def _shown(components: Sequence[str]) -> str:
    text = printable("/".join(components[: MAX_DEPTH + 1]))
    return text if len(text) <= 300 else text[:300] + "..."
