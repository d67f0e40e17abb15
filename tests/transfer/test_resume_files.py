"""T-34, and crash safety: journals, partial files and records that were planted, torn, moved or
written by somebody else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallow_core.errors import FileSystemError, RemoteProtocolError
from tallow_core.files.output.journal import JOURNAL_NAME, Journal, JournalState, JournalSubject
from tallow_core.files.output.placement import Overwrite
from tallow_core.files.output.resumable_staging import ResumableStaging, remove_leftover
from tallow_core.files.source.source_entry import SourceEntry
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.resumption import Earlier, Proof, prove
from tallow_core.transfer.partial_send import unchanged, write_sources
from tallow_core.transfer.resume_store import LIFETIME_SECONDS, ReceivedRecords, SentRecords
from tallow_plugins.hashes.blake3 import Blake3

KEY = b"k" * 32
SEGMENT = 1 << 20
FACTS = JournalSubject(b"i" * 16, b"m" * 32, "blake3", SEGMENT)
ENTRIES = [
    Entry(EntryKind.DIRECTORY, ("t",), 0o755, 0, 0),
    Entry(EntryKind.FILE, ("t", "large"), 0o644, 0, 3 * SEGMENT + 5),
    Entry(EntryKind.FILE, ("t", "small"), 0o644, 0, 5),
]
CONTENT = os.urandom(3 * SEGMENT)
PART = "ab" * 16


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def segment_hash(data: bytes) -> bytes:
    hasher = Blake3.hasher("tallow/1 segment")
    hasher.update(data)
    return hasher.digest()


def interrupted(out: Path) -> tuple[str, int]:
    """What a killed receiver leaves: two of the large file's segments, and the small file. Returns
    the staging folder's name and inode."""
    out.mkdir(exist_ok=True)
    with opened(out) as root:
        area = ResumableStaging.make(root, KEY, FACTS)
        journal, staging = area.journal, out / area.name
        journal.folder_intended(0, "t")
        (out / "t").mkdir(mode=0o700)
        journal.folder_created(0, "t", (out / "t").stat().st_ino)
        (staging / PART).write_bytes(CONTENT[: 2 * SEGMENT + 77])
        (staging / PART).chmod(0o600)
        journal.file_begun(1, (staging / PART).stat().st_ino, PART)
        for index in range(2):
            journal.segment(
                1, index, segment_hash(CONTENT[index * SEGMENT : (index + 1) * SEGMENT])
            )
        (out / "t" / "small").write_bytes(b"small")
        journal.placed([(2, (out / "t" / "small").stat())])
        area.suspend()
        return staging.name, staging.stat().st_ino


def resumed(
    out: Path, name: str, inode: int, key: bytes = KEY, facts: JournalSubject = FACTS
) -> tuple[list[int], dict[int, int]] | None:
    """(Files that are there, bytes of those that are not whole); None if nothing is taken up."""
    with opened(out) as root:
        area = ResumableStaging.reopen(root, name, inode, key, facts, len(ENTRIES))
        if area is None:
            return None
        area.survey(ENTRIES, Overwrite.RENAME, Blake3, SEGMENT)
        found = (
            [n for n, there in enumerate(area.leftovers.complete_files) if there],
            dict(area.leftovers.sizes()),
        )
        area.suspend()
        return found


def test_what_was_left_is_taken_up(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert resumed(out, *interrupted(out)) == ([2], {1: 2 * SEGMENT})


def _symlink(path: Path) -> None:
    path.rename(path.parent.parent / "moved")
    path.symlink_to(path.parent.parent / "moved")


def _hard_link(path: Path) -> None:
    os.link(path, path.parent.parent / "another")


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _copy(path: Path) -> None:
    content = path.read_bytes()
    kept = path.rename(path.parent.parent / "kept")  # so that the copy has another inode
    path.write_bytes(content)
    assert path.stat().st_ino != kept.stat().st_ino


PLANTED = [_symlink, _hard_link, _garbage, _folder, _pipe]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__[1:])
def test_t34_a_planted_journal_is_ignored(plant: Callable[[Path], None], tmp_path: Path) -> None:
    name, inode = interrupted(tmp_path / "out")
    plant(tmp_path / "out" / name / JOURNAL_NAME)
    assert resumed(tmp_path / "out", name, inode) is None


