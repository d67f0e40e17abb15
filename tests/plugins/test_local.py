"""Discovery on one machine: the kit's checks, and what is particular to records in a directory."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tallow_core.directories import Directories
from tallow_core.errors import ConfigError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.discovery import Advert, Discovery
from tallow_core.testing.checks.discovery_checks import CHECKS
from tallow_core.types import Endpoint
from tallow_plugins.discoveries.local import Local

PATIENCE = 20.0
ADVERT = Advert("482159", (Endpoint("tls", "127.0.0.1", 41234, "ab" * 32),))


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def settings(tmp_path: Path, runtime: Path) -> DriverSettings:
    return DriverSettings(
        directories=Directories(tmp_path / "c", tmp_path / "s", tmp_path / "d", runtime)
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(
    check: Callable[[type[Discovery], DriverSettings], None], settings: DriverSettings
) -> None:
    check(Local, settings)


def own_record(settings: DriverSettings, runtime: Path) -> tuple[Path, dict[str, Any]]:
    """A record as this process writes it, put there to stay."""

    async def read() -> tuple[Path, bytes]:
        async with Local(settings).announce(ADVERT):
            (path,) = (runtime / "local").iterdir()
            return path, path.read_bytes()

    path, content = asyncio.run(read())
    return path, json.loads(content)


def nameplates(settings: DriverSettings) -> frozenset[str]:
    async def look() -> frozenset[str]:
        return await Local(settings).nameplates(asyncio.get_running_loop().time() + PATIENCE)

    return asyncio.run(look())


def plant(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_t36_a_record_holds_the_listed_fields_and_nothing_else(
    settings: DriverSettings, runtime: Path
) -> None:
    async def look() -> None:
        async with Local(settings).announce(ADVERT):
            (path,) = (runtime / "local").iterdir()
            facts = path.lstat()
            assert stat.S_IMODE(facts.st_mode) == 0o600
            assert stat.S_ISREG(facts.st_mode)
            assert len(path.stem) == 32
            assert set(path.stem) <= set("0123456789abcdef")
            record = json.loads(path.read_bytes())
            started = record.pop("started")
            assert started is None or started > 0
            assert record == {
                "v": 2,
                "nameplate": "482159",
                "pid": os.getpid(),
                "endpoints": [f"tls://127.0.0.1:41234#sha256={'ab' * 32}"],
            }
        assert list((runtime / "local").iterdir()) == []

    old = os.umask(0)
    try:
        asyncio.run(asyncio.wait_for(look(), PATIENCE))
    finally:
        os.umask(old)
    for directory in (runtime, runtime / "local"):
        assert stat.S_IMODE(directory.lstat().st_mode) == 0o700


def loose(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    runtime.chmod(0o750)


def linked(runtime: Path) -> None:
    target = runtime.with_name("elsewhere")
    target.mkdir(mode=0o700)
    runtime.symlink_to(target)


def loose_below(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    loose(runtime / "local")


def linked_below(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    linked(runtime / "local")


@pytest.mark.parametrize("spoil", [loose, linked, loose_below, linked_below])
def test_a_directory_that_others_can_reach_is_refused(
    settings: DriverSettings, runtime: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(runtime)
    local = Local(settings)

    async def announce() -> None:
        async with local.announce(ADVERT):
            pytest.fail("announced in a directory of others")

    async def browse() -> None:
        async for _ in local.browse("482159"):
            pytest.fail("believed a directory of others")

    for use in (announce, browse):
        with pytest.raises(ConfigError):
            asyncio.run(asyncio.wait_for(use(), PATIENCE))
    with pytest.raises(ConfigError):
        nameplates(settings)


@pytest.mark.processes
def test_a_dead_process_record_is_removed(settings: DriverSettings, runtime: Path) -> None:
    path, record = own_record(settings, runtime)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    plant(path, json.dumps(record | {"pid": ended.pid}).encode())
    assert nameplates(settings) == frozenset()
    assert not path.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="start times come from /proc")
def test_a_record_of_an_earlier_process_of_that_number_is_removed(
    settings: DriverSettings, runtime: Path
) -> None:
    path, record = own_record(settings, runtime)
    plant(path, json.dumps(record | {"started": record["started"] - 1}).encode())
    assert nameplates(settings) == frozenset()
    assert not path.exists()


FORGERIES: dict[str, dict[str, Any]] = {
    "version": {"v": 1},
    "version true": {"v": True},
    "more fields": {"name": "holiday.jpg"},
    "nameplate not digits": {"nameplate": "48\u0661159"},
    "nameplate short": {"nameplate": "482"},
    "nameplate long": {"nameplate": "48215900000"},
    "nameplate zero": {"nameplate": "0482"},
    "nameplate number": {"nameplate": 482159},
    "pid text": {"pid": "1"},
    "pid zero": {"pid": 0},
    "pid negative": {"pid": -1},
    "pid huge": {"pid": 1 << 70},
    "pid true": {"pid": True},
    "started text": {"started": "1"},
    "endpoints none": {"endpoints": None},
    "endpoints empty": {"endpoints": []},
    "endpoints many": {"endpoints": ["tcp://127.0.0.1:41234"] * 17},
    "endpoint none": {"endpoints": [None]},
    "endpoint elsewhere too": {"endpoints": ["tcp://127.0.0.1:1", "tcp://192.0.2.1:2"]},
    "endpoint path": {"endpoints": ["unix:///run/\0x"]},
    "endpoint elsewhere": {"endpoints": ["tcp://192.0.2.1:41234"]},
    "endpoint any": {"endpoints": ["tcp://0.0.0.0:41234"]},
    "endpoint name": {"endpoints": ["tcp://localhost:41234"]},
    "endpoint port zero": {"endpoints": ["tcp://127.0.0.1:0"]},
    "endpoint port high": {"endpoints": ["tcp://127.0.0.1:65536"]},
    "endpoint scheme": {"endpoints": ["../evil://127.0.0.1:41234"]},
    "endpoint pin": {"endpoints": ["tls://127.0.0.1:41234#sha256=abc"]},
    "endpoint tail": {"endpoints": ["tcp://127.0.0.1:41234\n"]},
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES)
def test_forged_records_are_passed_over(
    settings: DriverSettings, runtime: Path, change: dict[str, Any]
) -> None:
    path, record = own_record(settings, runtime)
    plant(path, json.dumps(record | change).encode())
    assert nameplates(settings) == frozenset()
    assert path.exists()
    plant(path, json.dumps(record).encode())
    assert nameplates(settings) == {"482159"}


GARBAGE = [b"", b"null", b"[]", b"\xff\xfe", b"[" * 4096, b'{"v": 1}', b"9" * 4096]


@pytest.mark.parametrize("content", GARBAGE, ids=lambda content: content[:8].hex())
def test_garbage_is_passed_over(settings: DriverSettings, runtime: Path, content: bytes) -> None:
    path, _ = own_record(settings, runtime)
    plant(path, content)
    assert nameplates(settings) == frozenset()
    assert path.exists()


def test_only_private_regular_single_small_files_are_records(
    settings: DriverSettings, runtime: Path, tmp_path: Path
) -> None:
    path, record = own_record(settings, runtime)
    content = json.dumps(record).encode()
    directory = runtime / "local"
    plant(directory / f"{'1' * 32}.json", content, 0o640)
    (directory / f"{'2' * 32}.json").symlink_to(plant(tmp_path / "planted", content))
    os.link(plant(tmp_path / "second", content), directory / f"{'3' * 32}.json")
    os.mkfifo(directory / f"{'4' * 32}.json", 0o600)
    (directory / f"{'5' * 32}.json").mkdir()
    plant(directory / f"{'6' * 32}.json", content + b" " * 4096)
    plant(directory / "record.json", content)
    assert nameplates(settings) == frozenset()
    plant(path, content)
    assert nameplates(settings) == {"482159"}


@asynccontextmanager
async def browsing(settings: DriverSettings) -> AsyncIterator[AsyncIterator[Endpoint]]:
    found = Local(settings).browse("482159")
    try:
        yield found
    finally:
        await found.aclose()  # type: ignore[attr-defined]


def test_each_endpoint_comes_once(settings: DriverSettings) -> None:
    second = Advert("482159", (Endpoint("tcp", "::1", 41235), Endpoint("unix", "/run/x.sock")))

    async def browse() -> None:
        async with (
            browsing(settings) as found,
            Local(settings).announce(ADVERT),
            Local(settings).announce(ADVERT),
        ):
            assert await anext(found) == ADVERT.endpoints[0]
            following = asyncio.ensure_future(anext(found))
            async with Local(settings).announce(second):
                assert await following == second.endpoints[0]
                assert await anext(found) == second.endpoints[1]

    asyncio.run(asyncio.wait_for(browse(), PATIENCE))
