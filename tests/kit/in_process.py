"""What a peer inside this process needs: a context, a reporter that says nothing, a stream."""

from __future__ import annotations

from pathlib import Path

from tallow_core.app.compose import compose
from tallow_core.config.schema import SessionSettings, Settings
from tallow_core.directories import Directories
from tallow_core.errors import NextStep
from tallow_core.events import Event
from tallow_core.session.context import Context


class Silent:
    """A reporter that says nothing."""

    def emit(self, event: Event) -> None:
        """Nothing."""

    def warn(self, text: str, step: NextStep | None = None) -> None:
        """Nothing."""

    def note(self, text: str, level: int = 1, step: NextStep | None = None) -> None:
        """Nothing."""


def context_of(home: Path) -> Context:
    """A context for a peer inside this process."""
    directories = Directories(*(home / name for name in ("c", "s", "d", "r")))
    settings = Settings(directories=directories, session=SessionSettings(reconnect=0))
    return compose(settings, Silent())


async def nobody() -> str:
    """The question for the safety number; without a policy that asks for it, nobody is."""
    raise AssertionError("the safety number was asked for")


class Sink:
    """A stream that keeps what is sent, and receives nothing."""

    def __init__(self) -> None:
        self.sent = bytearray()

    async def send(self, data: memoryview) -> None:
        """Keep it."""
        self.sent += data

    async def aclose(self) -> None:
        """Nothing to close."""
