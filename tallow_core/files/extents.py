"""The data extents of sparse files, as the file system reports them (SEEK_DATA, SEEK_HOLE)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_SEEK_DATA, _SEEK_HOLE = getattr(os, "SEEK_DATA", None), getattr(os, "SEEK_HOLE", None)
_BLOCK_BYTES = 512
MIN_SAVED_BYTES = 64 * 1024
"""A file whose blocks are at least so much less than its size is searched for holes."""


def may_be_sparse(status: os.stat_result) -> bool:
    """Whether the blocks on the disk are so much less than the size that there may be holes (or
    compression)."""
    stored = getattr(status, "st_blocks", status.st_size) * _BLOCK_BYTES
    return _SEEK_DATA is not None and status.st_size - stored >= MIN_SAVED_BYTES


def data_extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of the first `size` bytes that hold data, as (start, end), in order; what is
    between them reads as zeros.

    The descriptor's position is at the start of each part as it is given. Without help of the file
    system it is one part.
    """
    at = 0
    while at < size:
        try:
            start, end = _next(fd, at, size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        if start >= size:
            return
        os.lseek(fd, start, os.SEEK_SET)
        yield start, end
        at = end


def _next(fd: int, at: int, size: int) -> tuple[int, int]:
    if _SEEK_DATA is None or _SEEK_HOLE is None:
        return at, size
    try:
        start = os.lseek(fd, at, _SEEK_DATA)
        return start, min(size, os.lseek(fd, start, _SEEK_HOLE))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return at, size
        raise


def measure(fd: int, size: int) -> int:
    """The number of data bytes among the first `size` bytes."""
    return sum(end - start for start, end in data_extents(fd, size))
