"""What there is to time of each kind of driver: the table behind `tallow bench`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from tallow_core.config.calibration import AAD, MIB, SealRun
from tallow_core.passwords import Parameters, derive
from tallow_core.secrets import system_rng
from tallow_core.spi.authenticator import CodeAuthenticator, LoginAuthenticator
from tallow_core.types import Role

if TYPE_CHECKING:
    from tallow_core.spi.cipher import Cipher
    from tallow_core.spi.compressor import Compressor
    from tallow_core.spi.hash import Hash
    from tallow_core.spi.kem import Kem
    from tallow_core.spi.signature import Signature

_PASSWORD = b"stamp-daybreak-kindred"


class Task(NamedTuple):
    """One operation: `run` does it once, on `size` bytes (None where the size says nothing of the
    effort)."""

    operation: str
    run: Callable[[], object]
    size: int | None = None


def cipher_tasks(driver: type[Cipher]) -> Iterator[Task]:
    """Sealing a full data record in place, and opening one."""
    yield Task("seal", SealRun(driver, MIB), MIB)
    cipher, nonce = driver(system_rng(driver.key_size)), bytes(driver.nonce_size)
    sealed, out = bytearray(MIB + driver.tag_size), bytearray(MIB)
    cipher.seal_into(nonce, AAD, out, sealed)
    yield Task("open", lambda: cipher.open_into(nonce, AAD, sealed, out), MIB)


def hash_tasks(driver: type[Hash]) -> Iterator[Task]:
    """Hashing what a full data record holds."""
    hasher, data = driver.hasher("speed"), bytes(MIB)
    yield Task("hash", lambda: hasher.update(data), MIB)


def compressor_tasks(driver: type[Compressor]) -> Iterator[Task]:
    """Packing a chunk of text as large as a full data record, and unpacking it."""
    compressor, chunk, out = driver(), _text(MIB), bytearray(MIB)
    frame = compressor.pack(chunk)
    yield Task("pack", lambda: compressor.pack(chunk), MIB)
    yield Task("unpack", lambda: compressor.unpack_into(frame, out), MIB)


def _text(size: int) -> bytes:
    """Words in no order: they pack to about a third."""
    draws = system_rng(size)  # two a word, and words have more than two letters
    words = [
        bytes(97 + letter % 26 for letter in draws[at : at + 2 + at % 7]) for at in range(4096)
    ]
    pairs = zip(draws[::2], draws[1::2], strict=True)
    # The smaller of two draws is often a small one: some words are frequent, as in a language.
    return b" ".join(words[16 * min(pair) + max(pair) % 16] for pair in pairs)[:size]


def kem_tasks(driver: type[Kem]) -> Iterator[Task]:
    """What the two ends of a handshake do."""
    pair = driver.generate()
    ciphertext, _ = driver.encapsulate(pair.public)
    yield Task("generate", driver.generate)
    yield Task("encapsulate", lambda: driver.encapsulate(pair.public))
    yield Task("decapsulate", lambda: driver.decapsulate(pair, ciphertext))


def authenticator_tasks(driver: type[Any]) -> Iterator[Task]:
    """What both ends of an exchange do together, with a password."""
    yield from (
        _login_tasks(driver) if issubclass(driver, LoginAuthenticator) else _code_tasks(driver)
    )


def _code_tasks(driver: type[CodeAuthenticator]) -> Iterator[Task]:
    def agree() -> None:
        guest, host = (
            driver(role, _PASSWORD, bytes(64), b"speed") for role in (Role.GUEST, Role.HOST)
        )
        host.finish(guest.share)
        guest.finish(host.share)

    yield Task("agree", agree)


def _login_tasks(driver: type[LoginAuthenticator]) -> Iterator[Task]:
    server = driver(driver.make_setup())

    def register() -> bytes:
        client = driver.register(_PASSWORD)
        answer = server.answer_registration("speed", client.message)
        return answer.finish(client.finish(answer.message).upload)

    record = register()

    def log_in() -> None:
        client = driver.log_in(_PASSWORD)
        answer = server.answer_login("speed", record, client.message)
        answer.finish(client.finish(answer.message).messages[2])

    yield Task("register", register)
    yield Task("log in", log_in)


def password_tasks(parameters: Parameters) -> Iterator[Task]:
    """Deriving a key from a password, with the parameters for what is stored from now on."""
    yield Task("derive", lambda: derive(_PASSWORD, parameters, bytes(16), 32))


def signature_tasks(driver: type[Signature]) -> Iterator[Task]:
    """Making a pair, and signing and verifying as many bytes as a digest has."""
    pair, message = driver.generate(), bytes(32)
    signature = driver.sign(pair, message)
    yield Task("generate", driver.generate)
    yield Task("sign", lambda: driver.sign(pair, message))
    yield Task("verify", lambda: driver.verify(pair.public, message, signature))


TASKS: Mapping[str, Callable[[Any], Iterator[Task]]] = MappingProxyType(
    {
        "cipher": cipher_tasks,
        "kem": kem_tasks,
        "signature": signature_tasks,
        "hash": hash_tasks,
        "authenticator": authenticator_tasks,
        "compressor": compressor_tasks,
    }
)
"""Name of a kind -> what there is to time of its drivers. Kinds that wait for others are not in
it."""
