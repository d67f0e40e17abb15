"""What a receiver is offered, and what it answers."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from tallow_core.aio import detached
from tallow_core.config.schema import Settings
from tallow_core.errors import RefusedError, UsageError
from tallow_core.files.output.placement import Overwrite
from tallow_core.protocol.transfer.manifest_entry import Entry
from tallow_core.protocol.transfer.offer_pages import OfferKind
from tallow_core.protocol.transfer.selection import Selection
from tallow_core.transfer.decision import Decision, Offered, check_space
from tallow_core.transfer.sinks import FolderSink, Sink, StreamSink, TextSink

DECLINED = "the offer was declined; nothing was written"


class IncomingOffer:
    """An offer whose names and numbers were checked. Nothing of it is written before it is
    accepted."""

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        offer = offered.offer
        self.kind: Literal["files", "text", "stream"] = _KINDS[offer.kind]
        self.files: int = offer.files
        self.directories: int = offer.directories
        self.links: int = offer.links
        self.bytes: int | None = offer.size
        """The size of the files together; None if that of one is not known (a stream)."""
        self.count: int = offer.entries
        """The number of entries."""
        self.resumable: bool = offered.resumable
        """Whether it goes on with a transfer that was interrupted, in the folder `[receive]
        output`."""

    def entries(self) -> Iterator[Entry]:
        """All entries, a folder before what is in it. May be called as often as needed; it reads
        from a file, so a long list belongs on a thread."""
        return self._offered.entries()

    def everything(self) -> Selection:
        """All entries."""
        return self._offered.everything()

    def only(self, wanted: Callable[[int, Entry], bool]) -> Selection:
        """The entries for which `wanted(number, entry)` is true, numbers from 0 in the order of
        `entries`, with the folders that they lie in."""
        return self._offered.only(wanted)


_KINDS: dict[OfferKind, Literal["files", "text", "stream"]] = {
    OfferKind.FILES: "files",
    OfferKind.TEXT: "text",
    OfferKind.STREAM: "stream",
}


class Accept(NamedTuple):
    """Take what is offered, or the part of it that `selection` names (`IncomingOffer.only`).

    `into` is a folder, which is made if it is missing; None is `[receive] output`. Or it is an open
    descriptor that gets the content of one file, stream or text, and stays open. A text goes
    nowhere unless to a descriptor: it comes as the event `TextReceived`. `overwrite` says what is
    done in a folder where a name is taken; None is `[receive] overwrite`, where `ask` stands for
    `rename`.
    """

    selection: Selection | None = None
    into: str | os.PathLike[str] | int | None = None
    overwrite: Literal["never", "rename", "always"] | None = None


class Refuse(NamedTuple):
    """Take nothing. `receive` raises `RefusedError` with `reason`, which the sender gets too."""

    reason: str = DECLINED


Answer: TypeAlias = Accept | Refuse
Decide: TypeAlias = Callable[[IncomingOffer], Answer | Awaitable[Answer]]
"""Decides on an offer. What it raises ends the transfer, and the sender hears that nothing was
taken."""


class Decisions:
    """Turns the answers of `decide` into what the receiver works with; keeps a text."""

    def __init__(self, decide: Decide, settings: Settings) -> None:
        self._decide = decide
        self._settings = settings
        self.text: TextSink | None = None
        self.text_into: int | None = None
        """The descriptor that gets the text."""

    async def __call__(self, offered: Offered) -> Decision:
        """Ask, and prepare where the content goes; raises `RefusedError`, `UsageError` or
        `FileSystemError`."""
        answer = self._decide(IncomingOffer(offered))
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Refuse):
            raise RefusedError(answer.reason)
        selection = answer.selection or offered.everything()
        return Decision(selection, await self._sink(offered, selection, answer))

    async def _sink(self, offered: Offered, selection: Selection, answer: Accept) -> Sink:
        if offered.offer.kind is OfferKind.TEXT:
            self.text, self.text_into = TextSink(), _descriptor(answer)
            return self.text
        if (descriptor := _descriptor(answer)) is not None:
            if selection.counts.files != 1 or selection.counts.links:
                raise UsageError(
                    f"a descriptor takes one file, but {selection.counts.files} are selected"
                )
            return StreamSink(descriptor)
        receive = self._settings.receive
        output = receive.output if answer.into is None else os.fspath(_folder(answer))
        if not offered.resumable:
            await detached(lambda: check_space(output, selection.counts.stored))
        usual = "rename" if receive.overwrite == "ask" else receive.overwrite
        return FolderSink(output, Overwrite(answer.overwrite or usual), selection)


def _descriptor(answer: Accept) -> int | None:
    return answer.into if isinstance(answer.into, int) else None


def _folder(answer: Accept) -> str | os.PathLike[str]:
    assert not isinstance(answer.into, int | None)
    return answer.into
