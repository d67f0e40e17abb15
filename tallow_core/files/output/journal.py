"""The journal of an interrupted transfer: what of it was verified, beside the partial file in the
receiver's staging folder.

    file   = "tallow journal 1\\n" || salt[16] || records
    record = length[2] || nonce[12] || ciphertext (ChaCha20-Poly1305) of one or more statements

The key is Expand(key of the state directory, "journal", salt), AD = the record's number[8], nonces
are random. So what somebody else wrote, moved here or cut short says nothing: reading ends at the
first record that does not verify, and writing goes on from there. Each record is one write(2), made
before what it announces (a name) or after what it vouches for (a segment): a killed process leaves
no lie. A segment is believed only when its bytes have been hashed again.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from tallow_core.errors import TallowError
from tallow_core.files.os_faults import explain
from tallow_core.protocol.codec.wire import Reader, Writer
from tallow_core.protocol.handshake.key_schedule import JOURNAL, expand
from tallow_core.secrets import system_rng

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NAME = "journal"
_MAGIC = b"tallow journal 1\n"
_SALT, _NONCE = 16, 12
_LENGTH, _COUNT = Struct(">H"), Struct(">Q")
_NUMBERED, _SEGMENT, _PLACED, _BEGUN = (
    Struct(">BI"),
    Struct(">BII32s"),
    Struct(">BIQQq"),
    Struct(">BIQ16s"),
)
_FACTS, _INTENDED, _MADE, _BEGIN, _SEGMENT_KIND, _PLACED_KIND = range(6)
_NEW = (
    os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
_THERE = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_BLOCK = 1 << 18


class Facts(NamedTuple):
    """Which transfer a journal is about: its id, the hash over its manifest, the hash driver's name
    and the segment size."""

    transfer_id: bytes
    manifest: bytes
    hash: str
    segment_size: int


@dataclass(slots=True)
class Partial:
    """A file on its way: its temporary name, its inode, and the hashes of its segments so far."""

    name: str
    inode: int
    segments: bytearray = field(default_factory=bytearray)


class FolderMade(NamedTuple):
    """A folder that was made, under this name; `inode` None: that was to be made next."""

    name: str
    inode: int | None


class Past:
    """What a journal says, by the entries' numbers. Three numbers an entry: memory for millions of
    them is bounded by the offer."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._inodes, self._sizes = array("Q", bytes(8 * entries)), array("Q", bytes(8 * entries))
        self._times = array("q", bytes(8 * entries))
        self.folders: dict[int, FolderMade] = {}
        self.partial: dict[int, Partial] = {}

    def placed(self, number: int) -> tuple[int, int, int] | None:
        """(Inode, size, mtime in ns) of what was given its name, or was about to be."""
        return (
            (inode, self._sizes[number], self._times[number])
            if (inode := self._inodes[number])
            else None
        )

    def take(self, plain: bytes) -> None:
        """Add what one record says. What no journal of this program holds is a `TallowError`."""
        reader = Reader(plain, "journal")
        while reader.left:
            kind, number = reader.fields(_NUMBERED)
            if number >= self._entries:
                return
            self._take(reader, kind, number)

    def _take(self, reader: Reader, kind: int, number: int) -> None:
        if kind in (_INTENDED, _MADE):
            self.folders[number] = FolderMade(
                reader.text8(), reader.u64() if kind == _MADE else None
            )
        elif kind == _BEGIN:
            inode, name = reader.u64(), reader.raw(16).hex()
            self.partial[number] = Partial(name, inode)
        elif kind == _SEGMENT_KIND:
            self._segment(number, reader.u32(), reader.raw(32))
        elif kind == _PLACED_KIND:
            self._inodes[number], self._sizes[number], self._times[number] = (
                reader.u64(),
                reader.u64(),
                reader.i64(),
            )

    def _segment(self, number: int, index: int, digest: bytes) -> None:
        partial = self.partial.get(number)
        if partial is not None and 32 * index <= len(partial.segments):
            del partial.segments[32 * index :]
            partial.segments += digest


