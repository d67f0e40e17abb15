"""The records with which a later session resumes a transfer. Both ends keep them, as small private
files in the state directory.

Each record has the transfer's id and the secret that the two ends share. The sender's record also
has the list of what was offered, as it was then. The receiver's record has the place of the staging
folder. Each record ends with a SHA-256 over the rest, so that a torn one is ignored. It is deleted
when the transfer is complete, and after a week.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tallow_core.errors import ConfigError, TallowError
from tallow_core.private_files import READ, ensure_private, is_own_file, replace_file
from tallow_core.protocol.codec.wire import Reader, Writer, lv
from tallow_core.protocol.transfer.resumption import (
    MAX_NAMED_TRANSFERS,
    TRANSFER_ID,
    Earlier,
    Proof,
    proves,
)
from tallow_core.secrets import equal, system_rng
from tallow_core.text import printable

LIFETIME_SECONDS = 7 * 86_400.0
_MAGIC_SENT, _MAGIC_RECEIVED = b"tallow sent 2\n", b"tallow received 1\n"
_SECRET_BYTES = 32
_BLOCK_BYTES = 1 << 18


# -- the sender's records ------------------------------------------------------------------------


class SentRecord(NamedTuple):
    """A transfer that was accepted and is not complete; `listing` is the SHA-256 over its list."""

    path: Path
    earlier: Earlier
    listing: bytes

    def parts(self) -> Iterator[bytes]:
        """Yield the list of what was offered, in the parts in which it was saved."""
        with open(os.open(self.path, READ), "rb") as file:
            file.seek(len(_MAGIC_SENT) + TRANSFER_ID + _SECRET_BYTES)
            while len(head := file.read(4)) == 4 and (length := int.from_bytes(head)):
                yield file.read(length)

    def forget(self) -> None:
        """Delete the record file."""
        _unlink(self.path)


class SentRecords:
    """The records of what was sent from one list of sources: `key` names that list."""

    def __init__(self, state: Path, key: str) -> None:
        self._folder = state / "resume" / "sent"
        self._key = hashlib.sha256(os.fsencode(key)).hexdigest()[:32]

    def load(self) -> list[SentRecord]:
        """The newest `MAX_NAMED_TRANSFERS` records, the newest first; what is expired or torn is
        deleted."""
        found: list[tuple[float, SentRecord]] = []
        for path, age in _records(self._folder):
            if age > LIFETIME_SECONDS:
                _unlink(path)
            elif path.name.startswith(self._key):
                record = _read_sent(path)
                if record is None:
                    _unlink(path)
                else:
                    found.append((age, record))
        newest = sorted(found, key=lambda each: each[0])[:MAX_NAMED_TRANSFERS]
        return [record for _, record in newest]

    def save(self, earlier: Earlier, listed: Iterable[bytes]) -> SentRecord:
        """Keep a transfer that was accepted, with the list of what was offered, in parts."""
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
            if not _is_whole(file, _MAGIC_SENT):
                return None
            file.seek(len(_MAGIC_SENT))
            earlier = Earlier(file.read(TRANSFER_ID), file.read(_SECRET_BYTES))
        record, listing = SentRecord(path, earlier, b""), hashlib.sha256()
        for part in record.parts():
            listing.update(lv(part))
        return SentRecord(path, earlier, listing.digest())
    return None


# -- the receiver's records ----------------------------------------------------------------------


class ReceivedRecord(NamedTuple):
    """The place of an interrupted transfer: the output folder, the name of the staging folder in
    it, and the inode number of that folder."""

    path: Path
    earlier: Earlier
    output: str
    staging: str
    inode: int

    def forget(self) -> None:
        """Delete the record file."""
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
                key = file.read(_SECRET_BYTES + 1)
                if is_own_file(os.fstat(file.fileno())) and len(key) == _SECRET_BYTES:
                    return key
            _replace(path, [system_rng(_SECRET_BYTES)])
        raise ConfigError(
            f"the key of interrupted transfers cannot be kept in {printable(str(path))}; delete"
            " that file"
        )

    def find(
        self, proofs: list[Proof], kdf: str, transcript: bytes
    ) -> tuple[Earlier, list[ReceivedRecord]] | None:
        """The transfer that the sender proved to know and that is known here; None if there is
        none."""
        for proof in proofs:
            records = [
                record
                for record in self._load()
                if proves(proof, record.earlier, "sender", kdf, transcript)
            ]
            if records:
                return records[0].earlier, records
        return None

    def expire(self) -> Iterator[ReceivedRecord]:
        """Yield the records that have expired, and delete each one after that."""
        for path, age in _records(self._folder):
            if age > LIFETIME_SECONDS:
                if (record := _read_received(path)) is not None:
                    yield record
                _unlink(path)

    def _load(self) -> Iterator[ReceivedRecord]:
        for path, age in _records(self._folder):
            if age <= LIFETIME_SECONDS and (record := _read_received(path)) is not None:
                yield record

    def save(self, earlier: Earlier, output: str, staging: str, inode: int) -> ReceivedRecord:
        """Keep where a transfer lies."""
        place = hashlib.sha256(os.fsencode(output)).hexdigest()[:16]
        path = self._folder / f"{earlier.transfer_id.hex()}-{place}"
        body = Writer().raw(_MAGIC_RECEIVED).raw(earlier.transfer_id).raw(earlier.secret)
        body.text8(staging).u64(inode).bytes16(os.fsencode(output))
        _write(path, [body.done()])
        return ReceivedRecord(path, earlier, output, staging, inode)


def _read_received(path: Path) -> ReceivedRecord | None:
    with suppress(OSError, TallowError):
        with open(os.open(path, READ), "rb") as file:
            if not _is_whole(file, _MAGIC_RECEIVED):
                return None
            file.seek(len(_MAGIC_RECEIVED))
            reader = Reader(file.read(_BLOCK_BYTES), "our own record")
        earlier = Earlier(reader.raw(TRANSFER_ID), reader.raw(_SECRET_BYTES))
        staging, inode = reader.text8(), reader.u64()
        output = os.fsdecode(reader.bytes16(1 << 16))
        return ReceivedRecord(path, earlier, output, staging, inode)
    return None


# -- files ---------------------------------------------------------------------------------------


def _records(folder: Path) -> Iterator[tuple[Path, float]]:
    """Yield the records in `folder`, each with its age in seconds."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                yield Path(entry.path), time.time() - entry.stat(follow_symlinks=False).st_mtime


def _is_whole(file: BinaryIO, magic: bytes) -> bool:
    """Whether a record file belongs to this user and has not changed since it was written."""
    if not is_own_file(os.fstat(file.fileno())) or file.read(len(magic)) != magic:
        return False
    left, digest = os.fstat(file.fileno()).st_size - len(magic) - 32, hashlib.sha256(magic)
    if left < TRANSFER_ID + _SECRET_BYTES:
        return False
    while left and (data := file.read(min(left, _BLOCK_BYTES))):
        digest.update(data)
        left -= len(data)
    return equal(file.read(33), digest.digest())


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """Write a record, and the hash over it, as a whole."""
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
