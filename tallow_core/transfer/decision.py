"""What a receiver is offered, and what it decides to take."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tallow_core.errors import FileSystemError, RefusedError
from tallow_core.protocol.transfer.manifest_entry import Entry
from tallow_core.protocol.transfer.offer_pages import Offer
from tallow_core.protocol.transfer.resumption import Earlier
from tallow_core.protocol.transfer.selection import Selection
from tallow_core.text import printable
from tallow_core.transfer.progress import Amount
from tallow_core.transfer.sinks import Sink


class Offered(NamedTuple):
    """What the person is asked about. `entries` may be read as often as needed; their names were
    checked."""

    offer: Offer
    entries: Callable[[], Iterator[Entry]]
    marks: bytearray
    """As `OfferReader` has them."""
    digest: bytes = b""
    """The hash over all entries."""
    resumable: bool = False
    """Whether this goes on with a transfer that was interrupted, in the output folder of the
    settings."""

    def everything(self) -> Selection:
        """All of it."""
        return Selection.everything(self.offer, self.marks)

    def only(self, wanted: Callable[[int, Entry], bool]) -> Selection:
        """The entries for which `wanted` (number, entry) holds, with the folders that they lie
        in."""
        return Selection.of(self.entries, self.marks, wanted)


class Decision(NamedTuple):
    """What is taken, and where it goes."""

    selection: Selection
    sink: Sink


class ReceiveRun:
    """What a receiver takes from one session of a run to the next. `earlier`: the transfer that can
    be gone on with; `decision`: what was decided about it."""

    def __init__(self) -> None:
        self.earlier: Earlier | None = None
        self.decision: Decision | None = None
        self.before = Amount()
        """What was here when the last session began that was accepted."""
        self.kept_in = ""
        """The output folder (printable) in which a failed session left something."""
        self._digest = b""

    def accepted(self, earlier: Earlier, decision: Decision, digest: bytes, before: Amount) -> None:
        """The offer with this hash over its entries was accepted."""
        self.earlier, self.decision, self._digest, self.before = earlier, decision, digest, before

    def decision_for(self, digest: bytes) -> Decision:
        """What was decided, for another session; raises `RefusedError` if the offer is another
        one."""
        assert self.decision is not None
        selection, sink = self.decision
        if digest != self._digest or sink.resumable is None:
            raise RefusedError(
                "what is offered now is not what was accepted before; receive it anew"
            )
        return Decision(selection, sink.resumable.renewed())


def check_space(output: str, size: int | None) -> None:
    """Raise `FileSystemError` if the file system of `output` has less than `size` bytes free."""
    place = Path(output).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return  # writing will show it
    if size is not None and size > free:
        raise FileSystemError(
            f"it takes {size} bytes, but only {free} are free in {printable(str(place))}"
        ).then("choose another output")
