"""Lists on disk instead of in memory: an unlinked temporary file of length-prefixed items, written
once, read as often as needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType

from tallow_core.errors import FileSystemError
from tallow_core.protocol.codec.wire import u32

_BUFFER = 1 << 18


class Spool:
    """Append items, then iterate over them; raises `FileSystemError`. The file has no name, so a
    process that is killed leaves nothing."""

    def __init__(self) -> None:
        try:
            # Closed by `close`; the name is gone at once.
            self._file = tempfile.TemporaryFile(prefix="tallow-", buffering=_BUFFER)  # noqa: SIM115
        except OSError as error:
            raise FileSystemError(
                f"no temporary file could be made: {error.strerror}; set TMPDIR to a folder with"
                " space"
            ) from error
        self._end = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which removes it. Idempotent."""
        self._file.close()

    def append(self, item: bytes) -> None:
        """Add one item."""
        try:
            self._file.write(u32(len(item)))
            self._file.write(item)
        except OSError as error:
            raise FileSystemError(
                f"the list of files cannot be kept: {error.strerror}; set TMPDIR to a folder with"
                " space"
            ) from error
        self._end += 4 + len(item)

    def __iter__(self) -> Iterator[bytes]:
        """All items in order. Several iterations may be under way; none while appending."""
        self._file.flush()
        at = 0
        block, start = b"", 0
        while at < self._end:
            if at + 4 > start + len(block) or at + 4 + int.from_bytes(
                block[at - start : at - start + 4], "big"
            ) > start + len(block):
                self._file.seek(at)
                block, start = self._file.read(_BUFFER), at
            size = int.from_bytes(block[at - start : at - start + 4], "big")
            yield block[at - start + 4 : at - start + 4 + size]
            at += 4 + size
