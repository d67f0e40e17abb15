"""T-03, T-05, T-08: receiving into a folder in which another user of the machine may write too, and
does, all the time.

The other user is a process of its own with another uid. It takes the names that come next, with
files, folders and links that lead out, moves away what is there, and tries to get at what is not
complete.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tallow_core.files.output.placement import Overwrite, place
from tests.kit.hostile_peers import Home, Program, assert_harmless, attack, receiver, sender

NOBODY = 65534
FILES = 150
SIZE = 20_000

root_only = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else too"
)


def content(name: str) -> bytes:
    """Of a file that is sent: its name, over and over."""
    return (name.encode() * SIZE)[:SIZE]


class Neighbour:
    """What the other user does in `folder`, until it is stopped; runs in a process of its own."""

    def __init__(self, folder: str, secret: str, *, folders: bool) -> None:
        self._folder = folder
        self._secret = secret
        self._folders = folders
        self.planted: dict[str, int] = {}
        self.reached: list[str] = []
        self.torn: list[str] = []
        self.moved = 0
        self._turn = 0

    def run(self, until: float) -> None:
        """All of it, over and over."""
        os.chdir(self._folder)
        while time.time() < until and not os.path.exists("stop"):
            names = set(os.listdir("."))
            self._pry(names)
            there = sorted(name for name in names if name[:1] == "f" and len(name) == 4)
            after = int(there[-1][1:]) + 1 if there else 0
            for number in range(after, after + 3):
                self._plant(f"f{number:03d}")
            self._move("d")

    def _plant(self, name: str) -> None:
        self._turn += 1
        with suppress(OSError):
            if self._turn % 3 == 0:
                os.symlink(self._secret, name)
            elif self._turn % 7 == 0 and self._folders:
                os.mkdir(name)
            elif self._turn % 2:
                fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                os.write(fd, b"mine")
                self.planted[name] = os.fstat(fd).st_ino
                os.close(fd)

    def _move(self, name: str) -> None:
        with suppress(OSError):
            os.rename(name, f"moved{self._turn}")
            self.moved += 1
            os.symlink(os.path.dirname(self._secret), name)
            os.unlink(name)

    def _pry(self, names: set[str]) -> None:
        """Get at what the receiver has not finished, or at what it owns."""
        for name in names:
            if name.startswith(".tallow-"):
                with suppress(OSError):
                    self.reached += [f"{name}/{entry}" for entry in os.listdir(name)]
                with suppress(OSError):
                    os.close(os.open(f"{name}/journal", os.O_RDONLY))
                    self.reached.append(f"{name}/journal")
            elif name[0] == "f":
                with suppress(OSError):
                    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW)
                    if os.fstat(fd).st_uid != NOBODY and os.read(fd, 2 * SIZE) != content(name[:4]):
                        self.torn.append(name)
                    os.close(fd)
                with suppress(OSError):
                    os.close(os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_APPEND))
                    if os.lstat(name).st_uid != NOBODY:
                        self.reached.append(name)


@contextmanager
def shared(mode: int, *, folders: bool) -> Iterator[tuple[Path, Path, Path, int]]:
    """The folder, the secret of somebody else, and the other user's report, while it is at work."""
    root = Path(tempfile.mkdtemp(prefix="tallow-shared-"))
    report = root / "report"
    try:
        root.chmod(0o755)
        folder, elsewhere = root / "out", root / "elsewhere"
        folder.mkdir()
        folder.chmod(mode)
        elsewhere.mkdir()
        (elsewhere / "secret").write_text("precious")
        with report.open("w") as file:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                    neighbour = Neighbour(str(folder), str(elsewhere / "secret"), folders=folders)
                    neighbour.run(time.time() + 60)
                    file.write(
                        json.dumps(
                            [neighbour.planted, neighbour.reached, neighbour.torn, neighbour.moved]
                        )
                    )
                    file.flush()
                    status = 0
                finally:
                    os._exit(status)
        yield folder, elsewhere, report, child
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize("overwrite", [Overwrite.RENAME, Overwrite.NEVER])
def test_t08_a_name_taken_at_the_last_moment_is_not_replaced(
    overwrite: Overwrite, tmp_path: Path
) -> None:
    """A thread takes the name again and again, and looks whether what it made is still there:
    between a look and a rename there is time."""
    stop = threading.Event()
    taken, replaced = 0, 0

    def take() -> None:
        nonlocal taken, replaced
        while not stop.is_set():
            with suppress(FileExistsError):
                fd = os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                mine = os.fstat(fd).st_ino  # held open: the number is nobody else's meanwhile
                taken += 1
                replaced += any(os.lstat(tmp_path / "f").st_ino != mine for _ in range(3))
                os.unlink(tmp_path / "f")
                os.close(fd)

    (tmp_path / "staging").mkdir()
    staging, folder = (
        os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (tmp_path / "staging", tmp_path)
    )
    thread = threading.Thread(target=take)
    thread.start()
    placed, evaded, deadline = 0, 0, time.monotonic() + 20
    try:
        while (min(placed, evaded) < 300 or taken < 1000) and time.monotonic() < deadline:
            (tmp_path / "staging" / "t").touch()
            try:
                name = place(overwrite, staging, "t", folder, "f")
                os.unlink(tmp_path / name)
                placed += name == "f"
                evaded += name != "f"
            except FileExistsError:
                evaded += 1
    finally:
        stop.set()
        thread.join(20)
        os.close(staging)
        os.close(folder)
    assert min(taken, placed, evaded)
    assert not replaced


