"""Code phrases: `NAMEPLATE-word-word-word` (docs/protocol/handshake.md, "Code phrase").

The nameplate is public and finds the peer. The words are the password of the handshake; nothing
computed from them is used elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tallow_core.errors import UsageError

NAMEPLATE = re.compile(r"[1-9][0-9]{3,9}")
MIN_WORDS, MAX_WORDS = 3, 16
MIN_CUSTOM_CHARACTERS = 14
MAX_SECRET_CHARACTERS = 256

Below = Callable[[int], int]
"""A source of uniform integers: `below(limit)` is in [0, limit)."""


@cache
def words() -> tuple[str, ...]:
    """The 7,772 words without a hyphen of the EFF's large list, sorted; 12.92 bits each."""
    return tuple(Path(__file__).with_name("words.txt").read_text("ascii").split())


@dataclass(frozen=True, slots=True)
class Code:
    """A code phrase. `secret` is the password (PRS) as text; `custom` if the user chose it."""

    nameplate: str
    secret: str = field(repr=False)
    custom: bool

    @property
    def phrase(self) -> str:
        """The code as it is shown and typed."""
        return f"{self.nameplate}-{self.secret}"

    @property
    def count(self) -> int:
        """The number of words of the list; 0 for a custom secret."""
        return 0 if self.custom else 1 + self.secret.count("-")

    @property
    def guesses(self) -> int:
        """The wrong proofs after which the host makes the code void. For three words of the list
        the chance to guess it is then about 2^-32."""
        return 10 if self.custom else 100

    @property
    def password(self) -> bytes:
        """PRS of the PAKE."""
        return self.secret.encode()


def make_code(nameplate: str, count: int, below: Below) -> Code:
    """A code with `count` words, drawn uniformly. Raises `UsageError` if the count is out of
    bounds."""
    if not MIN_WORDS <= count <= MAX_WORDS:
        raise UsageError(f"a code has {MIN_WORDS} to {MAX_WORDS} words, not {count}")
    listed = words()
    return Code(nameplate, "-".join(listed[below(len(listed))] for _ in range(count)), custom=False)


def draw_nameplate(below: Below, avoid: frozenset[str]) -> str:
    """Six random digits, not in `avoid`, for a host without a relay."""
    while (nameplate := str(100_000 + below(900_000))) in avoid:
        pass
    return nameplate


def parse_code(text: str) -> Code:
    """Read a code as a person types it. Case, and spaces or hyphens between its parts, are ignored.

    Three or more words of the list are the secret. Anything else is a custom secret of at least 14
    characters, kept as typed, in Unicode's NFC. Raises `UsageError`, which never repeats the
    secret.
    """
    text = unicodedata.normalize("NFC", text).strip()
    nameplate, _, rest = re.sub(r"[\s-]", "-", text, count=1).partition("-")
    if not (nameplate.isascii() and NAMEPLATE.fullmatch(nameplate)):
        raise UsageError(
            "a code begins with a number of 4 to 10 digits, as in 4821-stamp-daybreak-kindred"
        )
    typed = [part for part in re.split(r"[\s-]+", rest.lower()) if part]
    if len(typed) >= MIN_WORDS and set(typed) <= set(words()):
        if len(typed) > MAX_WORDS:
            raise UsageError(f"a code has at most {MAX_WORDS} words")
        return Code(nameplate, "-".join(typed), custom=False)
    secret = rest.strip()
    if len(secret) < MIN_CUSTOM_CHARACTERS or (
        typed and set(typed) <= set(words())
    ):  # words of the list, but too few of them
        raise UsageError(
            f"after its number a code has {MIN_WORDS} words (is one missing?),"
            f" or a secret of your own of {MIN_CUSTOM_CHARACTERS} or more characters"
        )
    if len(secret) > MAX_SECRET_CHARACTERS or not secret.isprintable():
        raise UsageError(
            f"the secret of a code has at most {MAX_SECRET_CHARACTERS} characters, all of them"
            " printable"
        )
    return Code(nameplate, secret, custom=True)
