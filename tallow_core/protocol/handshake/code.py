"""Code phrases: `NAMEPLATE-word-word-word`.

The nameplate is public and finds the peer; the words are the password of the handshake and go
nowhere else.
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
FEWEST_WORDS, MOST_WORDS = 3, 16
LEAST_CUSTOM = 14
MOST_SECRET = 256

Below = Callable[[int], int]
"""A source of uniform integers: `below(limit)` is in [0, limit)."""


@cache
def words() -> tuple[str, ...]:
    """The 7,772 words of the EFF's large list that hold no hyphen, sorted: log2(7772) = 12.92 bits
    each."""
    return tuple(Path(__file__).with_name("words.txt").read_text("ascii").split())


@dataclass(frozen=True, slots=True)
class Code:
    """A code phrase. `secret` is the password (PRS) as text; `custom` says that somebody made it
    up."""

    nameplate: str
    secret: str = field(repr=False)
    custom: bool

    @property
    def phrase(self) -> str:
        """What is shown and typed."""
        return f"{self.nameplate}-{self.secret}"

    @property
    def count(self) -> int:
        """How many words of the list it has; 0 for a custom secret."""
        return 0 if self.custom else 1 + self.secret.count("-")

    @property
    def guesses(self) -> int:
        """How many wrong proofs the host counts before the code is void: about 2^-32 for three
        words of the list."""
        return 10 if self.custom else 100

    @property
    def password(self) -> bytes:
        """PRS of the PAKE."""
        return self.secret.encode()


def make_code(nameplate: str, count: int, below: Below) -> Code:
    """A code with `count` words drawn uniformly."""
    if not FEWEST_WORDS <= count <= MOST_WORDS:
        raise UsageError(f"a code has {FEWEST_WORDS} to {MOST_WORDS} words, not {count}")
    listed = words()
    return Code(nameplate, "-".join(listed[below(len(listed))] for _ in range(count)), custom=False)


def draw_nameplate(below: Below, avoid: frozenset[str]) -> str:
    """Six random digits that are not in `avoid`: for a host without a relay."""
    while (nameplate := str(100_000 + below(900_000))) in avoid:
        pass
    return nameplate


def parse_code(text: str) -> Code:
    """Read a code as a person types it: case, spaces and hyphens between its parts do not matter.

    Words of the list need to be three; anything else is a custom secret of at least 14 characters,
    kept as typed but in Unicode's NFC. Raises `UsageError`, which never repeats the secret.
    """
    text = unicodedata.normalize("NFC", text).strip()
    nameplate, _, rest = re.sub(r"[\s-]", "-", text, count=1).partition("-")
    if not (nameplate.isascii() and NAMEPLATE.fullmatch(nameplate)):
        raise UsageError(
            "a code begins with a number of 4 to 10 digits, as in 4821-stamp-daybreak-kindred"
        )
    typed = [part for part in re.split(r"[\s-]+", rest.lower()) if part]
    if len(typed) >= FEWEST_WORDS and set(typed) <= set(words()):
        if len(typed) > MOST_WORDS:
            raise UsageError(f"a code has at most {MOST_WORDS} words")
        return Code(nameplate, "-".join(typed), custom=False)
    secret = rest.strip()
    if len(secret) < LEAST_CUSTOM or (
        typed and set(typed) <= set(words())
    ):  # words of the list, but too few of them
        raise UsageError(
            f"after its number a code has {FEWEST_WORDS} words (is one missing?),"
            f" or a secret of your own of {LEAST_CUSTOM} or more characters"
        )
    if len(secret) > MOST_SECRET or not secret.isprintable():
        raise UsageError(
            f"the secret of a code has at most {MOST_SECRET} characters, all of them printable"
        )
    return Code(nameplate, secret, custom=True)
