"""Which names and trees may be sent: the same rules on every system, at both ends.

A receiver refuses what breaks them before it makes anything; a sender leaves such files out and
says so. The rules are those of the strictest file system, because the tree may be copied on later,
and they look at the name in the form in which it is used: there is no decoding step after them.
Nothing here touches a disk; `tallow_core.files.output.output_tree` is safe even for a name that
slipped through.

Allowed are all other names, whatever their script: emoji with joiners, combining marks,
right-to-left text, and `?*"<>|`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from tallow_core.errors import RemoteProtocolError
from tallow_core.text import printable

MAX_COMPONENT = 255
"""Bytes of UTF-8 in one name."""

MAX_DEPTH = 64
"""Names in one path."""

MAX_PATH = 4096
"""Bytes of UTF-8 in one path, separators included."""

STAGING_PREFIX = ".tallow-"
"""How the receiver's own staging folders are called: such a name is never sent nor taken."""

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_ .~@+,=()\[\]-]*[A-Za-z0-9_)\]])?")
"""Most names: only a device name can be wrong with them."""

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
"""Reasons, and the characters that they are about, as the inside of a regular expression's
class."""

# Patterns that few names need are compiled when one does.
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
pass over them when they compare names."""


def check_name(name: str) -> str | None:
    """As `check_component`, for a name that does not come again and again."""
    if len(name) <= MAX_COMPONENT and _PLAIN.fullmatch(name):
        return "has a name that is a device on Windows" if _DEVICE.fullmatch(name) else None
    if len(name) > MAX_COMPONENT or len(name.encode("utf-8", "surrogatepass")) > MAX_COMPONENT:
        return f"has a name longer than {MAX_COMPONENT} bytes"
    return _check_characters(name) or _check_form(name) or _check_compatible(name)


@lru_cache(maxsize=2 * MAX_DEPTH)  # a folder's name comes with every entry in it
def check_component(name: str) -> str | None:
    """Say why one name of a path is not acceptable, as the end of a sentence ("has a colon in a
    name"), or return None."""
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
    """Hold what the name becomes when a system drops invisible characters and simplifies the others
    (NFKC) to the same rules.

    Three ordinary habits are spared: fractions (a half becomes `1`, U+2044, `2`), a name that ends
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
    """Say why a path, a list of names, is not acceptable, as the end of a sentence, or return
    None."""
    if not components:
        return "is empty"
    if len(components) > MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep"
    for name in components:
        if reason := check_component(name):
            return reason
    if (
        sum(map(len, components)) * 4 + len(components) > MAX_PATH
        and len("/".join(components).encode()) > MAX_PATH
    ):
        return f"is longer than {MAX_PATH} bytes"
    return None


def takes_any(folder: Sequence[str]) -> bool:
    """Whether every acceptable name makes an acceptable path in this acceptable folder: then
    `check_name` does for `check_path`."""
    return (
        len(folder) < MAX_DEPTH
        and 4 * (sum(map(len, folder)) + MAX_COMPONENT) + MAX_DEPTH < MAX_PATH
    )


def check_target(components: Sequence[str], target: str) -> str | None:
    """Say why the link at `components` may not have `target`, as the end of a sentence, or return
    None.

    A target is relative: `..` as its first names only, then names that may be sent, joined by `/`;
    or `.` alone. It stays in the top-level folder that the link lies in, so a link at the top level
    has none.
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
    """Return the key under which names collide: two names with the same key may be one file on some
    file system.

    It is NFD(casefold(NFD(name))), the canonical caseless match of the Unicode standard (3.13,
    D145), without the invisible characters. Folding a folded name changes nothing.
    """
    if name.isascii():
        return name.lower()
    decomposed = unicodedata.normalize("NFD", re.sub(_INVISIBLE, "", name))
    return unicodedata.normalize("NFD", decomposed.casefold())


class TreeOrder:
    """Checks entries, as they pass, against each other, in memory that grows with the depth only.

    The canonical order makes that possible. A folder comes before what is in it, and all that is in
    it before what is beside it (depth-first, pre-order); within one folder `fold` of the names
    strictly increases, compared by code point. So a name that was there before (also in another
    case or another normal form), an entry below a file, and one below a folder that was never
    announced are all out of order.
    """

    def __init__(self) -> None:
        self._open: tuple[str, ...] = ()
        self._short = True
        self._last: list[str] = [""]

    def place(
        self, components: Sequence[str], is_directory: bool, *, checked: bool = False
    ) -> None:
        """Take the next entry. One that is not acceptable, or not here, is a `RemoteProtocolError`,
        and nothing is changed by it.

        `checked`: the caller has just had `check` look at it.
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
                f"The other side sent a path that {reason}: {_shown(components)}"
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
        """What `check_path` says: quicker, because of the folder that is open that is known."""
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
