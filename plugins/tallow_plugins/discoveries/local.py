"""Discovery on one machine, for one user: records in a directory that no other user can enter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tallow_core.errors import UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.private_files import (
    READ,
    ensure_private,
    is_open_to_others,
    is_own_file,
    replace_file,
)
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.authority import parse_authority
from tallow_core.spi.discovery import Advert, Discovery, Scope
from tallow_core.spi.sockets import is_loopback
from tallow_core.types import Endpoint, Touch

_VERSION = 2
_POLL_SECONDS = 0.2
"""The time between two looks at the directory, in seconds."""
_MAX_RECORD_BYTES = 4096
_MAX_ENDPOINTS = 16
_RECORD_NAME = re.compile(r"[0-9a-f]{32}\.json")
_NAMEPLATE = re.compile(r"[1-9][0-9]{3,9}")
_SCHEME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FIELDS = frozenset({"v", "nameplate", "pid", "started", "endpoints"})


class _Record(NamedTuple):
    """The content of a record. `started` is the process's start time in clock ticks after boot,
    None where there is no /proc."""

    advert: Advert
    pid: int
    started: int | None

    def is_alive(self) -> bool:
        """Whether the process that wrote it still runs: the number alone may be another's by
        now."""
        return self.started == _start_time(self.pid) and _runs(self.pid)


class Local(Discovery):
    """Records of 0600 in a directory of 0700, both refused unless they are really mine; a record is
    a hint, and dead ones are removed."""

    name = "local"
    preference = 10
    scope: ClassVar[Scope] = "host"
    touches: ClassVar[frozenset[Touch]] = frozenset({"local"})
    reveals: ClassVar[str] = (
        "Nothing to the network; to processes of the same user, the nameplate, the process number"
        " and the endpoints on this machine."
    )

    def __init__(self, settings: DriverSettings) -> None:
        self._runtime = settings.directories.runtime

    def announce(self, advert: Advert) -> AbstractAsyncContextManager[None]:
        return self._announced(advert)

    @asynccontextmanager
    async def _announced(self, advert: Advert) -> AsyncIterator[None]:
        path = self._directory() / f"{secrets.token_hex(16)}.json"
        pid = os.getpid()
        record = {
            "v": _VERSION,
            "nameplate": advert.nameplate,
            "pid": pid,
            "started": _start_time(pid),
            "endpoints": [str(endpoint) for endpoint in advert.endpoints],
        }
        replace_file(path, [json.dumps(record).encode()], sync=False)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    async def nameplates(self, deadline: float) -> frozenset[str]:
        return frozenset(advert.nameplate for advert in self._live())

    async def browse(self, nameplate: str) -> AsyncIterator[Endpoint]:
        seen: set[Endpoint] = set()
        while True:
            for advert in self._live():
                for endpoint in advert.endpoints if advert.nameplate == nameplate else ():
                    if endpoint not in seen:
                        seen.add(endpoint)
                        yield endpoint
            await asyncio.sleep(_POLL_SECONDS)

    def _directory(self) -> Path:
        return ensure_private(ensure_private(self._runtime, strict=True) / "local", strict=True)

    def _live(self) -> Iterator[Advert]:
        directory = self._directory()
        for name in sorted(filter(_RECORD_NAME.fullmatch, os.listdir(directory))):
            if (record := _live_record(directory / name)) is not None:
                yield record.advert


def _live_record(path: Path) -> _Record | None:
    """The record at `path`, or None: malformed ones are passed over, a dead process's is
    removed."""
    try:
        fd = os.open(path, READ)
    except OSError:
        return None
    try:
        facts = os.fstat(fd)
        record = _parse(os.read(fd, _MAX_RECORD_BYTES)) if _is_record(facts) else None
    finally:
        os.close(fd)
    if record is None or record.is_alive():
        return record
    _remove(path, facts)
    return None


def _is_record(facts: os.stat_result) -> bool:
    """Whether an open file can be a record that this user's process wrote."""
    return (
        is_own_file(facts) and not is_open_to_others(facts) and facts.st_size <= _MAX_RECORD_BYTES
    )


def _remove(path: Path, read: os.stat_result) -> None:
    with contextlib.suppress(OSError):
        if os.path.samestat(path.lstat(), read):
            path.unlink()


def _parse(content: bytes) -> _Record | None:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(fields, dict)
        or fields.keys() != _FIELDS
        or not _is_count(fields["v"])
        or fields["v"] != _VERSION
    ):
        return None
    endpoints = _endpoints(fields["endpoints"])
    nameplate, pid, started = fields["nameplate"], fields["pid"], fields["started"]
    if (
        endpoints is None
        or not isinstance(nameplate, str)
        or _NAMEPLATE.fullmatch(nameplate) is None
    ):
        return None
    if not _is_count(pid) or not (started is None or _is_count(started)):
        return None
    return _Record(Advert(nameplate, endpoints), pid, started)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 63  # a bool is an int, but not a count


def _endpoints(texts: Any) -> tuple[Endpoint, ...] | None:
    """Read endpoints on this machine; where a record points elsewhere, another program wrote it."""
    if not isinstance(texts, list) or not 0 < len(texts) <= _MAX_ENDPOINTS:
        return None
    found = [_endpoint(text) for text in texts]
    return tuple(each for each in found if each is not None) if None not in found else None


def _endpoint(text: Any) -> Endpoint | None:
    if not isinstance(text, str):
        return None
    scheme, _, rest = text.partition("://")
    if not _SCHEME.fullmatch(scheme):
        return None
    if rest.startswith("/"):
        return Endpoint(scheme, rest) if rest.isprintable() else None
    try:
        endpoint = parse_authority(scheme, rest, pins=True, paths=True)
    except UsageError:
        return None
    return endpoint if is_loopback(endpoint.host) and endpoint.port else None


def _stat_fields(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat (proc(5)) from the third on; the second, the command in
    brackets, may hold anything."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()


def _start_time(pid: int) -> int | None:
    """Field 22, in clock ticks after boot; None if there is no such process, or no /proc."""
    try:
        return int(_stat_fields(pid)[19])
    except (OSError, IndexError, ValueError):
        return None


def _runs(pid: int) -> bool:
    """Whether a process with this number runs and belongs to this user. A process that has ended
    and is not reaped does not count."""
    try:
        os.kill(pid, 0)
        return _stat_fields(pid)[0] not in (b"Z", b"X")
    except (ProcessLookupError, PermissionError, OverflowError):
        return False
    except (OSError, IndexError):  # no /proc here
        return True


@hookimpl
def tallow_offer_discovery() -> Iterable[type[Discovery]]:
    """Hand over the driver."""
    return [Local]
