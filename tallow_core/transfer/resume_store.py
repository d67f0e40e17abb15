"""What both ends keep of a transfer so that a later session can go on with it: small private files
in the state directory.

The sender's tell what was offered, as it was then, and the secret that the two ends share; the
receiver's where the staging folder lies. Each is written to a temporary file and renamed, and ends
with a SHA-256 over the rest: one that was torn is as good as none. They are deleted when the
transfer is complete, and after a week.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple

from tallow_core.errors import ConfigError, FileSystemError, TallowError
from tallow_core.events import ConnectionLost
from tallow_core.files.output.resumable_staging import remove_leftover
from tallow_core.files.source.source_entry import SourceEntry
from tallow_core.private_files import READ, ensure_private, is_own_file, replace_file
from tallow_core.protocol.codec.wire import Reader, Writer, lv
from tallow_core.protocol.transfer.manifest_entry import read_list
from tallow_core.protocol.transfer.resumption import (
    MAX_NAMED_TRANSFERS,
    TRANSFER_ID,
    Earlier,
    Proof,
    prove,
    proves,
)
from tallow_core.secrets import equal, system_rng
from tallow_core.session.context import Context
from tallow_core.text import printable

LIFETIME = 7 * 86_400.0
_MAGIC_SENT, _MAGIC_RECEIVED = b"tallow sent 2\n", b"tallow received 1\n"
_SECRET = 32
_COUNT, _INODE = Struct(">H"), Struct(">QQ")
_BLOCK_BYTES = 1 << 18


def write_sources(inodes: Sequence[tuple[int, int]], entries: bytes) -> bytes:
    """A part of the sender's list: count[2] || count x (device[8] || inode[8]) || the entries as
    encoded."""
    return _COUNT.pack(len(inodes)) + b"".join([_INODE.pack(*inode) for inode in inodes]) + entries


def read_sources(parts: Iterable[bytes]) -> Iterator[SourceEntry]:
    """The sources of such a list."""
    for part in parts:
        reader = Reader(part, "our own list")
        (count,) = reader.fields(_COUNT)
        inodes = _INODE.iter_unpack(reader.view(count * _INODE.size))
        yield from map(SourceEntry, read_list(reader, count), inodes)


class Redialling:
    """How long a run waits for a connection that was lost: `[session] reconnect` seconds, and no
    longer while each one that comes back is lost again before the receiver has anything more."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._most = -1
        self.deadline = 0.0
        """Loop time."""

    def lost(self, error: TallowError, there: tuple[int, int]) -> None:
        """Say that the connection was lost and comes again; the files and bytes `there` were with
        the receiver when its session began."""
        now = asyncio.get_running_loop().time()
        if sum(there) > self._most:
            self._most, self.deadline = sum(there), now + self._context.settings.session.reconnect
        seconds = max(0.0, round(self.deadline - now, 3))
        self._context.report(ConnectionLost(str(error), seconds))
        self._context.reporter.warn(
            f"the connection was lost ({error}); it is dialled again for {seconds:.0f} s, and goes"
            " on where it was"
        )


# -- the sender's records ------------------------------------------------------------------------


class SentRecord(NamedTuple):
    """A transfer that was accepted and is not complete; `listing` is the SHA-256 over its list."""

    path: Path
    earlier: Earlier
    listing: bytes

    def parts(self) -> Iterator[bytes]:
        """What was offered then, as `read_sources` takes it."""
        with open(os.open(self.path, READ), "rb") as file:
            file.seek(len(_MAGIC_SENT) + TRANSFER_ID + _SECRET)
            while len(head := file.read(4)) == 4 and (length := int.from_bytes(head)):
                yield file.read(length)

    def forget(self) -> None:
        """Delete it."""
        with suppress(OSError):
            self.path.unlink()


