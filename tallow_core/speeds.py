"""How fast drivers work: what there is to time of each kind, for `tallow bench` and for the calibration that orders ciphers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tallow_core.secrets import system_rng

if TYPE_CHECKING:
    from tallow_core.spi.cipher import Cipher
    from tallow_core.spi.hash import Hash
    from tallow_core.spi.kem import Kem

MIB = 1 << 20
"""Bytes of a full data record, and of one update of a hash."""
RECORDS_A_KEY = 1 << 10
"""Records sealed under one key: with 1 MiB each, the 2^30 bytes that every cipher of the kit's approval allows."""

_AAD = bytes(21)  # as long as the associated data of a record
_LEAST_RUNS = 3


@dataclass(frozen=True, slots=True)
class Task:
    """One operation: `run` does it once, on `size` bytes (None where the size says nothing of the effort)."""

    operation: str
    run: Callable[[], object]
    size: int | None = None


def fastest(run: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest run, of as many as `seconds` give time for and at least three. What disturbs a run only makes it slower."""
    best, ends, runs = float("inf"), perf_counter() + seconds, 0
    while runs < _LEAST_RUNS or perf_counter() < ends:
        begin = perf_counter()
        run()
        best = min(best, perf_counter() - begin)
        runs += 1
    return best


class Sealing:
    """A callable that seals `size` bytes in place, each time under a fresh nonce, and takes a fresh key before the old one is used up."""

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
        self._cipher.seal_into(nonce, _AAD, self._record[: self._size], self._record)

    def _renew(self) -> None:
        self._cipher = self._driver(system_rng(self._driver.key_size))
        self._left = RECORDS_A_KEY


def cipher_tasks(driver: type[Cipher]) -> Iterator[Task]:
    """Sealing a full data record in place, and opening one."""
    yield Task("seal", Sealing(driver, MIB), MIB)
    cipher, nonce = driver(system_rng(driver.key_size)), bytes(driver.nonce_size)
    sealed, out = bytearray(MIB + driver.tag_size), bytearray(MIB)
    cipher.seal_into(nonce, _AAD, out, sealed)
    yield Task("open", lambda: cipher.open_into(nonce, _AAD, sealed, out), MIB)


def hash_tasks(driver: type[Hash]) -> Iterator[Task]:
    """Hashing what a full data record holds."""
    hasher, data = driver.hasher("speed"), bytes(MIB)
    yield Task("hash", lambda: hasher.update(data), MIB)


def kem_tasks(driver: type[Kem]) -> Iterator[Task]:
    """What the two ends of a handshake do."""
    pair = driver.generate()
    ciphertext, _ = driver.encapsulate(pair.public)
    yield Task("generate", driver.generate)
    yield Task("encapsulate", lambda: driver.encapsulate(pair.public))
    yield Task("decapsulate", lambda: driver.decapsulate(pair, ciphertext))


def signature_tasks(driver: Any) -> Iterator[Task]:
    """Making a pair, and signing and verifying as many bytes as a digest has."""
    pair, message = driver.generate(), bytes(32)
    signature = driver.sign(pair, message)
    yield Task("generate", driver.generate)
    yield Task("sign", lambda: driver.sign(pair, message))
    yield Task("verify", lambda: driver.verify(pair.public, message, signature))


TASKS: Mapping[str, Callable[[Any], Iterator[Task]]] = MappingProxyType(
    {"cipher": cipher_tasks, "kem": kem_tasks, "signature": signature_tasks, "hash": hash_tasks}
)
"""Name of a kind -> what there is to time of its drivers. Kinds that wait for others are not in it."""
