"""An offer as a receiver gets it, and the decision what to take of it."""

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
    """The offer that the person is asked about. `entries` may be read as often as needed; their
    names were checked."""

    offer: Offer
    entries: Callable[[], Iterator[Entry]]
    marks: bytearray
    """The marks of the entries that `OfferReader` made."""
    digest: bytes = b""
    """The hash over all entries."""
    resumable: bool = False
    """Whether the offer continues a transfer that was interrupted, in the output folder of the
    settings."""

    def everything(self) -> Selection:
        """Select every entry."""
        return Selection.everything(self.offer, self.marks)

    def only(self, wanted: Callable[[int, Entry], bool]) -> Selection:
        """Select the entries for which `wanted` (number, entry) holds, with the folders that they
        lie in."""
        return Selection.of(self.entries, self.marks, wanted)


class Decision(NamedTuple):
    """The entries that are taken, and the sink that they go to."""

    selection: Selection
    sink: Sink


class ReceiveRun:
    """The state that a receiver carries from one session of a run to the next. `earlier` is the
    transfer that can be resumed; `decision` is what was decided about it."""

    def __init__(self) -> None:
        self.earlier: Earlier | None = None
        self.decision: Decision | None = None
        self.before = Amount()
        """The amount that the receiver had when the last accepted session began."""
        self.kept_in = ""
        """The output folder (printable) in which a failed session left something."""
        self._digest = b""

    def accepted(self, earlier: Earlier, decision: Decision, digest: bytes, before: Amount) -> None:
        """Keep the decision to accept the offer with this hash over its entries."""
        self.earlier, self.decision, self._digest, self.before = earlier, decision, digest, before

    def decision_for(self, digest: bytes) -> Decision:
        """The earlier decision, renewed for another session. Raises `RefusedError` if the offer is
        another one."""
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