class SentRecords:
    """The records of what was sent from one list of sources: `key` names that list."""

    def __init__(self, state: Path, key: str) -> None:
        self._folder = state / "resume" / "sent"
        self._key = hashlib.sha256(os.fsencode(key)).hexdigest()[:32]

    def load(self) -> list[SentRecord]:
        """Those that can still be gone on with, the newest first; what is old or torn is
        deleted."""
        found: list[tuple[float, SentRecord]] = []
        for path, age in _records(self._folder):
            if age > LIFETIME:
                _unlink(path)
            elif path.name.startswith(self._key):
                record = _read_sent(path)
                if record is None:
                    _unlink(path)
                else:
                    found.append((age, record))
        return [
            record for _, record in sorted(found, key=lambda each: each[0])[:MAX_NAMED_TRANSFERS]
        ]

    def save(self, earlier: Earlier, listed: Iterable[bytes]) -> SentRecord:
        """Keep a transfer that was accepted; `listed` is made by `write_sources`."""
        path, listing = self._folder / f"{self._key}-{earlier.transfer_id.hex()}", hashlib.sha256()

        def parts() -> Iterator[bytes]:
            yield _MAGIC_SENT + earlier.transfer_id + earlier.secret
            for part in listed:
                listing.update(lv(part))
                yield lv(part)
            yield bytes(4)

        _write(path, parts())
        return SentRecord(path, earlier, listing.digest())


def _read_sent(path: Path) -> SentRecord | None:
    with suppress(OSError, ValueError):
        with open(os.open(path, READ), "rb") as file:
            if not _whole(file, _MAGIC_SENT):
                return None
            file.seek(len(_MAGIC_SENT))
            earlier, listing = Earlier(file.read(TRANSFER_ID), file.read(_SECRET)), hashlib.sha256()
        record = SentRecord(path, earlier, b"")
        for part in record.parts():
            listing.update(lv(part))
        return SentRecord(path, earlier, listing.digest())
    return None


def unchanged(record: SentRecord, sources: Iterable[SourceEntry]) -> Iterator[SourceEntry]:
    """The sources; raises `FileSystemError`, with the choice there is, at the first that is not
    what was offered then."""
    then = read_sources(record.parts())
    for source in sources:
        before = next(then, None)
        if before is None or (before.inode, before.entry.encoded()) != (
            source.inode,
            source.entry.encoded(),
        ):
            raise changed("/".join(source.components))
        yield source
    if (gone := next(then, None)) is not None:
        raise changed("/".join(gone.components))


def changed(path: str) -> FileSystemError:
    """The error for a source that is not as it was when the transfer was interrupted."""
    return FileSystemError(
        f"{printable(path)!r} has changed since the transfer that was interrupted: restore it, or"
        " send everything anew with --anew"
    )


class Sent:
    """The sender's side over the sessions of one run. `current`: the transfer that was accepted in
    it."""

    def __init__(self, records: SentRecords | None, named: list[SentRecord]) -> None:
        self._records = records
        self._named = named
        self.current: SentRecord | None = None

    @property
    def resumable(self) -> bool:
        """Whether this kind of payload can be resumed at all."""
        return self._records is not None

    @property
    def named(self) -> list[SentRecord]:
        """The transfers that a new session names: once one was accepted in this run, that alone."""
        return [self.current] if self.current is not None else self._named

    def proofs(self, kdf: str, transcript: bytes) -> list[Proof]:
        """The proofs for `named`."""
        return [prove(record.earlier, "sender", kdf, transcript) for record in self.named]

    def proved(self, answer: Proof | None, kdf: str, transcript: bytes) -> SentRecord | None:
        """The transfer that the receiver proved to know."""
        for record in self.named:
            if answer is not None and proves(answer, record.earlier, "receiver", kdf, transcript):
                return record
        return None

    def accepted(self, earlier: Earlier, listed: Iterable[bytes]) -> None:
        """The receiver accepted: from now on the transfer can be resumed."""
        if self._records is not None:
            self.current = self._records.save(earlier, listed)

    def done(self) -> None:
        """The transfer is complete."""
        if self.current is not None:
            self.current.forget()


def sent_before(
    state: Path, key: str | None, sources: Iterable[SourceEntry], *, anew: bool
) -> Sent:
    """What is known of earlier transfers of these sources, which must be as they were; `key` None:
    they cannot be resumed.

    Raises `FileSystemError` if they are not. With `anew` earlier ones are forgotten.
    """
    if key is None:
        return Sent(None, [])
    records = SentRecords(state, key)
    found = records.load()
    if anew:
        for record in found:
            record.forget()
        found = []
    if found:
        for _ in unchanged(found[0], sources):
            pass
        found = [record for record in found if record.listing == found[0].listing]
    return Sent(records, found)


# -- the receiver's records ----------------------------------------------------------------------


class ReceivedRecord(NamedTuple):
    """Where an interrupted transfer lies."""

    path: Path
    earlier: Earlier
    output: str
    staging: str
    inode: int

    def forget(self) -> None:
        """Delete it."""
        _unlink(self.path)


