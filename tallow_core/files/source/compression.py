"""Decides which chunks travel compressed. A sample of each file shows whether it shrinks; measured
times show whether packing is faster."""

from __future__ import annotations

import time
from collections.abc import Callable

from tallow_core.spi.compressor import Compressor
from tallow_core.types import ReadBuffer

SAMPLE_BYTES = 64 << 10
"""The size of the sample at the start of a file. It is packed to see whether the file shrinks."""
RESAMPLE_BYTES = 16 << 20
"""The number of bytes after which a file is sampled again. An archive or a disk image differs from
place to place."""
MAX_UNSAMPLED_FILES = 8
"""While small files do not shrink, at least one in this many is sampled."""
MAX_RATIO = 0.9
"""The limit on the size of a frame, as a share of its chunk. A longer frame is dropped, and the
chunk is sent as it is."""
MIN_CHUNK_BYTES = 4 << 10
"""The size below which a chunk is not packed. The file system and the records cost more than
packing could save."""
MIN_TRANSFER_BYTES = 128 << 10
"""The number of bytes at the start of a transfer that are not packed. To send them takes less time
than to import a library."""

MIN_HOLD_BYTES = 4 << 20
MAX_HOLD_BYTES = 256 << 20
"""The number of bytes for which one way (packed or not) is kept before the other is tried: the
first value and the greatest one. The number doubles with every trial that fails."""
TRIAL_BYTES = 8 << 20
"""The number of bytes after which a trial has succeeded. It is more than the buffers of most
connections hold."""
MARGIN = 1.1
JUDGE_BYTES, JUDGE_SECONDS = 2 << 20, 0.05
"""The bytes, or the time, after which a way can be judged. The first records say little: they may
meet a full or an empty buffer."""
MIN_SHARE = 1 / 8
"""The least share of packing in the total time at which sending unpacked is tried. Below it that
can hardly be faster."""
_HALF_LIFE_BYTES = 8 << 20


class _Pace:
    """The time a byte takes, in seconds. The last few MiB weigh most."""

    __slots__ = ("_bytes", "_seconds")

    def __init__(self) -> None:
        self._bytes = self._seconds = 0.0

    def add(self, size: int, seconds: float) -> None:
        faded = 0.5 ** (size / _HALF_LIFE_BYTES)
        self._bytes = self._bytes * faded + size
        self._seconds = self._seconds * faded + seconds

    def forget(self) -> None:
        self._bytes = self._seconds = 0.0

    @property
    def value(self) -> float | None:
        return self._seconds / self._bytes if self._bytes else None


class Balance:
    """Chooses the faster way. `packing` is True while chunks that shrink are to be sent packed.

    Both ways have one measure: the time that a byte of content takes to be packed and sent, which
    includes all that slows the link or the other end. Packing comes first: on a slow link it pays
    from the first byte, and on a fast one the other way is tried after 4 MiB. From then on the
    slower way is tried now and then, ever more rarely, and only where it may be the faster one.
    """

    def __init__(self) -> None:
        self.packing = True
        self._paces = {True: _Pace(), False: _Pace()}
        self._packer = _Pace()
        self._run = 0
        self._seconds = 0.0
        self._hold = MIN_HOLD_BYTES
        self._trial = False

    def packed(self, size: int, seconds: float) -> None:
        """Add the time of the compressor: it took `seconds` for `size` bytes."""
        self._packer.add(size, seconds)

    def record(self, packed: bool, size: int, seconds: float) -> None:
        """Add the time of one record: `seconds` in all for `size` bytes of content. `packed` says
        whether most of the content was packed."""
        self._paces[packed].add(size, seconds)
        if packed != self.packing:
            return  # such a record holds chunks that did not shrink
        self._run += size
        self._seconds += seconds
        if self._slower():
            self._hold = min(2 * self._hold, MAX_HOLD_BYTES) if self._trial else self._hold
            self._turn(trial=False)
        elif self._trial:
            if self._run >= TRIAL_BYTES:
                self._trial, self._hold = False, MIN_HOLD_BYTES
        elif self._run >= self._hold and self._may_pay():
            self._turn(trial=True)

    def _slower(self) -> bool:
        """Whether the present way is slower than the other one was."""
        now, then = self._paces[self.packing].value, self._paces[not self.packing].value
        judged = self._run >= JUDGE_BYTES or self._seconds >= JUDGE_SECONDS
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
        return packer > MIN_SHARE * pace if self.packing else packer < MAX_RATIO * pace

    def _turn(self, *, trial: bool) -> None:
        self.packing = not self.packing
        self._paces[self.packing].forget()
        self._run, self._seconds, self._trial = 0, 0.0, trial


class Compression:
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
        """Whether chunks that shrink are sent packed now."""
        return self._balance.packing

    def file(self, size: int | None) -> None:
        """Begin another file, so that a sample is due. While small files do not shrink, most of
        them are not sampled."""
        self._sample_in = 0
        if size is None or not MIN_CHUNK_BYTES <= size <= SAMPLE_BYTES:
            return
        if self._skip:
            self._skip -= 1
            self._sample_in, self._shrinks = RESAMPLE_BYTES, False
        elif self._vain:
            self._skip = min(self._vain, MAX_UNSAMPLED_FILES) - 1

    def pack(self, chunk: memoryview) -> ReadBuffer | None:
        """The frame to send in place of `chunk`, or None to send it as it is."""
        size = len(chunk)
        self._content += size
        self._total += size
        if not self._balance.packing or size < MIN_CHUNK_BYTES or self._total < MIN_TRANSFER_BYTES:
            return None
        self._prepare()
        anew = self._sample_in <= 0
        frame = self._timed(chunk) if self._worth(chunk) else None
        self._sample_in -= size
        self._shrinks = frame is not None and len(frame) < MAX_RATIO * size
        if not self._shrinks:
            self._vain += anew
            return None
        self._vain = self._skip = 0
        self._packed += size
        return frame

    def sending(self) -> None:
        """Note the time at which the sending of a record begins."""
        self._began = self._clock()

    def sent(self) -> None:
        """Note that the record was sent, and add its time to the measure."""
        seconds = self._clock() - self._began
        if self._content:
            packed = 2 * self._packed >= self._content
            # The time for a sample that did not shrink is no part of the time of sending as it is.
            self._balance.record(
                packed, self._content, seconds + (self._seconds if packed else 0.0)
            )
        self._content = self._packed = 0
        self._seconds = 0.0

    def _prepare(self) -> None:
        """Let the compressor import what it needs, before its time is measured."""
        if not self._ready:
            self._compressor.pack(bytes(MIN_CHUNK_BYTES))
            self._ready = True

    def _worth(self, chunk: memoryview) -> bool:
        if self._sample_in > 0:
            return self._shrinks
        self._sample_in = RESAMPLE_BYTES
        if len(chunk) <= SAMPLE_BYTES:
            return True
        return len(self._timed(chunk[:SAMPLE_BYTES])) < MAX_RATIO * SAMPLE_BYTES

    def _timed(self, data: memoryview) -> ReadBuffer:
        began = self._clock()
        frame = self._compressor.pack(data)
        seconds = self._clock() - began
        self._seconds += seconds
        self._balance.packed(len(data), seconds)
        return frame
