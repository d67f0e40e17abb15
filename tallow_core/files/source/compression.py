"""Whether chunks travel packed: a sample of each file says whether it would shrink, measured times
say whether that would be faster."""

from __future__ import annotations

import time
from collections.abc import Callable

from tallow_core.spi.compressor import Compressor
from tallow_core.types import ReadBuffer

SAMPLE = 64 << 10
"""Bytes at the begin of a file that are packed to see whether it shrinks."""
AGAIN = 16 << 20
"""After so many bytes a file is sampled again: an archive or a disk image is not the same all
over."""
RAREST = 8
"""Of small files, where one after another has not shrunk, at least every so manieth is packed to
see whether it does."""
WORTH = 0.9
"""A frame is sent in place of its chunk if it is shorter than this part of it."""
LEAST = 4 << 10
"""A shorter chunk is sent as it is: the file system and the records cost more than it could
save."""
BEGIN = 128 << 10
"""What a transfer sends before this many bytes is sent as it is: less is moved faster than a
library is imported."""

FIRST = 4 << 20
LONGEST = 256 << 20
"""How long one way is kept before the other is tried: at first, and at most. It doubles with every
trial that fails."""
TRIAL = 8 << 20
"""A trial that has lasted this long has succeeded: it is more than the buffers of most connections
hold."""
MARGIN = 1.1
SOON_BYTES, SOON_SECONDS = 2 << 20, 0.05
"""One of them has passed before a way is judged: a first record may have met a full or an empty
buffer."""
SMALL = 1 / 8
"""Where packing is less than this part of the time, sending as it is can hardly be faster, and is
not tried."""
_HALF_LIFE = 8 << 20


class _Pace:
    """Seconds a byte, the last few MiB above all."""

    __slots__ = ("_bytes", "_seconds")

    def __init__(self) -> None:
        self._bytes = self._seconds = 0.0

    def add(self, size: int, seconds: float) -> None:
        faded = 0.5 ** (size / _HALF_LIFE)
        self._bytes = self._bytes * faded + size
        self._seconds = self._seconds * faded + seconds

    def forget(self) -> None:
        self._bytes = self._seconds = 0.0

    @property
    def value(self) -> float | None:
        return self._seconds / self._bytes if self._bytes else None


class Balance:
    """Which way is faster now: `packing` says whether what shrinks is to be sent packed.

    Both ways have one measure: the time that a byte of content takes to be packed and sent. What
    slows the link, or the other end, is in it whatever it is. Packing comes first: on a slow link
    it pays from the first byte, and on a fast one the other way is tried after 4 MiB. From then on
    the slower way is tried now and then, ever more rarely, and only where it may turn out the
    faster one.
    """

    def __init__(self) -> None:
        self.packing = True
        self._paces = {True: _Pace(), False: _Pace()}
        self._packer = _Pace()
        self._run = 0
        self._seconds = 0.0
        self._hold = FIRST
        self._trial = False

    def packed(self, size: int, seconds: float) -> None:
        """The compressor took `seconds` for `size` bytes."""
        self._packer.add(size, seconds)

    def record(self, packed: bool, size: int, seconds: float) -> None:
        """A record with `size` bytes of content took `seconds` in all; most of it was `packed`, or
        it was sent as it is."""
        self._paces[packed].add(size, seconds)
        if packed != self.packing:
            return  # what does not shrink goes as it is in between
        self._run += size
        self._seconds += seconds
        if self._slower():
            self._hold = min(2 * self._hold, LONGEST) if self._trial else self._hold
            self._turn(trial=False)
        elif self._trial:
            if self._run >= TRIAL:
                self._trial, self._hold = False, FIRST
        elif self._run >= self._hold and self._may_pay():
            self._turn(trial=True)

    def _slower(self) -> bool:
        """Whether the way that is taken has turned out slower than the other one was."""
        now, then = self._paces[self.packing].value, self._paces[not self.packing].value
        judged = self._run >= SOON_BYTES or self._seconds >= SOON_SECONDS
        return (
            judged
            and now is not None
            and then is not None
            and now > MARGIN * then
            and self._may_pay()
        )

    def _may_pay(self) -> bool:
        """Whether the other way could be faster at all."""
        pace, packer = self._paces[self.packing].value or 0.0, self._packer.value or 0.0
        return packer > SMALL * pace if self.packing else packer < WORTH * pace

    def _turn(self, *, trial: bool) -> None:
        self.packing = not self.packing
        self._paces[self.packing].forget()
        self._run, self._seconds, self._trial = 0, 0.0, trial


class Packing:
    """Packs the chunks of a transfer where it pays.

    Call `file` where a file begins, `pack` for every chunk, and `sending` and `sent` around the
    sending of every record.
    """

    def __init__(
        self, compressor: Compressor, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._compressor = compressor
        self._clock = clock
        self._balance = Balance()
        self._shrinks = False
        self._sample_in = 0
        self._vain = 0
        self._skip = 0
        self._total = 0
        self._ready = False
        self._content = self._packed = 0
        self._seconds = self._began = 0.0

    @property
    def packing(self) -> bool:
        """Whether what shrinks is sent packed now."""
        return self._balance.packing

    def file(self, size: int | None) -> None:
        """Another file begins: nothing is known of it. A small one is passed over now and then
        where those before it did not shrink."""
        self._sample_in = 0
        if size is None or not LEAST <= size <= SAMPLE:
            return
        if self._skip:
            self._skip -= 1
            self._sample_in, self._shrinks = AGAIN, False
        elif self._vain:
            self._skip = min(self._vain, RAREST) - 1

    def pack(self, chunk: memoryview) -> ReadBuffer | None:
        """The frame to send in place of `chunk`, or None to send it as it is."""
        size = len(chunk)
        self._content += size
        self._total += size
        if not self._balance.packing or size < LEAST or self._total < BEGIN:
            return None
        self._prepare()
        anew = self._sample_in <= 0
        frame = self._timed(chunk) if self._worth(chunk) else None
        self._sample_in -= size
        self._shrinks = frame is not None and len(frame) < WORTH * size
        if not self._shrinks:
            self._vain += anew
            return None
        self._vain = self._skip = 0
        self._packed += size
        return frame

    def sending(self) -> None:
        """A record is about to be sent."""
        self._began = self._clock()

    def sent(self) -> None:
        """It was handed over."""
        seconds = self._clock() - self._began
        if self._content:
            packed = 2 * self._packed >= self._content
            # A sample that came to nothing is no part of what sending as it is takes.
            self._balance.record(
                packed, self._content, seconds + (self._seconds if packed else 0.0)
            )
        self._content = self._packed = 0
        self._seconds = 0.0

    def _prepare(self) -> None:
        """Have the compressor import what it needs, before its time is taken."""
        if not self._ready:
            self._compressor.pack(bytes(LEAST))
            self._ready = True

    def _worth(self, chunk: memoryview) -> bool:
        if self._sample_in > 0:
            return self._shrinks
        self._sample_in = AGAIN
        return len(chunk) <= SAMPLE or len(self._timed(chunk[:SAMPLE])) < WORTH * SAMPLE

    def _timed(self, data: memoryview) -> ReadBuffer:
        began = self._clock()
        frame = self._compressor.pack(data)
        seconds = self._clock() - began
        self._seconds += seconds
        self._balance.packed(len(data), seconds)
        return frame