class ReceivedRecords:
    """The receiver's records, and the key of its journals."""

    def __init__(self, state: Path) -> None:
        self._state = state / "resume"
        self._folder = self._state / "received"

    def key(self) -> bytes:
        """The key that seals journals, made when it is first needed."""
        ensure_private(self._state)
        path = self._state / "key"
        for _ in range(2):
            with suppress(OSError), open(os.open(path, READ), "rb") as file:
                if (
                    is_own_file(os.fstat(file.fileno()))
                    and len(key := file.read(_SECRET + 1)) == _SECRET
                ):
                    return key
            _replace(path, [system_rng(_SECRET)])
        raise ConfigError(
            f"the key of interrupted transfers cannot be kept in {printable(str(path))}; delete"
            " that file"
        )

    def find(
        self, proofs: list[Proof], kdf: str, transcript: bytes
    ) -> tuple[Earlier, list[ReceivedRecord]] | None:
        """The transfer that the sender proved to know and that is known here; None if there is
        none. What expired is removed."""
        for proof in proofs:
            records = [
                record
                for record in self._load()
                if proves(proof, record.earlier, "sender", kdf, transcript)
            ]
            if records:
                return records[0].earlier, records
        return None

    def expire(self) -> None:
        """Remove what nobody came back for, staging folders included."""
        for path, age in _records(self._folder):
            if age > LIFETIME:
                if (record := _read_received(path)) is not None:
                    remove_leftover(record.output, record.staging, record.inode)
                _unlink(path)

    def _load(self) -> Iterator[ReceivedRecord]:
        for path, age in _records(self._folder):
            if age <= LIFETIME and (record := _read_received(path)) is not None:
                yield record

    def save(self, earlier: Earlier, output: str, staging: str, inode: int) -> ReceivedRecord:
        """Keep where a transfer lies."""
        place = hashlib.sha256(os.fsencode(output)).hexdigest()[:16]
        path = self._folder / f"{earlier.transfer_id.hex()}-{place}"
        body = (
            Writer()
            .raw(_MAGIC_RECEIVED)
            .raw(earlier.transfer_id)
            .raw(earlier.secret)
            .text8(staging)
            .u64(inode)
        )
        _write(path, [body.bytes16(os.fsencode(output)).done()])
        return ReceivedRecord(path, earlier, output, staging, inode)


def _read_received(path: Path) -> ReceivedRecord | None:
    with suppress(OSError, TallowError):
        with open(os.open(path, READ), "rb") as file:
            if not _whole(file, _MAGIC_RECEIVED):
                return None
            file.seek(len(_MAGIC_RECEIVED))
            reader = Reader(file.read(_BLOCK_BYTES), "our own record")
        earlier, staging = Earlier(reader.raw(TRANSFER_ID), reader.raw(_SECRET)), reader.text8()
        inode, output = reader.u64(), os.fsdecode(reader.bytes16(1 << 16))
        return ReceivedRecord(path, earlier, output, staging, inode)
    return None


# -- files ---------------------------------------------------------------------------------------


def _records(folder: Path) -> Iterator[tuple[Path, float]]:
    """The records in `folder`, each with its age in seconds."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                yield Path(entry.path), time.time() - entry.stat(follow_symlinks=False).st_mtime


def _whole(file: BinaryIO, magic: bytes) -> bool:
    """Whether a record is ours, and as it was written."""
    if not is_own_file(os.fstat(file.fileno())) or file.read(len(magic)) != magic:
        return False
    left, digest = os.fstat(file.fileno()).st_size - len(magic) - 32, hashlib.sha256(magic)
    if left < TRANSFER_ID + _SECRET:
        return False
    while left and (data := file.read(min(left, _BLOCK_BYTES))):
        digest.update(data)
        left -= len(data)
    return equal(file.read(33), digest.digest())


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """Write a record whole or not at all."""
    digest = hashlib.sha256()

    def summed() -> Iterator[bytes]:
        for part in parts:
            digest.update(part)
            yield part
        yield digest.digest()

    ensure_private(path.parent.parent)
    ensure_private(path.parent)
    _replace(path, summed())


def _replace(path: Path, parts: Iterable[bytes]) -> None:
    try:
        replace_file(path, parts, sync=False)
    except OSError as error:
        where = printable(str(path.parent))
        raise ConfigError(
            f"what is needed to resume a transfer cannot be kept in {where}: {error.strerror};"
            " make room there"
        ) from error


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
