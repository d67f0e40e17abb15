"""What both calls of `tallow_core.api` share: a reporter that calls back, and the context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from tallow_core.app.compose import compose, report_plugin_warnings
from tallow_core.app.user_settings import make_directories, user_settings
from tallow_core.config.schema import Settings
from tallow_core.errors import NextStep, PolicyError
from tallow_core.events import Event, TransferDone
from tallow_core.session.context import Context

OnEvent: TypeAlias = Callable[[Event], object]
"""Called with each event of `tallow_core.events`, in the event loop."""
OnText: TypeAlias = Callable[[str], object]
"""Called with a warning: what a person should know, and what does not end the call."""
OnNote: TypeAlias = Callable[[str, int], object]
"""Called with a detail and its level, 0 (said to everyone) to 3 (`-vvv`)."""
Word: TypeAlias = Callable[[str, NextStep | None], str]
"""Returns the text of a warning or a note with its next step, in the words of the program."""
AskNumber: TypeAlias = Callable[[], Awaitable[str]]
"""Returns the safety number that a person heard from the other side, where policy asks for it."""


def ignore(*_: object) -> None:
    """Do nothing."""


def without_step(text: str, _step: NextStep | None) -> str:
    """For programs without words of their own: the text alone."""
    return text


async def no_number() -> str:
    """For programs without a person: raises `PolicyError`."""
    raise PolicyError(
        "policy asks for a safety number that a person compares, and this program asks nobody"
    )


class Callbacks:
    """The reporter of a call."""

    def __init__(self, on_event: OnEvent, on_warning: OnText, on_note: OnNote, word: Word) -> None:
        self._word = word
        self._on_event = on_event
        self._on_warning = on_warning
        self._on_note = on_note
        self._done: TransferDone | None = None

    def emit(self, event: Event) -> None:
        """Hand it on."""
        if isinstance(event, TransferDone):
            self._done = event
        self._on_event(event)

    def warn(self, text: str, step: NextStep | None = None) -> None:
        """Word it and hand it on."""
        self._on_warning(self._word(text, step))

    def note(self, text: str, level: int = 1, step: NextStep | None = None) -> None:
        """Word it and hand it on."""
        self._on_note(self._word(text, step), level)

    def result(self) -> TransferDone:
        """What the transfer reported at its end."""
        assert self._done is not None
        return self._done


@contextmanager
def composed(
    settings: Settings | None, on_event: OnEvent, on_warning: OnText, on_note: OnNote, word: Word
) -> Iterator[tuple[Context, Callbacks]]:
    """The context of one call, and its reporter."""
    used = user_settings() if settings is None else settings
    make_directories(used)
    forget = report_plugin_warnings(on_warning)
    try:
        reporter = Callbacks(on_event, on_warning, on_note, word)
        yield compose(used, reporter), reporter
    finally:
        forget()
