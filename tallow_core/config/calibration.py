"""How fast this machine is with each driver: measured in a few milliseconds, then remembered in the
state directory, a file a kind.

A file holds a fingerprint of what the figures depend on, and a line a driver. It decides nothing
but the order among drivers that policy allows anyhow, so what is wrong with it is no error: it is
ignored and, where possible, written again.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tallow_core.errors import TallowError
from tallow_core.private_files import READ, ensure_private, replace_file
from tallow_core.secrets import system_rng

if TYPE_CHECKING:
    from tallow_core.spi.cipher import Cipher
    from tallow_core.spi.driver import Driver
    from tallow_core.spi.hash import Hash
    from tallow_core.spi.kem import Kem

MIB = 1 << 20
"""Bytes of a full data record."""
FOLDER = "speeds"
"""The folder in the state directory; its files are named after the kinds."""
RECORD = MIB // 4
"""Bytes of the records that are timed: enough that the speed in bulk shows, few enough for a
processor without AES instructions."""
SECONDS = 0.002
"""Time for one driver."""

RECORDS_A_KEY = 1 << 10
"""Records sealed under one key: with 1 MiB each, the 2^30 bytes that every cipher must allow
(`tallow_core.testing`)."""
AAD = bytes(21)
"""As long as the associated data of a record."""

_MIN_RUNS = 3
_FORMAT = "tallow speeds 1"
_MAX_FILE_BYTES = 1 << 16


def speeds(kind: str, drivers: Sequence[type[Driver]], state: Path) -> dict[str, float]:
    """Name -> seconds, for each of `drivers` of `kind`: to seal or hash 1 MiB, or for what the two
    ends of a handshake do with a KEM.

    Infinite for a driver that fails. `kind` is one of `MEASURED`. Never raises for the sake of the
    file.
    """
    fingerprint, file = _fingerprint(drivers), state / FOLDER / kind
    known = _read(file, fingerprint)
    if known is None or known.keys() != {driver.name for driver in drivers}:
        known = {driver.name: _measured(kind, driver) for driver in drivers}
        _write(file, fingerprint, known)
    return known


def fastest(run: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest run, of as many as `seconds` give time for and at least three. What
    disturbs a run only makes it slower."""
    best, ends, runs = float("inf"), perf_counter() + seconds, 0
    while runs < _MIN_RUNS or perf_counter() < ends:
        begin = perf_counter()
        run()
        best = min(best, perf_counter() - begin)
        runs += 1
    return best


class SealRun:
    """A callable that seals `size` bytes in place, each time under a fresh nonce, and takes a fresh
    key before the old one is used up."""

    def __init__(self, driver: type[Cipher], size: int) -> None:
        self._driver = driver
        self._size = size
        self._record = memoryview(bytearray(size + driver.tag_size))
        self._renew()

    def __call__(self) -> None:
        if self._left == 0:
            self._renew()
        self._left -= 1
        nonce = self._left.to_bytes(self._driver.nonce_size, "big")
        self._cipher.seal_into(nonce, AAD, self._record[: self._size], self._record)

    def _renew(self) -> None:
        self._cipher = self._driver(system_rng(self._driver.key_size))
        self._left = RECORDS_A_KEY


def _measured(kind: str, driver: type[Any]) -> float:
    try:
        return MEASURED[kind](driver)
    except Exception:
        # What is wrong with the driver is said where it is used.
        return float("inf")


def _sealing(driver: type[Cipher]) -> float:
    return fastest(SealRun(driver, RECORD), SECONDS) * (MIB / RECORD)


def _hashing(driver: type[Hash]) -> float:
    hasher, data = driver.hasher("speed"), bytes(RECORD)
    return fastest(lambda: hasher.update(data), SECONDS) * (MIB / RECORD)


def _agreeing(driver: type[Kem]) -> float:
    def agree() -> None:
        pair = driver.generate()
        driver.decapsulate(pair, driver.encapsulate(pair.public)[0])

    return fastest(agree, SECONDS)


MEASURED: Mapping[str, Callable[[type[Any]], float]] = MappingProxyType(
    {"cipher": _sealing, "hash": _hashing, "kem": _agreeing}
)
"""Name of a kind -> how one of its drivers is timed."""


def _read(file: Path, fingerprint: str) -> dict[str, float] | None:
    """What the file says, or None if it is not there, does not fit, or is damaged."""
    try:
        with open(os.open(file, READ), "rb") as opened:
            head, *lines = opened.read(_MAX_FILE_BYTES).decode("ascii").splitlines()
        known = {name: float(seconds) for name, seconds in (line.split(" ") for line in lines)}
    except (OSError, ValueError):
        return None
    fits = head == f"{_FORMAT} {fingerprint}" and all(seconds > 0 for seconds in known.values())
    return known if fits else None


def _write(file: Path, fingerprint: str, known: dict[str, float]) -> None:
    """Replace the file as a whole; where that is not possible, leave it as it is."""
    text = "\n".join(
        (
            f"{_FORMAT} {fingerprint}",
            *(f"{name} {seconds!r}" for name, seconds in known.items()),
            "",
        )
    )
    with suppress(OSError, TallowError):
        ensure_private(file.parent)
        replace_file(file, [text.encode("ascii")], sync=False)


def _fingerprint(drivers: Sequence[type[Driver]]) -> str:
    """A hash over processor, system, Python, libraries and drivers. No name of the machine or of a
    user goes in."""
    digest = hashlib.sha256()
    for part in (*_machine(), sys.version, *_places(), *map(_driver, drivers)):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


_PROCESSOR = (
    "vendor_id",
    "model name",
    "cpu family",
    "model",
    "stepping",
    "flags",
    "Features",
    "CPU ",
)
"""How the lines of /proc/cpuinfo begin that name the processor (x86, Arm) and do not change while
it runs."""


def _machine() -> Iterator[str]:
    yield sys.platform
    if hasattr(os, "uname"):
        system = os.uname()
        yield from (system.release, system.machine)
    yield os.environ.get("PROCESSOR_IDENTIFIER", "")  # Windows
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as opened:
            # The first processor; asking for all of them takes long where there are many.
            first = opened.read(4096).partition(b"\n\n")[0].decode("ascii", "replace")
    except OSError:
        return
    yield from (line for line in first.splitlines() if line.startswith(_PROCESSOR))


def _places() -> Iterator[str]:
    """When each folder of modules was last changed: installing, upgrading or removing a library
    changes one."""
    here = os.path.realpath("")
    for place in sys.path:
        # `python -m` puts the working directory there, which changes with every file in it.
        if place and os.path.realpath(place) != here:
            yield f"{place} {_changed(place)}"


def _driver(driver: type[Driver]) -> str:
    module = sys.modules.get(driver.__module__)
    return (
        f"{driver.name} {driver.__module__}.{driver.__qualname__}"
        f" {_changed(getattr(module, '__file__', None))}"
    )


def _changed(path: str | None) -> int:
    try:
        return os.stat(path or "").st_mtime_ns
    except OSError:
        return 0