@pytest.mark.parametrize("plant", [*PLANTED, _copy], ids=lambda plant: plant.__name__[1:])
def test_t34_a_planted_partial_file_is_ignored(
    plant: Callable[[Path], None], tmp_path: Path
) -> None:
    name, inode = interrupted(tmp_path / "out")
    plant(tmp_path / "out" / name / PART)
    assert resumed(tmp_path / "out", name, inode) == ([2], {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("planted", "expected"), [(JOURNAL_NAME, None), (PART, ([2], {})), (".", None)]
)
def test_t34_what_belongs_to_somebody_else_is_ignored(
    planted: str, expected: object, tmp_path: Path
) -> None:
    name, inode = interrupted(tmp_path / "out")
    os.chown(tmp_path / "out" / name / planted, 12345, 12345)
    assert resumed(tmp_path / "out", name, inode) == expected


def test_t34_a_journal_of_another_machine_or_transfer_is_ignored(tmp_path: Path) -> None:
    """And removed with its folder: its record is replaced now, so it would lie there for ever."""
    others = [
        FACTS._replace(transfer_id=b"j" * 16),
        FACTS._replace(manifest=b"n" * 32),
        FACTS._replace(hash="sha3-256"),
    ]
    for number, facts in enumerate([FACTS, *others, FACTS._replace(segment_size=2 * SEGMENT)]):
        out = tmp_path / f"{number}"
        name, inode = interrupted(out)
        assert resumed(out, name, inode + 1) is None
        assert (out / name).is_dir(), "a folder that is not the one that was left"
        assert (
            resumed(out, name, inode, key=b"x" * 32 if facts is FACTS else KEY, facts=facts) is None
        )
        assert not (out / name).exists()


def test_a_journal_in_use_is_left_alone(tmp_path: Path) -> None:
    name, inode = interrupted(tmp_path / "out")
    with opened(tmp_path / "out") as root:
        area = ResumableStaging.reopen(root, name, inode, KEY, FACTS, len(ENTRIES))
        assert area is not None
        assert resumed(tmp_path / "out", name, inode) is None
        area.suspend()
    assert resumed(tmp_path / "out", name, inode) is not None


def test_only_segments_that_hash_right_count(tmp_path: Path) -> None:
    name, inode = interrupted(tmp_path / "out")
    with (tmp_path / "out" / name / PART).open("r+b") as file:
        file.seek(SEGMENT + 100)
        file.write(b"\0\0\0\0")
    assert resumed(tmp_path / "out", name, inode) == ([2], {1: SEGMENT})


@pytest.mark.parametrize("change", ["content", "gone", "replaced", "linked", "folder"])
def test_a_file_that_is_not_as_it_was_comes_again(change: str, tmp_path: Path) -> None:
    name, inode = interrupted(tmp_path / "out")
    small = tmp_path / "out" / "t" / "small"
    if change == "content":
        small.write_bytes(b"large")
        os.utime(small, ns=(1, 1))
    elif change == "gone":
        small.unlink()
    elif change == "replaced":
        small.rename(tmp_path / "kept")
        small.write_bytes(b"small")
    elif change == "linked":
        small.rename(tmp_path / "kept")
        small.symlink_to(tmp_path / "kept")
    else:
        (tmp_path / "out" / "t").rename(tmp_path / "kept")
        (tmp_path / "out" / "t").symlink_to(tmp_path / "kept")
    assert resumed(tmp_path / "out", name, inode) == ([], {1: 2 * SEGMENT})


def test_a_name_with_a_number_is_found(tmp_path: Path) -> None:
    name, inode = interrupted(tmp_path / "out")
    folder = tmp_path / "out" / "t"
    (folder / "small").rename(folder / "small (1)")
    assert resumed(tmp_path / "out", name, inode) == ([], {1: 2 * SEGMENT})
    (folder / "small").write_text("was there before")
    assert resumed(tmp_path / "out", name, inode) == ([2], {1: 2 * SEGMENT})


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_t23_a_journal_that_was_cut_or_changed_tells_a_beginning_only(
    data: st.DataObject, tmp_path: Path
) -> None:
    """Of n records some first ones are read, as they were; writing goes on behind them."""
    folder = tmp_path / os.urandom(8).hex()
    folder.mkdir()
    count = data.draw(st.integers(0, 30))
    with opened(folder) as fd:
        journal = Journal.create(fd, KEY, FACTS)
        journal.file_begun(7, 99, PART)
        for index in range(count):
            journal.segment(7, index, bytes([index]) * 32)
        journal.close()
        raw = bytearray((folder / JOURNAL_NAME).read_bytes())
        at = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            del raw[at:]
        else:
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        (folder / JOURNAL_NAME).write_bytes(raw)
        found = Journal.reopen(fd, KEY, FACTS, 10)
        if found is None:
            return
        again, past = found
        segments = bytes(past.partial[7].segments) if 7 in past.partial else b""
        assert segments == b"".join(bytes([index]) * 32 for index in range(len(segments) // 32))
        assert len(segments) // 32 < max(count, 1)
        again.file_begun(8, 98, PART)
        again.close()
        found = Journal.reopen(fd, KEY, FACTS, 10)
        assert found is not None
        assert found[1].partial[8].inode == 98
        found[0].close()


@given(st.lists(st.binary(max_size=60)))
def test_t23_no_record_breaks_the_reader(records: list[bytes]) -> None:
    past = JournalState(10)
    for record in records:
        with suppress(RemoteProtocolError):
            past.take(record)


def test_a_leftover_expires(tmp_path: Path) -> None:
    out = tmp_path / "out"
    name, inode = interrupted(out)
    remove_leftover(str(out), name, inode + 1)
    assert (out / name).exists()
    remove_leftover(str(out), name, inode)
    assert sorted(os.listdir(out)) == ["t"]


# -- the records in the state directory ----------------------------------------------------------

EARLIER = Earlier(b"i" * 16, b"s" * 32)
SOURCES = [SourceEntry(entry, (1, number)) for number, entry in enumerate(ENTRIES)]
LISTED = [
    write_sources(
        [source.inode for source in SOURCES], b"".join(entry.encoded() for entry in ENTRIES)
    )
]


def test_the_senders_record(tmp_path: Path) -> None:
    records = SentRecords(tmp_path, "some sources")
    record = records.save(EARLIER, LISTED)
    assert records.load() == [record]
    assert record.path.stat().st_mode & 0o777 == 0o600
    assert SentRecords(tmp_path, "others").load() == []
    assert list(unchanged(record, SOURCES)) == SOURCES
    touched = SOURCES[2]._replace(entry=ENTRIES[2]._replace(mtime_ns=5))
    for changed in (
        [*SOURCES[:2], touched],
        SOURCES[:2],
        [*SOURCES, touched],
        [*SOURCES[:2], SOURCES[2]._replace(inode=(1, 9))],
    ):
        with pytest.raises(FileSystemError, match="has changed since"):
            list(unchanged(record, changed))
    record.forget()
    assert records.load() == []


@pytest.mark.parametrize("what", ["sent", "received"])
def test_torn_records_are_as_good_as_none(what: str, tmp_path: Path) -> None:
    sent, received = SentRecords(tmp_path, "some sources"), ReceivedRecords(tmp_path)
    proofs = [prove(EARLIER, "sender", "sha256", b"T")]
    path = (
        sent.save(EARLIER, LISTED).path
        if what == "sent"
        else received.save(EARLIER, "/some/where", ".tallow-x", 5).path
    )
    whole = path.read_bytes()
    for torn in (
        whole[:-1],
        whole[:40],
        b"",
        whole + b"\0",
        whole[:60] + bytes([whole[60] ^ 1]) + whole[61:],
    ):
        path.write_bytes(torn)
        assert sent.load() == []
        assert received.find(proofs, "sha256", b"T") is None


def test_t34_the_receivers_record_is_found_by_proof_only(tmp_path: Path) -> None:
    records = ReceivedRecords(tmp_path)
    record = records.save(EARLIER, "/some/where", ".tallow-x", 5)
    right = prove(EARLIER, "sender", "sha256", b"T")
    assert records.find([Proof(b"o" * 16, bytes(32)), right], "sha256", b"T") == (EARLIER, [record])
    assert records.find([right], "sha256", b"another session") is None
    assert records.find([Proof(EARLIER.transfer_id, bytes(32))], "sha256", b"T") is None
    assert records.find([prove(EARLIER, "receiver", "sha256", b"T")], "sha256", b"T") is None
    os.utime(record.path, (1, 1))
    assert records.find([right], "sha256", b"T") is None
    assert LIFETIME_SECONDS < 10**9
    assert [each.path for each in records.expire()] == [record.path]
    assert not record.path.exists()


def test_the_key_is_private_and_lasts(tmp_path: Path) -> None:
    key = ReceivedRecords(tmp_path).key()
    assert ReceivedRecords(tmp_path).key() == key
    file = tmp_path / "resume" / "key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(key[:5])
    torn = ReceivedRecords(tmp_path).key()
    assert len(torn) == 32
    assert torn != key
    file.unlink()
    (tmp_path / "elsewhere").write_bytes(key)
    file.symlink_to(tmp_path / "elsewhere")
    assert ReceivedRecords(tmp_path).key() != key
    assert not file.is_symlink()
