"""What is taken of an offer, as a person says it: numbers of the list, ranges of them, and
patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from tallow_core.app.incoming_offer import IncomingOffer
from tallow_core.cli.views.reporters import size_text
from tallow_core.files.source.ignore_patterns import Patterns
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.text import printable

_NUMBERS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")

Wanted = Callable[[int, Entry], bool]


def by_patterns(lines: Sequence[str]) -> Wanted:
    """What `--only` names; raises `UsageError` for what is no pattern."""
    patterns = Patterns(lines)
    return lambda number, entry: _matches(patterns, entry)


def by_words(text: str) -> Wanted:
    """What an answer names: `1 3-5 *.txt` is those alone, `-2 -*.log` all but those; a later word
    overrides an earlier one.

    The number of a folder stands for all that is in it. Raises `UsageError` for what is no pattern.
    Entries must come in order, from the first on.
    """
    terms = [_Term(word) for word in text.split()]
    otherwise = bool(terms) and not terms[0].keeps

    def wanted(number: int, entry: Entry) -> bool:
        result = otherwise
        for term in terms:
            if term.matches(number, entry):
                result = term.keeps
        return result

    return wanted


class _Term:
    def __init__(self, word: str) -> None:
        self.keeps = not word.startswith("-")
        bare = word.removeprefix("-")
        found = _NUMBERS.fullmatch(bare)
        self._patterns = None if found else Patterns((bare,))
        self._first = int(found[1]) if found else 0
        self._last = int(found[2] or found[1]) if found else 0
        self._below: tuple[str, ...] | None = None

    def matches(self, number: int, entry: Entry) -> bool:
        if self._patterns is not None:
            return _matches(self._patterns, entry)
        if self._below is not None and entry.components[: len(self._below)] == self._below:
            return True
        if not self._first <= number + 1 <= self._last:
            return False
        self._below = entry.components if entry.kind == EntryKind.DIRECTORY else None
        return True


def _matches(patterns: Patterns, entry: Entry) -> bool:
    return patterns.match("/".join(entry.components), directory=entry.kind == EntryKind.DIRECTORY)


def numbered(offered: IncomingOffer) -> Iterator[str]:
    """The whole list with its numbers, a line at a time."""
    width = len(str(offered.count))
    return (
        f"  {number:>{width}}  {described(entry)}"
        for number, entry in enumerate(offered.entries(), 1)
    )


def described(entry: Entry) -> str:
    """One entry, for people."""
    path = printable("/".join(entry.components))
    if entry.kind == EntryKind.DIRECTORY:
        return f"{path}/"
    if entry.kind == EntryKind.SYMLINK:
        return f"{path} -> {printable(entry.target)}"
    if entry.kind == EntryKind.HARD_LINK:
        return f"{path}  (another name of a file above)"
    return f"{path}  {'?' if entry.size is None else size_text(entry.size)}"