class Journal:
    """An open journal, locked against other processes. `empty`: nothing in it is worth keeping
    yet."""

    def __init__(self, fd: int, key: bytes, salt: bytes) -> None:
        self._fd = fd
        self._key = bytes(expand("sha256", key, 32, JOURNAL, salt))
        self._count = 0
        self.empty = True

    @classmethod
    def create(cls, folder: int, key: bytes, facts: Facts) -> Journal:
        """Begin a journal in the staging folder `folder`; raises an `OSError`."""
        fd, salt = os.open(NAME, _NEW, 0o600, dir_fd=folder), system_rng(_SALT)
        try:
            _lock(fd)
            os.write(fd, _MAGIC + salt)
            journal = cls(fd, key, salt)
            head = _NUMBERED.pack(_FACTS, 0) + facts.transfer_id + facts.manifest
            journal._append(Writer().raw(head).u32(facts.segment_size).text8(facts.hash).done())
        except BaseException:
            os.close(fd)
            raise
        return journal

    @classmethod
    def reopen(
        cls, folder: int, key: bytes, facts: Facts, entries: int
    ) -> tuple[Journal, Past] | None:
        """The journal in `folder` and what it says; None if it is not one of ours about this very
        transfer."""
        try:
            fd = os.open(NAME, _THERE, dir_fd=folder)
        except OSError:
            return None
        try:
            if (
                is_ours(os.fstat(fd))
                and _lock(fd)
                and (found := cls._read(fd, key, facts, entries)) is not None
            ):
                return found
        except OSError:
            pass
        os.close(fd)
        return None

    @classmethod
    def _read(cls, fd: int, key: bytes, facts: Facts, entries: int) -> tuple[Journal, Past] | None:
        head = os.read(fd, len(_MAGIC) + _SALT)
        if len(head) != len(_MAGIC) + _SALT or not head.startswith(_MAGIC):
            return None
        journal, past = cls(fd, key, head[len(_MAGIC) :]), Past(entries)
        end = len(head)
        for plain, after in journal._records(end):
            if journal._count == 1:
                if _facts(plain) != facts:
                    return None
            else:
                past.take(plain)
                journal.empty = False
            end = after
        if not journal._count:
            return None
        os.ftruncate(fd, end)  # half a record, or what does not verify
        os.lseek(fd, end, os.SEEK_SET)
        return journal, past

    def _records(self, at: int) -> Iterator[tuple[bytes, int]]:
        """Each record that verifies, and where it ends."""
        from cryptography.exceptions import InvalidTag

        block = b""
        while True:
            if (
                len(block) < _LENGTH.size
                or len(block) < _LENGTH.size + _LENGTH.unpack_from(block)[0]
            ):
                if not (more := os.read(self._fd, _BLOCK)):
                    return
                block += more
                continue
            view, offset = memoryview(block), 0
            while len(view) - offset >= _LENGTH.size:
                end = offset + _LENGTH.size + _LENGTH.unpack_from(view, offset)[0]
                if end > len(view):
                    break
                sealed = view[offset + _LENGTH.size : end]
                try:
                    plain = self._aead.decrypt(
                        bytes(sealed[:_NONCE]), bytes(sealed[_NONCE:]), _COUNT.pack(self._count)
                    )
                except (InvalidTag, ValueError):
                    return
                self._count += 1
                at += end - offset
                offset = end
                yield plain, at
            block = block[offset:]

    @cached_property
    def _aead(self) -> ChaCha20Poly1305:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        return ChaCha20Poly1305(self._key)

    def _append(self, plain: bytes) -> None:
        nonce = system_rng(_NONCE)
        sealed = self._aead.encrypt(nonce, plain, _COUNT.pack(self._count))
        record = _LENGTH.pack(_NONCE + len(sealed)) + nonce + sealed
        written = os.write(self._fd, record)
        if written != len(record):  # what follows half a record would not be read
            end = os.lseek(self._fd, -written, os.SEEK_CUR)
            os.ftruncate(self._fd, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._count += 1

    def _add(self, plain: bytes) -> None:
        try:
            self._append(plain)
        except OSError as error:
            raise explain(error, "write", "the journal of this transfer") from error
        self.empty = False

    def intend(self, number: int, name: str) -> None:
        """The folder of entry `number` is about to be made under this name."""
        self._add(Writer().raw(_NUMBERED.pack(_INTENDED, number)).text8(name).done())

    def made(self, number: int, name: str, inode: int) -> None:
        """It was made."""
        self._add(Writer().raw(_NUMBERED.pack(_MADE, number)).text8(name).u64(inode).done())

    def begun(self, number: int, inode: int, name: str) -> None:
        """The file of entry `number` is on its way, under a temporary name of 32 hex digits."""
        self._add(_BEGUN.pack(_BEGIN, number, inode, bytes.fromhex(name)))

    def segment(self, number: int, index: int, digest: bytes) -> None:
        """The next segment of that file was written."""
        self._add(_SEGMENT.pack(_SEGMENT_KIND, number, index, digest))

    def placed(self, *entries: tuple[int, os.stat_result]) -> None:
        """What these entries (number, what it is like on the disk) become is complete and verified,
        and is about to get its name."""
        self._add(
            b"".join(
                [
                    _PLACED.pack(_PLACED_KIND, number, each.st_ino, each.st_size, each.st_mtime_ns)
                    for number, each in entries
                ]
            )
        )

    def close(self) -> None:
        """Close the file, and with that give up the lock. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def in_use(folder: int) -> bool:
    """Whether another process works with the journal in the staging folder `folder`."""
    try:
        fd = os.open(NAME, _THERE, dir_fd=folder)
    except OSError:
        return False
    try:
        return not _lock(fd)
    finally:
        os.close(fd)


def is_ours(status: os.stat_result) -> bool:
    """Whether an open file may be one that we left: regular, ours, and with no other name."""
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return stat.S_ISREG(status.st_mode) and mine and status.st_nlink == 1


def _facts(plain: bytes) -> Facts | None:
    with suppress(TallowError):
        reader = Reader(plain, "journal")
        kind, _ = reader.fields(_NUMBERED)
        transfer_id, manifest, segment_size = reader.raw(16), reader.raw(32), reader.u32()
        facts = Facts(transfer_id, manifest, reader.text8(), segment_size)
        reader.end()
        return facts if kind == _FACTS else None
    return None


def _lock(fd: int) -> bool:
    """Take the lock; False if another process has it. Where there are no such locks, nobody has."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        return True
    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
