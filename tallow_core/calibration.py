"""How fast this machine seals with each cipher: measured in a few milliseconds, then remembered in the state directory.

The file holds a fingerprint of what the figures depend on, and a line a driver. It decides nothing but the order among ciphers that policy
allows anyhow, so what is wrong with it is no error: it is ignored and, where possible, written again.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tallow_core.errors import TallowError
from tallow_core.secrets import system_rng
from tallow_core.settings import ensure_private
from tallow_core.speeds import MIB, Sealing, fastest

if TYPE_CHECKING:
    from tallow_core.spi.cipher import Cipher

FILE = "ciphers"
"""Name of the file in the state directory."""
RECORD = MIB // 4
"""Bytes of the records that are timed: enough that the speed in bulk shows, few enough for a processor without AES instructions."""
SECONDS = 0.002
"""Time for one driver."""

_FORMAT = "tallow cipher speeds 1"
_LONGEST = 1 << 16  # bytes of a file that is read at all


def cipher_speeds(drivers: Sequence[type[Cipher]], state: Path) -> dict[str, float]:
    """Name -> seconds to seal 1 MiB in place, for each of `drivers`; infinite for one that fails. Never raises for the sake of the file."""
    fingerprint = _fingerprint(drivers)
    known = _read(state / FILE, fingerprint)
    if known is None or known.keys() != {driver.name for driver in drivers}:
        known = {driver.name: _measured(driver) for driver in drivers}
        _write(state / FILE, fingerprint, known)
    return known


def _measured(driver: type[Cipher]) -> float:
    try:
        return fastest(Sealing(driver, RECORD), SECONDS) * (MIB / RECORD)
    except Exception:
        # Whatever is wrong with the driver will be said where it is used.
        return float("inf")


def _read(file: Path, fingerprint: str) -> dict[str, float] | None:
    """What the file says, or None if it is not there, does not fit, or is damaged."""
    try:
        with open(file, "rb") as opened:
            head, *lines = opened.read(_LONGEST).decode("ascii").splitlines()
        speeds = {name: float(seconds) for name, seconds in (line.split(" ") for line in lines)}
    except (OSError, ValueError):
        return None
    fits = head == f"{_FORMAT} {fingerprint}" and all(seconds > 0 for seconds in speeds.values())
    return speeds if fits else None


def _write(file: Path, fingerprint: str, speeds: dict[str, float]) -> None:
    """Put a whole new file, for this user only, in the place of the old one; where that cannot be done, leave it."""
    text = "\n".join((f"{_FORMAT} {fingerprint}", *(f"{name} {seconds!r}" for name, seconds in speeds.items()), ""))
    # A name of its own: another process may be at the same.
    fresh = file.with_name(f"{file.name}.{system_rng(8).hex()}")
    try:
        ensure_private(file.parent)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
            opened.write(text)
        os.replace(fresh, file)
    except (OSError, TallowError):
        _remove(fresh)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        pass


def _fingerprint(drivers: Sequence[type[Cipher]]) -> str:
    """A hash over processor, system, Python, libraries and drivers. No name of the machine or of a user goes in."""
    digest = hashlib.sha256()
    for part in (*_machine(), sys.version, *_places(), *map(_driver, drivers)):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


_PROCESSOR = ("vendor_id", "model name", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
"""How the lines of /proc/cpuinfo begin that tell the processor (x86, Arm) and do not change while it runs."""


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
    """When each folder of modules was last changed: installing, upgrading or removing a library changes one."""
    here = os.path.realpath("")
    for place in sys.path:
        # `python -m` puts the working directory there, which changes with every file in it.
        if place and os.path.realpath(place) != here:
            yield f"{place} {_changed(place)}"


def _driver(driver: type[Cipher]) -> str:
    module = sys.modules.get(driver.__module__)
    return f"{driver.name} {driver.__module__}.{driver.__qualname__} {_changed(getattr(module, '__file__', None))}"


def _changed(path: str | None) -> int:
    try:
        return os.stat(path or "").st_mtime_ns
    except OSError:
        return 0
