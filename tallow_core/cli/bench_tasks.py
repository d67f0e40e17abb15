"""What there is to time of each kind of driver: the table behind `tallow bench`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow_core.calibration import AAD, MIB, Sealing
from tallow_core.secrets import system_rng

if TYPE_CHECKING:
    from tallow_core.spi.cipher import Cipher
    from tallow_core.spi.hash import Hash
    from tallow_core.spi.kem import Kem


class Task(NamedTuple):
    """One operation: `run` does it once, on `size` bytes (None where the size says nothing of the effort)."""

    operation: str
    run: Callable[[], object]
    size: int | None = None


def cipher_tasks(driver: type[Cipher]) -> Iterator[Task]:
    """Sealing a full data record in place, and opening one."""
    yield Task("seal", Sealing(driver, MIB), MIB)
    cipher, nonce = driver(system_rng(driver.key_size)), bytes(driver.nonce_size)
    sealed, out = bytearray(MIB + driver.tag_size), bytearray(MIB)
    cipher.seal_into(nonce, AAD, out, sealed)
    yield Task("open", lambda: cipher.open_into(nonce, AAD, sealed, out), MIB)


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
