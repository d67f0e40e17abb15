"""The journal of a transfer: what of it was verified, beside the partial files in the receiver's
staging folder.

    file   = "tallow journal 1\\n" || salt[16] || records
    record = length[2] || nonce[12] || ciphertext (ChaCha20-Poly1305) of one or more statements

The key is Expand(key of the state directory, "journal", salt), AD = the record's number[8], nonces
are random. So what another user wrote, moved here or cut short has no effect: reading ends at the
first record that does not verify, and writing continues from there. Each record is one write(2),
made before what it announces (a name) or after what it vouches for (a segment), so it is true after
a crash at any point. A segment counts only after its bytes have been hashed again.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from tallow_core.errors import TallowError
from tallow_core.files.os_faults import explain
from tallow_core.files.output.staging import CreatedFolder
from tallow_core.private_files import PRIVATE_FILE, READ_WRITE, READ_WRITE_NEW, is_own_file
from tallow_core.protocol.codec.wire import Reader, Writer
from tallow_core.protocol.handshake.key_schedule import JOURNAL, expand
from tallow_core.secrets import system_rng

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

JOURNAL_NAME = "journal"
_MAGIC = b"tallow journal 1\n"
_SALT, _NONCE = 16, 12
_LENGTH, _COUNT = Struct(">H"), Struct(">Q")
_NUMBERED, _SEGMENT, _PLACED, _BEGUN = (
    Struct(">BI"),
    Struct(">BII32s"),
    Struct(">BIQQq"),
    Struct(">BIQ16s"),
)
_SUBJECT, _INTENDED, _MADE, _BEGIN, _SEGMENT_KIND, _PLACED_KIND = range(6)
_BLOCK_BYTES = 1 << 18


class JournalSubject(NamedTuple):
    """The transfer that a journal is about: its id, the hash over its manifest, the hash driver's
    name and the segment size."""

    transfer_id: bytes
    manifest: bytes
    hash: str
    segment_size: int


@dataclass(slots=True)
class PartialFile:
    """An unfinished file: its temporary name, its inode, and the hashes of its segments so far."""

    name: str
    inode: int
    segments: bytearray = field(default_factory=bytearray)


class JournalState:
    """The content of a journal, by the entries' numbers. Each entry takes three numbers, so the
    offer bounds the memory for millions of entries."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._inodes, self._sizes = array("Q", bytes(8 * entries)), array("Q", bytes(8 * entries))
        self._times = array("q", bytes(8 * entries))
        self.folders: dict[int, CreatedFolder] = {}
        self.partial: dict[int, PartialFile] = {}

    def placed(self, number: int) -> tuple[int, int, int] | None:
        """(Inode, size, mtime in ns) of a file or link that got its name, or was about to."""
        return (
            (inode, self._sizes[number], self._times[number])
            if (inode := self._inodes[number])
            else None
        )

    def take(self, plain: bytes) -> None:
        """Add the statements of one record; raises `TallowError` for what Tallow never writes."""
        reader = Reader(plain, "journal")
        while reader.left:
            kind, number = reader.fields(_NUMBERED)
            if number >= self._entries:
                return
            self._take(reader, kind, number)

    def _take(self, reader: Reader, kind: int, number: int) -> None:
        if kind in (_INTENDED, _MADE):
            self.folders[number] = CreatedFolder(
                reader.text8(), reader.u64() if kind == _MADE else None
            )
        elif kind == _BEGIN:
            inode, name = reader.u64(), reader.raw(16).hex()
            self.partial[number] = PartialFile(name, inode)
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
    """An open journal, locked against other processes. `empty`: it has no statement about an entry
    yet. A statement that cannot be written is a `FileSystemError`."""

    def __init__(self, fd: int, key: bytes, salt: bytes) -> None:
        self._fd = fd
        self._key = bytes(expand("sha256", key, 32, JOURNAL, salt))
        self._count = 0
        self.empty = True

    @classmethod
    def create(cls, folder: int, key: bytes, subject: JournalSubject) -> Journal:
        """Begin a journal in the staging folder `folder`; raises an `OSError`."""
        fd, salt = (
            os.open(JOURNAL_NAME, READ_WRITE_NEW, PRIVATE_FILE, dir_fd=folder),
            system_rng(_SALT),
        )
        try:
            _lock(fd)
            os.write(fd, _MAGIC + salt)
            journal = cls(fd, key, salt)
            head = _NUMBERED.pack(_SUBJECT, 0) + subject.transfer_id + subject.manifest
            journal._append(Writer().raw(head).u32(subject.segment_size).text8(subject.hash).done())
        except BaseException:
            os.close(fd)
            raise
        return journal

    @classmethod
    def reopen(
        cls, folder: int, key: bytes, subject: JournalSubject, entries: int
    ) -> tuple[Journal, JournalState] | None:
        """The journal in `folder` and what it says; None if it is not one of this user about this
        transfer, or in use."""
        try:
            fd = os.open(JOURNAL_NAME, READ_WRITE, dir_fd=folder)
        except OSError:
            return None
        try:
            if (
                is_own_file(os.fstat(fd))
                and _lock(fd)
                and (found := cls._read(fd, key, subject, entries)) is not None
            ):
                return found
        except OSError:
            pass
        os.close(fd)
        return None

    @classmethod
    def _read(
        cls, fd: int, key: bytes, subject: JournalSubject, entries: int
    ) -> tuple[Journal, JournalState] | None:
        head = os.read(fd, len(_MAGIC) + _SALT)
        if len(head) != len(_MAGIC) + _SALT or not head.startswith(_MAGIC):
            return None
        journal, state = cls(fd, key, head[len(_MAGIC) :]), JournalState(entries)
        end = len(head)
        for plain, after in journal._records(end):
            if journal._count == 1:
                if _subject(plain) != subject:
                    return None
            else:
                state.take(plain)
                journal.empty = False
            end = after
        if not journal._count:
            return None
        os.ftruncate(fd, end)  # half a record, or what does not verify
        os.lseek(fd, end, os.SEEK_SET)
        return journal, state

    def _records(self, at: int) -> Iterator[tuple[bytes, int]]:
        """Each record that verifies, and where it ends."""
        from cryptography.exceptions import InvalidTag

        block = b""
        while True:
            if (
                len(block) < _LENGTH.size
                or len(block) < _LENGTH.size + _LENGTH.unpack_from(block)[0]
            ):
                if not (more := os.read(self._fd, _BLOCK_BYTES)):
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

    def folder_intended(self, number: int, name: str) -> None:
        """Record that the folder of an entry is about to be made under this name."""
        self._add(Writer().raw(_NUMBERED.pack(_INTENDED, number)).text8(name).done())

    def folder_created(self, number: int, name: str, inode: int) -> None:
        """Record that the folder of an entry was made."""
        self._add(Writer().raw(_NUMBERED.pack(_MADE, number)).text8(name).u64(inode).done())

    def file_begun(self, number: int, inode: int, name: str) -> None:
        """Record the temporary name of an entry's file, of 32 hex digits."""
        self._add(_BEGUN.pack(_BEGIN, number, inode, bytes.fromhex(name)))

    def segment(self, number: int, index: int, digest: bytes) -> None:
        """The next segment of that file was written."""
        self._add(_SEGMENT.pack(_SEGMENT_KIND, number, index, digest))

    def placed(self, entries: Iterable[tuple[int, os.stat_result]]) -> None:
        """The files or links of these entries (number, status) are complete and verified, and about
        to get their names: one record for all."""
        self._add(
            b"".join(
                [
                    _PLACED.pack(_PLACED_KIND, number, each.st_ino, each.st_size, each.st_mtime_ns)
                    for number, each in entries
                ]
            )
        )

    def close(self) -> None:
        """Close the file, which gives up the lock. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def is_in_use(folder: int) -> bool:
    """Whether another process works with the journal in the staging folder `folder`."""
    try:
        fd = os.open(JOURNAL_NAME, READ_WRITE, dir_fd=folder)
    except OSError:
        return False
    try:
        return not _lock(fd)
    finally:
        os.close(fd)


def _subject(plain: bytes) -> JournalSubject | None:
    with suppress(TallowError):
        reader = Reader(plain, "journal")
        kind, _ = reader.fields(_NUMBERED)
        transfer_id, manifest, segment_size = reader.raw(16), reader.raw(32), reader.u32()
        subject = JournalSubject(transfer_id, manifest, reader.text8(), segment_size)
        reader.end()
        return subject if kind == _SUBJECT else None
    return None


def _lock(fd: int) -> bool:
    """Take the lock; False if another process has it. True where the system has no such locks."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        return True
    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
