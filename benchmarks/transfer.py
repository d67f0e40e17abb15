"""One large file and many small ones: through Tallow, directly and by a relay, and through the plain copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.processes import PLAIN, TALLOW, Child, Cost

CODE = "482917-stamp-daybreak-kindred"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One copy: seconds that the data took (by the receiver's clock), seconds of the receiving command, and each process's cost."""

    seconds: float
    wall: float
    sender: Cost
    receiver: Cost
    relay: Cost | None = None

    @property
    def cpu(self) -> float:
        """Seconds of CPU of all processes, start-up included."""
        return sum(cost.cpu for cost in (self.sender, self.receiver, self.relay) if cost is not None)


Copy: TypeAlias = Callable[[Path, Path], Sample]
"""Copies a file or folder, using a work folder of its own."""


def large_file(path: Path, size: int) -> None:
    """Write `size` bytes that nothing can compress."""
    with open(path, "wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(os.urandom(min(_BLOCK, size - start)))


def many_files(folder: Path, count: int, size: int) -> None:
    """Make `count` files of `size` bytes, a hundred a folder."""
    for number in range(count):
        below = folder / f"{number // 100:05d}"
        if number % 100 == 0:
            below.mkdir(parents=True)
        (below / f"{number:06d}").write_bytes(os.urandom(size))


def plain(source: Path, work: Path) -> Sample:
    """The plain copy."""
    target = work / "copy"
    with Child((*PLAIN, "receive", str(target)), work / "b") as receiver:
        port = str(receiver.event("listening")[1]["port"])
        with Child((*PLAIN, "send", str(source), port), work / "a") as sender:
            seconds = receiver.event("done")[1]["seconds"]
            costs = sender.finish(), receiver.finish()
    _same_size(source, target)
    return Sample(seconds, costs[1].wall, *costs)


def direct(transport: str) -> Copy:
    """Tallow, the receiver dialling the sender's listener."""

    def copy(source: Path, work: Path) -> Sample:
        listening = ("--no-relay", "--transport", transport, "--listen", "127.0.0.1:0")
        with _sender(source, work, *listening) as sender:
            (at,) = (url for url in sender.event("code")[1]["listen"] if url.startswith(f"{transport}:"))
            with _receiver(work, "--no-relay", "--transport", transport, "--at", at) as receiver:
                return _finish(source, work, sender, receiver, "direct")

    return copy


def relayed(transport: str) -> Copy:
    """Tallow through a relay; `transport` is what both ends dial it by."""

    def copy(source: Path, work: Path) -> Sample:
        with ExitStack() as children:
            relay = children.enter_context(
                Child((*TALLOW, "relay", "serve", "--json", "--bind", f"{transport}://127.0.0.1:0"), work / "relay")
            )
            url = relay.event("relay")[1]["url"]
            sender = children.enter_context(_sender(source, work, "--relay", url, "--relay-only"))
            sender.event("code")
            receiver = children.enter_context(_receiver(work, "--relay", url, "--relay-only"))
            sample = _finish(source, work, sender, receiver, "relay")
            relay.terminate()
            return Sample(sample.seconds, sample.wall, sample.sender, sample.receiver, relay.finish())

    return copy


def _sender(source: Path, work: Path, *options: str) -> Child:
    return Child((*TALLOW, "send", "--json", "--code", CODE, *options, str(source)), work / "a")


def _receiver(work: Path, *options: str) -> Child:
    return Child((*TALLOW, "receive", CODE, "--yes", "--json", "--output", str(work / "out"), *options), work / "b")


def _finish(source: Path, work: Path, sender: Child, receiver: Child, path: str) -> Sample:
    found = receiver.event("peer")[1]["path"]
    if found != path:
        raise RuntimeError(f"the two ends met by the path {found!r}, not {path!r}")
    seconds = receiver.event("done")[1]["seconds"]
    costs = sender.finish(), receiver.finish()
    _same_size(source, work / "out" / source.name)
    return Sample(seconds, costs[1].wall, *costs)


def _same_size(source: Path, target: Path) -> None:
    """Tallow compares hashes itself; this is against measuring a copy that did not happen."""
    if source.is_file() and source.stat().st_size != target.stat().st_size:
        raise RuntimeError(f"{target} is not as long as {source}")


def once(copy: Copy, source: Path, work: Path) -> Sample:
    """Run one copy in a fresh work folder."""
    work.mkdir()
    try:
        return copy(source, work)
    finally:
        shutil.rmtree(work)