@pytest.mark.processes
@root_only
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("overwrite", ["rename", "never", "always"])
@pytest.mark.parametrize("mode", [0o1777, 0o777], ids=["sticky", "open"])
def test_t03_t05_t08_another_user_in_the_same_folder(
    mode: int, overwrite: str, tmp_path: Path
) -> None:
    ann, bob = Home(tmp_path / "ann"), Home(tmp_path / "bob")
    ann.environment()
    names = [f"f{number:03d}" for number in range(FILES)]
    for name in names:
        (ann.root / name).write_bytes(content(name))
    (ann.root / "d" / "e").mkdir(parents=True)
    for name in names[:40]:
        (ann.root / "d" / "e" / name).write_bytes(content(name))

    async def scenario(folder: Path) -> tuple[int, Program]:
        async with sender(ann, *names, "d", "--throttle", "2MB") as host:
            port = await host.port()
            async with receiver(bob, port, "--overwrite", overwrite, out=str(folder)) as guest:
                status = await guest.wait(60)
                await asyncio.sleep(0)
                assert_harmless(guest)
                return status, guest

    with shared(mode, folders=overwrite != "always") as (folder, elsewhere, report, child):
        try:
            status, guest = attack(scenario(folder))
        finally:
            (folder / "stop").touch()
            _, code = os.waitpid(child, 0)
        assert code == 0
        planted, reached, torn, moved = json.loads(report.read_text())
        assert status in ((0,) if overwrite == "rename" and mode == 0o1777 else (0, 9)), (
            guest.said()
        )
        assert os.listdir(elsewhere) == ["secret"]
        assert (elsewhere / "secret").read_text() == "precious"
        assert stat.S_IMODE((elsewhere / "secret").stat().st_mode) == 0o644
        assert reached == [], "what was not complete, or not the other's, was opened"
        assert torn == [], "a name showed less than its content"
        landed = [
            path
            for path in folder.rglob("f*")
            if path.is_file() and not path.is_symlink() and path.stat().st_uid == 0
        ]
        assert len(landed) > 10 or status == 9, guest.said()
        for path in landed:
            assert path.read_bytes() == content(path.name[:4])
        assert planted
        assert moved or mode == 0o1777
        if overwrite != "always":
            for name, inode in planted.items():
                assert (folder / name).lstat().st_ino == inode, f"{name} was replaced"
                assert (folder / name).read_bytes() == b"mine"
