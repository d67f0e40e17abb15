"""What travels of a file, counted on the wire between two real processes, over links of several
rates."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallow_core.secrets import system_rng
from tests.kit.hostile_peers import (
    PATIENCE,
    Home,
    Line,
    attack,
    dial,
    listening,
    receiver,
    sender,
)

MIB = 1 << 20


def text(size: int) -> bytes:
    """Words in no order: they pack to less than half."""
    draws = system_rng(2 * (size // 3 + 1))
    words = [
        bytes(97 + letter % 26 for letter in draws[at : at + 2 + at % 7]) for at in range(4096)
    ]
    made = b" ".join(
        words[16 * min(one, other) + one % 16]
        for one, other in zip(draws[::2], draws[1::2], strict=True)
    )
    return (made * 2)[:size]


@dataclass
class Road:
    """A link of `rate` bytes a second with little room, that counts the bytes to the guest."""

    target: int
    rate: float = 0.0
    count: int = 0

    async def serve(self, line: Line) -> None:
        """One connection."""
        far = await dial(self.target)
        await asyncio.gather(self._pump(line, far, slow=False), self._pump(far, line, slow=True))

    async def _pump(self, source: Line, sink: Line, *, slow: bool) -> None:
        due = time.monotonic()
        with contextlib.suppress(OSError):
            while data := await source.reader.read(1 << 16):
                if slow:
                    self.count += len(data)
                    if self.rate:
                        due = max(due, time.monotonic()) + len(data) / self.rate
                        await asyncio.sleep(due - time.monotonic())
                sink.writer.write(data)
                await sink.writer.drain()
        await sink.end()


async def transfer(
    tmp_path: Path,
    files: dict[str, bytes],
    rate: float = 0.0,
    sending: tuple[str, ...] = (),
    receiving: tuple[str, ...] = (),
) -> tuple[int, float, dict[str, Any]]:
    """Send a folder with these files; the bytes that travelled, the receiver's seconds and its
    `suite` event."""
    ours, theirs = Home(tmp_path / "ours"), Home(tmp_path / "theirs")
    folder = ours.root / "folder"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    async with sender(ours, "folder", *sending) as one:
        road = Road(await one.port(), rate)
        async with listening(road.serve) as port, receiver(theirs, port, *receiving) as other:
            assert await other.wait(2 * PATIENCE) == 0, other.said()
            assert await one.wait() == 0, one.said()
            done, suite = await other.event("done"), await other.event("suite")
    for name, content in files.items():
        assert (theirs.root / "out" / "folder" / name).read_bytes() == content
    assert done["bytes"] == sum(map(len, files.values())), "content is counted, whatever travelled"
    return road.count, done["seconds"], suite


@pytest.mark.timing
def test_text_over_a_slow_link_takes_a_fraction_of_bytes_and_time(tmp_path: Path) -> None:
    files = {"text": text(6 * MIB) * 8}
    packed, soon, suite = attack(transfer(tmp_path / "zstd", files, 12e6))
    plain, late, without = attack(
        transfer(tmp_path / "none", files, 12e6, ("--compressor", "none"))
    )
    assert (suite["compressor"], without["compressor"]) == ("zstd", "none")
    assert plain > 48 * MIB
    assert packed < 0.7 * plain, (
        "the buffers of this machine take some MiB at once, and make it look fast for so long"
    )
    assert soon < 0.8 * late


def test_media_travel_as_they_are(tmp_path: Path) -> None:
    """Random bytes, alone and among text: no byte more than without, but for headers."""
    slowly = ("--throttle", "10MB")
    media = {f"{number}.jpg": os.urandom(2 * MIB) for number in range(4)}
    plain, _, _ = attack(transfer(tmp_path / "none", media, sending=("--compressor", "none")))
    packed, _, _ = attack(transfer(tmp_path / "zstd", media, sending=slowly))
    assert abs(packed - plain) < 10_000
    mixed = media | {f"{number}.txt": text(2 * MIB) for number in range(4)}
    count, _, _ = attack(transfer(tmp_path / "mixed", mixed, sending=slowly))
    assert 8 * MIB < count < 13 * MIB


def test_small_files_are_packed_too(tmp_path: Path) -> None:
    """600 files of 10 KiB, many to a record."""
    files = {f"{number:03}": text(10_240) for number in range(600)}
    count, _, _ = attack(transfer(tmp_path, files, sending=("--throttle", "4MB")))
    assert count < 0.6 * 600 * 10_240


@pytest.mark.slow
@pytest.mark.timing
def test_on_this_machine_it_settles_on_sending_as_it_is(tmp_path: Path) -> None:
    """Nothing between the two is slow: most of 192 MiB of text travels as it is. A machine that is
    busy otherwise may try again."""
    files = {"text": text(8 * MIB) * 24}
    for attempt in range(3):
        count, _, suite = attack(transfer(tmp_path / str(attempt), files))
        assert suite["compressor"] == "zstd"
        if count > 0.8 * 192 * MIB:
            return
    raise AssertionError(
        f"{count} bytes travelled of {192 * MIB}: it goes on packing where that is slower"
    )


@pytest.mark.timing
def test_throttle_counts_what_travels(tmp_path: Path) -> None:
    """`--throttle` limits the link, and text comes sooner than its size says."""
    count, seconds, _ = attack(
        transfer(tmp_path, {"text": text(12 * MIB)}, sending=("--throttle", "6MB"))
    )
    assert count < 0.6 * 12 * MIB
    assert count / 6e6 * 0.8 < seconds < 0.75 * 12 * MIB / 6e6


@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_t26_where_sizes_are_hidden_nothing_is_packed(end: str, tmp_path: Path) -> None:
    """Whichever end asks for `none`, the bytes of text travel all."""
    none = ("--compressor", "none")
    count, _, suite = attack(
        transfer(
            tmp_path,
            {"text": text(4 * MIB)},
            1e7,
            none if end == "sender" else (),
            none if end == "receiver" else (),
        )
    )
    assert suite["compressor"] == "none"
    assert count > 4 * MIB
